//! In-batch negatives in both directions: the mean of the loss over the rows of the score matrix
//! and the loss over the columns of its positive block.

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary};
use super::ranking::{RankingLoss, cross_entropy};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Ranking of the positive of each first text, and of the first text of each positive. The
/// reference's `MultipleNegativesSymmetricRankingLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SymmetricInBatchNegatives {
    /// Factor of the cosines; 20 in the reference.
    pub scale: f64,
}

impl RankingLoss for SymmetricInBatchNegatives {
    fn scale(&self) -> f64 {
        self.scale
    }

    fn of_scores(&self, scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
        let rows = scores.rows();
        let forward = cross_entropy(scores, 0.5 * weight, d_scores);
        let mut turned = Matrix::zeros(rows, rows);
        for row in 0..rows {
            for (column, &score) in scores.row(row)[..rows].iter().enumerate() {
                turned.row_mut(column)[row] = score;
            }
        }
        let mut d_turned = Matrix::zeros(rows, rows);
        let backward = cross_entropy(&turned, 0.5 * weight, &mut d_turned);
        for row in 0..rows {
            for (column, d_score) in d_scores.row_mut(row)[..rows].iter_mut().enumerate() {
                *d_score += d_turned.row(column)[row];
            }
        }
        forward + backward
    }
}

impl Loss for SymmetricInBatchNegatives {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.whole(context, embedded, weight, d_columns)
    }

    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        self.ranked(context, embedded, dims, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Unused, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "multiple_negatives_symmetric_ranking".into(),
            class: "MultipleNegativesSymmetricRankingLoss".into(),
            parameters: vec![("scale".into(), json!(self.scale)), ("similarity_fct".into(), json!("cos_sim"))],
            inner: None,
        }
    }
}
