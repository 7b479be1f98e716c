//! The learning rate of a run that reduces it when a metric stops improving, as PyTorch's
//! `ReduceLROnPlateau` does.

use super::{ReduceLrOnPlateau, ThresholdMode};
use serde::{Deserialize, Serialize};

/// The learning rate and the evaluations that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plateau {
    pub(crate) learning_rate: f64,
    /// The best value so far.
    best: Option<f64>,
    /// Evaluations since the last improvement.
    bad_evaluations: u64,
    /// Evaluations that are still not counted.
    cooldown: u64,
}

impl Plateau {
    pub(crate) fn new(learning_rate: f64) -> Self {
        Self { learning_rate, best: None, bad_evaluations: 0, cooldown: 0 }
    }

    /// Takes the value of an evaluation.
    pub(crate) fn observe(&mut self, settings: &ReduceLrOnPlateau, value: f64, greater_is_better: bool) {
        if self.improves(settings, value, greater_is_better) {
            self.best = Some(value);
            self.bad_evaluations = 0;
        } else {
            self.bad_evaluations += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad_evaluations = 0;
        }
        if self.bad_evaluations > settings.patience {
            let reduced = (self.learning_rate * settings.factor).max(settings.min_lr);
            if self.learning_rate - reduced > settings.eps {
                self.learning_rate = reduced;
            }
            self.cooldown = settings.cooldown;
            self.bad_evaluations = 0;
        }
    }

    fn improves(&self, settings: &ReduceLrOnPlateau, value: f64, greater_is_better: bool) -> bool {
        let Some(best) = self.best else { return !value.is_nan() };
        match (greater_is_better, settings.threshold_mode) {
            (false, ThresholdMode::Rel) => value < best * (1.0 - settings.threshold),
            (false, ThresholdMode::Abs) => value < best - settings.threshold,
            (true, ThresholdMode::Rel) => value > best * (settings.threshold + 1.0),
            (true, ThresholdMode::Abs) => value > best + settings.threshold,
        }
    }
}
