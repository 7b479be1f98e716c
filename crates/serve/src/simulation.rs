//! A deterministic system for tests: virtual time, tasks that are scheduled in an order that a seed
//! determines, and files that can fail.

mod client;
mod faults;
mod store;

use crate::log::Log;
use crate::model::{Model, ModelSettings};
use crate::settings::{LogForm, Source};
use crate::system::{System, Task};
use maana::files::SplitMix64;
use maana::kernels::{Context as Threads, Precision};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Returns the tiny model of the golden files.
pub(crate) fn tiny_model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let open = || {
        let (context, log) = (Threads::new(1), Log::new(LogForm::Off).unwrap());
        let settings = ModelSettings::default();
        Arc::new(Model::open(0, &tiny_source(), &context, Precision::F32, &settings, &log).unwrap())
    };
    Arc::clone(MODEL.get_or_init(open))
}

fn tiny_source() -> Source {
    Source { name: "tiny".into(), place: concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/tiny-bert").into() }
}

/// Returns a small cross-encoder of the golden files.
fn cross_source() -> Source {
    Source { name: "cross".into(), place: concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cross/bert").into() }
}

/// A simulated system.
pub(crate) struct Simulation {
    this: Weak<Self>,
    start: Instant,
    /// Reads the real disk.
    on_disk: bool,
    state: Mutex<State>,
    ready: Arc<Ready>,
}

struct State {
    /// Time since the start.
    now: Duration,
    random: SplitMix64,
    /// Timers by their time.
    timers: BTreeMap<(Duration, u64), Waker>,
    tasks: BTreeMap<u64, Task>,
    /// Number of the last task or timer.
    last: u64,
    files: BTreeMap<PathBuf, Result<String, io::ErrorKind>>,
    /// Digest of everything that happened.
    trace: u64,
}

/// Numbers of the tasks that can continue.
#[derive(Default)]
struct Ready(Mutex<BTreeSet<u64>>);

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.task);
    }
}

impl Simulation {
    /// Creates a system whose order of events follows from the seed.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Self::create(seed, false)
    }

    /// Creates a system with the real disk.
    pub(crate) fn on_disk() -> Arc<Self> {
        Self::create(0, true)
    }

    fn create(seed: u64, on_disk: bool) -> Arc<Self> {
        let state = State {
            now: Duration::ZERO,
            random: SplitMix64::new(seed),
            timers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            last: 0,
            files: BTreeMap::new(),
            trace: 0,
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            start: Instant::now(),
            on_disk,
            state: Mutex::new(state),
            ready: Arc::default(),
        })
    }

    /// Moves the time forward.
    pub(crate) fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now += duration;
        let now = state.now;
        let later = state.timers.split_off(&(now + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Runs tasks until `done`, moving the time to the next timer whenever no task can continue.
    fn run_until(&self, done: impl Fn() -> bool) {
        const MOST_EVENTS: usize = 5_000_000;
        for _ in 0..MOST_EVENTS {
            if done() {
                return;
            }
            if self.run_one() {
                continue;
            }
            let next = self.state().timers.first_key_value().map(|((time, _), _)| *time);
            let Some(next) = next else { panic!("nothing can continue, and nothing is timed") };
            let now = self.state().now;
            self.advance(next.saturating_sub(now));
        }
        panic!("it does not end");
    }

    /// Polls one of the tasks that can continue, chosen at random; false if all wait.
    fn run_one(&self) -> bool {
        let (number, mut task) = {
            let mut state = self.state();
            let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.is_empty() {
                return false;
            }
            let chosen = state.below(ready.len());
            let number = ready.iter().nth(chosen).copied().unwrap_or_default();
            ready.remove(&number);
            state.note(number);
            let Some(task) = state.tasks.remove(&number) else { return true };
            (number, task)
        };
        let waker = Waker::from(Arc::new(TaskWaker { task: number, ready: Arc::clone(&self.ready) }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.state().tasks.insert(number, task);
        }
        true
    }

    /// Sets the content of a file, or the error of reading it.
    fn set_file(&self, path: &str, content: Result<String, io::ErrorKind>) {
        self.state().files.insert(path.into(), content);
    }

    /// Returns a random number below `end`.
    fn below(&self, end: usize) -> usize {
        self.state().below(end)
    }

    /// Returns true once in `times` on average.
    fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns a random duration of less than `ms` milliseconds.
    fn some_ms(&self, ms: usize) -> Duration {
        Duration::from_micros(self.below(ms * 1000) as u64)
    }

    /// Returns the time since the start, and the digest of what happened.
    fn trace(&self) -> (Duration, u64) {
        let state = self.state();
        (state.now, state.trace)
    }

    /// Runs tasks for a time.
    pub(crate) fn run_for(&self, duration: Duration) {
        let end = self.trace().0 + duration;
        let timer = self.sleep_until(self.start + end);
        self.spawn(timer);
        self.run_until(|| self.trace().0 >= end);
    }

    /// Drops all tasks.
    fn clear(&self) {
        let tasks = std::mem::take(&mut self.state().tasks);
        drop(tasks);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    fn note(&mut self, number: u64) {
        let mixed = self.trace ^ number ^ self.now.as_nanos() as u64;
        self.trace = SplitMix64::new(mixed).next_u64();
    }
}

impl System for Simulation {
    fn now(&self) -> Instant {
        self.start + self.state().now
    }

    fn sleep_until(&self, time: Instant) -> Task {
        let until = time.saturating_duration_since(self.start);
        Box::pin(Timer { system: self.this.clone(), until, number: None })
    }

    fn spawn(&self, task: Task) {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.tasks.insert(number, task);
        drop(state);
        Arc::new(TaskWaker { task: number, ready: Arc::clone(&self.ready) }).wake();
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let Some(this) = self.this.upgrade() else { return };
        let delay = self.some_ms(3);
        self.spawn(Box::pin(async move {
            crate::system::sleep(&*this, delay).await;
            // A panic of the work is reported to its receiver, which is dropped with it.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }));
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        if self.on_disk {
            return maana::files::read_to_string(path);
        }
        let found = self.state().files.get(path).cloned();
        found.unwrap_or(Err(io::ErrorKind::NotFound)).map_err(io::Error::from)
    }
}

/// A timer of a simulation.
struct Timer {
    system: Weak<Simulation>,
    until: Duration,
    number: Option<u64>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(system) = self.system.upgrade() else { return Poll::Pending };
        let mut state = system.state();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.last += 1;
            state.last
        });
        state.timers.insert((self.until, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some((number, system)) = self.number.zip(self.system.upgrade()) {
            system.state().timers.remove(&(self.until, number));
        }
    }
}

#[test]
fn timers_run_in_the_order_of_their_times() {
    let system = Simulation::new(3);
    let order = Arc::new(Mutex::new(Vec::new()));
    for ms in [30, 10, 20] {
        let (order, sleep) = (Arc::clone(&order), system.sleep_until(system.now() + Duration::from_millis(ms)));
        system.spawn(Box::pin(async move {
            sleep.await;
            order.lock().unwrap().push(ms);
        }));
    }
    system.run_until(|| order.lock().unwrap().len() == 3);
    assert_eq!(*order.lock().unwrap(), [10, 20, 30]);
    assert_eq!(system.trace().0, Duration::from_millis(30));
}
