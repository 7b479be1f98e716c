//! The queue of the compute thread: waiting texts by class, group and length. A batch is formed
//! when the previous one is complete, from texts that are already tokenised, which takes
//! microseconds: so no text waits for others, and a query that arrives during a batch is in the
//! next one.

use crate::class::Class;
use crate::job::{Group, Job};
use crate::request_error::RequestError;
use crate::system::System;
use maana::text::TokenBatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// When both classes wait, every fourth batch is bulk, so that bulk makes progress under any load
/// of queries.
const BULK_EVERY: u32 = 4;

/// Batches too small to amortise reading the weights also take texts of other lengths, up to this
/// number of tokens.
const MIXED_TOKENS: usize = 512;

/// Waiting texts.
pub(crate) struct Queue {
    system: Arc<dyn System>,
    batch_tokens: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<Lane, VecDeque<Entry>>,
    arrivals: u64,
    /// Batches of queries since the last bulk batch.
    since_bulk: u32,
    closed: bool,
}

/// Class, group and approximate length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    class: Class,
    group: Group,
    /// Logarithm of the number of tokens, rounded down.
    length: u32,
}

/// One text of a job.
struct Entry {
    job: Arc<Job>,
    index: usize,
    arrival: u64,
}

/// Texts that are computed together.
pub(crate) struct Batch {
    pub(crate) group: Group,
    pub(crate) tokens: TokenBatch,
    /// Job of each sequence, and the index of the text in it.
    pub(crate) texts: Vec<(Arc<Job>, usize)>,
}

impl Batch {
    /// Splits a batch of several requests into batches of one text, so that a text that panics
    /// fails its own request only. A batch of one request is not split.
    pub(crate) fn split(&self) -> Vec<Self> {
        let first = &self.texts[0].0;
        if self.texts.iter().all(|(job, _)| Arc::ptr_eq(job, first)) {
            return Vec::new();
        }
        let single = |(place, (job, index)): (usize, &(Arc<Job>, usize))| {
            let mut tokens = TokenBatch::new();
            tokens.extend_with(&self.tokens, place..place + 1);
            Self { group: self.group, tokens, texts: vec![(Arc::clone(job), *index)] }
        };
        self.texts.iter().enumerate().map(single).collect()
    }

    /// Returns true if an answer is still awaited.
    pub(crate) fn is_awaited(&self, now: Instant) -> bool {
        self.texts.iter().any(|(job, _)| job.is_awaited(now))
    }

    /// Answers all its requests with an error.
    pub(crate) fn fail(&self) {
        self.texts.iter().for_each(|(job, _)| job.fail(RequestError::backend()));
    }
}

impl Queue {
    /// Creates a queue that forms batches of at most `batch_tokens` tokens; a longer text is a
    /// batch of its own.
    pub(crate) fn new(batch_tokens: usize, system: Arc<dyn System>) -> Self {
        Self { system, batch_tokens, state: Mutex::default(), wake: Condvar::new() }
    }

    /// Most tokens of a batch of more than one text.
    pub(crate) fn batch_tokens(&self) -> usize {
        self.batch_tokens
    }

    /// Adds all texts of a job. After [`Queue::close`] the job is dropped, which its receiver
    /// notices.
    pub(crate) fn push(&self, job: &Arc<Job>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        for index in 0..job.tokens.sequences() {
            let length = job.tokens.length(index).max(1).ilog2();
            let lane = Lane { class: job.class, group: job.group(), length };
            state.arrivals += 1;
            let entry = Entry { job: Arc::clone(job), index, arrival: state.arrivals };
            state.lanes.entry(lane).or_default().push_back(entry);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Forms a batch, if texts are waiting.
    pub(crate) fn ready(&self) -> Option<Batch> {
        self.lock().take(self.batch_tokens, self.system.now())
    }

    /// Waits for a batch; `None` when the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.take(self.batch_tokens, self.system.now()) {
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Removes texts whose answers are no longer awaited.
    pub(crate) fn sweep(&self) {
        let now = self.system.now();
        let mut gone = Vec::new();
        self.lock().lanes.retain(|_, lane| {
            // Dropping a job gives back its room, which must not happen under the lock.
            let (awaited, others) = std::mem::take(lane).into_iter().partition(|entry| entry.job.is_awaited(now));
            *lane = awaited;
            let others: VecDeque<Entry> = others;
            gone.extend(others);
            !lane.is_empty()
        });
        drop(gone);
    }

    /// Closes the queue: it takes no more jobs, and still hands out waiting texts.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Number of waiting texts of both classes.
    pub(crate) fn waiting(&self) -> [usize; 2] {
        let mut waiting = [0; 2];
        for (lane, entries) in &self.lock().lanes {
            waiting[lane.class as usize] += entries.len();
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// Forms a batch.
    fn take(&mut self, batch_tokens: usize, now: Instant) -> Option<Batch> {
        loop {
            let first = self.first_lane()?;
            let mut batch = Batch { group: first.group, tokens: TokenBatch::new(), texts: Vec::new() };
            self.fill(first, now, batch_tokens, &mut batch);
            // A lane in which no text is awaited is empty now.
            if !batch.texts.is_empty() {
                self.since_bulk = if first.class == Class::Bulk { 0 } else { self.since_bulk + 1 };
                for lane in self.similar(first) {
                    self.fill(lane, now, MIXED_TOKENS.min(batch_tokens), &mut batch);
                }
            }
            self.lanes.retain(|_, entries| !entries.is_empty());
            if !batch.texts.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Returns the lane whose first text has waited longest, of the class whose turn it is.
    fn first_lane(&self) -> Option<Lane> {
        let oldest = |class: Class| {
            let lanes = self.lanes.iter().filter(|(lane, _)| lane.class == class);
            let arrivals = lanes.filter_map(|(lane, entries)| Some((entries.front()?.arrival, *lane)));
            arrivals.min_by_key(|(arrival, _)| *arrival).map(|(_, lane)| lane)
        };
        let (interactive, bulk) = (oldest(Class::Interactive), oldest(Class::Bulk));
        if self.since_bulk + 1 >= BULK_EVERY { bulk.or(interactive) } else { interactive.or(bulk) }
    }

    /// Returns the other lanes of the same class and group, those of nearest length first.
    fn similar(&self, first: Lane) -> Vec<Lane> {
        let is_similar = |lane: &&Lane| lane.class == first.class && lane.group == first.group && **lane != first;
        let mut lanes: Vec<Lane> = self.lanes.keys().filter(is_similar).copied().collect();
        lanes.sort_by_key(|lane| lane.length.abs_diff(first.length));
        lanes
    }

    /// Moves texts from the front of a lane to the batch, up to `limit` tokens.
    fn fill(&mut self, lane: Lane, now: Instant, limit: usize, batch: &mut Batch) {
        let Some(entries) = self.lanes.get_mut(&lane) else { return };
        while let Some(entry) = entries.front() {
            let length = entry.job.tokens.length(entry.index);
            let awaited = entry.job.is_awaited(now);
            if awaited && !batch.texts.is_empty() && batch.tokens.tokens() + length > limit {
                return;
            }
            let Some(entry) = entries.pop_front() else { return };
            if awaited {
                batch.tokens.extend_with(&entry.job.tokens, entry.index..entry.index + 1);
                batch.texts.push((entry.job, entry.index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::job::{Done, Order};
    use crate::model::Model;
    use crate::network::Output;
    use crate::request_error::ErrorKind;
    use crate::simulation::{Simulation, tiny_model};
    use std::time::Duration;
    use tokio::sync::oneshot::Receiver;

    /// A queue for jobs of arbitrary tokens.
    struct Bench {
        model: Arc<Model>,
        admission: Arc<Admission>,
        queue: Queue,
        system: Arc<Simulation>,
    }

    type Answer = Receiver<Result<Done, RequestError>>;

    impl Bench {
        fn new(batch_tokens: usize) -> Self {
            let system = Simulation::new(1);
            let admission = Admission::new(1_000_000, Duration::from_secs(1000));
            Self { model: tiny_model(), admission, queue: Queue::new(batch_tokens, system.clone()), system }
        }

        /// Adds a job of texts of these lengths.
        fn push(&self, class: Class, lengths: &[usize]) -> Answer {
            self.push_with(class, lengths, 0, Duration::from_secs(1000))
        }

        fn push_with(&self, class: Class, lengths: &[usize], prompt_length: usize, patience: Duration) -> Answer {
            let mut tokens = TokenBatch::new();
            lengths.iter().for_each(|length| tokens.push(&vec![5; *length], &vec![0; *length]));
            tokens.set_prompt_length(prompt_length);
            let permit = self.admission.admit(class, tokens.tokens()).unwrap();
            let (job, answer) = Job::new(Order {
                network: self.model.clone(),
                tokens,
                output: Output::Embedding,
                class,
                queued: self.system.now(),
                deadline: self.system.now() + patience,
                allowed: Duration::from_secs(1000),
                permit,
            });
            self.queue.push(&job);
            answer
        }

        /// Returns the class and the lengths of the next batch.
        fn next(&self) -> (Class, Vec<usize>) {
            let batch = self.queue.next().expect("a text is waiting");
            let lengths = (0..batch.tokens.sequences()).map(|index| batch.tokens.length(index)).collect();
            (batch.texts[0].0.class, lengths)
        }
    }

    use Class::{Bulk, Interactive};

    #[test]
    fn a_batch_takes_the_first_text_and_others_of_its_length_up_to_the_limit() {
        let bench = Bench::new(1000);
        let _answers = [bench.push(Interactive, &[300, 10, 310, 290]), bench.push(Interactive, &[12, 400, 300])];
        assert_eq!(bench.next(), (Interactive, vec![300, 310, 290]), "the next text exceeds the limit");
        assert_eq!(bench.next(), (Interactive, vec![10, 12, 400]), "a small batch takes other lengths");
        assert_eq!(bench.next(), (Interactive, vec![300]));
    }

    #[test]
    fn a_text_longer_than_a_batch_is_a_batch_of_its_own() {
        let bench = Bench::new(100);
        let _answer = bench.push(Bulk, &[90, 128, 120]);
        assert_eq!([bench.next().1, bench.next().1, bench.next().1], [vec![90], vec![128], vec![120]]);
    }

    #[test]
    fn queries_go_first_except_in_every_fourth_batch() {
        let bench = Bench::new(10);
        let _answers = [bench.push(Bulk, &[10; 4]), bench.push(Interactive, &[10; 7])];
        let classes: Vec<Class> = (0..11).map(|_| bench.next().0).collect();
        let expected = [
            Interactive,
            Interactive,
            Interactive,
            Bulk,
            Interactive,
            Interactive,
            Interactive,
            Bulk,
            Interactive,
            Bulk,
            Bulk,
        ];
        assert_eq!(classes, expected);
    }

    #[test]
    fn texts_with_different_prompts_share_a_batch() {
        let bench = Bench::new(1000);
        let _answers = [
            bench.push(Interactive, &[10]),
            bench.push_with(Interactive, &[10], 3, Duration::from_secs(9)),
            bench.push(Interactive, &[10]),
        ];
        let batch = bench.queue.next().unwrap();
        assert_eq!((batch.tokens.prompt_lengths, batch.texts.len()), (vec![0, 3, 0], 3));
    }

    #[test]
    fn jobs_that_are_not_awaited_are_dropped_and_give_back_their_room() {
        let bench = Bench::new(1000);
        drop(bench.push(Interactive, &[10, 20]));
        let mut overdue = bench.push_with(Interactive, &[30], 0, Duration::ZERO);
        let _answer = bench.push(Interactive, &[11]);
        bench.system.advance(Duration::from_millis(2));
        assert_eq!(bench.next(), (Interactive, vec![11]));
        assert_eq!(overdue.try_recv().unwrap().unwrap_err().kind, ErrorKind::Late);
        assert_eq!(bench.admission.held().requests, 0);
        drop(bench.push(Bulk, &[10]));
        assert_eq!(bench.admission.held().tokens, [0, 10]);
        bench.queue.sweep();
        assert_eq!((bench.admission.held().tokens, bench.queue.waiting()), ([0, 0], [0, 0]));
    }

    #[test]
    fn a_closed_queue_hands_out_its_texts_and_takes_no_more() {
        let bench = Bench::new(1000);
        let _answer = bench.push(Interactive, &[10]);
        bench.queue.close();
        let mut late = bench.push(Interactive, &[10]);
        assert_eq!(bench.next(), (Interactive, vec![10]));
        assert!(bench.queue.next().is_none());
        assert!(late.try_recv().is_err(), "its sender is dropped");
    }
}
