//! The optimizer of a recipe, and its groups of parameters.

use crate::error::TrainError;
use crate::named::Named;
use serde::{Deserialize, Serialize};

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub enum Optimizer {
    /// AdamW (arXiv:1711.05101), with two moments for each parameter.
    AdamW,
    /// Adafactor (arXiv:1804.04235), with a second moment for each row and each column of a matrix.
    Adafactor(Adafactor),
}

/// Parameters of Adafactor, with the names of Hugging Face transformers and the defaults of its
/// trainer: the learning rate is that of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adafactor {
    /// Maximum root mean square of a tensor's update before it is multiplied by the learning rate.
    /// Default 1.
    pub clip_threshold: f64,
    /// Power of the number of updates in the decay rate of the moments. Default -0.8.
    pub decay_rate: f64,
    /// Multiplies the learning rate of a tensor by its root mean square, at least 1e-3. Default
    /// false.
    pub scale_parameter: bool,
}

impl Default for Adafactor {
    fn default() -> Self {
        Self { clip_threshold: 1.0, decay_rate: -0.8, scale_parameter: false }
    }
}

impl TryFrom<Named> for Optimizer {
    type Error = String;

    fn try_from(named: Named) -> Result<Self, String> {
        match named.name.as_str() {
            "adamw" => named.without_parameters(Self::AdamW),
            "adafactor" => named.parameters().map(Self::Adafactor),
            _ => Err(named.unknown(&["adamw", "adafactor"])),
        }
    }
}

impl From<Optimizer> for Named {
    fn from(optimizer: Optimizer) -> Self {
        match optimizer {
            Optimizer::AdamW => Self::plain("adamw"),
            Optimizer::Adafactor(parameters) => Self::with("adafactor", &parameters),
        }
    }
}

impl Optimizer {
    /// Checks the parameters.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let Self::Adafactor(Adafactor { clip_threshold, decay_rate, .. }) = *self else { return Ok(()) };
        let fault = |field: &str, value: f64, wanted: &str| {
            Err(TrainError::argument(format!("optimizer.{field}"), value, wanted))
        };
        if !(clip_threshold.is_finite() && clip_threshold > 0.0) {
            return fault("clip_threshold", clip_threshold, "a number above 0");
        }
        if !(-1.0..=0.0).contains(&decay_rate) {
            return fault("decay_rate", decay_rate, "from -1 to 0");
        }
        Ok(())
    }
}

/// Returns true if a value is finite in the type of the computation.
pub(crate) fn in_f32(value: f64) -> bool {
    (value as f32).is_finite()
}

/// A group of parameters with settings of its own: `[[training.groups]]`. The first group whose
/// pattern matches a parameter's name has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Pattern of names in `model.safetensors`, with `*`, `?` and `[…]`.
    pub pattern: String,
    /// Maximum learning rate in place of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// The same as a factor of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Weight decay in place of the run's. Biases and layer norms have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Leaves the parameters as they are, without gradients and moments. Default false.
    #[serde(default)]
    pub freeze: bool,
}

impl Group {
    /// Checks the values of group `number`, from 0.
    pub(crate) fn check(&self, number: usize) -> Result<(), TrainError> {
        let Self { learning_rate, factor, weight_decay, freeze, .. } = self;
        let fault = |field: &str, value: &dyn std::fmt::Display, wanted: &str| {
            Err(TrainError::argument(format!("groups[{number}].{field}"), value, wanted))
        };
        let numbers = [("learning_rate", learning_rate), ("factor", factor), ("weight_decay", weight_decay)];
        for (field, value) in numbers {
            let Some(value) = value else { continue };
            if *freeze {
                return fault(field, value, "left out in a group with `freeze`");
            }
            if !(in_f32(*value) && *value >= 0.0) {
                return fault(field, value, "a number that is not negative and that f32 can hold");
            }
        }
        if let (Some(factor), Some(_)) = (factor, learning_rate) {
            return fault("factor", factor, "left out if `learning_rate` is given");
        }
        if !freeze && learning_rate.is_none() && factor.is_none() && weight_decay.is_none() {
            return fault("pattern", &self.pattern, "given with `learning_rate`, `factor`, `weight_decay` or `freeze`");
        }
        Ok(())
    }
}
