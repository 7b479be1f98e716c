//! Long work without the interpreter's lock, which Ctrl-C stops.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

/// Time between two looks at the interpreter's signals.
const LOOK: Duration = Duration::from_millis(50);

/// A call that the work makes on the thread of its caller.
type Call = Box<dyn FnOnce(Python<'_>) + Send>;

enum Message {
    Call(Call),
    Done,
}

/// The thread that waits for some work, and calls functions of Python for it: there signals raise
/// their exceptions inside the function.
#[derive(Clone)]
pub(crate) struct CallingThread(Sender<Message>);

impl CallingThread {
    /// Calls a function on the thread, and waits for its result.
    ///
    /// # Errors
    /// As the function; `KeyboardInterrupt` if a signal stopped the work before.
    pub(crate) fn call<R: Send + 'static>(
        &self,
        function: impl FnOnce(Python<'_>) -> PyResult<R> + Send + 'static,
    ) -> PyResult<R> {
        let (sender, receiver) = sync_channel(1);
        let call = Box::new(move |py: Python<'_>| {
            let _ = sender.send(function(py));
        });
        // Fails if the thread no longer waits, as then `recv` does.
        let _ = self.0.send(Message::Call(call));
        receiver.recv().map_err(|_| PyKeyboardInterrupt::new_err("stopped"))?
    }
}

/// Calls `work` on another thread without the interpreter's lock. At a signal its argument becomes
/// true; the signal's exception is raised when `work` has returned.
///
/// # Errors
/// As `work`; the exception of a signal; `RuntimeError` if `work` panics.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Arc<AtomicBool>) -> PyResult<T> + Send,
) -> PyResult<T> {
    interruptible_with_calls(py, |stop, _| work(stop))
}

/// As [`interruptible`], for work that calls functions on the thread of the caller.
///
/// # Errors
/// As [`interruptible`].
pub(crate) fn interruptible_with_calls<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Arc<AtomicBool>, &CallingThread) -> PyResult<T> + Send,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let stop_of_work = Arc::clone(&stop);
            let call = move || {
                let thread = CallingThread(sender);
                let result = catch_unwind(AssertUnwindSafe(|| work(&stop_of_work, &thread)));
                let _ = thread.0.send(Message::Done);
                result.unwrap_or_else(|panic| Err(panicked(&*panic)))
            };
            let spawned = std::thread::Builder::new().name("maana".into()).spawn_scoped(scope, call);
            let spawned =
                spawned.map_err(|error| PyRuntimeError::new_err(format!("no thread can be started: {error}")))?;
            let mut signal = None;
            loop {
                match receiver.recv_timeout(LOOK) {
                    Ok(Message::Call(call)) if signal.is_none() => Python::attach(call),
                    // Dropped, which ends the wait for its result.
                    Ok(Message::Call(_)) => {}
                    Ok(Message::Done) | Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) if signal.is_none() => {
                        signal = Python::attach(|py| py.check_signals()).err();
                        if signal.is_some() {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            let result = spawned.join().unwrap_or_else(|panic| Err(panicked(&*panic)));
            signal.map_or(result, Err)
        })
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a fault without a message");
    PyRuntimeError::new_err(format!("internal error: {text}"))
}
