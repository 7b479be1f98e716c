//! A request in the queue: its tokens, its rows as they are computed, and the receiver of the
//! answer.

use crate::admission::Permit;
use crate::class::Class;
use crate::network::{Network, Output};
use crate::request_error::{ErrorKind, RequestError};
use maana::kernels::Matrix;
use maana::text::TokenBatch;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Properties that all texts of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// The number of the model.
    pub(crate) model: usize,
    pub(crate) output: Output,
}

/// A request in the queue.
pub(crate) struct Job {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) tokens: TokenBatch,
    pub(crate) output: Output,
    pub(crate) class: Class,
    deadline: Instant,
    /// Longest time of an answer.
    allowed: Duration,
    queued: Instant,
    answer: Mutex<Answer>,
}

/// The answer as far as it has been computed.
struct Answer {
    values: Vec<f32>,
    texts_left: usize,
    inference: Duration,
    /// Number of the last batch in `inference`: a request counts a batch once, however many of its
    /// texts are in it.
    counted_batch: u64,
    receiver: Option<Receiver>,
}

/// The receiver of the answer, with the room that is taken until it is sent.
struct Receiver {
    sender: oneshot::Sender<Result<Done, RequestError>>,
    permit: Permit,
}

/// A computed request.
#[derive(Debug)]
pub(crate) struct Done {
    /// Rows of all texts in their order: one each, or one for each token.
    pub(crate) rows: Matrix,
    pub(crate) queue: Duration,
    pub(crate) inference: Duration,
}

/// Parts of a job.
pub(crate) struct Order {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) tokens: TokenBatch,
    pub(crate) output: Output,
    pub(crate) class: Class,
    pub(crate) queued: Instant,
    pub(crate) deadline: Instant,
    /// Longest time of an answer.
    pub(crate) allowed: Duration,
    pub(crate) permit: Permit,
}

impl Job {
    /// Creates a job and the receiver of its answer. Dropping the receiver cancels the job.
    pub(crate) fn new(order: Order) -> (Arc<Self>, oneshot::Receiver<Result<Done, RequestError>>) {
        let Order { network, tokens, output, class, queued, deadline, allowed, permit } = order;
        let (sender, receiver) = oneshot::channel();
        let answer = Answer {
            values: Vec::new(),
            texts_left: tokens.sequences(),
            inference: Duration::ZERO,
            counted_batch: 0,
            receiver: Some(Receiver { sender, permit }),
        };
        let answer = Mutex::new(answer);
        let job = Self { network, tokens, output, class, deadline, allowed, queued, answer };
        (Arc::new(job), receiver)
    }

    /// Returns the group of its texts.
    pub(crate) fn group(&self) -> Group {
        Group { model: self.network.number(), output: self.output }
    }

    /// Returns true if the answer is still awaited. A job past its deadline is answered with an
    /// error.
    pub(crate) fn is_awaited(&self, now: Instant) -> bool {
        let mut answer = self.answer();
        if answer.receiver.as_ref().is_none_or(|receiver| receiver.sender.is_closed()) {
            return false;
        }
        if now > self.deadline {
            let late = self.late_with(&answer);
            answer.send(Err(late));
            return false;
        }
        true
    }

    /// Returns the error of a job past its deadline: too large where computing it took most of the
    /// time, else overload.
    pub(crate) fn late(&self) -> RequestError {
        self.late_with(&self.answer())
    }

    fn late_with(&self, answer: &Answer) -> RequestError {
        if answer.inference * 2 < self.allowed {
            return RequestError::late();
        }
        let texts = self.tokens.sequences();
        let message = format!(
            "the request has {texts} texts of {} tokens, and {} of them were computed in the {:?} that an answer may take; \
             send it in parts, or start the server with a longer --deadline",
            self.tokens.tokens(),
            texts - answer.texts_left,
            self.allowed
        );
        RequestError::new(ErrorKind::TooLarge, message)
    }

    /// Stores the rows of text `index`, computed in batch number `batch` in `time`. The last text
    /// sends the answer.
    pub(crate) fn deliver(&self, index: usize, rows: &[f32], batch: u64, time: Duration, now: Instant) {
        let mut answer = self.answer();
        let columns = self.columns();
        if answer.values.is_empty() {
            answer.values = vec![0.0; self.row_of(self.tokens.sequences()) * columns];
        }
        let start = self.row_of(index) * columns;
        answer.values[start..start + rows.len()].copy_from_slice(rows);
        if answer.counted_batch != batch {
            answer.counted_batch = batch;
            answer.inference += time;
        }
        answer.texts_left -= 1;
        if answer.texts_left == 0 {
            let rows =
                Matrix::from_vec(self.row_of(self.tokens.sequences()), columns, std::mem::take(&mut answer.values));
            let inference = answer.inference;
            let queue = now.saturating_duration_since(self.queued).saturating_sub(inference);
            answer.send(Ok(Done { rows, queue, inference }));
        }
    }

    /// Answers with an error.
    pub(crate) fn fail(&self, error: RequestError) {
        self.answer().send(Err(error));
    }

    /// Returns the first row of text `index`.
    fn row_of(&self, index: usize) -> usize {
        match self.output {
            Output::Embedding => index,
            Output::Tokens => self.tokens.offsets[index],
        }
    }

    fn columns(&self) -> usize {
        self.network.output_columns(self.output)
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        // A panic while it is locked drops the sender in the end, which the receiver notices.
        self.answer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Answer {
    fn send(&mut self, outcome: Result<Done, RequestError>) {
        if let Some(Receiver { sender, permit }) = self.receiver.take() {
            // The room is free before the answer is received, so that the next request finds it.
            drop(permit);
            // A client that has gone does not need it.
            let _ = sender.send(outcome);
        }
    }
}
