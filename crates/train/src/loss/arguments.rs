//! The settings of losses. A new loss is a file in `loss/` and a line in [`LossArguments::build`].

use super::cosent::CoSent;
use super::cosine_similarity::CosineSimilarity;
use super::in_batch_negatives::InBatchNegatives;
use super::matryoshka::Matryoshka;
use super::objective::Loss;
use super::symmetric::SymmetricInBatchNegatives;
use super::triplet::Triplet;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};

/// The `[loss]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossArguments {
    /// Name of the loss.
    pub name: LossName,
    /// Factor of the similarities, for ranking losses and CoSENT. Default 20.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Margin between the distances of a triplet. Default 5.
    #[serde(default)]
    pub margin: Option<f64>,
    /// Dimensions to train, in descending order. Default: only the model's own.
    #[serde(default)]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// Weight of each dimension. Default 1.
    #[serde(default)]
    pub matryoshka_weights: Option<Vec<f64>>,
    /// Number of dimensions that are drawn for each micro-batch. Default: all.
    #[serde(default)]
    pub n_dims_per_step: Option<usize>,
}

/// The names of losses in recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// [`InBatchNegatives`].
    MultipleNegativesRanking,
    /// [`SymmetricInBatchNegatives`].
    MultipleNegativesSymmetricRanking,
    /// [`CoSent`].
    Cosent,
    /// [`CosineSimilarity`].
    CosineSimilarity,
    /// [`Triplet`].
    Triplet,
}

impl LossArguments {
    /// Creates the settings of a loss, with defaults.
    pub fn new(name: LossName) -> Self {
        Self { name, scale: None, margin: None, matryoshka_dims: None, matryoshka_weights: None, n_dims_per_step: None }
    }

    /// Creates the loss for a model with embeddings of `dimension` columns and the seed of the run.
    ///
    /// # Errors
    /// If a setting is invalid or belongs to another loss, or a dimension exceeds the model's.
    pub fn build(&self, dimension: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        let scaled = !matches!(self.name, LossName::CosineSimilarity | LossName::Triplet);
        positive("scale", self.scale, scaled)?;
        positive("margin", self.margin, self.name == LossName::Triplet)?;
        let scale = self.scale.unwrap_or(20.0);
        let loss: Box<dyn Loss> = match self.name {
            LossName::MultipleNegativesRanking => Box::new(InBatchNegatives { scale }),
            LossName::MultipleNegativesSymmetricRanking => Box::new(SymmetricInBatchNegatives { scale }),
            LossName::Cosent => Box::new(CoSent { scale }),
            LossName::CosineSimilarity => Box::new(CosineSimilarity),
            LossName::Triplet => Box::new(Triplet { margin: self.margin.unwrap_or(5.0) }),
        };
        let Some(dims) = &self.matryoshka_dims else {
            return match (&self.matryoshka_weights, self.n_dims_per_step) {
                (None, None) => Ok(loss),
                (Some(weights), _) => {
                    Err(invalid("matryoshka_weights", weights, "given together with `matryoshka_dims`"))
                }
                (_, Some(number)) => Err(invalid("n_dims_per_step", &number, "given together with `matryoshka_dims`")),
            };
        };
        if dims.is_empty() || dims.contains(&0) || !dims.is_sorted_by(|larger, smaller| larger > smaller) {
            return Err(invalid("matryoshka_dims", dims, "falling numbers of at least 1"));
        }
        if dims[0] > dimension {
            let wanted = format!("at most {dimension}, the columns of the model's embeddings");
            return Err(invalid("matryoshka_dims", dims, &wanted));
        }
        let weights = self.matryoshka_weights.clone().unwrap_or_else(|| vec![1.0; dims.len()]);
        if weights.len() != dims.len() || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
            let wanted = format!("{} numbers that are not negative, one for each dimension", dims.len());
            return Err(invalid("matryoshka_weights", &weights, &wanted));
        }
        if weights.iter().all(|weight| *weight == 0.0) {
            return Err(invalid(
                "matryoshka_weights",
                &weights,
                "above 0 for at least one dimension, or nothing is learnt",
            ));
        }
        if let Some(number) = self.n_dims_per_step.filter(|&number| number == 0 || number > dims.len()) {
            let wanted = format!("from 1 to {}, the number of dimensions", dims.len());
            return Err(invalid("n_dims_per_step", &number, &wanted));
        }
        let dims = dims.iter().copied().zip(weights).collect();
        Ok(Box::new(Matryoshka { inner: loss, dims, dims_per_step: self.n_dims_per_step, seed }))
    }
}

fn positive(field: &str, value: Option<f64>, allowed: bool) -> Result<(), TrainError> {
    match value {
        Some(value) if !allowed => Err(invalid(field, &value, "left out, for this loss has none")),
        Some(value) if !(value.is_finite() && value > 0.0) => Err(invalid(field, &value, "a finite number above 0")),
        _ => Ok(()),
    }
}

fn invalid(field: &str, value: &dyn std::fmt::Debug, wanted: &str) -> TrainError {
    TrainError::Argument { field: field.into(), value: format!("{value:?}"), wanted: wanted.into() }
}
