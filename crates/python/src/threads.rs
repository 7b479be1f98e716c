//! The threads of the computation, made when they are first needed and made anew in a process that
//! was forked, which has none of its parent's.

use maana::kernels::Context;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A context and the process that made it.
struct Made {
    process: u32,
    context: Context,
}

static SHARED: Mutex<Option<Made>> = Mutex::new(None);

/// Returns the context of this process, with the number of threads of `MAANA_THREADS`, else with
/// as many as it may use. Called with the interpreter's lock, so that no other thread holds the
/// mutex when the process is forked.
///
/// # Errors
/// If `MAANA_THREADS` is not a number of at least 1.
pub(crate) fn context() -> PyResult<Context> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = shared.as_ref().filter(|made| made.process == std::process::id()) {
        return Ok(made.context.clone());
    }
    let context = match std::env::var("MAANA_THREADS") {
        Ok(value) => with_threads(value.parse().ok(), &format!("MAANA_THREADS is {value:?}"))?,
        Err(_) => Context::available(),
    };
    replace(&mut shared, context.clone());
    Ok(context)
}

/// Sets the number of threads of this process.
#[pyfunction]
pub(crate) fn set_threads(threads: usize) -> PyResult<()> {
    let context = with_threads(Some(threads), &format!("threads is {threads}"))?;
    replace(&mut SHARED.lock().unwrap_or_else(PoisonError::into_inner), context);
    Ok(())
}

fn with_threads(threads: Option<usize>, found: &str) -> PyResult<Context> {
    match threads {
        Some(threads @ 1..=1024) => Ok(Context::new(threads)),
        _ => Err(PyValueError::new_err(format!("{found}; expected a number of threads from 1 to 1024"))),
    }
}

fn replace(shared: &mut Option<Made>, context: Context) {
    let process = std::process::id();
    if let Some(made) = shared.replace(Made { process, context })
        && made.process != process
    {
        // Its threads do not exist in this process, so that they cannot be joined.
        std::mem::forget(made);
    }
}
