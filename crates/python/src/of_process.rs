//! A value with threads, which a forked process has to make anew.

use pyo3::PyResult;

/// A value and the process in which its threads exist.
pub(crate) struct OfProcess<T> {
    process: u32,
    value: T,
}

impl<T> OfProcess<T> {
    /// Holds a value of this process.
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), value }
    }

    /// Returns the value, in a forked process after `renew` made one of its parent's. Callers hold
    /// the interpreter's lock, so that no other thread holds the mutex around this when the process
    /// is forked.
    ///
    /// # Errors
    /// The argument `renew`.
    pub(crate) fn get(&mut self, renew: impl FnOnce(&T) -> PyResult<T>) -> PyResult<&T> {
        if self.process != std::process::id() {
            let value = renew(&self.value)?;
            self.set(value);
        }
        Ok(&self.value)
    }

    /// Replaces the value.
    pub(crate) fn set(&mut self, value: T) {
        let old = std::mem::replace(self, Self::new(value));
        if old.process != self.process {
            // Its threads do not exist in this process, so that they cannot be joined.
            std::mem::forget(old.value);
        }
    }
}
