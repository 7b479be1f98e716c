//! Triplets of a batch by class, the hardest of each text: `mean_i max(0, max_p d(i, p) − min_n
//! d(i, n) + margin)`, where `p` has the class of `i` and `n` has another.
//! <https://arxiv.org/abs/1703.07737>

use super::batch_distances::{BatchDistances, BatchTriplets, hardest, metric_name};
use super::distance::DistanceMetric;
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// The hardest triplet of each text of a batch. The reference's `BatchHardTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchHardTriplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchHardTriplet {
    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let mut sum = 0.0;
        for i in 0..rows {
            let (positive, negative) = hardest(distances, classes, i);
            let near = positive.map_or(0.0, |positive| distances.row(i)[positive]);
            let missing = near - distances.row(i)[negative] + self.margin;
            if missing < 0.0 {
                continue;
            }
            sum += missing;
            if let Some(positive) = positive {
                d_distances[i * rows + positive] += 1.0 / rows as f64;
            }
            d_distances[i * rows + negative] -= 1.0 / rows as f64;
        }
        sum / rows as f64
    }
}

impl Loss for BatchHardTriplet {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.of_batch(context, embedded, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 1..=1, labels: Labels::Class, columns_alone: usize::MAX }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "batch_hard_triplet".into(),
            class: "BatchHardTripletLoss".into(),
            parameters: vec![
                ("distance_metric".into(), metric_name(self.metric)),
                ("margin".into(), json!(self.margin)),
            ],
            inner: None,
        }
    }
}
