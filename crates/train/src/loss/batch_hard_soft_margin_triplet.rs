//! Triplets of a batch by class, the hardest of each text, with a soft margin: `mean_i ln(1 +
//! exp(max_p d(i, p) − min_n d(i, n)))`. <https://arxiv.org/abs/1703.07737>

use super::batch_distances::{BatchDistances, BatchTriplets, hardest, metric_name};
use super::distance::DistanceMetric;
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary};
use libm::{exp, log1p};
use maana_kernels::{Context, Matrix};

/// The hardest triplet of each text of a batch, without a margin. The reference's
/// `BatchHardSoftMarginTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchHardSoftMarginTriplet {
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchHardSoftMarginTriplet {
    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let mut sum = 0.0;
        for i in 0..rows {
            let (positive, negative) = hardest(distances, classes, i);
            let near = positive.map_or(0.0, |positive| distances.row(i)[positive]);
            let excess = near - distances.row(i)[negative];
            sum += excess.max(0.0) + log1p(exp(-excess.abs()));
            let slope = 1.0 / (1.0 + exp(-excess)) / rows as f64;
            if let Some(positive) = positive {
                d_distances[i * rows + positive] += slope;
            }
            d_distances[i * rows + negative] -= slope;
        }
        sum / rows as f64
    }
}

impl Loss for BatchHardSoftMarginTriplet {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.of_batch(context, embedded, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 1..=1, labels: Labels::Class, columns_alone: usize::MAX }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "batch_hard_soft_margin_triplet".into(),
            class: "BatchHardSoftMarginTripletLoss".into(),
            parameters: vec![("distance_metric".into(), metric_name(self.metric))],
            inner: None,
        }
    }
}
