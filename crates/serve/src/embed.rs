//! The way of texts through the server: tokenised in the request's own task, admitted as a whole, queued, awaited, cut to a
//! dimension.

use crate::app::App;
use crate::fault::{Fault, Kind};
use crate::inputs::Input;
use crate::job::{Class, Job, Order, Wanted};
use crate::models::Model;
use crate::reply::Effort;
use maana::kernels::{Context, Matrix};
use maana::text::{Overlong, TextError, TokenBatch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of text that are tokenised where they are read. More would keep other connections waiting, and goes to a thread.
const AT_ONCE_BYTES: usize = 4096;

/// Numbers that are written where they were computed; more go to a thread.
const AT_ONCE_NUMBERS: usize = 1 << 15;

/// What is asked about texts.
pub(crate) struct Ask {
    pub(crate) model: Arc<Model>,
    pub(crate) inputs: Vec<Input>,
    /// What is put before every text.
    pub(crate) prompt: String,
    pub(crate) overlong: Overlong,
    pub(crate) wanted: Wanted,
    pub(crate) class: Class,
    /// When the request came.
    pub(crate) came: Instant,
}

/// What the model gave, before normalisation.
pub(crate) struct Embedded {
    pub(crate) model: Arc<Model>,
    pub(crate) rows: Matrix,
    /// Where the rows of each text begin, if there is one for each token.
    pub(crate) offsets: Vec<usize>,
    pub(crate) effort: Effort,
}

impl Embedded {
    /// The embeddings in some dimension, as `maana encode` gives them, or normalised as asked.
    pub(crate) fn finish(&self, context: &Context, dimension: usize, normalize: Option<bool>) -> Matrix {
        self.model.sentence.spec().finish(context, self.rows.view(), dimension, normalize)
    }
}

/// Tokens, and of each text how many of them are left out of its embedding.
struct Tokenized {
    tokens: TokenBatch,
    prompt_lengths: Vec<usize>,
    inputs: Vec<Input>,
}

impl App {
    /// Computes what is asked, or says why not.
    pub(crate) async fn embed(&self, ask: Ask) -> Result<Embedded, Fault> {
        let most = self.settings.limits.inputs;
        if ask.inputs.is_empty() {
            return Err(Fault::new(Kind::Empty, "there is no text; the list is empty"));
        }
        if ask.inputs.len() > most {
            let message =
                format!("the request has {} texts, and {most} are allowed; send it in parts", ask.inputs.len());
            return Err(Fault::field("inputs", message));
        }
        self.admission.full(ask.class).or_else(|_| {
            self.queue.sweep();
            self.admission.full(ask.class)
        })?;
        let begun = Instant::now();
        let Ask { model, inputs, prompt, overlong, wanted, class, came } = ask;
        let bytes: usize = inputs.iter().map(Input::bytes).sum();
        let tokenized = {
            let model = Arc::clone(&model);
            self.elsewhere(bytes > AT_ONCE_BYTES, move || tokenize(&model, inputs, &prompt, overlong)).await??
        };
        let tokenization = begun.elapsed();
        let Tokenized { tokens, prompt_lengths, inputs } = tokenized;
        let mut effort = Effort {
            model: model.name.clone(),
            texts: inputs.len(),
            logged: if self.settings.log_texts { inputs.iter().map(Input::told).collect() } else { Vec::new() },
            tokens: tokens.tokens(),
            characters: inputs.iter().map(Input::characters).sum(),
            tokenization,
            queue: Duration::ZERO,
            inference: Duration::ZERO,
        };
        let offsets = if wanted == Wanted::Tokens { tokens.offsets.clone() } else { Vec::new() };
        let most_rows = self.settings.limits.queued_tokens;
        if wanted == Wanted::Tokens && tokens.tokens() > most_rows {
            let message = format!(
                "the request has {} tokens, and an answer has at most {most_rows} embeddings of tokens; send it in parts",
                tokens.tokens()
            );
            return Err(Fault::new(Kind::TooLarge, message));
        }
        let permit = self.admission.admit(class, tokens.tokens()).or_else(|_| {
            self.queue.sweep();
            self.admission.admit(class, tokens.tokens())
        })?;
        let allowed = self.settings.times.answer;
        let deadline = came + allowed;
        let order =
            Order { model: Arc::clone(&model), tokens, prompt_lengths, wanted, class, deadline, allowed, permit };
        let (job, receiver) = Job::new(order);
        self.queue.push(&job);
        // What waits belongs to the queue alone: when the last of it is gone, whoever waits hears of it.
        let waits = Arc::downgrade(&job);
        drop(job);
        let Ok(done) = tokio::time::timeout_at(deadline.into(), receiver).await else {
            return Err(waits.upgrade().map_or_else(Fault::late, |job| job.late()));
        };
        let done = done.map_err(|_| Fault::backend())??;
        effort.queue = done.queue;
        effort.inference = done.inference;
        Ok(Embedded { model, rows: done.rows, offsets, effort })
    }

    /// Does what takes long on a thread for it, as many at a time as there are cores; what is short, here and now.
    pub(crate) async fn elsewhere<T: Send + 'static>(
        &self,
        long: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        if !long {
            return Ok(work());
        }
        let _turn = self.turns.acquire().await.map_err(|_| Fault::backend())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Fault::backend())
    }

    /// Writes an answer of many numbers.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        numbers: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        self.elsewhere(numbers > AT_ONCE_NUMBERS, work).await
    }
}

fn tokenize(model: &Model, inputs: Vec<Input>, prompt: &str, overlong: Overlong) -> Result<Tokenized, Fault> {
    let tokenizer = model.sentence.spec().tokenizer();
    let most = model.sentence.spec().settings().max_seq_length;
    let leaves_out = !prompt.is_empty() && model.sentence.spec().excludes_prompt();
    let prompt_length = if leaves_out { tokenizer.prompt_length(prompt).map_err(|error| told(&error))? } else { 0 };
    let mut tokens = TokenBatch::new();
    let mut prompt_lengths = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let left_out = match input {
            Input::Text(text) if prompt.is_empty() => tokenizer.append(&mut tokens, text, most, overlong),
            Input::Text(text) => tokenizer.append(&mut tokens, &format!("{prompt}{text}"), most, overlong),
            Input::Ids(ids) => tokenizer.append_ids(&mut tokens, prompt, ids, most, overlong),
        };
        let left_out = left_out.map_err(|error| told(&error))?;
        // What is cut at the beginning is the prompt's own.
        let cut = if overlong == Overlong::CutBeginning { left_out } else { 0 };
        prompt_lengths.push(prompt_length.saturating_sub(cut));
    }
    Ok(Tokenized { tokens, prompt_lengths, inputs })
}

fn told(error: &TextError) -> Fault {
    let kind = match error {
        TextError::TooLong { .. } | TextError::NoToken { .. } | TextError::NoTokens { .. } => Kind::Invalid,
        _ => Kind::Tokenizer,
    };
    Fault::new(kind, error.to_string()).in_field("input")
}
