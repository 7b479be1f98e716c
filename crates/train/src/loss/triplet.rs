//! Triplets: `mean_i max(0, |a_i − p_i| − |a_i − n_i| + margin)`, Euclidean.
//! <https://arxiv.org/abs/1503.03832>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Offset of every coordinate difference, as in the reference, so that the distance of equal
/// vectors has a gradient.
const EPSILON: f64 = 1e-6;

/// Distance of the anchor (first column) to the positive, smaller by a margin than that to the
/// negative. The reference's `TripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
}

impl Loss for Triplet {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let ([anchor, positive, negative], [d_anchor, d_positive, d_negative]) = (embedded.columns, d_columns) else {
            panic!("needs() asks for three columns")
        };
        let weight = f64::from(weight) / rows as f64;
        let mut sum = 0.0;
        for row in 0..rows {
            let (a, p, n) = (anchor.row(row), positive.row(row), negative.row(row));
            let (near, far) = (distance(a, p), distance(a, n));
            let missing = near - far + self.margin;
            if missing <= 0.0 {
                continue;
            }
            sum += missing;
            let (d_a, d_p, d_n) = (d_anchor.row_mut(row), d_positive.row_mut(row), d_negative.row_mut(row));
            for column in 0..a.len() {
                let d_near = weight * difference(a[column], p[column]) / near;
                let d_far = -weight * difference(a[column], n[column]) / far;
                d_a[column] += (d_near + d_far) as f32;
                d_p[column] -= d_near as f32;
                d_n[column] -= d_far as f32;
            }
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 3..=3, labels: Labels::Unused, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "triplet".into(),
            class: "TripletLoss".into(),
            parameters: vec![
                ("distance_metric".into(), json!("TripletDistanceMetric.EUCLIDEAN")),
                ("triplet_margin".into(), json!(self.margin)),
            ],
            inner: None,
        }
    }
}

fn difference(x: f32, y: f32) -> f64 {
    f64::from(x) - f64::from(y) + EPSILON
}

fn distance(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| difference(x, y) * difference(x, y)).sum::<f64>().sqrt()
}
