//! Losses: how far embeddings are from what they should be, and where each should go. A loss sees embeddings and labels only:
//! no model, no token, no text. A new one is a file here and a line in `LossArguments::build`.

mod cosent;
mod cosine;
mod cosine_similarity;
mod in_batch_negatives;
mod matryoshka;
mod symmetric;
mod triplet;

pub use cosent::CoSent;
pub use cosine_similarity::CosineSimilarity;
pub use in_batch_negatives::InBatchNegatives;
pub use matryoshka::Matryoshka;
pub use symmetric::SymmetricInBatchNegatives;
pub use triplet::Triplet;

use crate::TrainError;
use maana_kernels::{Context, Matrix, Rows};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::RangeInclusive;

/// What a loss sees of a micro-batch. Letters: `B` rows, `D` columns of an embedding.
#[derive(Clone, Copy)]
pub struct Embedded<'a> {
    /// The embeddings of each column of the data, each `(B, D)`.
    pub columns: &'a [Rows<'a>],
    /// The label of each row, `(B)`, if the data have labels.
    pub labels: Option<&'a [f32]>,
    /// The number of the micro-batch in the run, for losses that draw something at random.
    pub pass: u64,
}

/// A measure of embeddings that training makes smaller.
pub trait Loss: Send + Sync {
    /// Adds `weight` × the gradient of every embedding to `d_columns`, each `(B, D)` like its column, and gives back
    /// `weight` × the loss.
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32;

    /// The sum of this loss over the `dims`, (dimension, weight): the embeddings are cut to the dimension and normalised.
    /// Dimensions fall. A loss that can share work between them does it here.
    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        matryoshka::one_by_one(self, context, embedded, dims, weight, d_columns)
    }

    /// What the data have to have.
    fn needs(&self) -> Needs;

    /// What a model card tells of it.
    fn describe(&self) -> LossSummary;
}

/// What a loss needs of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How many text columns.
    pub columns: RangeInclusive<usize>,
    /// Whether a label is needed; where it is not, labels are ignored.
    pub labels: bool,
    /// From how many text columns on a row alone in its batch has a loss: with fewer it is compared with other rows only, and
    /// alone has a loss of 0 and no gradient.
    pub columns_alone: usize,
}

impl Needs {
    /// Checks the names of the columns, in order, and whether there are labels.
    ///
    /// # Errors
    /// If the loss called `loss` cannot work on them.
    pub fn check(&self, loss: &str, columns: &[String], labels: bool) -> Result<(), TrainError> {
        if self.columns.contains(&columns.len()) && (labels || !self.labels) {
            return Ok(());
        }
        let number = match (*self.columns.start(), *self.columns.end()) {
            (least, usize::MAX) => format!("at least {least} text columns"),
            (least, _) => format!("exactly {least} text columns"),
        };
        Err(TrainError::Columns {
            loss: loss.to_string(),
            needed: format!("{number}{}", if self.labels { " and a label" } else { "" }),
            found: format!("{} ({}) and {} label", columns.len(), columns.join(", "), if labels { "a" } else { "no" }),
        })
    }
}

/// A loss as a model card tells of it. Plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossSummary {
    /// The name in recipes.
    pub name: String,
    /// The name of the same loss in the reference.
    pub class: String,
    /// Its parameters as the reference names them, in order.
    pub parameters: Vec<(String, Value)>,
    /// The loss inside, for a loss that modifies another.
    pub inner: Option<Box<LossSummary>>,
}

impl LossSummary {
    /// The name in recipes: of a loss that modifies another, that of the other, which is the one that a recipe names.
    pub fn recipe_name(&self) -> &str {
        self.inner.as_ref().map_or(&self.name, |inner| inner.recipe_name())
    }
}

/// The `[loss]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossArguments {
    /// Which loss.
    pub name: LossName,
    /// What similarities are multiplied with, for ranking losses and CoSENT. Default 20.
    #[serde(default)]
    pub scale: Option<f64>,
    /// The distance that a triplet asks for. Default 5.
    #[serde(default)]
    pub margin: Option<f64>,
    /// Dimensions to train, falling. Default: only the model's own.
    #[serde(default)]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// The weight of each dimension. Default 1 each.
    #[serde(default)]
    pub matryoshka_weights: Option<Vec<f64>>,
    /// How many of the dimensions are drawn for each micro-batch. Default: all.
    #[serde(default)]
    pub n_dims_per_step: Option<usize>,
}

/// The losses by the names that recipes use.
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
    /// The loss without any other setting.
    pub fn new(name: LossName) -> Self {
        Self { name, scale: None, margin: None, matryoshka_dims: None, matryoshka_weights: None, n_dims_per_step: None }
    }

    /// The loss for a model with embeddings of `dimension` columns. `seed` is the run's.
    ///
    /// # Errors
    /// If a setting makes no sense or belongs to another loss, or a dimension exceeds the model's.
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
                    Err(fault("matryoshka_weights", weights, "given together with `matryoshka_dims`"))
                }
                (_, Some(number)) => Err(fault("n_dims_per_step", &number, "given together with `matryoshka_dims`")),
            };
        };
        if dims.is_empty() || dims.contains(&0) || !dims.is_sorted_by(|larger, smaller| larger > smaller) {
            return Err(fault("matryoshka_dims", dims, "falling numbers of at least 1"));
        }
        if dims[0] > dimension {
            let wanted = format!("at most {dimension}, the columns of the model's embeddings");
            return Err(fault("matryoshka_dims", dims, &wanted));
        }
        let weights = self.matryoshka_weights.clone().unwrap_or_else(|| vec![1.0; dims.len()]);
        if weights.len() != dims.len() || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
            let wanted = format!("{} numbers that are not negative, one for each dimension", dims.len());
            return Err(fault("matryoshka_weights", &weights, &wanted));
        }
        if weights.iter().all(|weight| *weight == 0.0) {
            return Err(fault(
                "matryoshka_weights",
                &weights,
                "above 0 for at least one dimension, or nothing is learnt",
            ));
        }
        if let Some(number) = self.n_dims_per_step.filter(|&number| number == 0 || number > dims.len()) {
            let wanted = format!("from 1 to {}, the number of dimensions", dims.len());
            return Err(fault("n_dims_per_step", &number, &wanted));
        }
        let dims = dims.iter().copied().zip(weights).collect();
        Ok(Box::new(Matryoshka { inner: loss, dims, dims_per_step: self.n_dims_per_step, seed }))
    }
}

fn positive(field: &str, value: Option<f64>, allowed: bool) -> Result<(), TrainError> {
    match value {
        Some(value) if !allowed => Err(fault(field, &value, "left out, for this loss has none")),
        Some(value) if !(value.is_finite() && value > 0.0) => Err(fault(field, &value, "a finite number above 0")),
        _ => Ok(()),
    }
}

fn fault(field: &str, value: &dyn std::fmt::Debug, wanted: &str) -> TrainError {
    TrainError::Argument { field: field.into(), value: format!("{value:?}"), wanted: wanted.into() }
}

/// Asserts that the columns and their gradients fit, and gives back the number of rows.
fn rows_of(embedded: &Embedded<'_>, d_columns: &[Matrix]) -> usize {
    assert_eq!(embedded.columns.len(), d_columns.len(), "one gradient for each column");
    let rows = embedded.columns[0].rows();
    for (column, d_column) in embedded.columns.iter().zip(d_columns) {
        assert_eq!(column.rows(), rows, "all columns have as many rows");
        assert_eq!(
            (d_column.rows(), d_column.columns()),
            (rows, column.columns()),
            "the gradient is as large as the column"
        );
    }
    rows
}
