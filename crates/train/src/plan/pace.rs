//! The accumulation of micro-batches to updates, and the position of a run.

use crate::{Arguments, Version};
use serde::{Deserialize, Serialize};

/// A moment of the run as the log shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Completed updates.
    pub step: u64,
    /// Completed epochs, as the reference counts them: those of the last update.
    pub epoch: f64,
}

/// Position of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Completed epochs.
    pub epoch: u64,
    /// Completed micro-batches of this epoch.
    pub batch: u64,
    /// Completed micro-batches of the run.
    pub micro_step: u64,
    /// Micro-batches since the last update, whose gradients are pending.
    pub open: u64,
    /// Completed updates.
    pub step: u64,
    /// Completed epochs, as the log shows them.
    pub shown_epoch: f64,
}

impl Position {
    pub(super) fn moment(&self) -> Moment {
        Moment { step: self.step, epoch: self.shown_epoch }
    }
}

/// Accumulation of micro-batches to updates, in one of two ways.
///
/// Currently groups are formed within an epoch; the last may be smaller, and its losses are divided
/// by its actual size. In transformers 4.41 groups continue across epochs and are always divided by
/// the full size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    across_epochs: bool,
    group: u64,
    pub(super) batches_per_epoch: u64,
}

impl Pace {
    pub(super) fn new(batches_per_epoch: usize, arguments: &Arguments) -> Self {
        Self {
            across_epochs: arguments.reproduce == Some(Version::V3_0_1),
            group: arguments.gradient_accumulation_steps,
            batches_per_epoch: batches_per_epoch as u64,
        }
    }

    pub(super) fn updates_per_epoch(&self) -> u64 {
        if self.across_epochs {
            (self.batches_per_epoch / self.group).max(1)
        } else {
            self.batches_per_epoch.div_ceil(self.group)
        }
    }

    /// Returns how many of the micro-batches that the sampler drew for an epoch are used.
    pub(crate) fn used(&self, drawn: u64) -> u64 {
        if self.across_epochs { drawn } else { drawn.min(self.batches_per_epoch) }
    }

    /// Returns the divisor of the loss of the next micro-batch, if its epoch has `batches`
    /// micro-batches.
    pub(crate) fn divisor(&self, position: &Position, batches: u64) -> u64 {
        if self.across_epochs {
            return self.group;
        }
        let first = position.batch - position.batch % self.group;
        self.group.min(batches - first)
    }

    /// Completes a micro-batch in an epoch of `batches`. Returns true if an update is due.
    pub(crate) fn advance(&self, position: &mut Position, batches: u64) -> bool {
        position.batch += 1;
        position.micro_step += 1;
        position.open += 1;
        let updated = if self.across_epochs {
            let short = self.batches_per_epoch <= self.group && position.batch == self.batches_per_epoch.min(batches);
            position.micro_step.is_multiple_of(self.group) || short
        } else {
            position.batch.is_multiple_of(self.group) || position.batch == batches
        };
        if updated {
            position.open = 0;
            position.step += 1;
            position.shown_epoch = position.epoch as f64 + position.batch as f64 / self.batches_per_epoch as f64;
        }
        if position.batch == batches {
            position.epoch += 1;
            position.batch = 0;
        }
        updated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Divisors: currently every micro-batch of a group is divided by the size of the group.
        #[test]
        fn groups_are_divided_by_their_size(batches in 1_u64..60, group in 1_u64..9, epochs in 1_u64..4) {
            let pace = Pace { across_epochs: false, group, batches_per_epoch: batches };
            let mut position = Position::default();
            let mut sum = 0.0;
            while position.epoch < epochs {
                sum += 1.0 / pace.divisor(&position, batches) as f64;
                if pace.advance(&mut position, batches) {
                    prop_assert!((sum - 1.0).abs() < 1e-9, "weights of a group sum to {sum}");
                    sum = 0.0;
                }
            }
            prop_assert_eq!(position.step, epochs * pace.updates_per_epoch());
            prop_assert_eq!(position.open, 0);
        }

        /// With 4.41 every full group is an update, across epochs.
        #[test]
        fn groups_run_on_across_epochs(batches in 10_u64..60, group in 1_u64..9, epochs in 1_u64..4) {
            let pace = Pace { across_epochs: true, group, batches_per_epoch: batches };
            let mut position = Position::default();
            while position.epoch < epochs {
                pace.advance(&mut position, batches);
            }
            prop_assert_eq!(position.step, epochs * batches / group);
            prop_assert_eq!(position.open, epochs * batches % group);
        }
    }
}
