//! The interface of losses: embeddings and labels in, a loss and the gradients of the embeddings
//! out.

use super::needs::Needs;
use super::row_pairs::Pairs;
use crate::linear_layer::LinearLayer;
use maana_kernels::{Context, Matrix, Rows};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The embeddings and labels of a micro-batch. Letters: `B` rows, `D` columns of an embedding, `P`
/// pairs of texts, `K` logits of a pair.
#[derive(Clone, Copy)]
pub struct Embedded<'a> {
    /// Embeddings of each column of the data, each `(B, D)`; in training followed by those of each
    /// of [`Loss::layers`]. For losses of cross-encoders one column: the logits of all pairs, row
    /// by row, `(P, K)`.
    pub columns: &'a [Rows<'a>],
    /// Numbers of each row's label, `(B, L)`, if the data have labels. Rows of lists have a number
    /// for each pair, `(P, 1)`.
    pub labels: Option<Rows<'a>>,
    /// Start of each row's pairs, followed by their number, `(B + 1)`; empty for embeddings.
    pub pairs: &'a [usize],
    /// Number of the micro-batch in the run, for losses that draw at random.
    pub pass: u64,
    /// True in training. In an evaluation the embeddings are those of the last layer only, and a
    /// loss adds nothing to the gradients of its own parameters.
    pub trains: bool,
}

/// A function of embeddings that training minimises.
pub trait Loss: Send + Sync {
    /// Adds `weight` × the gradient of every embedding to `d_columns`, each `(B, D)` like its
    /// column, and returns `weight` × the loss.
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32;

    /// Returns the sum of the loss over the `dims`, (dimension, weight) in descending order, with
    /// the embeddings truncated to the dimension and normalised. Losses that can share work between
    /// dimensions override this.
    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        one_by_one(self, context, embedded, dims, weight, d_columns)
    }

    /// Returns the columns and labels that the loss requires.
    fn needs(&self) -> Needs;

    /// Returns the pairs of each row if the loss is one of cross-encoders, whose logits it sees.
    fn pairs(&self) -> Option<Pairs> {
        None
    }

    /// Returns the lower layers whose embeddings the loss sees in micro-batch `pass`, ascending.
    /// The embeddings of tokens are number 0, the output of the first layer is number 1.
    fn layers(&self, _pass: u64) -> Vec<usize> {
        Vec::new()
    }

    /// Returns the layer that the loss owns and that trains with the model, if it has one.
    fn trained_layer(&self) -> Option<&LinearLayer> {
        None
    }

    /// Returns the description for a model card.
    fn describe(&self) -> LossSummary;
}

impl<L: Loss + ?Sized> Loss for Arc<L> {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        (**self).loss(context, embedded, weight, d_columns)
    }

    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        (**self).nested(context, embedded, dims, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        (**self).needs()
    }

    fn pairs(&self) -> Option<Pairs> {
        (**self).pairs()
    }

    fn layers(&self, pass: u64) -> Vec<usize> {
        (**self).layers(pass)
    }

    fn trained_layer(&self) -> Option<&LinearLayer> {
        (**self).trained_layer()
    }

    fn describe(&self) -> LossSummary {
        (**self).describe()
    }
}

/// Description of a loss for a model card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossSummary {
    /// Name in recipes.
    pub name: String,
    /// Name of the same loss in the reference.
    pub class: String,
    /// Parameters with the reference's names, in order.
    pub parameters: Vec<(String, Value)>,
    /// The inner loss, for a loss that modifies another.
    pub inner: Option<Box<LossSummary>>,
}

impl LossSummary {
    /// Returns the loss that others modify, or the loss itself.
    pub fn innermost_mut(&mut self) -> &mut Self {
        match self.inner {
            Some(ref mut inner) => inner.innermost_mut(),
            None => self,
        }
    }

    /// Returns the name in recipes; for a loss that modifies another, the name of the other.
    pub fn recipe_name(&self) -> &str {
        self.inner.as_ref().map_or(&self.name, |inner| inner.recipe_name())
    }
}

/// Computes the sum over the dimensions one after the other.
fn one_by_one<L: Loss + ?Sized>(
    loss: &L,
    context: &Context,
    embedded: &Embedded<'_>,
    dims: &[(usize, f32)],
    weight: f32,
    d_columns: &mut [Matrix],
) -> f32 {
    let mut value = 0.0;
    for &(dim, dim_weight) in dims {
        let prefixes: Vec<Rows<'_>> = embedded.columns.iter().map(|column| column.prefix(dim)).collect();
        let normalised: Vec<Matrix> =
            prefixes.iter().map(|prefix| maana_kernels::normalized(context, *prefix)).collect();
        let columns: Vec<Rows<'_>> = normalised.iter().map(Matrix::view).collect();
        let mut d_normalised: Vec<Matrix> = prefixes.iter().map(|prefix| Matrix::zeros(prefix.rows(), dim)).collect();
        value +=
            loss.loss(context, &Embedded { columns: &columns, ..*embedded }, weight * dim_weight, &mut d_normalised);
        for ((prefix, d_y), d_column) in prefixes.iter().zip(&d_normalised).zip(&mut *d_columns) {
            let mut d_prefix = Matrix::zeros(prefix.rows(), dim);
            maana_kernels::normalize_backward(context, *prefix, d_y.view(), d_prefix.data_mut());
            for row in 0..prefix.rows() {
                for (d, d_prefix) in d_column.row_mut(row).iter_mut().zip(d_prefix.row(row)) {
                    *d += d_prefix;
                }
            }
        }
    }
    value
}

/// Checks that the columns and their gradients have the same shapes, and returns the number of
/// rows.
pub(super) fn rows_of(embedded: &Embedded<'_>, d_columns: &[Matrix]) -> usize {
    assert_eq!(embedded.columns.len(), d_columns.len(), "a gradient for each column");
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

/// Returns the labels of a loss that requires a single number for each row.
pub(super) fn single_labels<'a>(embedded: &Embedded<'a>) -> &'a [f32] {
    let labels = embedded.labels.expect("needs() asks for labels");
    assert_eq!(labels.columns(), 1, "needs() asks for single numbers");
    &labels.data()[..labels.rows()]
}
