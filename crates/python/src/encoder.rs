//! A model in use.

use crate::arrays::of_matrix;
use crate::error::{of_any, of_model, of_texts};
use crate::interrupt::interruptible;
use crate::opening::{Access, OpenModel, SavedCard};
use crate::texts::Texts;
use crate::tokens::Tokenizer;
use crate::vectors::similarity_named;
use maana::eval::Kind;
use maana::evaluation::{EvaluationSet, Measuring, SetSpec};
use maana::kernels::{Context, Matrix, normalized};
use maana::model::{Activations, ModelError, Role, RolePrompts, TextEncoder, WeightStorage};
use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Embeddings of a text's tokens, `(tokens, hidden)`, and the tokens' ids.
type TokenRows<'py> = (Bound<'py, PyArray2<f32>>, Vec<u32>);

/// A model that embeds texts: the native part of `SentenceTransformer`.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct Encoder {
    model: OpenModel<TextEncoder>,
}

impl Encoder {
    /// Returns the encoder, in a forked process with threads of its own.
    pub(crate) fn encoder(&self) -> PyResult<TextEncoder> {
        self.model.encoder()
    }

    /// Holds a model at a moment of its training.
    pub(crate) fn in_training(encoder: TextEncoder) -> Self {
        Self { model: OpenModel::in_training(encoder, with_context) }
    }
}

fn with_context(encoder: TextEncoder, context: &Context) -> TextEncoder {
    encoder.with_context(context)
}

/// Returns the encoder of the texts of a task, where the model has towers by role.
fn tower(encoder: &TextEncoder, task: Option<&str>) -> PyResult<TextEncoder> {
    match task {
        None => Ok(encoder.clone()),
        Some("query") => Ok(encoder.for_role(Role::Query)),
        Some("document") => Ok(encoder.for_role(Role::Document)),
        Some(_) if encoder.has_one_tower() => Ok(encoder.clone()),
        Some(task) => {
            Err(PyValueError::new_err(format!("no route for the task {task:?}; expected 'query' or 'document'")))
        }
    }
}

#[pymethods]
impl Encoder {
    /// Opens a model by its folder, its name on the hub, or `name@revision`.
    #[new]
    fn new(py: Python<'_>, name: String, precision: &str, access: Access) -> PyResult<Self> {
        let model = OpenModel::open(py, precision, access, with_context, |context, precision, options, notify| {
            maana::open::open_with(WeightStorage::Packed, &name, context, precision, options, notify)
        })?;
        Ok(Self { model })
    }

    /// Embeds texts with a prompt in front of each: `(texts, dimension)`. `progress` is called with
    /// the number of texts so far.
    #[pyo3(signature = (texts, prompt="", dimension=None, normalize_embeddings=false, progress=None, task=None))]
    #[expect(clippy::too_many_arguments, reason = "they are those of Python")]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: Texts<'py>,
        prompt: &str,
        dimension: Option<usize>,
        normalize_embeddings: bool,
        progress: Option<Py<PyAny>>,
        task: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let encoder = tower(&self.encoder()?, task)?;
        let whole = encoder.spec().dimension();
        let dimension = dimension.unwrap_or(whole).min(whole);
        if dimension == 0 {
            return Err(PyValueError::new_err("truncate_dim is 0; expected at least 1"));
        }
        let encoder = encoder.with_dimension(whole).map_err(of_model)?;
        let texts = texts.as_strs()?;
        let matrix = interruptible(py, |stop| {
            let encoder = encoder.with_stop(Arc::clone(stop));
            let embedded = embed(&encoder, &texts, prompt, progress.as_ref(), stop)?;
            let rows = embedded.view().prefix(dimension);
            Ok(match normalize_embeddings {
                true => normalized(encoder.context(), rows),
                false if dimension == whole => embedded,
                false => rows.to_matrix(),
            })
        })?;
        of_matrix(py, matrix)
    }

    /// Embeds the tokens of texts: for each text an array `(tokens, hidden)` and its token ids.
    #[pyo3(signature = (texts, prompt="", task=None))]
    fn encode_tokens<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        prompt: &str,
        task: Option<&str>,
    ) -> PyResult<Vec<TokenRows<'py>>> {
        let encoder = tower(&self.encoder()?, task)?;
        encoder.expect_tower().map_err(of_model)?;
        let found = interruptible(py, |stop| {
            let mut activations = Activations::default();
            let mut found = Vec::with_capacity(texts.len());
            for text in &texts {
                if stop.load(Ordering::Relaxed) {
                    return Err(of_model(ModelError::Stopped));
                }
                let batch = encoder.tokens(&[text], prompt).map_err(of_model)?;
                let rows = encoder.model().embed_tokens(encoder.context(), &batch, &mut activations);
                found.push((rows, batch.ids.clone()));
            }
            Ok(found)
        })?;
        found.into_iter().map(|(rows, ids)| Ok((of_matrix(py, rows)?, ids))).collect()
    }

    /// Returns the token ids and the segments of each text, cut to `max_seq_length`.
    #[pyo3(signature = (texts, prompt=""))]
    fn tokenize(&self, texts: Vec<PyBackedStr>, prompt: &str) -> PyResult<Vec<(Vec<u32>, Vec<u32>)>> {
        let encoder = self.encoder()?;
        let tokens = |text: &PyBackedStr| {
            let batch = encoder.tokens(&[text], prompt).map_err(of_model)?;
            Ok((batch.ids.clone(), batch.type_ids.clone()))
        };
        texts.iter().map(tokens).collect()
    }

    /// The tokenizer of the model.
    fn tokenizer(&self) -> PyResult<Tokenizer> {
        Ok(Tokenizer::of(self.encoder()?.spec()))
    }

    /// Number of tokens of a text that are read.
    #[getter]
    fn max_seq_length(&self) -> PyResult<usize> {
        Ok(self.encoder()?.max_seq_length())
    }

    #[setter]
    fn set_max_seq_length(&self, tokens: usize) -> PyResult<()> {
        let changed = self.encoder()?.with_max_seq_length(tokens).map_err(of_model)?;
        self.model.set(changed);
        Ok(())
    }

    /// Sets the number of tokens of a batch, which bounds the memory of the computation.
    fn set_batch_tokens(&self, tokens: usize) -> PyResult<()> {
        if tokens == 0 {
            return Err(PyValueError::new_err("batch_tokens is 0; expected at least 1"));
        }
        let changed = self.encoder()?.with_batch_tokens(tokens);
        self.model.set(changed);
        Ok(())
    }

    /// Number of columns of an embedding before truncation.
    #[getter]
    fn dimension(&self) -> PyResult<usize> {
        Ok(self.encoder()?.spec().dimension())
    }

    /// Summary of the model as JSON: modules, prompts, similarity, sizes.
    fn summary(&self) -> PyResult<String> {
        let encoder = self.encoder()?;
        let mut summary = serde_json::to_value(encoder.summary()).map_err(|error| of_any(&error))?;
        summary["truncate_dim"] = encoder.spec().settings().truncate_dim.into();
        Ok(summary.to_string())
    }

    /// Names of the parameters that a run trains.
    fn parameters(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.model.parameters(py, None)
    }

    /// Digits that identify model and dimension, equal on all machines.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        let encoder = self.encoder()?;
        interruptible(py, |_| Ok(maana::files::hex(&encoder.fingerprint())))
    }

    /// Measures the model on an evaluation set of files: measures by name as JSON, and the name of
    /// the primary one.
    fn evaluate(
        &self,
        py: Python<'_>,
        kind: &str,
        path: PathBuf,
        dimension: usize,
        query_prompt: String,
        document_prompt: String,
    ) -> PyResult<(String, String)> {
        let encoder = self.encoder()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let spec = SetSpec { kind, ..SetSpec::of(path) };
        interruptible(py, |stop| {
            let prompts = RolePrompts { query: Some(query_prompt), document: Some(document_prompt) };
            let encoder = encoder.with_stop(Arc::clone(stop)).with_prompts(prompts);
            let set = EvaluationSet::open(&spec).map_err(|error| of_any(&error))?;
            let scores = set
                .measure(&Measuring::new(&encoder, encoder.context(), &[dimension]))
                .map_err(|error| of_any(&error))?;
            let Some(scores) = scores.into_iter().next() else { return Ok((String::from("{}"), String::new())) };
            let values: serde_json::Map<_, _> =
                scores.values.into_iter().map(|(name, value)| (name, value.into())).collect();
            Ok((serde_json::Value::from(values).to_string(), scores.primary))
        })
    }

    /// Writes the model as a folder of Sentence Transformers; an older model is replaced.
    fn save(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        prompts: Vec<(String, String)>,
        default_prompt_name: Option<String>,
        similarity: &str,
        card: SavedCard,
    ) -> PyResult<()> {
        let max_seq_length = self.max_seq_length()?;
        let similarity = similarity_named(similarity)?;
        self.model.save(py, &folder, None, card, |model| {
            model.set_max_seq_length(max_seq_length)?;
            model.set_usage(prompts, default_prompt_name, similarity)
        })
    }

    /// Folder from which the model was opened.
    #[getter]
    pub(crate) fn folder(&self) -> PyResult<&str> {
        self.model.folder()
    }

    /// Notices of opening the model.
    #[getter]
    fn notices(&self) -> Vec<String> {
        self.model.notices()
    }
}

/// Embeds texts in steps, after each of which `progress` is called; its exception ends the work.
fn embed(
    encoder: &TextEncoder,
    texts: &[&str],
    prompt: &str,
    progress: Option<&Py<PyAny>>,
    stop: &AtomicBool,
) -> PyResult<Matrix> {
    let mut failed = None;
    let embedded = maana::texts::embed(encoder, texts, prompt, &mut |done| {
        let called = progress.map_or(Ok(()), |progress| Python::attach(|py| progress.call1(py, (done,)).map(drop)));
        if let Err(error) = called {
            failed = Some(error);
            stop.store(true, Ordering::Relaxed);
        }
    });
    failed.map_or_else(|| embedded.map_err(of_texts), Err)
}
