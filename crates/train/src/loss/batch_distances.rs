//! Distances between all rows of a batch with their gradients, for losses that choose triplets by
//! the classes of the rows.

use super::cosine::{dot, inverse_length};
use super::distance::DistanceMetric;
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use maana_kernels::{Context, Matrix, Rows};
use serde_json::json;

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
        let inverse_lengths: Vec<f64> = (0..rows).map(|row| inverse_length(embeddings.row(row))).collect();
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
pub(super) trait BatchTriplets: Send + Sync {
    /// Name in recipes.
    const NAME: &'static str;
    /// Name of the same loss in the reference.
    const CLASS: &'static str;

    fn metric(&self) -> DistanceMetric;

    /// Returns the margin, if the loss has one.
    fn margin(&self) -> Option<f64>;

    /// Returns the loss, and adds its gradient to `d_distances`, `(B, B)`.
    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64;
}

impl<T: BatchTriplets> Loss for T {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
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

    fn needs(&self) -> Needs {
        Needs { columns: 1..=1, labels: Labels::Class, columns_alone: usize::MAX }
    }

    fn describe(&self) -> LossSummary {
        let metric = match self.metric() {
            DistanceMetric::Cosine => "cosine_distance",
            _ => "euclidean_distance",
        };
        let margin = self.margin().map(|margin| ("margin".into(), json!(margin)));
        let parameters = [("distance_metric".into(), json!(metric))].into_iter().chain(margin).collect();
        LossSummary { name: Self::NAME.into(), class: Self::CLASS.into(), parameters, inner: None }
    }
}

/// The hardest triplet of a row.
pub(super) struct Hardest {
    /// The farthest row of its class, if there is another.
    pub(super) positive: Option<usize>,
    /// The nearest row of other classes. Without others it is the farthest row of all, as in the
    /// reference.
    pub(super) negative: usize,
    /// Distance to the positive, 0 without one, less the distance to the negative.
    pub(super) excess: f64,
}

impl Hardest {
    /// Finds the triplet of row `i`.
    pub(super) fn of(distances: &BatchDistances<'_>, classes: &[f32], i: usize) -> Self {
        let of_row = distances.row(i);
        let farthest = |farthest: usize, j: usize| if of_row[j] > of_row[farthest] { j } else { farthest };
        let nearest = |nearest: usize, j: usize| if of_row[j] < of_row[nearest] { j } else { nearest };
        let positive = (0..of_row.len()).filter(|&j| j != i && classes[j] == classes[i]).reduce(farthest);
        let negative = (0..of_row.len()).filter(|&j| classes[j] != classes[i]).reduce(nearest);
        let negative = negative.or_else(|| (0..of_row.len()).reduce(farthest)).unwrap_or(i);
        let excess = positive.map_or(0.0, |positive| of_row[positive]) - of_row[negative];
        Self { positive, negative, excess }
    }

    /// Adds the gradient of the distances of row `i`, `(B, B)`, given that of the excess.
    pub(super) fn backward(&self, i: usize, rows: usize, d_excess: f64, d_distances: &mut [f64]) {
        if let Some(positive) = self.positive {
            d_distances[i * rows + positive] += d_excess;
        }
        d_distances[i * rows + self.negative] -= d_excess;
    }
}
