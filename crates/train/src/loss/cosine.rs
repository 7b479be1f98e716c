//! Cosines of pairs of rows, forward and backward, in f64.

use maana_kernels::{Matrix, Rows};

/// Minimum length of a vector, as in the reference.
pub(super) const SHORTEST: f64 = 1e-12;

/// The cosine of two vectors, with the inverse lengths for backward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cosine {
    pub(super) value: f64,
    inverse_a: f64,
    inverse_b: f64,
}

/// Returns the cosine of row `i` of `a` and row `i` of `b` for every `i`.
pub(super) fn cosines(a: Rows<'_>, b: Rows<'_>) -> Vec<Cosine> {
    (0..a.rows())
        .map(|row| {
            let (a, b) = (a.row(row), b.row(row));
            let (inverse_a, inverse_b) = (inverse_length(a), inverse_length(b));
            Cosine { value: dot(a, b) * inverse_a * inverse_b, inverse_a, inverse_b }
        })
        .collect()
}

/// Adds the gradients that follow from `d_cosines` to `d_a` and `d_b`.
pub(super) fn cosines_backward(
    a: Rows<'_>,
    b: Rows<'_>,
    cosines: &[Cosine],
    d_cosines: &[f64],
    d_a: &mut Matrix,
    d_b: &mut Matrix,
) {
    for (row, (cosine, &d)) in cosines.iter().zip(d_cosines).enumerate() {
        let (a, b, d_a, d_b) = (a.row(row), b.row(row), d_a.row_mut(row), d_b.row_mut(row));
        let across = d * cosine.inverse_a * cosine.inverse_b;
        let along_a = d * cosine.value * cosine.inverse_a * cosine.inverse_a;
        let along_b = d * cosine.value * cosine.inverse_b * cosine.inverse_b;
        for column in 0..a.len() {
            let (x, y) = (f64::from(a[column]), f64::from(b[column]));
            d_a[column] += (across * y - along_a * x) as f32;
            d_b[column] += (across * x - along_b * y) as f32;
        }
    }
}

/// Returns 1 ÷ the length of a vector, with a length of at least [`SHORTEST`].
pub(super) fn inverse_length(x: &[f32]) -> f64 {
    1.0 / dot(x, x).sqrt().max(SHORTEST)
}

/// Returns the dot product of two vectors.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
