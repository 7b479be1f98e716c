//! A cross-encoder in use.

use crate::arrays::of_matrix;
use crate::error::{of_any, of_model, of_open};
use crate::interrupt::interruptible;
use crate::of_process::OfProcess;
use crate::opening::{Access, note, precision_named};
use crate::threads;
use maana::kernels::{Matrix, Precision};
use maana::model::{CrossEncoder, ModelError, WeightStorage};
use numpy::PyArray2;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pairs between two calls of `progress`.
const PAIRS_TOGETHER: usize = 1024;

/// A model that scores pairs of texts: the native part of `CrossEncoder`.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct PairEncoder {
    encoder: Mutex<OfProcess<CrossEncoder>>,
    folder: String,
    notices: Vec<String>,
}

impl PairEncoder {
    /// Returns the encoder, in a forked process with threads of its own.
    fn encoder(&self) -> PyResult<CrossEncoder> {
        let renew = |encoder: &CrossEncoder| Ok(encoder.clone().with_context(&threads::context()?));
        self.lock().get(renew).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, OfProcess<CrossEncoder>> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PairEncoder {
    /// Opens a cross-encoder by its folder, its name on the hub, or `name@revision`.
    #[new]
    fn new(py: Python<'_>, name: String, precision: &str, access: Access) -> PyResult<Self> {
        let (precision, context, options) = (precision_named(precision)?, threads::context()?, access.options());
        let mut notices = Vec::new();
        let opened = interruptible(py, |_| {
            let notify = &mut |event: maana::hub::HubEvent<'_>| note(&mut notices, &event);
            maana::open_cross_encoder_with(WeightStorage::Packed, &name, &context, precision, &options, notify)
                .map_err(of_open)
        })?;
        let folder = opened.resolved.folder.display().to_string();
        Ok(Self { encoder: Mutex::new(OfProcess::new(opened.model)), folder, notices })
    }

    /// Computes pairs of texts with a prompt in front of the first of each: `(pairs, labels)`, the
    /// scores if `activated`, else the logits. `progress` receives the number of pairs so far.
    #[pyo3(signature = (pairs, prompt="", activated=true, progress=None))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        pairs: Vec<(PyBackedStr, PyBackedStr)>,
        prompt: &str,
        activated: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let encoder = self.encoder()?.with_prompt(prompt).map_err(of_model)?;
        let matrix = interruptible(py, |stop| {
            let encoder = encoder.with_stop(Arc::clone(stop));
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(first, second)| (&**first, &**second)).collect();
            let mut values = Vec::with_capacity(pairs.len() * encoder.labels().len());
            for part in pairs.chunks(PAIRS_TOGETHER) {
                let rows = if activated { encoder.score(part) } else { encoder.logits(part) }.map_err(of_model)?;
                values.extend_from_slice(rows.data());
                if let Some(progress) = &progress {
                    Python::attach(|py| progress.call1(py, (values.len() / encoder.labels().len(),)))?;
                }
            }
            Ok(Matrix::from_vec(pairs.len(), encoder.labels().len(), values))
        })?;
        of_matrix(py, matrix)
    }

    /// Orders documents by their scores for a query: index and score of the best `top_k`, or all.
    #[pyo3(signature = (query, documents, top_k=None, prompt=""))]
    fn rank(
        &self,
        py: Python<'_>,
        query: PyBackedStr,
        documents: Vec<PyBackedStr>,
        top_k: Option<usize>,
        prompt: &str,
    ) -> PyResult<Vec<(usize, f32)>> {
        let encoder = self.encoder()?.with_prompt(prompt).map_err(of_model)?;
        interruptible(py, |stop: &Arc<AtomicBool>| {
            let encoder = encoder.with_stop(Arc::clone(stop));
            let documents: Vec<&str> = documents.iter().map(|document| &**document).collect();
            let ranked = maana::rerank::rerank(&encoder, &query, &documents, top_k).map_err(of_model)?;
            if stop.load(Ordering::Relaxed) {
                return Err(of_model(ModelError::Stopped));
            }
            Ok(ranked.into_iter().map(|hit| (hit.index, hit.score)).collect())
        })
    }

    /// Names of the labels.
    #[getter]
    fn labels(&self) -> PyResult<Vec<String>> {
        Ok(self.encoder()?.labels().to_vec())
    }

    /// Class of PyTorch for the activation that makes scores of logits.
    #[getter]
    fn activation(&self) -> PyResult<&'static str> {
        Ok(self.encoder()?.scoring().activation.class())
    }

    /// Number of tokens of a pair that are read.
    #[getter]
    fn max_length(&self) -> PyResult<usize> {
        Ok(self.encoder()?.max_length())
    }

    #[setter]
    fn set_max_length(&self, tokens: usize) -> PyResult<()> {
        let changed = self.encoder()?.with_max_length(tokens).map_err(of_model)?;
        self.lock().set(changed);
        Ok(())
    }

    /// Summary of the model as JSON: modules, prompts, sizes.
    fn summary(&self) -> PyResult<String> {
        let summary = serde_json::to_value(self.encoder()?.spec().summary()).map_err(|error| of_any(&error))?;
        Ok(summary.to_string())
    }

    /// Digits that identify the model, equal on all machines.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        let encoder = self.encoder()?;
        interruptible(py, |_| Ok(maana::files::hex(&encoder.fingerprint())))
    }

    /// Writes the model as a folder of Sentence Transformers; an older model is replaced.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        let encoder = self.encoder()?;
        interruptible(py, |_| {
            let opened = maana::model::open_for_training(self.folder.as_ref(), encoder.context(), Precision::F32);
            let mut model = opened.map_err(of_model)?.model;
            model.set_max_seq_length(encoder.max_length()).map_err(of_model)?;
            // The card describes the weights, which are the same.
            let card = maana::files::read(std::path::Path::new(&self.folder).join("README.md")).ok();
            let further: Vec<(&str, &[u8])> = card.iter().map(|card| ("README.md", &card[..])).collect();
            model.save(&folder, &further).map_err(of_model)
        })
    }

    /// Folder from which the model was opened.
    #[getter]
    fn folder(&self) -> &str {
        &self.folder
    }

    /// Notices of opening the model.
    #[getter]
    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }
}
