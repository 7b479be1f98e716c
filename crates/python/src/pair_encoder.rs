//! A cross-encoder in use.

use crate::arrays::of_matrix;
use crate::error::{of_any, of_model};
use crate::interrupt::interruptible;
use crate::opening::{Access, OpenModel};
use maana::kernels::{Context, Matrix};
use maana::model::{CrossEncoder, WeightStorage};
use numpy::PyArray2;
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
}

#[pymethods]
impl PairEncoder {
    /// Opens a cross-encoder by its folder, its name on the hub, or `name@revision`.
    #[new]
    fn new(py: Python<'_>, name: String, precision: &str, access: Access) -> PyResult<Self> {
        let with_context = |encoder: CrossEncoder, context: &Context| encoder.with_context(context);
        let model = OpenModel::open(py, precision, access, with_context, |context, precision, options, notify| {
            maana::open_cross_encoder_with(WeightStorage::Packed, &name, context, precision, options, notify)
        })?;
        Ok(Self { model })
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

    /// Digits that identify the model, equal on all machines.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        let encoder = self.model.encoder()?;
        interruptible(py, |_| Ok(maana::files::hex(&encoder.fingerprint())))
    }

    /// Writes the model as a folder of Sentence Transformers; an older model is replaced.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        let max_length = self.max_length()?;
        self.model.save(py, &folder, |model| model.set_max_seq_length(max_length))
    }

    /// Folder from which the model was opened.
    #[getter]
    fn folder(&self) -> &str {
        self.model.folder()
    }

    /// Notices of opening the model.
    #[getter]
    fn notices(&self) -> Vec<String> {
        self.model.notices()
    }
}
