//! The threads of the computation, made when they are first needed.

use crate::of_process::OfProcess;
use maana::kernels::Context;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

static SHARED: Mutex<Option<OfProcess<Context>>> = Mutex::new(None);

/// Returns the context of this process, with the number of threads of `MAANA_THREADS`, else with
/// as many as it may use.
///
/// # Errors
/// If `MAANA_THREADS` is not a number of at least 1.
pub(crate) fn context() -> PyResult<Context> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = match &mut *shared {
        Some(made) => made,
        none => none.insert(OfProcess::new(of_environment()?)),
    };
    shared.get(|_| of_environment()).cloned()
}

/// Sets the number of threads of this process.
#[pyfunction]
pub(crate) fn set_threads(threads: usize) -> PyResult<()> {
    let context = with_threads(Some(threads), &format!("threads is {threads}"))?;
    match &mut *SHARED.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(made) => made.set(context),
        none => *none = Some(OfProcess::new(context)),
    }
    Ok(())
}

fn of_environment() -> PyResult<Context> {
    match std::env::var("MAANA_THREADS") {
        Ok(value) => with_threads(value.parse().ok(), &format!("MAANA_THREADS is {value:?}")),
        Err(_) => Ok(Context::available()),
    }
}

fn with_threads(threads: Option<usize>, found: &str) -> PyResult<Context> {
    match threads {
        Some(threads @ 1..=1024) => Ok(Context::new(threads)),
        _ => Err(PyValueError::new_err(format!("{found}; expected a number of threads from 1 to 1024"))),
    }
}
