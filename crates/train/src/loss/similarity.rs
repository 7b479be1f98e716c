//! Similarities of pairs of vectors with their gradients, in f64.

use super::cosine::{dot, inverse_length};
use maana_kernels::{Matrix, Rows};
use serde::{Deserialize, Serialize};

/// Similarity of two embeddings in a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossSimilarity {
    /// Cosine.
    Cosine,
    /// Dot product.
    Dot,
}

impl LossSimilarity {
    /// Returns the similarity of two vectors.
    pub fn of(self, a: &[f32], b: &[f32]) -> f64 {
        let (inverse_a, inverse_b) = self.inverse_lengths(a, b);
        dot(a, b) * inverse_a * inverse_b
    }

    /// Adds `d[row]` × the gradient of the similarity of the rows of `a` and `b`.
    pub(super) fn backward(self, a: Rows<'_>, b: Rows<'_>, d: &[f64], d_a: &mut Matrix, d_b: &mut Matrix) {
        for (row, &d) in d.iter().enumerate() {
            let (a, b, d_a, d_b) = (a.row(row), b.row(row), d_a.row_mut(row), d_b.row_mut(row));
            let (inverse_a, inverse_b) = self.inverse_lengths(a, b);
            let across = d * inverse_a * inverse_b;
            let along = match self {
                Self::Cosine => across * dot(a, b),
                Self::Dot => 0.0,
            };
            let (along_a, along_b) = (along * inverse_a * inverse_a, along * inverse_b * inverse_b);
            for column in 0..a.len() {
                let (x, y) = (f64::from(a[column]), f64::from(b[column]));
                d_a[column] += (across * y - along_a * x) as f32;
                d_b[column] += (across * x - along_b * y) as f32;
            }
        }
    }

    /// Returns the reference's name of the function of pairs.
    pub(super) fn pairwise_name(self) -> &'static str {
        match self {
            Self::Cosine => "pairwise_cos_sim",
            Self::Dot => "pairwise_dot_score",
        }
    }

    fn inverse_lengths(self, a: &[f32], b: &[f32]) -> (f64, f64) {
        match self {
            Self::Cosine => (inverse_length(a), inverse_length(b)),
            Self::Dot => (1.0, 1.0),
        }
    }
}

/// Returns the similarities of the rows of `queries` to those of each column of `documents`.
pub(super) fn of_documents(similarity: LossSimilarity, queries: Rows<'_>, documents: &[Rows<'_>]) -> Vec<Vec<f64>> {
    let of_column =
        |column: &Rows<'_>| (0..queries.rows()).map(|row| similarity.of(queries.row(row), column.row(row))).collect();
    documents.iter().map(of_column).collect()
}

/// Adds the gradients of all columns, given those of the similarities of the queries, the first
/// column, to each other column.
pub(super) fn documents_backward(
    similarity: LossSimilarity,
    queries: Rows<'_>,
    documents: &[Rows<'_>],
    d_scores: &[Vec<f64>],
    d_columns: &mut [Matrix],
) {
    let (d_queries, d_documents) = d_columns.split_first_mut().expect("as many gradients as columns");
    for ((column, d), d_column) in documents.iter().zip(d_scores).zip(d_documents) {
        similarity.backward(queries, *column, d, d_queries, d_column);
    }
}
