//! Contrastive pairs that are hard within their batch: the sum of `d_i²` over positives farther
//! apart than the nearest negative, and of `max(0, margin − d_i)²` over negatives nearer than the
//! farthest positive. Without pairs of the other label the mean distance takes its place.

use super::contrastive::siamese_name;
use super::distance::{DistanceMetric, PairDistance};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// [`Contrastive`](super::Contrastive) for the hard pairs of a batch. The reference's
/// `OnlineContrastiveLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnlineContrastive {
    /// Required distance of texts with label 0; 0.5 in the reference.
    pub margin: f64,
    /// Distance; cosine in the reference.
    pub metric: DistanceMetric,
}

impl Loss for OnlineContrastive {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = single_labels(embedded);
        let ([a, b], [d_a, d_b]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let distances: Vec<PairDistance<'_>> =
            (0..rows).map(|row| PairDistance::new(self.metric, a.row(row), b.row(row))).collect();
        let of = |wanted: f32| {
            let pairs = distances.iter().zip(labels).filter(move |(_, label)| **label == wanted);
            pairs.map(|(distance, _)| distance.value)
        };
        let farthest_positive = of(1.0).reduce(f64::max).unwrap_or_else(|| mean(of(0.0)));
        let nearest_negative = of(0.0).reduce(f64::min).unwrap_or_else(|| mean(of(1.0)));
        let weight = f64::from(weight);
        let mut sum = 0.0;
        for (row, distance) in distances.iter().enumerate() {
            let slope = if labels[row] == 1.0 && distance.value > nearest_negative {
                sum += distance.value * distance.value;
                distance.value
            } else if labels[row] == 0.0 && distance.value < farthest_positive {
                let missing = (self.margin - distance.value).max(0.0);
                sum += missing * missing;
                -missing
            } else {
                continue;
            };
            distance.backward(2.0 * weight * slope, d_a.row_mut(row), d_b.row_mut(row));
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Binary, columns_alone: usize::MAX }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "online_contrastive".into(),
            class: "OnlineContrastiveLoss".into(),
            parameters: vec![
                ("distance_metric".into(), siamese_name(self.metric)),
                ("margin".into(), json!(self.margin)),
            ],
            inner: None,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}
