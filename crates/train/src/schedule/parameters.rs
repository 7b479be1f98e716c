//! Parameters of the schedules, with the names and defaults of Hugging Face transformers.

use serde::{Deserialize, Serialize};

/// Parameters of a cosine with restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineWithRestarts {
    /// Number of half cosines, each from the maximum to 0. Default 1.
    pub num_cycles: u64,
}

impl Default for CosineWithRestarts {
    fn default() -> Self {
        Self { num_cycles: 1 }
    }
}

/// Parameters of a cosine that ends above 0. One of the two minima is required.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineWithMinLr {
    /// The minimum learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lr: Option<f64>,
    /// The minimum as a share of the maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lr_rate: Option<f64>,
    /// Number of waves. Default 0.5: from the maximum to the minimum.
    pub num_cycles: f64,
}

impl Default for CosineWithMinLr {
    fn default() -> Self {
        Self { min_lr: None, min_lr_rate: None, num_cycles: 0.5 }
    }
}

/// Parameters of a polynomial decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    /// The power. Default 1.
    pub power: f64,
    /// The last learning rate. Default 1e-7.
    pub lr_end: f64,
}

impl Default for Polynomial {
    fn default() -> Self {
        Self { power: 1.0, lr_end: 1e-7 }
    }
}

/// Parameters of a decay by the inverse square root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InverseSqrt {
    /// Updates after the warmup that divide the learning rate by √2. Default: the updates of the
    /// warmup, or 10,000 without a warmup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timescale: Option<u64>,
}

/// Parameters of warmup, stable phase and decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmupStableDecay {
    /// Updates of the decay; below 1 a share of the run, rounded up. Required.
    pub num_decay_steps: f64,
    /// Updates of the stable phase. Default: those that warmup and decay leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_stable_steps: Option<u64>,
    /// Shape of the warmup. Default linear.
    #[serde(default = "linear")]
    pub warmup_type: Curve,
    /// Shape of the decay. Default cosine.
    #[serde(default = "cosine")]
    pub decay_type: Curve,
    /// The minimum as a share of the maximum. Default 0.
    #[serde(default)]
    pub min_lr_ratio: f64,
    /// Number of waves of a cosine decay. Default 0.5.
    #[serde(default = "half")]
    pub num_cycles: f64,
}

/// Shape of a warmup or a decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Curve {
    /// A line.
    #[serde(rename = "linear")]
    Linear,
    /// Half a cosine.
    #[serde(rename = "cosine")]
    Cosine,
    /// One minus a square root.
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

fn linear() -> Curve {
    Curve::Linear
}

fn cosine() -> Curve {
    Curve::Cosine
}

fn half() -> f64 {
    0.5
}

/// Parameters of a reduction when the metric of `keep_best` stops improving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    /// Factor of a reduction. Default 0.1.
    pub factor: f64,
    /// Evaluations without improvement that are tolerated. Default 10.
    pub patience: u64,
    /// Least improvement. Default 1e-4.
    pub threshold: f64,
    /// Meaning of the threshold. Default: a share of the best value.
    pub threshold_mode: ThresholdMode,
    /// Evaluations after a reduction that are not counted. Default 0.
    pub cooldown: u64,
    /// The minimum learning rate. Default 0.
    pub min_lr: f64,
    /// Least reduction; a smaller one is not made. Default 1e-8.
    pub eps: f64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

/// Meaning of the threshold of [`ReduceLrOnPlateau`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdMode {
    /// A share of the best value.
    Rel,
    /// A difference from the best value.
    Abs,
}
