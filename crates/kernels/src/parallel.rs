//! The pool: threads that are made once, hand each other numbered tasks, spin briefly and then sleep.
//! It decides who computes, never what: tasks are cut by the caller, so that no result depends on the number of threads.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};
use sync::{Arc, AtomicBool, AtomicUsize, Builder, Condvar, JoinHandle, Mutex, MutexGuard, Ordering, thread_local};

/// What the pool is made of: the system's, or with `--cfg loom` what tries every order in which threads can meet.
#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(super) use std::thread::{Builder, JoinHandle};
    pub(super) use std::thread_local;
}

#[cfg(loom)]
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(super) use loom::thread::{Builder, JoinHandle};
    pub(super) use loom::thread_local;
}

/// How long a worker looks for the next region before it sleeps. Under loom it sleeps at once: looking again changes nothing.
const SPIN: Duration = if cfg!(loom) { Duration::ZERO } else { Duration::from_micros(50) };

thread_local! {
    /// Whether this thread is inside a task: regions inside a region run where they are.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's macro takes no const block")]
    static INSIDE: Cell<bool> = Cell::new(false);
}

/// A fixed number of threads, the caller's among them.
pub struct Context {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region: callers from several threads wait for each other.
    region: Mutex<()>,
}

struct Shared {
    /// Counts regions; a worker that sees it change takes part.
    generation: AtomicUsize,
    job: Mutex<Job>,
    wake: Condvar,
    /// The next task of the region.
    cursor: AtomicUsize,
    /// Workers that have not finished with the region.
    busy: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job {
    task: &'static (dyn Fn(usize) + Sync),
    tasks: usize,
}

impl Context {
    /// A pool of `threads` threads, the caller's included; one has no workers.
    pub fn new(threads: usize) -> Self {
        let job = Job { task: &|_| {}, tasks: 0 };
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            job: Mutex::new(job),
            wake: Condvar::new(),
            cursor: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let spawn = |number: usize| {
            let shared = Arc::clone(&shared);
            let thread = Builder::new().name(format!("maana-{number}"));
            thread.spawn(move || shared.work()).expect("the system gives a thread")
        };
        let workers = (1..threads.max(1)).map(spawn).collect();
        Self { shared, workers, region: Mutex::new(()) }
    }

    /// A pool of as many threads as this process may use (cores, affinity and quota of its group).
    pub fn available() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` with every number below `tasks`, in any order and on any thread, and returns when all are done.
    ///
    /// # Panics
    /// If a task panics, with its message, after all threads have come to rest.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if self.workers.is_empty() || tasks <= 1 || INSIDE.with(Cell::get) {
            (0..tasks).for_each(task);
            return;
        }
        let _region = lock(&self.region);
        let task: &(dyn Fn(usize) + Sync) = &task;
        // SAFETY: the reference outlives its use, as this function does not return before every worker is done with the
        // region (`busy` is 0), not even by a panic, which is caught.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let shared = &*self.shared;
        {
            let mut job = lock(&shared.job);
            *job = Job { task, tasks };
            shared.cursor.store(0, Ordering::Relaxed);
            shared.busy.store(self.workers.len(), Ordering::Relaxed);
            shared.generation.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        shared.take_part(Job { task, tasks });
        let mut spins = 0u32;
        while shared.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            wait_a_little(spins);
        }
        let panic = lock(&shared.panic).take();
        drop(_region);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `f` with the number and the values of every chunk of `data`; the last may be shorter.
    pub fn for_each_chunk<T: Send>(&self, data: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        assert!(chunk > 0, "chunks of nothing");
        let length = data.len();
        let shared = Disjoint::new(data);
        self.run(length.div_ceil(chunk), |number| {
            let range = number * chunk..length.min((number + 1) * chunk);
            // SAFETY: chunks of different numbers do not overlap, and each number is given out once.
            f(number, unsafe { shared.slice(range) });
        });
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        {
            let _job = lock(&self.shared.job);
            self.shared.stop.store(true, Ordering::Relaxed);
            self.shared.generation.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so that it ends as it should.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut seen = 0;
        loop {
            let job = self.next(&mut seen);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.take_part(job);
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for the next region.
    fn next(&self, seen: &mut usize) -> Job {
        let start = Instant::now();
        while SPIN > Duration::ZERO && self.generation.load(Ordering::Acquire) == *seen && start.elapsed() < SPIN {
            (0..50).for_each(|_| std::hint::spin_loop());
        }
        let mut job = lock(&self.job);
        while self.generation.load(Ordering::Acquire) == *seen {
            job = self.wake.wait(job).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *seen = self.generation.load(Ordering::Acquire);
        *job
    }

    fn take_part(&self, job: Job) {
        INSIDE.with(|inside| inside.set(true));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let number = self.cursor.fetch_add(1, Ordering::Relaxed);
                if number >= job.tasks {
                    break;
                }
                (job.task)(number);
            }
        }));
        INSIDE.with(|inside| inside.set(false));
        if let Err(panic) = outcome {
            lock(&self.panic).get_or_insert(panic);
        }
    }
}

fn wait_a_little(spins: u32) {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    if spins < 2000 {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
    let _ = spins;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is locked here is left half changed by a panic.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A slice of which tasks take parts that do not overlap.
pub(crate) struct Disjoint<T> {
    start: *mut T,
    length: usize,
}

// SAFETY: it hands out parts of a slice of `Send` values, each to one thread, as `slice` requires.
unsafe impl<T: Send> Sync for Disjoint<T> {}

impl<T> Disjoint<T> {
    pub(crate) fn new(data: &mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), length: data.len() }
    }

    /// Where a part of the slice begins, which is checked to lie in it.
    pub(crate) fn pointer(&self, range: std::ops::Range<usize>) -> *mut T {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        // SAFETY: the place lies in the slice.
        unsafe { self.start.add(range.start) }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// The slice is still borrowed, and no part that overlaps is in use.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts do not overlap")]
    pub(crate) unsafe fn slice(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        // SAFETY: the range lies in the slice, and the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Every order in which the pool's threads can meet, with at most three changes of thread that nothing asked for: run by
/// `cargo xtask loom`.
#[cfg(all(test, loom))]
mod interleavings {
    use super::*;

    fn explore(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    fn run_and_count(context: &Context, tasks: usize) {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        context.run(tasks, |number| {
            counts[number].fetch_add(1, Ordering::Relaxed);
        });
        // The caller reads without asking anybody: what tasks wrote is there when `run` has returned.
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_task_runs_once_in_every_order() {
        explore(|| {
            let context = Context::new(2);
            run_and_count(&context, 2);
            run_and_count(&context, 3);
        });
    }

    #[test]
    fn with_two_workers_too() {
        explore(|| {
            let context = Context::new(3);
            run_and_count(&context, 2);
        });
    }

    #[test]
    fn a_pool_without_work_ends() {
        explore(|| drop(Context::new(2)));
    }

    #[test]
    fn two_callers_wait_for_each_other() {
        explore(|| {
            let context = Arc::new(Context::new(2));
            let other = Arc::clone(&context);
            let caller = loom::thread::spawn(move || run_and_count(&other, 2));
            run_and_count(&context, 2);
            caller.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_task_runs_once_for_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let context = Context::new(threads);
            assert_eq!(context.threads(), threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicU64> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
                context.run(tasks, |number| {
                    counts[number].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn many_short_regions_and_sleeps_between_them() {
        let context = Context::new(3);
        let sum = AtomicU64::new(0);
        for round in 0..3000u64 {
            context.run(4, |number| {
                sum.fetch_add(number as u64, Ordering::Relaxed);
            });
            if round % 1000 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(sum.into_inner(), 3000 * 6);
    }

    #[test]
    fn regions_inside_regions_and_several_callers() {
        let context = Context::new(2);
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        context.run(3, |_| {
                            context.run(5, |number| {
                                sum.fetch_add(number as u64, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 100 * 3 * 10);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let context = Context::new(3);
        for bad in [0, 5, 19] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                context.run(20, |number| assert!(number != bad, "task {number} is bad"));
            }));
            let message = *outcome.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(message, format!("task {bad} is bad"));
            let sum = AtomicU64::new(0);
            context.run(10, |number| {
                sum.fetch_add(number as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }

    #[test]
    fn chunks_cover_the_slice() {
        let mut data = vec![0usize; 103];
        Context::new(2).for_each_chunk(&mut data, 10, |number, chunk| {
            assert_eq!(chunk.len(), if number == 10 { 3 } else { 10 });
            chunk.fill(number + 1);
        });
        assert!(data.iter().enumerate().all(|(place, value)| *value == place / 10 + 1));
    }
}
