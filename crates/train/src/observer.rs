//! `Observer`: what a run asks of whoever started it. The run does not know what is measured, how a model is saved, or
//! whether anybody watches.

use crate::{Failure, LogRow, Plan};
use std::path::Path;

/// What a run asks of whoever started it.
pub trait Observer<M> {
    /// Measures the model after `step` updates, shown as `epoch`. Names and values in the order in which they are to be logged.
    ///
    /// # Errors
    /// Ends the run, which can be resumed; it counts as interrupted if a stop was requested meanwhile.
    fn evaluate(&mut self, model: &M, step: u64, epoch: f64) -> Result<Vec<(String, f64)>, Failure>;

    /// Writes the model into `folder`, which is empty and not public yet, as part of a checkpoint. Need not sync anything.
    ///
    /// # Errors
    /// Ends the run; earlier checkpoints stand.
    fn save_model(&mut self, model: &M, folder: &Path) -> Result<(), Failure>;

    /// Is told what happens.
    fn event(&mut self, _event: &Event<'_>) {}

    /// Whether the run is to stop. Asked before every micro-batch; the run then writes a checkpoint and returns.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins, or goes on, with this plan.
    Started {
        /// What it will do.
        plan: &'a Plan,
    },
    /// A checkpoint cannot be used and was renamed; an earlier one is.
    Unusable {
        /// Where it lies now.
        checkpoint: &'a Path,
        /// What is wrong with it.
        reason: &'a str,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// The checkpoint.
        checkpoint: &'a Path,
        /// Updates made there.
        step: u64,
        /// Epochs made there.
        epoch: f64,
    },
    /// So many texts repeat that an epoch without duplicates has more micro-batches than rows ÷ batch size. As in the
    /// reference, the last ones are left out.
    LeftOut {
        /// The epoch, from 0.
        epoch: u64,
        /// How many micro-batches.
        batches: u64,
    },
    /// A micro-batch went forward and backward.
    Progress(Progress),
    /// A row was added to the log.
    Logged(&'a LogRow),
    /// The model is about to be measured.
    Evaluating {
        /// Updates made.
        step: u64,
    },
    /// This is the best model so far.
    Best {
        /// Updates made.
        step: u64,
        /// The measure that chooses.
        metric: &'a str,
        /// Its value.
        value: f64,
    },
    /// A checkpoint stands.
    Saved {
        /// Its folder.
        checkpoint: &'a Path,
    },
    /// A checkpoint was removed, for a newer one replaces it or there were too many.
    Removed {
        /// Its folder.
        checkpoint: &'a Path,
    },
    /// The run is over and the parameters are those of the best update again.
    Restored {
        /// That update.
        step: u64,
    },
}

/// Where a run stands after a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Micro-batches made, over all resumptions.
    pub micro_step: u64,
    /// Micro-batches that the plan counts with.
    pub micro_batches: u64,
    /// Updates made.
    pub step: u64,
    /// Updates to make.
    pub updates: u64,
    /// Epochs made, counted by micro-batches.
    pub epoch: f64,
    /// The loss of this micro-batch.
    pub loss: f64,
    /// The learning rate of the update that is being made.
    pub learning_rate: f64,
    /// Tokens a second, of this micro-batch.
    pub tokens_per_second: f64,
    /// Seconds until the end at the pace of this call so far, without evaluations to come.
    pub seconds_left: f64,
}
