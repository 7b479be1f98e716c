//! A model in use: with its threads and the memory of its passes.

use crate::ModelError;
use crate::activations::Activations;
use crate::inference_model::InferenceModel;
use maana_kernels::{Context, Matrix};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A model, or one of its towers, with its threads and memory.
pub(crate) struct Runner {
    pub(crate) model: Arc<InferenceModel>,
    pub(crate) context: Context,
    activations: Mutex<Activations>,
}

impl Runner {
    /// Returns a model on these threads. Takes no memory before the first pass.
    pub(crate) fn new(model: &Arc<InferenceModel>, context: &Context) -> Arc<Self> {
        Arc::new(Self { model: Arc::clone(model), context: context.clone(), activations: Mutex::default() })
    }

    /// Waits for the memory of passes, and reserves it for batches of `batch_tokens` tokens.
    pub(crate) fn activations(&self, batch_tokens: usize) -> MutexGuard<'_, Activations> {
        // Every pass overwrites what a panic may have left.
        let mut activations = self.activations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.model.reserve(batch_tokens, &mut activations);
        activations
    }

    /// Returns an error if a result is not finite because a memory-mapped weight is not.
    pub(crate) fn check_result(&self, result: &Matrix) -> Result<(), ModelError> {
        if result.data().iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        self.model.check_weights(&self.context)
    }
}

/// Returns an error once `stop` is true.
pub(crate) fn check_stop(stop: Option<&AtomicBool>) -> Result<(), ModelError> {
    match stop {
        Some(stop) if stop.load(Ordering::Relaxed) => Err(ModelError::Stopped),
        _ => Ok(()),
    }
}
