//! A request on its way through the queue: its tokens, the rows as they come, and who waits for them.

use crate::admission::Permit;
use crate::fault::{Fault, Kind};
use crate::models::Model;
use maana::kernels::Matrix;
use maana::text::TokenBatch;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A person, or a program that asks for one.
    Interactive,
    /// A program with much to do.
    Bulk,
}

/// What is wanted of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    /// One row: its embedding, before the normalisation that ends the model.
    Embedding,
    /// A row for each token.
    Tokens,
}

/// What is computed together has this in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// The number of the model.
    pub(crate) model: usize,
    pub(crate) wanted: Wanted,
    /// Leading tokens that are left out of the embedding.
    pub(crate) prompt_length: usize,
}

/// A request in the queue.
pub(crate) struct Job {
    pub(crate) model: Arc<Model>,
    pub(crate) tokens: TokenBatch,
    pub(crate) wanted: Wanted,
    /// Of each text the leading tokens that are left out.
    prompt_lengths: Vec<usize>,
    pub(crate) class: Class,
    deadline: Instant,
    /// The time that an answer may take.
    allowed: Duration,
    queued: Instant,
    answer: Mutex<Answer>,
}

/// What is there of the answer.
struct Answer {
    values: Vec<f32>,
    texts_left: usize,
    inference: Duration,
    /// The batch that `inference` counted last: a request counts a batch once, however many of its texts are in it.
    counted: u64,
    waiting: Option<Waiting>,
}

/// Who waits, and the room that is held while it does.
struct Waiting {
    sender: oneshot::Sender<Result<Done, Fault>>,
    permit: Permit,
}

/// A request that is computed.
#[derive(Debug)]
pub(crate) struct Done {
    /// Rows of all texts one after the other: one each, or one for each token.
    pub(crate) rows: Matrix,
    pub(crate) queue: Duration,
    pub(crate) inference: Duration,
}

/// What a job is made of.
pub(crate) struct Order {
    pub(crate) model: Arc<Model>,
    pub(crate) tokens: TokenBatch,
    pub(crate) prompt_lengths: Vec<usize>,
    pub(crate) wanted: Wanted,
    pub(crate) class: Class,
    pub(crate) deadline: Instant,
    pub(crate) allowed: Duration,
    pub(crate) permit: Permit,
}

impl Job {
    /// A job, and where its answer comes. Whoever lets go of the receiver no longer wants it.
    pub(crate) fn new(order: Order) -> (Arc<Self>, oneshot::Receiver<Result<Done, Fault>>) {
        let Order { model, tokens, prompt_lengths, wanted, class, deadline, allowed, permit } = order;
        assert_eq!(tokens.sequences(), prompt_lengths.len(), "a prompt length for each text");
        let (sender, receiver) = oneshot::channel();
        let answer = Answer {
            values: Vec::new(),
            texts_left: tokens.sequences(),
            inference: Duration::ZERO,
            counted: 0,
            waiting: Some(Waiting { sender, permit }),
        };
        let queued = Instant::now();
        let answer = Mutex::new(answer);
        let job = Self { model, tokens, wanted, prompt_lengths, class, deadline, allowed, queued, answer };
        (Arc::new(job), receiver)
    }

    /// What text `index` may be computed together with.
    pub(crate) fn group(&self, index: usize) -> Group {
        Group { model: self.model.number, wanted: self.wanted, prompt_length: self.prompt_lengths[index] }
    }

    /// Whether somebody waits for it; one that is overdue is told so.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        let mut answer = self.answer();
        if answer.waiting.as_ref().is_none_or(|waiting| waiting.sender.is_closed()) {
            return false;
        }
        if now > self.deadline {
            let late = self.late_with(&answer);
            answer.send(Err(late));
            return false;
        }
        true
    }

    /// Why it is given up at its deadline: it was too large where computing it took most of the time, else there was too much
    /// else to do.
    pub(crate) fn late(&self) -> Fault {
        self.late_with(&self.answer())
    }

    fn late_with(&self, answer: &Answer) -> Fault {
        if answer.inference * 2 < self.allowed {
            return Fault::late();
        }
        let texts = self.tokens.sequences();
        let message = format!(
            "the request has {texts} texts of {} tokens, and {} of them were computed in the {:?} that an answer may take; \
             send it in parts, or start the server with a longer --deadline",
            self.tokens.tokens(),
            texts - answer.texts_left,
            self.allowed
        );
        Fault::new(Kind::TooLarge, message)
    }

    /// Takes the rows of text `index`, that came with batch `batch` after `time`; the last of them sends the answer.
    pub(crate) fn deliver(&self, index: usize, rows: &[f32], batch: u64, time: Duration) {
        let mut answer = self.answer();
        let columns = self.columns();
        if answer.values.is_empty() {
            answer.values = vec![0.0; self.row_of(self.tokens.sequences()) * columns];
        }
        let start = self.row_of(index) * columns;
        answer.values[start..start + rows.len()].copy_from_slice(rows);
        if answer.counted != batch {
            answer.counted = batch;
            answer.inference += time;
        }
        answer.texts_left -= 1;
        if answer.texts_left == 0 {
            let rows =
                Matrix::from_vec(self.row_of(self.tokens.sequences()), columns, std::mem::take(&mut answer.values));
            let inference = answer.inference;
            let queue = self.queued.elapsed().saturating_sub(inference);
            answer.send(Ok(Done { rows, queue, inference }));
        }
    }

    /// Tells that it cannot be computed.
    pub(crate) fn fail(&self, fault: Fault) {
        self.answer().send(Err(fault));
    }

    /// The first row of text `index`.
    fn row_of(&self, index: usize) -> usize {
        match self.wanted {
            Wanted::Embedding => index,
            Wanted::Tokens => self.tokens.offsets[index],
        }
    }

    fn columns(&self) -> usize {
        match self.wanted {
            Wanted::Embedding => self.model.columns,
            Wanted::Tokens => self.model.sentence.spec().config().hidden,
        }
    }

    fn answer(&self) -> MutexGuard<'_, Answer> {
        // A panic while it is held leaves an answer that is never sent, which its receiver hears of.
        self.answer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Answer {
    fn send(&mut self, outcome: Result<Done, Fault>) {
        if let Some(Waiting { sender, permit }) = self.waiting.take() {
            // The room is free before the answer is heard: whoever asks again then finds it.
            drop(permit);
            // Whoever has gone does not want it.
            let _ = sender.send(outcome);
        }
    }
}
