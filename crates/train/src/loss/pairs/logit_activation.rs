//! Activation functions of logits, with their slopes.

use libm::{exp, log1p, tanh};
use serde::{Deserialize, Serialize};

/// An activation function of a logit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogitActivation {
    /// The logit itself.
    #[default]
    Identity,
    /// `1 / (1 + e^−x)`
    Sigmoid,
    /// `tanh x`
    Tanh,
    /// `max(x, 0)`
    Relu,
}

impl LogitActivation {
    /// Returns the activation of a logit.
    pub fn of(self, logit: f64) -> f64 {
        match self {
            Self::Identity => logit,
            Self::Sigmoid => sigmoid(logit),
            Self::Tanh => tanh(logit),
            Self::Relu => logit.max(0.0),
        }
    }

    /// Returns the slope at a logit whose activation is `y`.
    pub fn slope(self, y: f64) -> f64 {
        match self {
            Self::Identity => 1.0,
            Self::Sigmoid => y * (1.0 - y),
            Self::Tanh => 1.0 - y * y,
            Self::Relu => f64::from(u8::from(y > 0.0)),
        }
    }

    /// Returns the reference's name of the function.
    pub fn class(self) -> &'static str {
        match self {
            Self::Identity => "torch.nn.modules.linear.Identity",
            Self::Sigmoid => "torch.nn.modules.activation.Sigmoid",
            Self::Tanh => "torch.nn.modules.activation.Tanh",
            Self::Relu => "torch.nn.modules.activation.ReLU",
        }
    }
}

/// Returns `−ln σ(x) = ln(1 + e^−x)` without overflow.
pub(super) fn minus_log_sigmoid(x: f64) -> f64 {
    log1p(exp(-x.abs())) + (-x).max(0.0)
}

/// Returns `1 / (1 + e^−x)` without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + exp(-x))
    } else {
        let e = exp(x);
        e / (1.0 + e)
    }
}
