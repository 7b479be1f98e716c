//! The threads of a server, all started with it: where the operating system refuses one, the server
//! does not start, instead of failing at the first request that needs it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads for connections. They read, tokenise short texts and write.
const CONNECTION_THREADS: usize = 2;

/// Threads for blocking work in addition to one for each core: for pieces of answers, models and
/// keys, while as many requests as there are cores are tokenised or searched.
const FURTHER_THREADS: usize = 2;

/// Time until all threads run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a runtime with all of its threads.
///
/// # Errors
/// If the operating system refuses a thread.
pub(crate) fn runtime(cores: usize) -> io::Result<Runtime> {
    let blocking = cores + FURTHER_THREADS;
    expect_threads(CONNECTION_THREADS + blocking)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(CONNECTION_THREADS)
        .max_blocking_threads(blocking)
        // Threads for blocking work stay, so that no request depends on a new one.
        .thread_keep_alive(Duration::from_secs(u64::from(u32::MAX)))
        .thread_name("maana-http")
        .enable_all()
        .build()?;
    start_blocking_threads(&runtime, blocking)?;
    Ok(runtime)
}

/// Starts and ends a number of threads, because the runtime panics where one is refused.
fn expect_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let start = |_| {
        let gate = Arc::clone(&gate);
        std::thread::Builder::new().spawn(move || drop(gate.lock()))
    };
    let threads: io::Result<Vec<_>> = (0..count).map(start).collect();
    drop(closed);
    threads?.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

/// Starts all threads for blocking work: the runtime starts one where none is free.
fn start_blocking_threads(runtime: &Runtime, count: usize) -> io::Result<()> {
    let running = Arc::new((Mutex::new(0), Condvar::new()));
    let wait_for_all = move |running: &(Mutex<usize>, Condvar)| {
        let (number, changed) = running;
        let mut number = number.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        changed.notify_all();
        let waited = changed.wait_timeout_while(number, PATIENCE, |number| *number <= count);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    };
    for _ in 0..count {
        let running = Arc::clone(&running);
        runtime.spawn_blocking(move || wait_for_all(&running));
    }
    // This thread is one more.
    if wait_for_all(&running) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_run_before_the_first_request() {
        let runtime = runtime(3).unwrap();
        assert_eq!(runtime.metrics().num_workers(), CONNECTION_THREADS);
        // As many blocking tasks as there are threads run at the same time.
        let barrier = Arc::new(std::sync::Barrier::new(3 + FURTHER_THREADS));
        let wait = |_| {
            let barrier = Arc::clone(&barrier);
            runtime.spawn_blocking(move || {
                barrier.wait();
            })
        };
        let waiting: Vec<_> = (0..3 + FURTHER_THREADS).map(wait).collect();
        runtime.block_on(async {
            for task in waiting {
                task.await.unwrap();
            }
        });
    }
}
