//! Triplets of a batch by class, the hardest of each text, with a soft margin: `mean_i ln(1 +
//! exp(max_p d(i, p) − min_n d(i, n)))`. <https://arxiv.org/abs/1703.07737>

use super::batch_distances::{BatchDistances, BatchTriplets, Hardest};
use super::distance::DistanceMetric;
use libm::{exp, log1p};

/// The hardest triplet of each text of a batch, without a margin. The reference's
/// `BatchHardSoftMarginTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchHardSoftMarginTriplet {
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchHardSoftMarginTriplet {
    const NAME: &'static str = "batch_hard_soft_margin_triplet";
    const CLASS: &'static str = "BatchHardSoftMarginTripletLoss";

    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn margin(&self) -> Option<f64> {
        None
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let mut sum = 0.0;
        for i in 0..rows {
            let hardest = Hardest::of(distances, classes, i);
            let excess = hardest.excess;
            sum += excess.max(0.0) + log1p(exp(-excess.abs()));
            hardest.backward(i, rows, 1.0 / (1.0 + exp(-excess)) / rows as f64, d_distances);
        }
        sum / rows as f64
    }
}
