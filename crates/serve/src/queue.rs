//! The queue before the thread that computes: texts that wait, by class, by what they may be computed together with, and by
//! length. A batch is made at the moment when the last one is done, of ready tokens, which takes microseconds: so nothing ever
//! waits for company, and a query that arrives while a batch computes is in the next one.

use crate::fault::Fault;
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

impl Batch {
    /// Its texts as batches of one, where texts of other requests are among them; a request that is alone is to blame for
    /// itself.
    pub(crate) fn each_alone(&self) -> Vec<Self> {
        let first = &self.texts[0].0;
        if self.texts.iter().all(|(job, _)| Arc::ptr_eq(job, first)) {
            return Vec::new();
        }
        let alone = |(place, (job, index)): (usize, &(Arc<Job>, usize))| {
            let range = self.tokens.offsets[place]..self.tokens.offsets[place + 1];
            let mut tokens = TokenBatch::new();
            tokens.push(&self.tokens.ids[range.clone()], &self.tokens.type_ids[range]);
            Self { group: self.group, tokens, texts: vec![(Arc::clone(job), *index)] }
        };
        self.texts.iter().enumerate().map(alone).collect()
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        let now = Instant::now();
        self.texts.iter().any(|(job, _)| job.is_wanted(now))
    }

    /// Tells whoever waits still that it cannot be computed.
    pub(crate) fn fail(&self) {
        self.texts.iter().for_each(|(job, _)| job.fail(Fault::backend()));
    }
}

impl Queue {
    /// A queue that makes batches of at most `batch_tokens` tokens; a longer text goes alone.
    pub(crate) fn new(batch_tokens: usize) -> Self {
        Self { batch_tokens, state: Mutex::default(), wake: Condvar::new() }
    }

    /// The most tokens of a batch of more than one text.
    pub(crate) fn batch_tokens(&self) -> usize {
        self.batch_tokens
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

    /// The next batch, if texts wait.
    pub(crate) fn ready(&self) -> Option<Batch> {
        self.lock().take(self.batch_tokens)
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
        loop {
            let first = self.first_lane()?;
            let mut batch = Batch { group: first.group, tokens: TokenBatch::new(), texts: Vec::new() };
            self.fill(first, now, batch_tokens, &mut batch);
            // A lane of texts that nobody waits for any more is empty now, and gave nothing.
            if !batch.texts.is_empty() {
                self.since_bulk = if first.class == Class::Bulk { 0 } else { self.since_bulk + 1 };
                for lane in self.company(first) {
                    self.fill(lane, now, COMPANY_TOKENS.min(batch_tokens), &mut batch);
                }
            }
            self.lanes.retain(|_, entries| !entries.is_empty());
            if !batch.texts.is_empty() {
                return Some(batch);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::fault::Kind;
    use crate::job::{Done, Order, Wanted};
    use crate::log::Log;
    use crate::models::{Model, Particulars};
    use crate::settings::{LogForm, Source};
    use maana::kernels::{Context, Precision};
    use std::time::Duration;
    use tokio::sync::oneshot::Receiver;

    /// Jobs of made-up tokens around the tiny model.
    struct Bench {
        model: Arc<Model>,
        admission: Arc<Admission>,
        queue: Queue,
    }

    type Answer = Receiver<Result<Done, Fault>>;

    impl Bench {
        fn new(batch_tokens: usize) -> Self {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/tiny-bert").to_owned();
            let (source, context) = (Source { name: "tiny".into(), place }, Context::new(1));
            let log = Log::new(LogForm::Off).unwrap();
            let model = Model::open(0, &source, &context, Precision::F32, &Particulars::default(), &log).unwrap();
            let admission = Admission::new(1_000_000, Duration::from_secs(1000));
            Self { model: Arc::new(model), admission, queue: Queue::new(batch_tokens) }
        }

        /// Lets a job of texts of these lengths wait.
        fn push(&self, class: Class, lengths: &[usize]) -> Answer {
            self.push_with(class, lengths, 0, Duration::from_secs(1000))
        }

        fn push_with(&self, class: Class, lengths: &[usize], prompt_length: usize, patience: Duration) -> Answer {
            let mut tokens = TokenBatch::new();
            lengths.iter().for_each(|length| tokens.push(&vec![5; *length], &vec![0; *length]));
            let permit = self.admission.admit(class, tokens.tokens()).unwrap();
            let (job, answer) = Job::new(Order {
                model: Arc::clone(&self.model),
                prompt_lengths: vec![prompt_length; lengths.len()],
                tokens,
                wanted: Wanted::Embedding,
                class,
                deadline: Instant::now() + patience,
                allowed: Duration::from_secs(1000),
                permit,
            });
            self.queue.push(&job);
            answer
        }

        /// The class and the lengths of the next batch.
        fn next(&self) -> (Class, Vec<usize>) {
            let batch = self.queue.next().expect("something waits");
            let lengths = (0..batch.tokens.sequences()).map(|index| batch.tokens.length(index)).collect();
            (batch.texts[0].0.class, lengths)
        }
    }

    use Class::{Bulk, Interactive};

    #[test]
    fn a_batch_takes_what_came_first_and_what_is_as_long_up_to_its_limit() {
        let bench = Bench::new(1000);
        let _answers = [bench.push(Interactive, &[300, 10, 310, 290]), bench.push(Interactive, &[12, 400, 300])];
        assert_eq!(bench.next(), (Interactive, vec![300, 310, 290]), "until the next would be too much");
        assert_eq!(bench.next(), (Interactive, vec![10, 12, 400]), "few tokens take company");
        assert_eq!(bench.next(), (Interactive, vec![300]));
    }

    #[test]
    fn a_text_longer_than_a_batch_goes_alone() {
        let bench = Bench::new(100);
        let _answer = bench.push(Bulk, &[90, 128, 120]);
        assert_eq!([bench.next().1, bench.next().1, bench.next().1], [vec![90], vec![128], vec![120]]);
    }

    #[test]
    fn queries_go_first_but_for_every_fourth_batch() {
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
    fn what_has_another_prompt_goes_another_time() {
        let bench = Bench::new(1000);
        let _answers = [
            bench.push(Interactive, &[10]),
            bench.push_with(Interactive, &[10], 3, Duration::from_secs(9)),
            bench.push(Interactive, &[10]),
        ];
        let first = bench.queue.next().unwrap();
        assert_eq!((first.group.prompt_length, first.texts.len()), (0, 2));
        assert_eq!(bench.queue.next().unwrap().group.prompt_length, 3);
    }

    #[test]
    fn what_nobody_waits_for_is_dropped_and_its_room_comes_back() {
        let bench = Bench::new(1000);
        drop(bench.push(Interactive, &[10, 20]));
        let mut overdue = bench.push_with(Interactive, &[30], 0, Duration::ZERO);
        let _answer = bench.push(Interactive, &[11]);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(bench.next(), (Interactive, vec![11]));
        assert_eq!(overdue.try_recv().unwrap().unwrap_err().kind, Kind::Late);
        assert_eq!(bench.admission.held().requests, 0);
        drop(bench.push(Bulk, &[10]));
        assert_eq!(bench.admission.held().tokens, [0, 10]);
        bench.queue.sweep();
        assert_eq!((bench.admission.held().tokens, bench.queue.waiting()), ([0, 0], [0, 0]));
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has_and_takes_no_more() {
        let bench = Bench::new(1000);
        let _answer = bench.push(Interactive, &[10]);
        bench.queue.close();
        let mut late = bench.push(Interactive, &[10]);
        assert_eq!(bench.next(), (Interactive, vec![10]));
        assert!(bench.queue.next().is_none());
        assert!(late.try_recv().is_err(), "its sender is gone");
    }
}
