//! The queue before the thread that computes: texts that wait, by class, by what they may be computed together with, and by
//! length. A batch is made at the moment when the last one is done, of ready tokens, which takes microseconds: so nothing ever
//! waits for company, and a query that arrives while a batch computes is in the next one.

use crate::job::{Class, Group, Job};
use maana::text::TokenBatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// Every so manieth batch is of bulk where both classes wait, so that bulk goes on under any load of queries.
const BULK_EVERY: u32 = 4;

/// Weights are read from memory once for a batch: so few tokens that this would cost more than they do take company of any
/// length.
const COMPANY_TOKENS: usize = 512;

/// Texts that wait.
pub(crate) struct Queue {
    batch_tokens: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<Lane, VecDeque<Entry>>,
    arrivals: u64,
    /// Batches of queries since bulk had its turn.
    since_bulk: u32,
    closed: bool,
}

/// Texts that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    class: Class,
    group: Group,
    /// The power of two that the number of tokens reaches.
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
    /// Of each sequence the job, and which of its texts it is.
    pub(crate) texts: Vec<(Arc<Job>, usize)>,
}

impl Queue {
    /// A queue that makes batches of at most `batch_tokens` tokens; a longer text goes alone.
    pub(crate) fn new(batch_tokens: usize) -> Self {
        Self { batch_tokens, state: Mutex::default(), wake: Condvar::new() }
    }

    /// Lets all texts of a job wait. What comes after the end is dropped, which its receiver hears of.
    pub(crate) fn push(&self, job: &Arc<Job>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        for index in 0..job.tokens.sequences() {
            let length = job.tokens.length(index).max(1).ilog2();
            let lane = Lane { class: job.class, group: job.group(index), length };
            state.arrivals += 1;
            let entry = Entry { job: Arc::clone(job), index, arrival: state.arrivals };
            state.lanes.entry(lane).or_default().push_back(entry);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The next batch, as soon as there is one; nothing when the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.take(self.batch_tokens) {
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Forgets texts that nobody waits for any more.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut gone = Vec::new();
        self.lock().lanes.retain(|_, lane| {
            // What is dropped gives back its room, which is not to happen under the lock.
            let (wanted, unwanted) = std::mem::take(lane).into_iter().partition(|entry| entry.job.is_wanted(now));
            *lane = wanted;
            let unwanted: VecDeque<Entry> = unwanted;
            gone.extend(unwanted);
            !lane.is_empty()
        });
        drop(gone);
    }

    /// Takes no more; what waits is still given out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Texts that wait, of both classes.
    pub(crate) fn waiting(&self) -> [usize; 2] {
        let mut waiting = [0; 2];
        for (lane, entries) in &self.lock().lanes {
            waiting[lane.class as usize] += entries.len();
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn take(&mut self, batch_tokens: usize) -> Option<Batch> {
        let now = Instant::now();
        self.drop_unwanted_heads(now);
        let first = self.first_lane()?;
        self.since_bulk = if first.class == Class::Bulk { 0 } else { self.since_bulk + 1 };
        let mut batch = Batch { group: first.group, tokens: TokenBatch::new(), texts: Vec::new() };
        self.fill(first, now, batch_tokens, &mut batch);
        for lane in self.company(first) {
            self.fill(lane, now, COMPANY_TOKENS.min(batch_tokens), &mut batch);
        }
        self.lanes.retain(|_, entries| !entries.is_empty());
        Some(batch)
    }

    /// Afterwards every lane begins with a text that somebody waits for.
    fn drop_unwanted_heads(&mut self, now: Instant) {
        self.lanes.retain(|_, entries| {
            while entries.front().is_some_and(|entry| !entry.job.is_wanted(now)) {
                entries.pop_front();
            }
            !entries.is_empty()
        });
    }

    /// The lane whose first text has waited longest, of the class whose turn it is.
    fn first_lane(&self) -> Option<Lane> {
        let oldest = |class: Class| {
            let lanes = self.lanes.iter().filter(|(lane, _)| lane.class == class);
            let arrivals = lanes.filter_map(|(lane, entries)| Some((entries.front()?.arrival, *lane)));
            arrivals.min_by_key(|(arrival, _)| *arrival).map(|(_, lane)| lane)
        };
        let (interactive, bulk) = (oldest(Class::Interactive), oldest(Class::Bulk));
        if self.since_bulk + 1 >= BULK_EVERY { bulk.or(interactive) } else { interactive.or(bulk) }
    }

    /// Lanes that may keep it company, those of nearest length first.
    fn company(&self, first: Lane) -> Vec<Lane> {
        let alike = |lane: &&Lane| lane.class == first.class && lane.group == first.group && **lane != first;
        let mut lanes: Vec<Lane> = self.lanes.keys().filter(alike).copied().collect();
        lanes.sort_by_key(|lane| lane.length.abs_diff(first.length));
        lanes
    }

    /// Moves texts from the front of a lane to the batch while it has at most `limit` tokens.
    fn fill(&mut self, lane: Lane, now: Instant, limit: usize, batch: &mut Batch) {
        let Some(entries) = self.lanes.get_mut(&lane) else { return };
        while let Some(entry) = entries.front() {
            let length = entry.job.tokens.length(entry.index);
            let wanted = entry.job.is_wanted(now);
            if wanted && !batch.texts.is_empty() && batch.tokens.tokens() + length > limit {
                return;
            }
            let Some(entry) = entries.pop_front() else { return };
            if wanted {
                let range = entry.job.tokens.offsets[entry.index]..entry.job.tokens.offsets[entry.index + 1];
                batch.tokens.push(&entry.job.tokens.ids[range.clone()], &entry.job.tokens.type_ids[range]);
                batch.texts.push((entry.job, entry.index));
            }
        }
    }
}
