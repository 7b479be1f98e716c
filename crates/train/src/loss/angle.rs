//! AnglE: the objective of CoSENT with `s = |cos(a, b) + sin(a, b)|`, whose slope does not vanish
//! where the cosine's does. `sin` pairs coordinate `i` with `i + D/2`: the halves of a vector are
//! the real and imaginary parts of complex numbers. <https://arxiv.org/abs/2309.12871>

use super::cosent::ordered_by_labels;
use super::cosine::inverse_length;
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Ranking of the angles of pairs by their labels. With more than two columns the first is paired
/// with each other one: the positive (second column) has the label, or 1 without labels, and the
/// negatives have 1 − label. The reference's `AnglELoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// Factor of the similarities; 20 in the reference.
    pub scale: f64,
}

impl Loss for Angle {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let (anchors, others) = embedded.columns.split_first().expect("needs() asks for columns");
        let label = |row: usize| embedded.labels.map_or(1.0, |labels| labels.row(row)[0]);
        let (mut angles, mut labels) = (Vec::new(), Vec::new());
        for (index, column) in others.iter().enumerate() {
            for row in 0..rows {
                angles.push(PairAngle::new(anchors.row(row), column.row(row)));
                labels.push(if index == 0 { label(row) } else { 1.0 - label(row) });
            }
        }
        let values: Vec<f64> = angles.iter().map(|angle| angle.raw.abs()).collect();
        let (value, d_values) = ordered_by_labels(&values, &labels, self.scale, f64::from(weight));
        let (d_anchors, d_others) = d_columns.split_first_mut().expect("as many gradients as columns");
        for (pair, (angle, d)) in angles.iter().zip(d_values).enumerate() {
            let (column, row) = (pair / rows, pair % rows);
            angle.backward(d, d_anchors.row_mut(row), d_others[column].row_mut(row));
        }
        value as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::ScoreOfPairs, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "angle".into(),
            class: "AnglELoss".into(),
            parameters: vec![
                ("scale".into(), json!(self.scale)),
                ("similarity_fct".into(), json!("pairwise_angle_sim")),
            ],
            inner: None,
        }
    }
}

/// `cos(a, b) + sin(a, b)` of two vectors.
struct PairAngle<'a> {
    a: &'a [f32],
    b: &'a [f32],
    raw: f64,
    inverse_a: f64,
    inverse_b: f64,
}

impl<'a> PairAngle<'a> {
    fn new(a: &'a [f32], b: &'a [f32]) -> Self {
        let (inverse_a, inverse_b) = (inverse_length(a), inverse_length(b));
        let product: f64 = (0..a.len()).map(|column| f64::from(a[column]) * turned(b, column, -1.0)).sum();
        Self { a, b, raw: product * inverse_a * inverse_b, inverse_a, inverse_b }
    }

    /// Adds `d` × the gradient of the absolute value to those of both vectors.
    fn backward(&self, d: f64, d_a: &mut [f32], d_b: &mut [f32]) {
        let d = if self.raw == 0.0 { 0.0 } else { d * self.raw.signum() };
        let across = d * self.inverse_a * self.inverse_b;
        let along_a = d * self.raw * self.inverse_a * self.inverse_a;
        let along_b = d * self.raw * self.inverse_b * self.inverse_b;
        for column in 0..self.a.len() {
            let (x, y) = (f64::from(self.a[column]), f64::from(self.b[column]));
            d_a[column] += (across * turned(self.b, column, -1.0) - along_a * x) as f32;
            d_b[column] += (across * turned(self.a, column, 1.0) - along_b * y) as f32;
        }
    }
}

/// Returns coordinate `column` of `x` + `sign` × `x` with its halves exchanged and the new second
/// one negated. An odd number of coordinates is extended by a zero.
fn turned(x: &[f32], column: usize, sign: f64) -> f64 {
    let half = x.len().div_ceil(2);
    let at = |column: usize| x.get(column).map_or(0.0, |&x| f64::from(x));
    if column < half { at(column) + sign * at(column + half) } else { at(column) - sign * at(column - half) }
}
