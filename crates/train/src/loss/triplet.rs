//! Triplets: `mean_i max(0, d(a_i, p_i) − d(a_i, n_i) + margin)`.
//! <https://arxiv.org/abs/1503.03832>

use super::distance::{DistanceMetric, PairDistance};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Distance of the anchor (first column) to the positive, smaller by a margin than that to the
/// negative. The reference's `TripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
    /// Distance; Euclidean in the reference.
    pub metric: DistanceMetric,
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
            let (near, far) = (PairDistance::new(self.metric, a, p), PairDistance::new(self.metric, a, n));
            let missing = near.value - far.value + self.margin;
            if missing <= 0.0 {
                continue;
            }
            sum += missing;
            let (d_a, d_p, d_n) = (d_anchor.row_mut(row), d_positive.row_mut(row), d_negative.row_mut(row));
            for column in 0..a.len() {
                let ((near_a, near_p), (far_a, far_n)) = (near.slopes(weight, column), far.slopes(-weight, column));
                d_a[column] += (near_a + far_a) as f32;
                d_p[column] += near_p as f32;
                d_n[column] += far_n as f32;
            }
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 3..=3, labels: Labels::Unused, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        let metric = match self.metric {
            DistanceMetric::Cosine => "TripletDistanceMetric.COSINE",
            DistanceMetric::Euclidean => "TripletDistanceMetric.EUCLIDEAN",
            DistanceMetric::Manhattan => "TripletDistanceMetric.MANHATTAN",
        };
        LossSummary {
            name: "triplet".into(),
            class: "TripletLoss".into(),
            parameters: vec![("distance_metric".into(), json!(metric)), ("triplet_margin".into(), json!(self.margin))],
            inner: None,
        }
    }
}
