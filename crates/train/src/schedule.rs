//! Schedules of the learning rate: names, parameters and the value of each update are those of
//! Hugging Face transformers.

#[cfg(test)]
mod golden;
mod parameters;
mod plateau;

pub use parameters::{
    CosineWithMinLr, CosineWithRestarts, Curve, InverseSqrt, Polynomial, ReduceLrOnPlateau, ThresholdMode,
    WarmupStableDecay,
};
pub(crate) use plateau::Plateau;

use crate::error::TrainError;
use crate::named::Named;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Schedule of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub enum Schedule {
    /// Linear decay to 0 after the warmup.
    Linear,
    /// Decay to 0 along half a cosine after the warmup.
    Cosine,
    /// Several decays to 0 along half a cosine, each from the maximum, after the warmup.
    CosineWithRestarts(CosineWithRestarts),
    /// Decay to a minimum along half a cosine after the warmup.
    CosineWithMinLr(CosineWithMinLr),
    /// Polynomial decay after the warmup.
    Polynomial(Polynomial),
    /// Constant, without a warmup.
    Constant,
    /// Constant after the warmup.
    ConstantWithWarmup,
    /// Decay by the inverse square root of the updates after the warmup.
    InverseSqrt(InverseSqrt),
    /// Warmup, a constant phase and a decay.
    WarmupStableDecay(WarmupStableDecay),
    /// Constant, without a warmup, and reduced when the metric of `keep_best` stops improving.
    ReduceLrOnPlateau(ReduceLrOnPlateau),
}

/// All names.
const NAMES: [&str; 10] = [
    "linear",
    "cosine",
    "cosine_with_restarts",
    "cosine_with_min_lr",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "warmup_stable_decay",
    "reduce_lr_on_plateau",
];

impl TryFrom<Named> for Schedule {
    type Error = String;

    fn try_from(named: Named) -> Result<Self, String> {
        match named.name.as_str() {
            "linear" => named.without_parameters(Self::Linear),
            "cosine" => named.without_parameters(Self::Cosine),
            "cosine_with_restarts" => named.parameters().map(Self::CosineWithRestarts),
            "cosine_with_min_lr" => named.parameters().map(Self::CosineWithMinLr),
            "polynomial" => named.parameters().map(Self::Polynomial),
            "constant" => named.without_parameters(Self::Constant),
            "constant_with_warmup" => named.without_parameters(Self::ConstantWithWarmup),
            "inverse_sqrt" => named.parameters().map(Self::InverseSqrt),
            "warmup_stable_decay" => named.parameters().map(Self::WarmupStableDecay),
            "reduce_lr_on_plateau" => named.parameters().map(Self::ReduceLrOnPlateau),
            _ => Err(named.unknown(&NAMES)),
        }
    }
}

impl From<Schedule> for Named {
    fn from(schedule: Schedule) -> Self {
        let name = schedule.name();
        match schedule {
            Schedule::Linear | Schedule::Cosine | Schedule::Constant | Schedule::ConstantWithWarmup => {
                Self::plain(name)
            }
            Schedule::CosineWithRestarts(parameters) => Self::with(name, &parameters),
            Schedule::CosineWithMinLr(parameters) => Self::with(name, &parameters),
            Schedule::Polynomial(parameters) => Self::with(name, &parameters),
            Schedule::InverseSqrt(parameters) => Self::with(name, &parameters),
            Schedule::WarmupStableDecay(parameters) => Self::with(name, &parameters),
            Schedule::ReduceLrOnPlateau(parameters) => Self::with(name, &parameters),
        }
    }
}

impl Schedule {
    /// Name in the recipe, which is that of transformers' `SchedulerType`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::CosineWithRestarts(_) => "cosine_with_restarts",
            Self::CosineWithMinLr(_) => "cosine_with_min_lr",
            Self::Polynomial(_) => "polynomial",
            Self::Constant => "constant",
            Self::ConstantWithWarmup => "constant_with_warmup",
            Self::InverseSqrt(_) => "inverse_sqrt",
            Self::WarmupStableDecay(_) => "warmup_stable_decay",
            Self::ReduceLrOnPlateau(_) => "reduce_lr_on_plateau",
        }
    }

    /// Returns true if the schedule begins with the warmup.
    pub fn has_warmup(&self) -> bool {
        !matches!(self, Self::Constant | Self::ReduceLrOnPlateau(_))
    }

    /// Checks the parameters of a schedule with this maximum.
    pub(crate) fn check(&self, learning_rate: f64) -> Result<(), TrainError> {
        let fault = |field: &str, value: &dyn std::fmt::Display, wanted: &str| {
            Err(TrainError::argument(format!("schedule.{field}"), value, wanted))
        };
        let below = format!("at least 0 and below the learning_rate {learning_rate}");
        let share = 0.0..=1.0;
        match *self {
            Self::CosineWithRestarts(CosineWithRestarts { num_cycles: 0 }) => fault("num_cycles", &0, "at least 1"),
            Self::CosineWithMinLr(CosineWithMinLr { min_lr, min_lr_rate, num_cycles }) => {
                match (min_lr, min_lr_rate) {
                    (None, None) => return fault("min_lr", &"missing", "given, or `min_lr_rate` in its place"),
                    (Some(rate), Some(_)) => return fault("min_lr", &rate, "left out if `min_lr_rate` is given"),
                    (Some(rate), None) if !(0.0..learning_rate).contains(&rate) => {
                        return fault("min_lr", &rate, &below);
                    }
                    (None, Some(rate)) if !share.contains(&rate) => return fault("min_lr_rate", &rate, "from 0 to 1"),
                    _ => {}
                }
                waves(num_cycles).or_else(|()| fault("num_cycles", &num_cycles, "a number above 0"))
            }
            Self::Polynomial(Polynomial { power, .. }) if !(power.is_finite() && power > 0.0) => {
                fault("power", &power, "a number above 0")
            }
            Self::Polynomial(Polynomial { lr_end, .. }) if !(0.0..learning_rate).contains(&lr_end) => {
                fault("lr_end", &lr_end, &below)
            }
            Self::InverseSqrt(InverseSqrt { timescale: Some(0) }) => fault("timescale", &0, "at least 1"),
            Self::WarmupStableDecay(parameters) => {
                let WarmupStableDecay { num_decay_steps: decay, min_lr_ratio, num_cycles, .. } = parameters;
                if !(decay > 0.0 && decay < 1e15 && (decay < 1.0 || decay.fract() == 0.0)) {
                    return fault("num_decay_steps", &decay, "a number of updates, or a share of the run below 1");
                }
                if !share.contains(&min_lr_ratio) {
                    return fault("min_lr_ratio", &min_lr_ratio, "from 0 to 1");
                }
                waves(num_cycles).or_else(|()| fault("num_cycles", &num_cycles, "a number above 0"))
            }
            Self::ReduceLrOnPlateau(ReduceLrOnPlateau { factor, threshold, min_lr, eps, .. }) => {
                if !(factor > 0.0 && factor < 1.0) {
                    return fault("factor", &factor, "above 0 and below 1");
                }
                let not_negative = [("threshold", threshold), ("min_lr", min_lr), ("eps", eps)];
                match not_negative.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
                    Some((field, value)) => fault(field, &value, "a number that is not negative"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Returns the learning rate of update `step` (from 0) of `steps` as a fraction of
    /// `learning_rate`, the maximum, with `warmup` updates. The first update of most warmups has 0.
    /// Reductions on a plateau are not part of it.
    pub(crate) fn factor(&self, step: u64, warmup: u64, steps: u64, learning_rate: f64) -> f64 {
        let (at, rise, all) = (step as f64, warmup as f64, steps as f64);
        if !self.has_warmup() {
            return 1.0;
        }
        if let Self::WarmupStableDecay(parameters) = self {
            return parameters.factor(at, rise, all);
        }
        if step < warmup {
            return at / rise.max(1.0);
        }
        let progress = (at - rise) / (all - rise).max(1.0);
        match *self {
            Self::Linear => ((all - at) / (all - rise).max(1.0)).max(0.0),
            Self::Cosine => cosine(0.5, progress).max(0.0),
            Self::CosineWithRestarts(_) if progress >= 1.0 => 0.0,
            Self::CosineWithRestarts(CosineWithRestarts { num_cycles }) => {
                (0.5 * (1.0 + libm::cos(PI * ((num_cycles as f64 * progress) % 1.0)))).max(0.0)
            }
            Self::CosineWithMinLr(CosineWithMinLr { min_lr, min_lr_rate, num_cycles }) => {
                let minimum = min_lr_rate.or(min_lr.map(|rate| rate / learning_rate)).unwrap_or(0.0);
                (cosine(num_cycles, progress) * (1.0 - minimum) + minimum).max(0.0)
            }
            Self::Polynomial(Polynomial { power, lr_end }) => {
                let remaining = libm::pow((1.0 - progress).max(0.0), power);
                ((learning_rate - lr_end) * remaining + lr_end) / learning_rate
            }
            Self::InverseSqrt(InverseSqrt { timescale }) => {
                let timescale = timescale.unwrap_or(if warmup > 0 { warmup } else { 10_000 }) as f64;
                1.0 / ((at + (timescale - rise)) / timescale).sqrt()
            }
            Self::Constant | Self::ConstantWithWarmup | Self::WarmupStableDecay(_) | Self::ReduceLrOnPlateau(_) => 1.0,
        }
    }
}

impl WarmupStableDecay {
    /// Returns the updates of the decay in a run of `steps` updates.
    pub fn decay_steps(&self, steps: u64) -> u64 {
        let count = self.num_decay_steps;
        if count < 1.0 { (count * steps as f64).ceil() as u64 } else { count as u64 }
    }

    fn factor(&self, at: f64, rise: f64, all: f64) -> f64 {
        let decay = self.decay_steps(all as u64) as f64;
        let stable = self.num_stable_steps.map_or(all - rise - decay, |steps| steps as f64);
        let above_minimum = |factor: f64| (factor * (1.0 - self.min_lr_ratio) + self.min_lr_ratio).max(0.0);
        if at < rise {
            let progress = at / rise.max(1.0);
            return above_minimum(match self.warmup_type {
                Curve::Linear => progress,
                Curve::Cosine => 0.5 * (1.0 - libm::cos(PI * progress)),
                Curve::OneMinusSqrt => 1.0 - (1.0 - progress).sqrt(),
            });
        }
        if at < rise + stable {
            return 1.0;
        }
        if at < rise + stable + decay {
            let progress = (at - rise - stable) / decay.max(1.0);
            return above_minimum(match self.decay_type {
                Curve::Linear => 1.0 - progress,
                Curve::Cosine => cosine(self.num_cycles, progress),
                Curve::OneMinusSqrt => 1.0 - progress.sqrt(),
            });
        }
        self.min_lr_ratio
    }
}

/// Returns a cosine from 1, with `num_cycles` waves between 0 and 1.
fn cosine(num_cycles: f64, progress: f64) -> f64 {
    0.5 * (1.0 + libm::cos(PI * num_cycles * 2.0 * progress))
}

fn waves(num_cycles: f64) -> Result<(), ()> {
    if num_cycles.is_finite() && num_cycles > 0.0 { Ok(()) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_of_the_golden_run() {
        let golden = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/train_tiny.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
        let steps = golden["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 20);
        for (step, row) in steps.iter().enumerate() {
            let rate = 1e-3 * Schedule::Cosine.factor(step as u64, 2, 20, 1.0);
            assert_eq!(rate, row["learning_rate"].as_f64().unwrap(), "update {step}");
        }
    }

    #[test]
    fn the_learning_rates_that_the_run_of_3_0_1_logged() {
        let golden = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/st301/run.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
        for row in golden["log_history"].as_array().unwrap() {
            if let Some(logged) = row.get("learning_rate") {
                let step = row["step"].as_u64().unwrap();
                assert_eq!(5e-4 * Schedule::Cosine.factor(step, 2, 12, 1.0), logged.as_f64().unwrap(), "step {step}");
            }
        }
    }

    #[test]
    fn each_schedule_at_its_corners() {
        for schedule in [Schedule::Linear, Schedule::Cosine, Schedule::ConstantWithWarmup] {
            assert_eq!(schedule.factor(0, 4, 10, 1.0), 0.0, "{schedule:?} starts at 0");
            assert_eq!(schedule.factor(2, 4, 10, 1.0), 0.5, "{schedule:?} rises");
            assert_eq!(schedule.factor(4, 4, 10, 1.0), 1.0, "{schedule:?} reaches 1");
            assert_eq!(schedule.factor(0, 0, 10, 1.0), 1.0, "{schedule:?} without warmup");
        }
        assert_eq!(Schedule::Linear.factor(7, 4, 10, 1.0), 0.5);
        assert_eq!(Schedule::Linear.factor(10, 4, 10, 1.0), 0.0);
        assert_eq!(Schedule::Cosine.factor(10, 4, 10, 1.0), 0.0);
        assert_eq!(Schedule::ConstantWithWarmup.factor(10, 4, 10, 1.0), 1.0);
        assert_eq!(Schedule::Constant.factor(0, 4, 10, 1.0), 1.0, "constant knows no warmup");
        assert_eq!(Schedule::Linear.factor(0, 1, 1, 1.0), 0.0, "a single update that is all warmup");
        assert_eq!(Schedule::Cosine.factor(1, 1, 1, 1.0), 1.0, "no division by nothing");
    }
}
