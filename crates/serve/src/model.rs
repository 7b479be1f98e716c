//! A model of embeddings in memory, and what requests may ask of it.

use crate::error::ServeError;
use crate::inputs::{Input, check_unbroken, tokenizer_error};
use crate::log::Log;
use crate::network::Network;
use crate::request_error::RequestError;
use crate::settings::{Dims, Source};
use maana::card::matryoshka_dims;
use maana::classify::{self, Classifier};
use maana::kernels::{Context, Matrix, Precision, Rows};
use maana::model::{InferenceModel, Role, RolePrompts, Similarity, TextEncoder, WeightStorage};
use maana::text::{Overlong, TokenBatch};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model of embeddings in memory.
pub(crate) struct Model {
    number: usize,
    name: String,
    pub(crate) folder: PathBuf,
    /// The dimensions that requests may ask for, largest first.
    pub(crate) dims: Vec<usize>,
    /// True if requests may ask for any dimension.
    pub(crate) any_dimension: bool,
    pub(crate) classifier: Option<Classifier>,
    encoder: TextEncoder,
    /// The towers of queries and of documents, if they differ from each other.
    towers: Option<[Arc<Model>; 2]>,
}

/// Numbers of a model and its towers.
pub(crate) const TOWERS: usize = 3;

/// Settings of one model.
#[derive(Default)]
pub(crate) struct ModelSettings {
    /// The dimensions that requests may ask for.
    pub(crate) dims: Dims,
    /// A classifier outside the model's folder.
    pub(crate) classifier: Option<PathBuf>,
    /// Prompt of queries: a name, a text or `none`.
    pub(crate) query_prompt: Option<String>,
    /// Prompt of documents.
    pub(crate) document_prompt: Option<String>,
}

impl Network for Model {
    fn number(&self) -> usize {
        self.number
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn model(&self) -> &InferenceModel {
        self.encoder.model()
    }
}

impl Model {
    /// Reads a model.
    pub(crate) fn open(
        number: usize,
        source: &Source,
        context: &Context,
        precision: Precision,
        settings: &ModelSettings,
        log: &Log,
    ) -> Result<Self, ServeError> {
        let opened =
            maana::open::open(WeightStorage::Packed, &source.place, context, precision, &mut |notice| log.note(notice));
        let opened = opened.map_err(|error| ServeError::Model { name: source.name.clone(), source: error.into() })?;
        let (encoder, folder) = (opened.model, opened.resolved.folder);
        let wrong = |error| ServeError::Model {
            name: source.name.clone(),
            source: Box::new(maana::open::OpenError::Model(error)),
        };
        let prompt = |named: &Option<String>| named.as_deref().map(|named| encoder.prompt_or_text(named)).transpose();
        let query = prompt(&settings.query_prompt).map_err(wrong)?;
        let prompts = RolePrompts { query, document: prompt(&settings.document_prompt).map_err(wrong)? };
        let encoder = encoder.with_prompts(prompts);
        for note in [Role::Query, Role::Document].into_iter().filter_map(|role| encoder.describe_prompt(role)) {
            log.note(&format!("model `{}`: {note}", source.name));
        }
        let classifier = open_classifier(&folder, settings.classifier.as_deref(), &encoder)?;
        let (dims, any_dimension) =
            allowed_dims(&settings.dims, &folder, encoder.spec().dimension(), encoder.dimension())?;
        let model = |number, classifier, encoder, towers| Self {
            number,
            name: source.name.clone(),
            folder: folder.clone(),
            dims: dims.clone(),
            any_dimension,
            classifier,
            encoder,
            towers,
        };
        let number = TOWERS * number;
        let tower = |place, role| Arc::new(model(number + place, None, encoder.for_role(role), None));
        let towers = (!encoder.has_one_tower()).then(|| [tower(1, Role::Query), tower(2, Role::Document)]);
        Ok(model(number, classifier, encoder.clone(), towers))
    }

    /// Returns the tower of texts of a role; texts of both pass through the same in most models.
    pub(crate) fn for_role(self: &Arc<Self>, role: Option<Role>) -> Arc<Self> {
        let tower = self.towers.as_ref().zip(role).map(|(towers, role)| match role {
            Role::Query => &towers[0],
            Role::Document => &towers[1],
        });
        Arc::clone(tower.unwrap_or(self))
    }

    /// Checks that texts of this tower may be embedded.
    ///
    /// # Errors
    /// If texts need a role and have none.
    pub(crate) fn expect_tower(&self) -> Result<(), RequestError> {
        self.encoder.expect_tower().map_err(|_| {
            let message = "`prompt_name`: the model has a tower for queries and one for documents, and none for other texts; \
                           name `query` or `document`";
            RequestError::field("prompt_name", message)
        })
    }

    /// Columns of an embedding before any is cut.
    pub(crate) fn columns(&self) -> usize {
        self.spec().dimension()
    }

    /// Columns of an embedding by default.
    pub(crate) fn default_dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// Returns the text of a prompt by its name, or of the default prompt.
    pub(crate) fn prompt(&self, name: Option<&str>) -> Result<String, RequestError> {
        let prompt = name.map_or(Ok(self.encoder.default_prompt()), |name| self.encoder.prompt(name));
        let prompt = prompt.map_err(|error| RequestError::field("prompt_name", format!("`prompt_name`: {error}")))?;
        Ok(prompt.to_owned())
    }

    /// Returns the prompt of texts of a role.
    pub(crate) fn role_prompt(&self, role: Role) -> String {
        self.encoder.role_prompt(role).to_owned()
    }

    /// Checks the dimension of a request; without one it is the model's.
    pub(crate) fn dimension(&self, requested: Option<u64>) -> Result<usize, RequestError> {
        let Some(requested) = requested else { return Ok(self.default_dimension()) };
        let fits = usize::try_from(requested).ok().filter(|dim| *dim > 0 && *dim <= self.columns());
        if let Some(dim) = fits.filter(|dim| self.any_dimension || self.dims.contains(dim)) {
            return Ok(dim);
        }
        let allowed = if self.any_dimension {
            format!("any from 1 to {}", self.columns())
        } else {
            self.dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        };
        let message = format!("`dimensions`: {requested} is not one of the model's; allowed: {allowed}");
        Err(RequestError::field("dimensions", message))
    }

    /// Tokenises inputs after a prompt.
    pub(crate) fn tokenize(
        &self,
        inputs: &[Input],
        prompt: &str,
        overlong: Overlong,
    ) -> Result<TokenBatch, RequestError> {
        let tokenizer = self.tokenizer();
        let max_length = self.spec().settings().max_seq_length;
        let leaves_out = !prompt.is_empty() && self.spec().excludes_prompt();
        let prompt_length =
            if leaves_out { tokenizer.prompt_length(prompt).map_err(|error| tokenizer_error(&error))? } else { 0 };
        let mut tokens = TokenBatch::new();
        let mut prompt_lengths = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            if let Input::Text(text) = input {
                check_unbroken(index, text)?;
            }
            let left_out = match input {
                Input::Text(text) if prompt.is_empty() => tokenizer.append(&mut tokens, text, max_length, overlong),
                Input::Text(text) => tokenizer.append(&mut tokens, &format!("{prompt}{text}"), max_length, overlong),
                Input::Ids(ids) => tokenizer.append_ids(&mut tokens, prompt, ids, max_length, overlong),
            };
            let left_out = left_out.map_err(|error| tokenizer_error(&error))?;
            // Tokens that are cut at the beginning belong to the prompt.
            let cut = if overlong == Overlong::CutBeginning { left_out } else { 0 };
            prompt_lengths.push(prompt_length.saturating_sub(cut));
        }
        if leaves_out {
            tokens.prompt_lengths = prompt_lengths;
        }
        Ok(tokens)
    }

    /// Cuts embeddings before normalisation to a dimension and normalises them as `maana encode`
    /// does, or as requested.
    pub(crate) fn finish(
        &self,
        context: &Context,
        rows: Rows<'_>,
        dimension: usize,
        normalize: Option<bool>,
    ) -> Matrix {
        self.spec().finish(context, rows, dimension, normalize)
    }

    /// Measure of similarity that the model was trained for.
    pub(crate) fn similarity(&self) -> Similarity {
        self.encoder.similarity()
    }

    /// Returns the fingerprint of embeddings of a dimension.
    ///
    /// # Errors
    /// If the model has no such dimension.
    pub(crate) fn fingerprint(&self, dimension: usize) -> Result<[u8; 32], String> {
        let encoder = self.encoder.clone().with_dimension(dimension);
        encoder.map(|it| it.fingerprint()).map_err(|error| error.to_string())
    }
}

/// Opens the classifier at a path, or the one in the model's folder.
fn open_classifier(
    folder: &Path,
    path: Option<&Path>,
    encoder: &TextEncoder,
) -> Result<Option<Classifier>, ServeError> {
    let path = match path {
        Some(path) => path.to_owned(),
        None if folder.join(classify::FILE).is_file() => folder.join(classify::FILE),
        None => return Ok(None),
    };
    let classifier = Classifier::open(&path)?;
    let wrong = || ServeError::Settings(format!("{}: it was fitted on another model or dimension", path.display()));
    let encoder = encoder.clone().with_dimension(classifier.dim).map_err(|_| wrong())?;
    classifier.expect_encoder(&encoder)?;
    Ok(Some(classifier))
}

/// Returns the dimensions that requests may ask for, largest first, and true if they may ask for
/// any.
fn allowed_dims(dims: &Dims, folder: &Path, columns: usize, own: usize) -> Result<(Vec<usize>, bool), ServeError> {
    let mut allowed = match dims {
        Dims::These(dims) => {
            if let Some(dim) = dims.iter().find(|dim| **dim == 0 || **dim > columns) {
                let reason =
                    format!("--dims {dim}: the model's embeddings have {columns} dimensions; use 1 to {columns}");
                return Err(ServeError::Settings(reason));
            }
            dims.clone()
        }
        Dims::Declared | Dims::Any => {
            // A card that cannot be read declares nothing.
            let card = maana::files::read_to_string(folder.join("README.md")).unwrap_or_default();
            matryoshka_dims(&card).into_iter().filter(|dim| *dim > 0 && *dim <= columns).collect()
        }
    };
    allowed.push(own);
    allowed.sort_unstable_by(|a, b| b.cmp(a));
    allowed.dedup();
    Ok((allowed, *dims == Dims::Any))
}
