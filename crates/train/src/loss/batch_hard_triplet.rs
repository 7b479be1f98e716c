//! Triplets of a batch by class, the hardest of each text: `mean_i max(0, max_p d(i, p) − min_n
//! d(i, n) + margin)`, where `p` has the class of `i` and `n` has another.
//! <https://arxiv.org/abs/1703.07737>

use super::batch_distances::{BatchDistances, BatchTriplets, Hardest};
use super::distance::DistanceMetric;

/// The hardest triplet of each text of a batch. The reference's `BatchHardTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchHardTriplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchHardTriplet {
    const NAME: &'static str = "batch_hard_triplet";
    const CLASS: &'static str = "BatchHardTripletLoss";

    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn margin(&self) -> Option<f64> {
        Some(self.margin)
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let mut sum = 0.0;
        for i in 0..rows {
            let hardest = Hardest::of(distances, classes, i);
            let missing = hardest.excess + self.margin;
            if missing < 0.0 {
                continue;
            }
            sum += missing;
            hardest.backward(i, rows, 1.0 / rows as f64, d_distances);
        }
        sum / rows as f64
    }
}
