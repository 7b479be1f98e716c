//! A cross-encoder in use.

use crate::arrays::of_matrix;
use crate::error::{of_any, of_model};
use crate::interrupt::interruptible;
use crate::opening::{Access, OpenModel, SavedCard};
use crate::tokens::Tokenizer;
use maana::kernels::{Context, Matrix, Precision};
use maana::model::{CrossEncoder, HeadSettings, Scoring, WeightStorage};
use maana::open::{open_for_inference, open_for_scoring};
use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use std::path::PathBuf;
use std::sync::Arc;

/// Pairs between two calls of `progress`.
const PAIRS_TOGETHER: usize = 1024;

/// A model that scores pairs of texts: the native part of `CrossEncoder`.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct PairEncoder {
    model: OpenModel<CrossEncoder>,
    /// The head, if it is new.
    new_head: Option<HeadSettings>,
}

impl PairEncoder {
    /// Holds a model at a moment of its training.
    pub(crate) fn in_training(encoder: CrossEncoder) -> Self {
        Self { model: OpenModel::in_training(encoder, with_context), new_head: None }
    }
}

fn with_context(encoder: CrossEncoder, context: &Context) -> CrossEncoder {
    encoder.with_context(context)
}

#[pymethods]
impl PairEncoder {
    /// Opens a cross-encoder by its folder, its name on the hub, or `name@revision`. A model
    /// without a head for pairs gets a new one with `num_labels` labels, by default one, whose
    /// weights `seed` draws.
    #[new]
    #[pyo3(signature = (name, precision, access, num_labels=None, seed=42))]
    fn new(
        py: Python<'_>,
        name: String,
        precision: &str,
        access: Access,
        num_labels: Option<usize>,
        seed: u64,
    ) -> PyResult<Self> {
        if num_labels == Some(0) {
            return Err(PyValueError::new_err("num_labels is 0; expected at least 1"));
        }
        let mut new_head = None;
        let model = OpenModel::open(py, precision, access, with_context, |context, precision, options, notify| {
            let opened = open_for_inference(WeightStorage::Packed, &name, context, precision, options, notify)?;
            if opened.model.spec().scoring().is_ok() {
                return opened.and_then(|model| CrossEncoder::new(model, context));
            }
            let head = HeadSettings {
                labels: Some(Scoring::of_labels(num_labels.unwrap_or(1)).labels),
                activation: None,
                seed,
            };
            let precision = if precision == Precision::Int8 { Precision::F32 } else { precision };
            let opened = open_for_scoring(&name, context, precision, &head, options, notify)?;
            new_head = Some(head);
            opened.and_then(|model| CrossEncoder::new(model.inference(), context))
        })?;
        Ok(Self { model, new_head })
    }

    /// True if the head is new, with random weights.
    #[getter]
    fn has_new_head(&self) -> bool {
        self.new_head.is_some()
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
        let encoder = self.model.encoder()?.with_prompt(prompt).map_err(of_model)?;
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
        let encoder = self.model.encoder()?.with_prompt(prompt).map_err(of_model)?;
        interruptible(py, |stop| {
            let encoder = encoder.with_stop(Arc::clone(stop));
            let documents: Vec<&str> = documents.iter().map(|document| &**document).collect();
            let ranked = maana::rerank::rerank(&encoder, &query, &documents, top_k).map_err(of_model)?;
            Ok(ranked.into_iter().map(|hit| (hit.index, hit.score)).collect())
        })
    }

    /// Names of the labels.
    #[getter]
    fn labels(&self) -> PyResult<Vec<String>> {
        Ok(self.model.encoder()?.labels().to_vec())
    }

    /// Class of PyTorch for the activation that makes scores of logits.
    #[getter]
    fn activation(&self) -> PyResult<&'static str> {
        Ok(self.model.encoder()?.scoring().activation.class())
    }

    /// The tokenizer of the model.
    fn tokenizer(&self) -> PyResult<Tokenizer> {
        Ok(Tokenizer::of(self.model.encoder()?.spec()))
    }

    /// Number of tokens of a pair that are read.
    #[getter]
    fn max_length(&self) -> PyResult<usize> {
        Ok(self.model.encoder()?.max_length())
    }

    #[setter]
    fn set_max_length(&self, tokens: usize) -> PyResult<()> {
        let changed = self.model.encoder()?.with_max_length(tokens).map_err(of_model)?;
        self.model.set(changed);
        Ok(())
    }

    /// Summary of the model as JSON: modules, prompts, sizes.
    fn summary(&self) -> PyResult<String> {
        let summary = serde_json::to_value(self.model.encoder()?.spec().summary()).map_err(|error| of_any(&error))?;
        Ok(summary.to_string())
    }

    /// Names of the parameters that a run trains.
    fn parameters(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.model.parameters(py, self.new_head.as_ref())
    }

    /// Digits that identify the model, equal on all machines.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        let encoder = self.model.encoder()?;
        interruptible(py, |_| Ok(maana::files::hex(&encoder.fingerprint())))
    }

    /// Writes the model as a folder of Sentence Transformers; an older model is replaced.
    fn save(&self, py: Python<'_>, folder: PathBuf, card: SavedCard) -> PyResult<()> {
        let max_length = self.max_length()?;
        self.model.save(py, &folder, self.new_head.as_ref(), card, |model| model.set_max_seq_length(max_length))
    }

    /// Folder from which the model was opened.
    #[getter]
    fn folder(&self) -> PyResult<&str> {
        self.model.folder()
    }

    /// Notices of opening the model.
    #[getter]
    fn notices(&self) -> Vec<String> {
        self.model.notices()
    }
}
