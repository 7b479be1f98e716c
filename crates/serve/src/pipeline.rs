//! The path of a request's texts through the server: limited, tokenised, admitted as a whole,
//! queued, awaited.

use crate::admission::Admission;
use crate::budget::{Budget, Share};
use crate::class::Class;
use crate::job::{Job, Order};
use crate::network::{Network, Output};
use crate::offload::Offload;
use crate::queue::Queue;
use crate::reply::Usage;
use crate::request_error::{ErrorKind, RequestError};
use crate::settings::Settings;
use crate::system::{System, timeout_at};
use maana::kernels::Matrix;
use maana::text::TokenBatch;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of text that are tokenised where they are read. More would delay other connections.
const SHORT_BYTES: usize = 4096;

/// Computes rows for the texts of requests.
pub(crate) struct Pipeline {
    pub(crate) system: Arc<dyn System>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) offload: Arc<Offload>,
    /// Memory for requests and answers.
    pub(crate) memory: Budget,
    /// Bytes of text that wait for the tokenizer or are tokenised.
    pub(crate) tokenizing: Budget,
    /// Most texts of a request.
    pub(crate) most_texts: usize,
    /// Most rows of an answer with a row for each token.
    pub(crate) most_token_rows: usize,
    /// Longest time of an answer.
    pub(crate) allowed: Duration,
    pub(crate) log_texts: bool,
}

/// Inputs that become a sequence of tokens each.
pub(crate) trait Sequences: Send + 'static {
    /// Number of sequences.
    fn count(&self) -> usize;

    /// Bytes that tokenising reads.
    fn bytes(&self) -> usize;

    /// Adds their numbers and, if they are logged, their texts.
    fn describe(&self, usage: &mut Usage, log_texts: bool);

    /// Tokenises all of them.
    ///
    /// # Errors
    /// If one cannot be tokenised as requested.
    fn tokenize(&self) -> Result<TokenBatch, RequestError>;
}

/// Inputs of a request, and what to compute for them.
pub(crate) struct Work<S> {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) sequences: S,
    pub(crate) output: Output,
    pub(crate) class: Class,
    /// Arrival of the request.
    pub(crate) arrival: Instant,
}

/// Rows of a request.
pub(crate) struct Computed<S> {
    pub(crate) sequences: S,
    pub(crate) rows: Matrix,
    /// First row of each sequence, and the number of rows, if there is one for each token.
    pub(crate) offsets: Vec<usize>,
    pub(crate) usage: Usage,
    /// Memory of the rows.
    pub(crate) share: Share,
}

impl Pipeline {
    /// Creates the path of texts with the limits of settings.
    pub(crate) fn new(settings: &Settings, system: Arc<dyn System>, offload: Arc<Offload>, memory: Budget) -> Self {
        let limits = &settings.limits;
        Self {
            admission: Admission::new(limits.queued_tokens, settings.times.answer),
            queue: Arc::new(Queue::new(limits.batch_tokens, Arc::clone(&system))),
            system,
            offload,
            memory,
            tokenizing: Budget::new(limits.tokenizing),
            most_texts: limits.inputs,
            most_token_rows: limits.queued_tokens,
            allowed: settings.times.answer,
            log_texts: settings.log_texts,
        }
    }

    /// Checks the number of texts of a request.
    ///
    /// # Errors
    /// If the list is empty or too long.
    pub(crate) fn check_count(&self, texts: usize) -> Result<(), RequestError> {
        let most = self.most_texts;
        match texts {
            0 => Err(RequestError::new(ErrorKind::Empty, "there is no text; the list is empty")),
            texts if texts > most => {
                let message = format!(
                    "the request has {texts} texts, and {most} are allowed; send it in parts, or start the server with a \
                     larger --max-inputs"
                );
                Err(RequestError::field("inputs", message))
            }
            _ => Ok(()),
        }
    }

    /// Takes room for bytes that a tokenizer is to read. Tokenising takes time and memory in
    /// proportion to them, whatever is read of the tokens.
    ///
    /// # Errors
    /// If too many wait already.
    pub(crate) fn admit_tokenizing(&self, bytes: usize) -> Result<Share, RequestError> {
        self.tokenizing.take(bytes).ok_or_else(|| {
            RequestError::overloaded("too much text is waiting to be tokenised already; try again later", 1)
        })
    }

    /// Takes memory for an answer.
    ///
    /// # Errors
    /// If too much is taken already.
    pub(crate) fn answer_memory(&self, bytes: usize) -> Result<Share, RequestError> {
        let refused = || RequestError::overloaded("too many large answers at once; try again later", 1);
        self.memory.take(bytes).ok_or_else(refused)
    }

    /// Computes the rows of a request.
    ///
    /// # Errors
    /// Invalid or too many texts, no room, a deadline that has passed, or a failure of the server.
    pub(crate) async fn compute<S: Sequences>(&self, work: Work<S>) -> Result<Computed<S>, RequestError> {
        let Work { network, sequences, output, class, arrival } = work;
        self.check_count(sequences.count())?;
        self.swept(|| self.admission.expect_room(class))?;
        let begin = self.system.now();
        let bytes = sequences.bytes();
        let tokenizing = self.admit_tokenizing(bytes)?;
        let tokenize = move || sequences.tokenize().map(|tokens| (sequences, tokens));
        let (sequences, tokens) = self.offload.run(bytes > SHORT_BYTES, tokenize).await??;
        drop(tokenizing);
        let mut usage = Usage {
            model: network.name().to_owned(),
            tokens: tokens.tokens(),
            tokenization: self.system.now().saturating_duration_since(begin),
            ..Usage::default()
        };
        sequences.describe(&mut usage, self.log_texts);
        let (offsets, rows) = match output {
            Output::Embedding => (Vec::new(), tokens.sequences()),
            Output::Tokens => (tokens.offsets.clone(), tokens.tokens()),
        };
        let most_rows = self.most_token_rows;
        if output == Output::Tokens && rows > most_rows {
            let message = format!(
                "the request has {rows} tokens, and an answer has at most {most_rows} embeddings of tokens; send it in parts"
            );
            return Err(RequestError::new(ErrorKind::TooLarge, message));
        }
        let share = self.answer_memory(rows.saturating_mul(4 * network.output_columns(output)))?;
        let permit = self.swept(|| self.admission.admit(class, tokens.tokens()))?;
        let deadline = arrival + self.allowed;
        let order = Order {
            network,
            tokens,
            output,
            class,
            queued: self.system.now(),
            deadline,
            allowed: self.allowed,
            permit,
        };
        let (job, receiver) = Job::new(order);
        self.queue.push(&job);
        // Waiting texts belong to the queue only: when the last is dropped, the receiver notices.
        let waiting = Arc::downgrade(&job);
        drop(job);
        let Some(done) = timeout_at(&*self.system, deadline, receiver).await else {
            return Err(waiting.upgrade().map_or_else(RequestError::late, |job| job.late()));
        };
        let done = done.map_err(|_| RequestError::backend())??;
        usage.queue = done.queue;
        usage.inference = done.inference;
        Ok(Computed { sequences, rows: done.rows, offsets, usage, share })
    }

    /// Tries again after removing abandoned texts from the queue.
    fn swept<T>(&self, admit: impl Fn() -> Result<T, RequestError>) -> Result<T, RequestError> {
        admit().or_else(|_| {
            self.queue.sweep();
            admit()
        })
    }
}
