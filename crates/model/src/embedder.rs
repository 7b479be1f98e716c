//! `Embedder`: a model in use. Strings to f32 rows under a budget of tokens, with prompts and a dimension.
//! A row is the same bits alone and among others, for any budget and any number of threads.

use crate::encoder::{Encoder, Role, Similarity};
use crate::sentence_model::Activations;
use crate::{ModelError, SentenceModel, Trainable};
use maana_kernels::{Context, Matrix, Precision};
use maana_text::TokenBatch;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tokens that go through the model at once, unless told otherwise. More does not make it faster, only larger.
pub const DEFAULT_BATCH_TOKENS: usize = 2048;

/// Texts that are tokenised at once: so few that a stream stays one, so many that all threads have work.
const TOKENIZED_TOGETHER: usize = 256;

/// A model, the threads that compute, and how its embeddings are wanted.
pub struct Embedder<'m> {
    model: &'m SentenceModel,
    context: &'m Context,
    dimension: usize,
    batch_tokens: usize,
    prompts: RolePrompts,
    activations: Mutex<Activations>,
    stop: Option<&'m AtomicBool>,
}

/// Prompts that take the place of the model's own: the text that is put before every text of a role, empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePrompts {
    /// Before queries.
    pub query: Option<String>,
    /// Before documents.
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

impl<'m> Embedder<'m> {
    /// An embedder that gives the model's embeddings as its folder says (`truncate_dim` included).
    ///
    /// # Errors
    /// If the folder's `truncate_dim` exceeds the model.
    pub fn new(model: &'m SentenceModel, context: &'m Context) -> Result<Self, ModelError> {
        let (whole, batch_tokens) = (model.dimension(), DEFAULT_BATCH_TOKENS);
        let (prompts, activations) = (RolePrompts::default(), Mutex::default());
        let embedder = Self { model, context, dimension: whole, batch_tokens, prompts, activations, stop: None };
        embedder.with_dimension(model.settings().truncate_dim.unwrap_or(whole))
    }

    /// Keeps the first `dimension` columns, of length 1 again if the model's embeddings are.
    ///
    /// # Errors
    /// If the model has fewer columns, or none are asked for.
    pub fn with_dimension(mut self, dimension: usize) -> Result<Self, ModelError> {
        let whole = self.model.dimension();
        if dimension == 0 || dimension > whole {
            let reason = format!("dimension {dimension}: the model's embeddings have {whole}; use 1 to {whole}");
            return Err(ModelError::Request(reason));
        }
        self.dimension = dimension;
        Ok(self)
    }

    /// Lets at most this many tokens through the model at once (a longer text goes alone).
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens.max(1);
        self
    }

    /// Uses these prompts for the roles in place of the model's own.
    pub fn with_prompts(mut self, prompts: RolePrompts) -> Self {
        self.prompts = prompts;
        self
    }

    /// Ends [`Embedder::embed`] with [`ModelError::Stopped`] before the next batch once `stop` is true.
    pub fn with_stop(mut self, stop: &'m AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The model.
    pub fn model(&self) -> &'m SentenceModel {
        self.model
    }

    /// The text of the prompt called `name`.
    ///
    /// # Errors
    /// If the model has no such prompt; the message lists those that it has.
    pub fn prompt(&self, name: &str) -> Result<&'m str, ModelError> {
        let prompts = &self.model.settings().prompts;
        prompts.iter().find(|(key, _)| key == name).map(|(_, prompt)| prompt.as_str()).ok_or_else(|| {
            let known: Vec<&str> = prompts.iter().map(|(key, _)| key.as_str()).collect();
            let known =
                if known.is_empty() { "the model has none".into() } else { format!("there are: {}", known.join(", ")) };
            ModelError::Request(format!("no prompt is called `{name}`; {known}"))
        })
    }

    /// Embeds the texts behind the given prompt, or without one if it is empty: `(texts, dimension)`.
    ///
    /// # Errors
    /// If a text cannot be tokenised, a weight that was not looked at before is no number, or the embedder was stopped.
    pub fn embed(&self, texts: &[&str], prompt: &str) -> Result<Matrix, ModelError> {
        let mut output = Matrix::zeros(texts.len(), self.dimension);
        let prompt_length = if prompt.is_empty() { 0 } else { self.model.tokenizer().prompt_length(prompt)? };
        // A panic elsewhere leaves nothing behind that the next forward pass does not overwrite.
        let mut activations = self.activations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.model.reserve_to_infer(self.batch_tokens, &mut activations);
        let mut batch = TokenBatch::new();
        let mut done = 0;
        for (block, texts) in texts.chunks(TOKENIZED_TOGETHER).enumerate() {
            let first = block * TOKENIZED_TOGETHER;
            for (place, tokens) in self.tokenize(texts, prompt).into_iter().enumerate() {
                let index = first + place;
                let tokens = tokens.map_err(|error| renumber(error, index))?;
                if batch.sequences() > 0 && batch.tokens() + tokens.tokens() > self.batch_tokens {
                    self.compute(&batch, prompt_length, &mut activations, done, &mut output)?;
                    done = index;
                    batch = TokenBatch::new();
                }
                batch.extend(&tokens);
            }
        }
        if batch.sequences() > 0 {
            self.compute(&batch, prompt_length, &mut activations, done, &mut output)?;
        }
        if output.data().iter().any(|value| !value.is_finite()) {
            self.model.check_weights(self.context)?;
        }
        Ok(output)
    }

    /// Tokens of each text behind the prompt, on the threads that compute: none else are needed, and never more than those.
    fn tokenize(&self, texts: &[&str], prompt: &str) -> Vec<Result<TokenBatch, ModelError>> {
        let mut tokens: Vec<_> = texts.iter().map(|_| Ok(TokenBatch::new())).collect();
        self.context.for_each_chunk(&mut tokens, 1, |index, into| {
            let text = texts[index];
            into[0] = match prompt {
                "" => self.model.tokenize(&[text]),
                _ => self.model.tokenize(&[&format!("{prompt}{text}")]),
            };
        });
        tokens
    }

    fn compute(
        &self,
        batch: &TokenBatch,
        prompt_length: usize,
        activations: &mut Activations,
        first_row: usize,
        output: &mut Matrix,
    ) -> Result<(), ModelError> {
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(ModelError::Stopped);
        }
        let plain = self.model.infer_plain(self.context, batch, prompt_length, activations);
        let embeddings = self.model.finish(self.context, plain.view(), self.dimension, None);
        let columns = self.dimension;
        let rows = first_row * columns..(first_row + batch.sequences()) * columns;
        output.data_mut()[rows].copy_from_slice(embeddings.data());
        Ok(())
    }

    /// The prompt for texts without a role: the folder's default, else none.
    pub fn default_prompt(&self) -> &'m str {
        let name = self.model.settings().default_prompt_name.as_deref();
        name.and_then(|name| self.prompt(name).ok()).unwrap_or("")
    }

    /// The prompt for texts of a role: the one that was set, else the model's own for it, else the default.
    pub fn role_prompt(&self, role: Role) -> &str {
        if let Some(prompt) = self.prompts.of(role) {
            return prompt;
        }
        // Sentence Transformers writes an empty `document` beside `passage`: the one that says something counts.
        let names = role_prompt_names(role).iter();
        let own: Vec<&str> = names.filter_map(|name| self.prompt(name).ok()).collect();
        match own.iter().find(|prompt| !prompt.is_empty()) {
            Some(prompt) => prompt,
            None if own.is_empty() => self.default_prompt(),
            None => "",
        }
    }

    /// The prompt that a person asks for: by the name of one of the model's, as a text, or `none`.
    ///
    /// # Errors
    /// If a single word is no name of a prompt, as it is more likely misspelt than a text.
    pub fn prompt_or_text(&self, asked: &str) -> Result<String, ModelError> {
        let word = asked.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'));
        match self.prompt(asked) {
            Ok(prompt) => Ok(prompt.to_owned()),
            Err(_) if asked.is_empty() || asked == "none" => Ok(String::new()),
            Err(error) if word => Err(ModelError::Request(format!(
                "{error}; give a name, `none`, or a text as it stands before others, such as \"{asked}: \""
            ))),
            Err(_) => Ok(asked.to_owned()),
        }
    }

    /// Says for people which prompt stands before texts of a role, or nothing where the model has no prompts and none was set.
    pub fn describe_prompt(&self, role: Role) -> Option<String> {
        let prompts = &self.model.settings().prompts;
        let prompt = self.role_prompt(role);
        if self.prompts.of(role).is_none() && prompts.iter().all(|(_, text)| text.is_empty()) {
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

/// Names of the prompt for a role, the first of which counts.
fn role_prompt_names(role: Role) -> &'static [&'static str] {
    match role {
        Role::Query => &["query"],
        Role::Document => &["document", "passage", "corpus"],
    }
}

fn renumber(error: ModelError, index: usize) -> ModelError {
    use maana_text::TextError::{Encode, NoTokens};
    match error {
        ModelError::Text(Encode { reason, .. }) => ModelError::Text(Encode { index, reason }),
        ModelError::Text(NoTokens { .. }) => ModelError::Text(NoTokens { index }),
        other => other,
    }
}

impl Encoder for Embedder<'_> {
    fn encode(&self, texts: &[&str], role: Role) -> Result<Matrix, ModelError> {
        self.embed(texts, self.role_prompt(role))
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut bytes = self.model.fingerprint(self.context);
        for (byte, add) in bytes.iter_mut().zip((self.dimension as u64).to_le_bytes()) {
            *byte ^= add;
        }
        bytes
    }

    fn similarity(&self) -> Similarity {
        self.model.settings().similarity
    }

    fn precision(&self) -> Precision {
        self.model.precision()
    }
}
