//! A model in use.

use crate::arrays::of_matrix;
use crate::error::{of_any, of_model, of_open};
use crate::interrupt::interruptible;
use crate::threads;
use crate::vectors::similarity_named;
use maana::eval::Kind;
use maana::evaluation::{EvaluationSet, Measuring, SetSpec};
use maana::hub::{HubEvent, HubOptions, Token};
use maana::kernels::{Context, InstructionSet, Matrix, Precision, normalize};
use maana::model::{Activations, ModelError, Role, RolePrompts, TextEncoder, WeightStorage};
use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts that are embedded between two calls of `progress`.
const TEXTS_OF_A_STEP: usize = 1024;

/// Embeddings of a text's tokens, `(tokens, hidden)`, and the tokens' ids.
type TokenRows<'py> = (Bound<'py, PyArray2<f32>>, Vec<u32>);

/// A model that embeds texts: the native part of `SentenceTransformer`.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct Encoder {
    state: Mutex<State>,
    folder: String,
    revision: Option<String>,
    notices: Vec<String>,
}

/// The encoder and the process in which its threads exist.
struct State {
    process: u32,
    context: Context,
    encoder: TextEncoder,
}

impl Encoder {
    /// Returns the encoder and its threads, in a forked process with threads of its own. Called
    /// with the interpreter's lock, so that no other thread holds the mutex when the process is
    /// forked.
    pub(crate) fn encoder(&self) -> PyResult<(TextEncoder, Context)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != std::process::id() {
            let context = threads::context()?;
            let encoder = rebuilt(&state.encoder, &context).map_err(of_model)?;
            let process = std::process::id();
            // The threads of the old context do not exist in this process: they cannot be joined.
            std::mem::forget(std::mem::replace(&mut *state, State { process, context, encoder }));
        }
        Ok((state.encoder.clone(), state.context.clone()))
    }
}

/// Returns an encoder of the same model with other threads.
fn rebuilt(encoder: &TextEncoder, context: &Context) -> Result<TextEncoder, ModelError> {
    let limit = encoder.max_seq_length();
    TextEncoder::new(Arc::clone(encoder.model()), context)?.with_max_seq_length(limit)
}

#[pymethods]
impl Encoder {
    /// Opens a model by its folder, its name on the hub, or `name@revision`.
    #[new]
    #[pyo3(signature = (name, precision="float32", cache_folder=None, token=None, local_files_only=false))]
    fn new(
        py: Python<'_>,
        name: String,
        precision: &str,
        cache_folder: Option<std::path::PathBuf>,
        token: Option<String>,
        local_files_only: bool,
    ) -> PyResult<Self> {
        let precision = precision_named(precision)?;
        let context = threads::context()?;
        let mut options = HubOptions::from_environment();
        options.cache = cache_folder.unwrap_or(options.cache);
        options.token = token.and_then(|token| Token::new(&token)).or(options.token);
        options.offline = local_files_only.then(|| "local_files_only".into()).or(options.offline);
        let mut notices = Vec::new();
        let opened = interruptible(py, |_| {
            let notify = &mut |event: HubEvent<'_>| {
                if let HubEvent::Notice(text) = event {
                    notices.push(text.to_owned());
                }
            };
            let opened = maana::open::open_with(WeightStorage::Packed, &name, &context, precision, &options, notify);
            opened.map_err(of_open)
        })?;
        let (folder, revision) = (opened.resolved.folder.display().to_string(), opened.resolved.revision);
        let state = State { process: std::process::id(), context, encoder: opened.model };
        Ok(Self { state: Mutex::new(state), folder, revision, notices })
    }

    /// Embeds texts with a prompt in front of each: `(texts, dimension)`. `progress` is called with
    /// the number of texts so far.
    #[pyo3(signature = (texts, prompt="", dimension=None, normalize_embeddings=false, progress=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        prompt: &str,
        dimension: Option<usize>,
        normalize_embeddings: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (encoder, context) = self.encoder()?;
        let whole = encoder.spec().dimension();
        let dimension = dimension.unwrap_or(whole).min(whole);
        if dimension == 0 {
            return Err(PyValueError::new_err("truncate_dim is 0; expected at least 1"));
        }
        let encoder = encoder.with_dimension(whole).map_err(of_model)?;
        let matrix = interruptible(py, |stop| {
            let encoder = encoder.with_stop(Arc::clone(stop));
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            let embedded = embed(&encoder, &texts, prompt, dimension, progress.as_ref())?;
            Ok(if normalize_embeddings { unit(&context, &embedded) } else { embedded })
        })?;
        of_matrix(py, matrix)
    }

    /// Embeds the tokens of texts: for each text an array `(tokens, hidden)` and its token ids.
    #[pyo3(signature = (texts, prompt=""))]
    fn encode_tokens<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        prompt: &str,
    ) -> PyResult<Vec<TokenRows<'py>>> {
        let (encoder, context) = self.encoder()?;
        let found = interruptible(py, |stop| {
            let mut activations = Activations::default();
            let mut found = Vec::with_capacity(texts.len());
            for text in &texts {
                if stop.load(Ordering::Relaxed) {
                    return Err(of_model(ModelError::Stopped));
                }
                let batch = encoder.tokens(&[text], prompt).map_err(of_model)?;
                let rows = encoder.model().embed_tokens(&context, &batch, &mut activations);
                found.push((rows, batch.ids.clone()));
            }
            Ok(found)
        })?;
        found.into_iter().map(|(rows, ids)| Ok((of_matrix(py, rows)?, ids))).collect()
    }

    /// Returns the token ids and the segments of each text, cut to `max_seq_length`.
    #[pyo3(signature = (texts, prompt=""))]
    fn tokenize(&self, texts: Vec<PyBackedStr>, prompt: &str) -> PyResult<Vec<(Vec<u32>, Vec<u32>)>> {
        let (encoder, _) = self.encoder()?;
        let tokens = |text: &PyBackedStr| {
            let batch = encoder.tokens(&[text], prompt).map_err(of_model)?;
            Ok((batch.ids.clone(), batch.type_ids.clone()))
        };
        texts.iter().map(tokens).collect()
    }

    /// Returns the text of token ids.
    #[pyo3(signature = (ids, skip_special_tokens=true))]
    fn decode(&self, ids: Vec<u32>, skip_special_tokens: bool) -> PyResult<String> {
        let (encoder, _) = self.encoder()?;
        encoder.spec().tokenizer().decode(&ids, skip_special_tokens).map_err(|error| of_any(&error))
    }

    /// Prompt of a role, `query` or `document`: the folder's own, else its default.
    fn role_prompt(&self, role: &str) -> PyResult<String> {
        let role = if role == "query" { Role::Query } else { Role::Document };
        Ok(self.encoder()?.0.role_prompt(role).to_owned())
    }

    /// Number of tokens of a text that are read.
    #[getter]
    fn max_seq_length(&self) -> PyResult<usize> {
        Ok(self.encoder()?.0.max_seq_length())
    }

    #[setter]
    fn set_max_seq_length(&self, tokens: usize) -> PyResult<()> {
        let changed = self.encoder()?.0.with_max_seq_length(tokens).map_err(of_model)?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).encoder = changed;
        Ok(())
    }

    /// Number of columns of an embedding before truncation.
    #[getter]
    fn dimension(&self) -> PyResult<usize> {
        Ok(self.encoder()?.0.spec().dimension())
    }

    /// Summary of the model as JSON: modules, prompts, similarity, sizes.
    fn summary(&self) -> PyResult<String> {
        let (encoder, _) = self.encoder()?;
        let mut summary = serde_json::to_value(encoder.spec().summary()).map_err(|error| of_any(&error))?;
        summary["truncate_dim"] = encoder.spec().settings().truncate_dim.into();
        summary["excludes_prompt"] = encoder.spec().excludes_prompt().into();
        summary["precision"] = encoder.precision().name().into();
        Ok(summary.to_string())
    }

    /// Digits that identify model and dimension, equal on all machines.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        let (encoder, _) = self.encoder()?;
        interruptible(py, |_| Ok(maana::files::hex(&encoder.fingerprint())))
    }

    /// Measures the model on an evaluation set of files: measures by name as JSON, and the name of
    /// the primary one.
    fn evaluate(
        &self,
        py: Python<'_>,
        kind: &str,
        path: std::path::PathBuf,
        dimension: usize,
        query_prompt: String,
        document_prompt: String,
    ) -> PyResult<(String, String)> {
        let (encoder, context) = self.encoder()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let spec = SetSpec { kind, ..SetSpec::of(path) };
        interruptible(py, |stop| {
            let encoder = with_prompts(encoder.with_stop(Arc::clone(stop)), Some(query_prompt), Some(document_prompt));
            let set = EvaluationSet::open(&spec).map_err(|error| of_any(&error))?;
            let scores =
                set.measure(&Measuring::new(&encoder, &context, &[dimension])).map_err(|error| of_any(&error))?;
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
        folder: std::path::PathBuf,
        prompts: Vec<(String, String)>,
        default_prompt_name: Option<String>,
        similarity: &str,
    ) -> PyResult<()> {
        let (encoder, context) = self.encoder()?;
        let similarity = similarity_named(similarity)?;
        let origin = std::path::PathBuf::from(&self.folder);
        interruptible(py, |_| {
            let opened = maana::model::open_for_training(&origin, &context, Precision::F32).map_err(of_model)?;
            let mut model = opened.model;
            model.set_max_seq_length(encoder.max_seq_length()).map_err(of_model)?;
            model.set_usage(prompts, default_prompt_name, similarity).map_err(of_model)?;
            model.save(&folder, &[]).map_err(of_model)
        })
    }

    /// Folder from which the model was opened.
    #[getter]
    fn folder(&self) -> &str {
        &self.folder
    }

    /// Commit on the hub, if it is known.
    #[getter]
    fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Notices of opening the model.
    #[getter]
    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }
}

/// Returns an encoder with the prompts of roles replaced.
pub(crate) fn with_prompts(encoder: TextEncoder, query: Option<String>, document: Option<String>) -> TextEncoder {
    encoder.with_prompts(RolePrompts { query, document })
}

/// Embeds texts in steps, after each of which `progress` is called.
fn embed(
    encoder: &TextEncoder,
    texts: &[&str],
    prompt: &str,
    dimension: usize,
    progress: Option<&Py<PyAny>>,
) -> PyResult<Matrix> {
    if progress.is_none() && dimension == encoder.dimension() {
        return encoder.embed(texts, prompt).map_err(of_model);
    }
    let mut values = Vec::with_capacity(texts.len() * dimension);
    for (step, part) in texts.chunks(TEXTS_OF_A_STEP).enumerate() {
        let rows = encoder.embed(part, prompt).map_err(|error| of_model(renumbered(error, step * TEXTS_OF_A_STEP)))?;
        (0..rows.rows()).for_each(|row| values.extend_from_slice(&rows.row(row)[..dimension]));
        if let Some(progress) = progress {
            Python::attach(|py| progress.call1(py, (step * TEXTS_OF_A_STEP + part.len(),)))?;
        }
    }
    Ok(Matrix::from_vec(texts.len(), dimension, values))
}

/// Returns the error with the number of the text among all texts.
fn renumbered(error: ModelError, first: usize) -> ModelError {
    use maana::text::TextError::{Encode, NoTokens};
    match error {
        ModelError::Text(Encode { index, reason }) => ModelError::Text(Encode { index: first + index, reason }),
        ModelError::Text(NoTokens { index }) => ModelError::Text(NoTokens { index: first + index }),
        error => error,
    }
}

/// Returns the rows divided by their lengths.
fn unit(context: &Context, rows: &Matrix) -> Matrix {
    let mut unit = Matrix::zeros(rows.rows(), rows.columns());
    normalize(context, rows.view(), unit.data_mut());
    unit
}

/// Returns the precision with a name of PyTorch or of the command line.
fn precision_named(name: &str) -> PyResult<Precision> {
    match name {
        "float32" | "f32" => Ok(Precision::F32),
        "bfloat16" | "bf16" => Ok(Precision::Bf16),
        "int8" => Ok(Precision::Int8),
        "auto" if InstructionSet::active().has_bf16() => Ok(Precision::Bf16),
        "auto" => Ok(Precision::F32),
        other => {
            Err(PyValueError::new_err(format!("precision is {other:?}; expected float32, bfloat16, int8 or auto")))
        }
    }
}
