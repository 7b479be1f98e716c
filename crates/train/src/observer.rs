//! The observer of a run: evaluates and saves the model, receives events and may stop the run.

use crate::{Failure, LogRow, Plan};
use std::path::Path;

/// The caller's side of a run.
pub trait Observer<M> {
    /// Evaluates the model after `step` updates, with `epoch` for display. Returns names and values
    /// in the order of the log.
    ///
    /// # Errors
    /// Ends the run, which can be resumed. It counts as interrupted if a stop was requested
    /// meanwhile.
    fn evaluate(&mut self, model: &M, step: u64, epoch: f64) -> Result<Vec<(String, f64)>, Failure>;

    /// Writes the model to `folder`, which is empty and not public yet, as part of a checkpoint.
    /// Syncing is not required.
    ///
    /// # Errors
    /// Ends the run; earlier checkpoints remain.
    fn save_model(&mut self, model: &M, folder: &Path) -> Result<(), Failure>;

    /// Receives an event.
    fn event(&mut self, _event: &Event<'_>) {}

    /// Returns true to stop the run, which then writes a checkpoint and returns. Called before
    /// every micro-batch.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// An event of a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins or continues with this plan.
    Started {
        /// The plan.
        plan: &'a Plan,
    },
    /// A checkpoint is unusable and was renamed; an earlier one is used.
    Unusable {
        /// Its new path.
        checkpoint: &'a Path,
        /// Reason.
        reason: &'a str,
    },
    /// The run continues from a checkpoint.
    Resumed {
        /// The checkpoint.
        checkpoint: &'a Path,
        /// Updates completed there.
        step: u64,
        /// Epochs completed there.
        epoch: f64,
    },
    /// Texts repeat so often that an epoch without duplicates has more micro-batches than rows ÷
    /// batch size. As in the reference, the last ones are dropped.
    LeftOut {
        /// The epoch, from 0.
        epoch: u64,
        /// Number of dropped micro-batches.
        batches: u64,
    },
    /// A micro-batch has passed forward and backward.
    Progress(Progress),
    /// A row was added to the log.
    Logged(&'a LogRow),
    /// The evaluation of the model begins.
    Evaluating {
        /// Completed updates.
        step: u64,
    },
    /// The model is the best so far.
    Best {
        /// Completed updates.
        step: u64,
        /// The deciding metric.
        metric: &'a str,
        /// Its value.
        value: f64,
    },
    /// The run ends early, because the last evaluations did not improve the deciding metric.
    StoppedEarly {
        /// Completed updates.
        step: u64,
        /// Evaluations without an improvement.
        evaluations: u64,
    },
    /// A checkpoint is complete.
    Saved {
        /// Its folder.
        checkpoint: &'a Path,
    },
    /// A checkpoint was removed, because a newer one replaces it or there were too many.
    Removed {
        /// Its folder.
        checkpoint: &'a Path,
    },
    /// The run is complete, and the parameters of the best update are loaded.
    Restored {
        /// The best update.
        step: u64,
    },
}

/// Progress of a run after a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Completed micro-batches, over all resumptions.
    pub micro_step: u64,
    /// Micro-batches of the plan.
    pub micro_batches: u64,
    /// Completed updates.
    pub step: u64,
    /// Updates of the plan.
    pub updates: u64,
    /// Completed epochs, by micro-batches.
    pub epoch: f64,
    /// Loss of this micro-batch.
    pub loss: f64,
    /// Learning rate of the current update.
    pub learning_rate: f64,
    /// Tokens per second of this micro-batch.
    pub tokens_per_second: f64,
    /// Estimated seconds until the end at the pace of this call, without further evaluations.
    pub seconds_left: f64,
}
