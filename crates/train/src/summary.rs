//! The summary of a run that the Hugging Face trainer logs at its end.

use crate::plan::{Plan, Position};
use crate::{Arguments, LogRow};

/// The figures of a complete run, over all resumptions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RunSummary {
    /// Completed updates.
    pub(crate) step: u64,
    /// Completed epochs.
    pub(crate) epoch: f64,
    /// Seconds, including evaluations.
    pub(crate) seconds: f64,
    /// Rows of these updates, by the count of the reference: those of all epochs or, with a number
    /// of updates, full batches.
    pub(crate) rows: f64,
    /// Sum over the updates of their mean losses.
    pub(crate) loss: f64,
}

impl RunSummary {
    /// Returns the summary of a complete run at its last position, from the rows of its log and the
    /// losses since the last of them.
    pub(crate) fn of(
        position: &Position,
        open_loss: f64,
        log: &[LogRow],
        seconds: f64,
        plan: &Plan,
        arguments: &Arguments,
    ) -> Self {
        let Position { step, shown_epoch: epoch, .. } = *position;
        let (mut loss, mut from) = (open_loss, 0);
        for row in log {
            if let LogRow::Training { step, loss: mean, .. } = row {
                loss += mean * (step - from) as f64;
                from = *step;
            }
        }
        let planned = match arguments.max_steps {
            Some(steps) => (steps * arguments.batch_size as u64 * arguments.gradient_accumulation_steps) as f64,
            None => plan.rows as f64 * arguments.epochs,
        };
        let rows = planned * step as f64 / plan.updates.max(1) as f64;
        Self { step, epoch, seconds, rows, loss }
    }

    /// Returns the values under the names of the Hugging Face trainer. Like there, `total_flos` is
    /// 0: it counts operations only of models that report their parameters to it, which those of
    /// Sentence Transformers do not.
    pub(crate) fn logged(&self) -> Vec<(&'static str, f64)> {
        let mut logged = vec![("train_runtime", self.seconds)];
        if self.seconds > 0.0 {
            logged.push(("train_samples_per_second", self.rows / self.seconds));
            logged.push(("train_steps_per_second", self.step as f64 / self.seconds));
        }
        logged.push(("total_flos", 0.0));
        logged.push(("train_loss", self.loss / self.step.max(1) as f64));
        logged.push(("epoch", self.epoch));
        logged
    }
}
