//! Long work without the interpreter's lock, which Ctrl-C stops.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Time between two looks at the interpreter's signals.
const LOOK: Duration = Duration::from_millis(50);

/// Calls `work` on another thread without the interpreter's lock. At a signal its argument becomes
/// true; the signal's exception is raised when `work` has returned.
///
/// # Errors
/// As `work`; the exception of a signal; `RuntimeError` if `work` panics.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Arc<AtomicBool>) -> PyResult<T> + Send,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let stop_of_work = Arc::clone(&stop);
            let call = move || {
                let result = catch_unwind(AssertUnwindSafe(|| work(&stop_of_work)));
                let _ = sender.send(result.unwrap_or_else(|panic| Err(panicked(&*panic))));
            };
            let spawned = std::thread::Builder::new().name("maana".into()).spawn_scoped(scope, call);
            spawned.map_err(|error| PyRuntimeError::new_err(format!("no thread can be started: {error}")))?;
            let mut signal = None;
            loop {
                match receiver.recv_timeout(LOOK) {
                    Ok(result) => return signal.map_or(result, Err),
                    Err(RecvTimeoutError::Timeout) if signal.is_none() => {
                        signal = Python::attach(|py| py.check_signals()).err();
                        stop.store(signal.is_some(), Ordering::Relaxed);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => unreachable!("the work always sends its result"),
                }
            }
        })
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a fault without a message");
    PyRuntimeError::new_err(format!("internal error: {text}"))
}
