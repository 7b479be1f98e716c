//! Time, tasks and files as the server uses them: those of the operating system, or simulated ones
//! in tests.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A future that runs by itself.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that the server takes from the operating system, except sockets.
pub(crate) trait System: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Instant;

    /// Waits until `time`.
    fn sleep_until(&self, time: Instant) -> Task;

    /// Runs a task.
    fn spawn(&self, task: Task);

    /// Runs work that takes long or blocks, on a thread for such work.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// Reads a file of text.
    ///
    /// # Errors
    /// Anything that the operating system refuses, or bytes that are not UTF-8.
    fn read_to_string(&self, path: &Path) -> io::Result<String>;
}

/// The operating system.
pub(crate) struct OperatingSystem {
    /// Runtime of the threads and timers.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl System for OperatingSystem {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, time: Instant) -> Task {
        let _inside = self.runtime.enter();
        Box::pin(tokio::time::sleep_until(time.into()))
    }

    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.runtime.spawn_blocking(work);
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        maana::files::read_to_string(path)
    }
}

/// Waits for `duration`.
pub(crate) async fn sleep(system: &dyn System, duration: Duration) {
    system.sleep_until(system.now() + duration).await;
}

/// Waits for a future until `time`; `None` if it is not complete by then.
pub(crate) async fn timeout_at<T>(system: &dyn System, time: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        output = &mut future => Some(output),
        () = system.sleep_until(time) => None,
    }
}

/// Waits for a future for at most `duration`; `None` if it is not complete by then.
pub(crate) async fn timeout<T>(system: &dyn System, duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    timeout_at(system, system.now() + duration, future).await
}

/// Runs blocking work and waits for its result; `None` if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    system: &dyn System,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    start_blocking(system, work).await.ok()
}

/// Runs blocking work; the receiver reports an error if it panicked.
pub(crate) fn start_blocking<T: Send + 'static>(
    system: &dyn System,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    system.spawn_blocking(Box::new(move || {
        // A receiver that was dropped does not need the result.
        let _ = sender.send(work());
    }));
    receiver
}
