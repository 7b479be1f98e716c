//! A pool of threads that share numbered tasks. Idle threads spin briefly and then sleep. Callers
//! divide the work into tasks, the pool only assigns them to threads, so that no result depends on
//! their number.

use crate::disjoint::Disjoint;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};
use sync::{Arc, AtomicBool, AtomicUsize, Builder, Condvar, JoinHandle, Mutex, MutexGuard, Ordering, thread_local};

/// Primitives of the pool: those of the standard library, or with `--cfg loom` those that explore
/// every interleaving.
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

/// Time that a worker spins for the next region before it sleeps. Under loom it sleeps at once, as
/// spinning changes no state.
const SPIN: Duration = if cfg!(loom) { Duration::ZERO } else { Duration::from_micros(50) };

thread_local! {
    /// Number of this thread in the pool whose task it executes; a region inside a task runs on
    /// this thread only.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's macro takes no const block")]
    static THREAD: Cell<Option<usize>> = Cell::new(None);
}

/// A fixed number of threads, including the caller's.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region, so that callers on several threads wait for each other.
    callers: Mutex<()>,
}

struct Shared {
    /// Counts regions; a worker that sees it change takes part.
    generation: AtomicUsize,
    region: Mutex<Region>,
    wake: Condvar,
    /// The next task of the region.
    cursor: AtomicUsize,
    /// Workers that have not finished with the region.
    busy: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Region {
    task: &'static (dyn Fn(usize) + Sync),
    tasks: usize,
}

impl Pool {
    /// Creates a pool of `threads` threads, including the caller's, or of fewer if the system
    /// refuses some.
    pub(crate) fn new(threads: usize) -> Self {
        Self::with_spawner(threads, |builder, work| builder.spawn(work))
    }

    fn with_spawner(
        threads: usize,
        spawn: impl Fn(Builder, Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>>,
    ) -> Self {
        let region = Region { task: &|_| {}, tasks: 0 };
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            region: Mutex::new(region),
            wake: Condvar::new(),
            cursor: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let worker = |number: usize| {
            let shared = Arc::clone(&shared);
            spawn(Builder::new().name(format!("maana-{number}")), Box::new(move || shared.work(number))).ok()
        };
        let workers = (1..threads.max(1)).map_while(worker).collect();
        Self { shared, workers, callers: Mutex::new(()) }
    }

    /// Number of threads, including the caller's.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Returns the number of the thread that executes the current task; 0 is the caller of a
    /// region.
    pub(crate) fn current_thread(&self) -> usize {
        THREAD.with(Cell::get).unwrap_or(0)
    }

    /// Calls `task` with every number below `tasks`, in any order and on any thread, and returns
    /// when all are done.
    ///
    /// # Panics
    /// If a task panics, with its message, after all threads are at rest.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if self.workers.is_empty() || tasks <= 1 || THREAD.with(Cell::get).is_some() {
            (0..tasks).for_each(task);
            return;
        }
        let _region = lock(&self.callers);
        let task: &(dyn Fn(usize) + Sync) = &task;
        // SAFETY: the reference outlives its use, as this function does not return before every
        // worker is done with the region (`busy` is 0), not even by a panic, which is caught.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let (shared, region) = (&*self.shared, Region { task, tasks });
        {
            let mut current = lock(&shared.region);
            *current = region;
            shared.cursor.store(0, Ordering::Relaxed);
            shared.busy.store(self.workers.len(), Ordering::Relaxed);
            shared.generation.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        shared.take_part(0, region);
        let mut spins = 0u32;
        while shared.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            pause(spins);
        }
        let panic = lock(&shared.panic).take();
        drop(_region);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Divides each slice into chunks of its size, the last of which may be shorter, and calls `f`
    /// with the number of a chunk and the chunks of all slices with this number.
    pub(crate) fn for_each_chunk<T: Send, const N: usize>(
        &self,
        data: [(&mut [T], usize); N],
        f: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        let counts = data.each_ref().map(|(data, chunk)| {
            assert!(*chunk > 0, "chunks of no elements");
            data.len().div_ceil(*chunk)
        });
        assert!(counts.iter().all(|count| *count == counts[0]), "as many chunks of each slice: {counts:?}");
        let slices = data.map(|(data, chunk)| (data.len(), chunk, Disjoint::new(data)));
        self.run(counts[0], |number| {
            let chunks = slices.each_ref().map(|(length, chunk, slice)| {
                let range = number * chunk..(*length).min((number + 1) * chunk);
                // SAFETY: chunks of different numbers do not overlap, and each number occurs once.
                unsafe { slice.slice(range) }
            });
            f(number, chunks);
        });
    }

    /// Calls `f` with the number and the values of each part of `data`: part `i` begins at
    /// `offsets[i]` and ends at `offsets[i + 1]`, in units of `unit` elements.
    ///
    /// # Panics
    /// If `offsets` does not ascend, or a part lies outside `data`.
    pub(crate) fn for_each_part<T: Send>(
        &self,
        data: &mut [T],
        offsets: &[usize],
        unit: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        assert!(offsets.is_sorted(), "offsets ascend");
        let data = Disjoint::new(data);
        self.run(offsets.len().saturating_sub(1), |number| {
            let range = offsets[number] * unit..offsets[number + 1] * unit;
            // SAFETY: parts of different numbers do not overlap as offsets ascend, and each number
            // occurs once.
            f(number, unsafe { data.slice(range) });
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _region = lock(&self.shared.region);
            self.shared.stop.store(true, Ordering::Relaxed);
            self.shared.generation.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // Workers catch panics of tasks, so that joining succeeds.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            let region = self.next(&mut seen);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.take_part(thread, region);
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for the next region.
    fn next(&self, seen: &mut usize) -> Region {
        let start = Instant::now();
        while SPIN > Duration::ZERO && self.generation.load(Ordering::Acquire) == *seen && start.elapsed() < SPIN {
            (0..50).for_each(|_| std::hint::spin_loop());
        }
        let mut region = lock(&self.region);
        while self.generation.load(Ordering::Acquire) == *seen {
            region = self.wake.wait(region).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *seen = self.generation.load(Ordering::Acquire);
        *region
    }

    fn take_part(&self, thread: usize, region: Region) {
        THREAD.with(|current| current.set(Some(thread)));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let number = self.cursor.fetch_add(1, Ordering::Relaxed);
                if number >= region.tasks {
                    break;
                }
                (region.task)(number);
            }
        }));
        THREAD.with(|current| current.set(None));
        if let Err(panic) = outcome {
            lock(&self.panic).get_or_insert(panic);
        }
    }
}

fn pause(spins: u32) {
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
    // No panic leaves a locked value half changed.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Every interleaving of the pool's threads with at most three preemptions: run by `cargo xtask
/// loom`.
#[cfg(all(test, loom))]
mod interleavings {
    use super::*;

    fn explore(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    fn run_and_count(pool: &Pool, tasks: usize) {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, |number| {
            counts[number].fetch_add(1, Ordering::Relaxed);
        });
        // Relaxed loads: the writes of tasks are visible when `run` has returned.
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_task_runs_once_in_every_order() {
        explore(|| {
            let pool = Pool::new(2);
            run_and_count(&pool, 2);
            run_and_count(&pool, 3);
        });
    }

    #[test]
    fn with_two_workers_too() {
        explore(|| {
            let pool = Pool::new(3);
            run_and_count(&pool, 2);
        });
    }

    #[test]
    fn a_pool_without_work_ends() {
        explore(|| drop(Pool::new(2)));
    }

    #[test]
    fn two_callers_wait_for_each_other() {
        explore(|| {
            let pool = Arc::new(Pool::new(2));
            let other = Arc::clone(&pool);
            let caller = loom::thread::spawn(move || run_and_count(&other, 2));
            run_and_count(&pool, 2);
            caller.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_system_that_refuses_threads_leaves_a_smaller_pool() {
        for allowed in [0, 1, 2] {
            let given = std::cell::Cell::new(0);
            let pool = Pool::with_spawner(4, |builder, work| {
                given.set(given.get() + 1);
                if given.get() > allowed { Err(std::io::ErrorKind::WouldBlock.into()) } else { builder.spawn(work) }
            });
            assert_eq!((pool.threads(), given.get()), (allowed + 1, allowed + 1));
            let sum = AtomicU64::new(0);
            pool.run(100, |number| {
                sum.fetch_add(number as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }

    #[test]
    fn every_task_runs_once_for_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicU64> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
                pool.run(tasks, |number| {
                    counts[number].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn many_short_regions_and_sleeps_between_them() {
        let pool = Pool::new(3);
        let sum = AtomicU64::new(0);
        for round in 0..3000u64 {
            pool.run(4, |number| {
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
        let pool = Pool::new(2);
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.run(3, |_| {
                            pool.run(5, |number| {
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
        let pool = Pool::new(3);
        for bad in [0, 5, 19] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(20, |number| assert!(number != bad, "task {number} is bad"));
            }));
            let message = *outcome.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(message, format!("task {bad} is bad"));
            let sum = AtomicU64::new(0);
            pool.run(10, |number| {
                sum.fetch_add(number as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }

    #[test]
    fn chunks_cover_the_slices() {
        let (mut data, mut pairs) = (vec![0usize; 103], vec![0usize; 206]);
        Pool::new(2).for_each_chunk([(&mut data, 10), (&mut pairs, 20)], |number, [chunk, pairs]| {
            assert_eq!(chunk.len(), if number == 10 { 3 } else { 10 });
            chunk.fill(number + 1);
            pairs.fill(number + 1);
        });
        assert!(data.iter().enumerate().all(|(place, value)| *value == place / 10 + 1));
        assert!(pairs.iter().enumerate().all(|(place, value)| *value == place / 20 + 1));
    }

    #[test]
    #[should_panic(expected = "as many chunks of each slice: [3, 2]")]
    fn slices_with_different_numbers_of_chunks_are_refused() {
        Pool::new(1).for_each_chunk([(&mut [0; 3], 1), (&mut [0; 3], 2)], |_, _| {});
    }

    #[test]
    fn parts_lie_between_offsets() {
        let mut data = vec![0; 14];
        Pool::new(2).for_each_part(&mut data, &[0, 2, 2, 7], 2, |number, part| part.fill(number + 1));
        assert_eq!(data, [vec![1; 4], vec![3; 10]].concat());
    }

    #[test]
    #[should_panic(expected = "offsets ascend")]
    fn overlapping_parts_are_refused() {
        Pool::new(1).for_each_part(&mut [0; 8], &[0, 5, 3, 8], 1, |_, _| {});
    }
}
