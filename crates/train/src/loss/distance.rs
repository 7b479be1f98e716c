//! Distances of pairs of vectors with their gradients, in f64.

use super::cosine::{dot, inverse_length};
use serde::{Deserialize, Serialize};

/// Offset of every coordinate difference, as in the reference, so that the distance of equal
/// vectors has a gradient.
const EPSILON: f64 = 1e-6;

/// Distance of two embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistanceMetric {
    /// 1 − cosine.
    Cosine,
    /// Length of the difference.
    Euclidean,
    /// Sum of the coordinates' absolute differences.
    Manhattan,
}

/// The distance of two vectors, with what its gradient needs.
pub(super) struct PairDistance<'a> {
    metric: DistanceMetric,
    a: &'a [f32],
    b: &'a [f32],
    pub(super) value: f64,
    inverse_a: f64,
    inverse_b: f64,
}

impl<'a> PairDistance<'a> {
    pub(super) fn new(metric: DistanceMetric, a: &'a [f32], b: &'a [f32]) -> Self {
        let differences = || a.iter().zip(b).map(|(&a, &b)| difference(a, b));
        let (mut inverse_a, mut inverse_b) = (0.0, 0.0);
        let value = match metric {
            DistanceMetric::Cosine => {
                (inverse_a, inverse_b) = (inverse_length(a), inverse_length(b));
                1.0 - dot(a, b) * inverse_a * inverse_b
            }
            DistanceMetric::Euclidean => differences().map(|x| x * x).sum::<f64>().sqrt(),
            DistanceMetric::Manhattan => differences().map(f64::abs).sum(),
        };
        Self { metric, a, b, value, inverse_a, inverse_b }
    }

    /// Returns `d` × the derivative of the distance with respect to coordinate `column` of each
    /// vector.
    pub(super) fn slopes(&self, d: f64, column: usize) -> (f64, f64) {
        let (x, y) = (self.a[column], self.b[column]);
        match self.metric {
            DistanceMetric::Cosine => {
                let (cosine, x, y) = (1.0 - self.value, f64::from(x), f64::from(y));
                let across = self.inverse_a * self.inverse_b;
                let along_a = cosine * self.inverse_a * self.inverse_a;
                let along_b = cosine * self.inverse_b * self.inverse_b;
                (-d * (across * y - along_a * x), -d * (across * x - along_b * y))
            }
            DistanceMetric::Euclidean => {
                let slope = if self.value == 0.0 { 0.0 } else { d * difference(x, y) / self.value };
                (slope, -slope)
            }
            DistanceMetric::Manhattan => {
                let difference = difference(x, y);
                let slope = if difference == 0.0 { 0.0 } else { d * difference.signum() };
                (slope, -slope)
            }
        }
    }

    /// Adds `d` × the gradient of the distance to those of both vectors.
    pub(super) fn backward(&self, d: f64, d_a: &mut [f32], d_b: &mut [f32]) {
        for column in 0..self.a.len() {
            let (slope_a, slope_b) = self.slopes(d, column);
            d_a[column] += slope_a as f32;
            d_b[column] += slope_b as f32;
        }
    }
}

fn difference(x: f32, y: f32) -> f64 {
    f64::from(x) - f64::from(y) + EPSILON
}
