//! Long work of requests, on threads for it.

use crate::request_error::RequestError;
use crate::system::{System, blocking};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Runs long work, as many pieces at a time as there are cores, so that connections stay
/// responsive.
pub(crate) struct Offload {
    system: Arc<dyn System>,
    turns: Semaphore,
}

impl Offload {
    /// Allows `at_once` pieces of work at the same time.
    pub(crate) fn new(system: Arc<dyn System>, at_once: usize) -> Self {
        Self { system, turns: Semaphore::new(at_once) }
    }

    /// Runs work on a thread for it if it is long, else at once.
    ///
    /// # Errors
    /// If it panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        is_long: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        if !is_long {
            return Ok(work());
        }
        let _turn = self.turns.acquire().await.map_err(|_| RequestError::backend())?;
        blocking(&*self.system, work).await.ok_or_else(RequestError::backend)
    }
}
