//! Distances between all rows of a batch with their gradients, for losses that choose triplets by
//! the classes of the rows.

use super::cosine::{SHORTEST, dot};
use super::distance::DistanceMetric;
use super::objective::{Embedded, Loss, rows_of, single_labels};
use maana_kernels::{Context, Matrix, Rows};
use serde_json::{Value, json};

/// Distances between all rows of a batch.
pub(super) struct BatchDistances<'a> {
    metric: DistanceMetric,
    embeddings: Rows<'a>,
    inverse_lengths: Vec<f64>,
    /// `(B, B)`
    values: Vec<f64>,
}

impl<'a> BatchDistances<'a> {
    /// Computes the distances.
    ///
    /// # Panics
    /// If the metric is Manhattan, which the losses of classes do not have.
    pub(super) fn new(context: &Context, metric: DistanceMetric, embeddings: Rows<'a>) -> Self {
        let rows = embeddings.rows();
        let length = |row: usize| 1.0 / dot(embeddings.row(row), embeddings.row(row)).sqrt().max(SHORTEST);
        let inverse_lengths: Vec<f64> = (0..rows).map(length).collect();
        let mut values = vec![0.0; rows * rows];
        context.for_each_chunk(&mut values, rows, |i, values| {
            for (j, value) in values.iter_mut().enumerate().filter(|(j, _)| *j != i) {
                let (x, y) = (embeddings.row(i), embeddings.row(j));
                *value = match metric {
                    DistanceMetric::Cosine => 1.0 - dot(x, y) * inverse_lengths[i] * inverse_lengths[j],
                    DistanceMetric::Euclidean => {
                        let differences = x.iter().zip(y).map(|(&x, &y)| f64::from(x) - f64::from(y));
                        differences.map(|x| x * x).sum::<f64>().sqrt()
                    }
                    DistanceMetric::Manhattan => unreachable!("the arguments of these losses refuse it"),
                };
            }
        });
        Self { metric, embeddings, inverse_lengths, values }
    }

    /// Distances from row `i`.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.embeddings.rows()..][..self.embeddings.rows()]
    }

    /// Adds the gradient of the embeddings, given that of the distances, `(B, B)`.
    pub(super) fn backward(&self, context: &Context, d_values: &[f64], d_embeddings: &mut Matrix) {
        let (rows, columns) = (self.embeddings.rows(), self.embeddings.columns());
        context.for_each_chunk(d_embeddings.data_mut(), columns, |i, d_row| {
            let mut sum = vec![0.0; columns];
            let x = self.embeddings.row(i);
            for j in (0..rows).filter(|&j| j != i) {
                let (d, value) = (d_values[i * rows + j] + d_values[j * rows + i], self.row(i)[j]);
                if d == 0.0 {
                    continue;
                }
                let y = self.embeddings.row(j);
                let (of_x, of_y) = match self.metric {
                    DistanceMetric::Cosine => {
                        let (inverse_x, inverse_y) = (self.inverse_lengths[i], self.inverse_lengths[j]);
                        (d * (1.0 - value) * inverse_x * inverse_x, -d * inverse_x * inverse_y)
                    }
                    // Equal texts have no gradient, as in the reference.
                    _ if value == 0.0 => continue,
                    _ => (d / value, -d / value),
                };
                for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
                    *sum += of_x * f64::from(x) + of_y * f64::from(y);
                }
            }
            for (d, sum) in d_row.iter_mut().zip(sum) {
                *d += sum as f32;
            }
        });
    }
}

/// A loss of the distances between all rows of a batch.
pub(super) trait BatchTriplets: Loss {
    fn metric(&self) -> DistanceMetric;

    /// Returns the loss, and adds its gradient to `d_distances`, `(B, B)`.
    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64;

    /// Computes the loss of the embeddings.
    fn of_batch(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let classes = single_labels(embedded);
        let distances = BatchDistances::new(context, self.metric(), embedded.columns[0]);
        let mut d_distances = vec![0.0; rows * rows];
        let value = self.of_distances(&distances, classes, &mut d_distances);
        let weight = f64::from(weight);
        d_distances.iter_mut().for_each(|d| *d *= weight);
        distances.backward(context, &d_distances, &mut d_columns[0]);
        (weight * value) as f32
    }
}

/// Returns the hardest pairs of row `i`: the farthest row of its class, and the nearest of others.
/// Without others the farthest row of all takes its place, as in the reference.
pub(super) fn hardest(distances: &BatchDistances<'_>, classes: &[f32], i: usize) -> (Option<usize>, usize) {
    let of_row = distances.row(i);
    let farthest = |farthest: usize, j: usize| if of_row[j] > of_row[farthest] { j } else { farthest };
    let nearest = |nearest: usize, j: usize| if of_row[j] < of_row[nearest] { j } else { nearest };
    let positive = (0..of_row.len()).filter(|&j| j != i && classes[j] == classes[i]).reduce(farthest);
    let negative = (0..of_row.len()).filter(|&j| classes[j] != classes[i]).reduce(nearest);
    let negative = negative.or_else(|| (0..of_row.len()).reduce(farthest));
    (positive, negative.unwrap_or(i))
}

/// Returns the reference's name of a distance of these losses.
pub(super) fn metric_name(metric: DistanceMetric) -> Value {
    json!(match metric {
        DistanceMetric::Cosine => "cosine_distance",
        _ => "euclidean_distance",
    })
}
