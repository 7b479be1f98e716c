//! `TextEncoder`: a model in use. Strings to rows of f32 under a budget of tokens, with prompts and
//! a dimension. A row has the same bits in any batch, for any budget and any number of
//! threads.

use crate::ModelError;
use crate::activations::Activations;
use crate::inference_model::InferenceModel;
use crate::prompt::Prompt;
use crate::runner::{Runner, check_stop};
use crate::similarity::{Role, Similarity};
use crate::spec::{ModelSpec, RoleSpecs};
use crate::summary::ModelSummary;
use maana_kernels::{Context, Matrix, Precision};
use maana_text::TokenBatch;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Tokens of a batch by default. Larger batches are not faster.
pub const DEFAULT_BATCH_TOKENS: usize = 2048;

/// Texts that are tokenised together: few, so that a stream of texts remains one, and enough work
/// for all threads.
const TOKENIZED_TOGETHER: usize = 256;
/// Texts that one thread tokenises at a time.
const TOKENIZED_AT_A_TIME: usize = 8;

/// A model with its threads, its prompts and the form of its embeddings. Clones share model and
/// memory.
///
/// Where the model has towers by role (Sentence Transformers: `Router`), this is the encoder of the
/// tower for texts without a role, and [`TextEncoder::for_role`] gives the others.
#[derive(Clone)]
pub struct TextEncoder {
    shared: Arc<Runner>,
    /// The towers, if the model has several.
    towers: Option<Arc<Towers>>,
    /// The role whose tower this is, if one was chosen.
    role: Option<Role>,
    dimension: usize,
    /// The number of tokens that replaces the folder's.
    max_seq_length: Option<usize>,
    batch_tokens: usize,
    prompts: RolePrompts,
    stop: Option<Arc<AtomicBool>>,
}

/// The towers of a model with a router.
struct Towers {
    /// The model, whose own tower is that of texts without a role.
    whole: Arc<InferenceModel>,
    query: Arc<Runner>,
    document: Arc<Runner>,
}

impl Towers {
    /// Returns the towers of a model that has several.
    fn of(model: &Arc<InferenceModel>, context: &Context) -> Option<Arc<Self>> {
        let (query, document) = (model.tower(Role::Query)?, model.tower(Role::Document)?);
        let [query, document] = [query, document].map(|model| Runner::new(&model, context));
        Some(Arc::new(Self { whole: Arc::clone(model), query, document }))
    }
}

/// Prompts that replace the model's own: the text in front of every text of a role, empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePrompts {
    /// The prompt of queries.
    pub query: Option<String>,
    /// The prompt of documents.
    pub document: Option<String>,
}

impl RolePrompts {
    fn of(&self, role: Role) -> Option<&str> {
        match role {
            Role::Query => self.query.as_deref(),
            Role::Document => self.document.as_deref(),
        }
    }
}

impl TextEncoder {
    /// Returns an encoder of the model's embeddings as its folder defines them, `truncate_dim`
    /// included.
    ///
    /// # Errors
    /// Returns an error if `truncate_dim` exceeds the model's dimension, or if the model is a
    /// cross-encoder.
    pub fn new(model: impl Into<Arc<InferenceModel>>, context: &Context) -> Result<Self, ModelError> {
        let model = model.into();
        model.spec().check_embeds()?;
        let dimension = model.spec().dimension();
        let truncated = model.spec().settings().truncate_dim.unwrap_or(dimension);
        let encoder = Self {
            shared: Runner::new(&model, context),
            towers: Towers::of(&model, context),
            role: None,
            dimension,
            max_seq_length: None,
            batch_tokens: DEFAULT_BATCH_TOKENS,
            prompts: RolePrompts::default(),
            stop: None,
        };
        encoder.with_dimension(truncated)
    }

    /// Returns the encoder of texts of a role, which differs from this one where the model has
    /// towers by role. Embeddings of all roles may be compared.
    pub fn for_role(&self, role: Role) -> Self {
        let Some(towers) = &self.towers else { return self.clone() };
        let shared = match role {
            Role::Query => &towers.query,
            Role::Document => &towers.document,
        };
        Self { shared: Arc::clone(shared), role: Some(role), ..self.clone() }
    }

    /// As [`TextEncoder::for_role`], with the role of texts behind the prompt `name`: `query` and
    /// `document` (or `passage`, `corpus`) are those of the roles.
    pub fn for_prompt(&self, name: &str) -> Self {
        Role::of_prompt(name).map_or_else(|| self.clone(), |role| self.for_role(role))
    }

    /// Returns an error if the texts of this encoder need a role and have none.
    ///
    /// # Errors
    /// If the model has towers by role, and none for other texts.
    pub fn expect_tower(&self) -> Result<(), ModelError> {
        if self.role.is_some() || !self.whole().needs_role() {
            return Ok(());
        }
        let reason = "the model has a tower for queries and one for documents, and none for texts without a role; encode \
                      them as queries or as documents (`--prompt query`), or set `default_route` in `router_config.json`";
        Err(ModelError::Request(reason.into()))
    }

    /// Returns true if texts of both roles pass through the same modules.
    pub fn has_one_tower(&self) -> bool {
        self.towers.is_none()
    }

    /// Keeps the first `dimension` columns, normalised again if the model's embeddings are.
    ///
    /// # Errors
    /// Returns an error if the dimension is 0 or exceeds the model's.
    pub fn with_dimension(mut self, dimension: usize) -> Result<Self, ModelError> {
        let whole = self.spec().dimension();
        if dimension == 0 || dimension > whole {
            let reason = format!("dimension {dimension}: the model's embeddings have {whole}; use 1 to {whole}");
            return Err(ModelError::Request(reason));
        }
        self.dimension = dimension;
        Ok(self)
    }

    /// Cuts texts to `tokens` tokens instead of the folder's `max_seq_length`.
    ///
    /// # Errors
    /// As [`crate::TrainingModel::set_max_seq_length`].
    pub fn with_max_seq_length(mut self, tokens: usize) -> Result<Self, ModelError> {
        self.spec().check_max_seq_length(tokens)?;
        for tower in self.towers.iter().flat_map(|towers| [&towers.query, &towers.document]) {
            tower.model.spec().check_max_seq_length(tokens)?;
        }
        self.max_seq_length = Some(tokens);
        Ok(self)
    }

    /// Number of tokens of a text that are read.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length.unwrap_or(self.spec().settings().max_seq_length)
    }

    /// Tokenises texts behind a prompt, each cut to [`TextEncoder::max_seq_length`].
    ///
    /// # Errors
    /// Returns an error if a text or the prompt cannot be tokenised.
    pub fn tokens(&self, texts: &[&str], prompt: &str) -> Result<TokenBatch, ModelError> {
        self.cut(texts, &self.spec().prompt(prompt)?)
    }

    fn cut(&self, texts: &[&str], prompt: &Prompt) -> Result<TokenBatch, ModelError> {
        let tokenizer = self.spec().tokenizer();
        Ok(prompt.tokenize(texts, |texts| tokenizer.encode(texts, self.max_seq_length()))?)
    }

    /// Sets the most tokens of a batch; a longer text is a batch of its own.
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens.max(1);
        self
    }

    /// Replaces the model's prompts for roles.
    pub fn with_prompts(mut self, prompts: RolePrompts) -> Self {
        self.prompts = prompts;
        self
    }

    /// Ends [`TextEncoder::embed`] with [`ModelError::Stopped`] before the next batch once `stop`
    /// is true.
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Returns an encoder of the same model with the same settings on other threads.
    pub fn with_context(mut self, context: &Context) -> Self {
        self.towers = self.towers.and_then(|towers| Towers::of(&towers.whole, context));
        self.shared = match (&self.towers, self.role) {
            (Some(towers), Some(Role::Query)) => Arc::clone(&towers.query),
            (Some(towers), Some(Role::Document)) => Arc::clone(&towers.document),
            _ => Runner::new(&self.shared.model, context),
        };
        self
    }

    /// The threads, the instruction set and the scratch memory of the computation.
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// The model; of several towers, that of this encoder.
    pub fn model(&self) -> &Arc<InferenceModel> {
        &self.shared.model
    }

    /// Everything of the model but its weights.
    pub fn spec(&self) -> &ModelSpec {
        self.shared.model.spec()
    }

    /// The towers by role.
    pub fn role_specs(&self) -> RoleSpecs<'_> {
        let any = self.whole().spec();
        let Some(towers) = &self.towers else {
            return RoleSpecs::single(any);
        };
        // Here towers have no numbers but their own places.
        let (query, document) = ((1, towers.query.model.spec()), (2, towers.document.model.spec()));
        RoleSpecs { any, query, document, routed: true }
    }

    /// The model with all of its towers.
    fn whole(&self) -> &Arc<InferenceModel> {
        self.towers.as_ref().map_or(&self.shared.model, |towers| &towers.whole)
    }

    /// Returns whether all towers of the model are tables of static embeddings
    /// ([`InferenceModel::is_static`]).
    pub fn is_static(&self) -> bool {
        self.whole().is_static()
    }

    /// Summary of the model with all of its towers.
    pub fn summary(&self) -> ModelSummary {
        self.whole().summary()
    }

    /// Number of columns of an embedding.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Measure by which these embeddings are compared.
    pub fn similarity(&self) -> Similarity {
        self.spec().settings().similarity
    }

    /// Precision of the matrix products. Embeddings in two precisions may be compared.
    pub fn precision(&self) -> Precision {
        self.shared.model.precision()
    }

    /// Bytes that identify model and dimension, and not the precision.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut bytes = self.whole().fingerprint(&self.shared.context);
        for (byte, add) in bytes.iter_mut().zip((self.dimension as u64).to_le_bytes()) {
            *byte ^= add;
        }
        let own = self.whole().spec().settings().max_seq_length;
        for (byte, add) in bytes[8..].iter_mut().zip(((self.max_seq_length.unwrap_or(own) ^ own) as u64).to_le_bytes())
        {
            *byte ^= add;
        }
        bytes
    }

    /// Embeds texts of a role: `(texts, dimension)`, rows in the order of the texts. A row does not
    /// depend on its neighbours.
    ///
    /// # Errors
    /// As [`TextEncoder::embed`].
    pub fn encode(&self, texts: &[&str], role: Role) -> Result<Matrix, ModelError> {
        self.for_role(role).embed(texts, self.role_prompt(role))
    }

    /// Returns the text of the prompt `name`.
    ///
    /// # Errors
    /// As [`ModelSpec::prompt_named`].
    pub fn prompt(&self, name: &str) -> Result<&str, ModelError> {
        self.spec().prompt_named(name)
    }

    /// Embeds texts with a prompt, which may be empty, in front of each: `(texts, dimension)`.
    /// Where the model has towers by role, the texts have none unless [`TextEncoder::for_role`]
    /// gave them one.
    ///
    /// # Errors
    /// Returns an error if texts need a role and have none, if a text cannot be tokenised, if a
    /// memory-mapped weight is not finite, or if the encoder was stopped.
    pub fn embed(&self, texts: &[&str], prompt: &str) -> Result<Matrix, ModelError> {
        self.expect_tower()?;
        let mut output = Matrix::zeros(texts.len(), self.dimension);
        let prompt = self.spec().prompt(prompt)?;
        let mut activations = self.shared.activations(self.batch_tokens);
        let mut batch = TokenBatch::new();
        let mut done = 0;
        for (block, texts) in texts.chunks(TOKENIZED_TOGETHER).enumerate() {
            let first = block * TOKENIZED_TOGETHER;
            for (part, tokens) in self.tokenize(texts, &prompt).into_iter().enumerate() {
                let first = first + part * TOKENIZED_AT_A_TIME;
                let tokens = tokens.map_err(|error| error.after_texts(first))?;
                for place in 0..tokens.sequences() {
                    if batch.sequences() > 0 && batch.tokens() + tokens.length(place) > self.batch_tokens {
                        self.compute(&batch, &mut activations, done, &mut output)?;
                        done = first + place;
                        batch = TokenBatch::new();
                    }
                    batch.extend_with(&tokens, place..place + 1);
                }
            }
        }
        if batch.sequences() > 0 {
            self.compute(&batch, &mut activations, done, &mut output)?;
        }
        self.shared.check_result(&output)?;
        Ok(output)
    }

    /// Tokenises parts of the texts with the prompt in front, on the threads that compute.
    fn tokenize(&self, texts: &[&str], prompt: &Prompt) -> Vec<Result<TokenBatch, ModelError>> {
        let parts: Vec<&[&str]> = texts.chunks(TOKENIZED_AT_A_TIME).collect();
        let mut tokens: Vec<_> = parts.iter().map(|_| Ok(TokenBatch::new())).collect();
        self.shared.context.for_each_chunk(&mut tokens, 1, |part, into| into[0] = self.cut(parts[part], prompt));
        tokens
    }

    fn compute(
        &self,
        batch: &TokenBatch,
        activations: &mut Activations,
        first_row: usize,
        output: &mut Matrix,
    ) -> Result<(), ModelError> {
        check_stop(self.stop.as_deref())?;
        let Runner { model, context, .. } = &*self.shared;
        let rows = model.embed_unfinished(context, batch, activations);
        let embeddings = model.spec().finish(context, rows.view(), self.dimension, None);
        model.check_unchanged()?;
        let columns = self.dimension;
        let rows = first_row * columns..(first_row + batch.sequences()) * columns;
        output.data_mut()[rows].copy_from_slice(embeddings.data());
        Ok(())
    }

    /// Returns the prompt for texts without a role: the folder's default, else none.
    pub fn default_prompt(&self) -> &str {
        self.spec().default_prompt()
    }

    /// Returns the prompt for texts of a role: the one that was set, else the model's own, else the
    /// default.
    pub fn role_prompt(&self, role: Role) -> &str {
        self.prompts.of(role).unwrap_or_else(|| self.spec().role_prompt(role))
    }

    /// Returns the prompt that a person names: one of the model's by its name, a text, or `none`.
    ///
    /// # Errors
    /// As [`ModelSpec::prompt_or_text`].
    pub fn prompt_or_text(&self, request: &str) -> Result<String, ModelError> {
        self.spec().prompt_or_text(request)
    }

    /// Describes the prompt of a role for people, or returns nothing where the model has no prompts
    /// and none was set.
    pub fn describe_prompt(&self, role: Role) -> Option<String> {
        let prompts = &self.spec().settings().prompts;
        let prompt = self.role_prompt(role);
        if self.prompts.of(role).is_none() && !self.spec().has_prompts() {
            return None;
        }
        let texts = match role {
            Role::Query => "queries",
            Role::Document => "documents",
        };
        if prompt.is_empty() {
            return Some(format!("{texts} without a prompt"));
        }
        let name = prompts.iter().find(|(_, text)| text == prompt).map(|(name, _)| format!(" ({name})"));
        Some(format!("{texts} behind {prompt:?}{}", name.unwrap_or_default()))
    }
}
