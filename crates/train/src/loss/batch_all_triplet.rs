//! All triplets of a batch by class: the mean of `d(i, p) − d(i, n) + margin` over all triplets in
//! which it is above 0, where `p` has the class of `i` and `n` has another.
//! <https://arxiv.org/abs/1703.07737>

use super::batch_distances::{BatchDistances, BatchTriplets};
use super::distance::DistanceMetric;

/// Smallest loss of a triplet that counts, as in the reference.
const SMALLEST: f64 = 1e-16;

/// All triplets of a batch that are not easy. The reference's `BatchAllTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchAllTriplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchAllTriplet {
    const NAME: &'static str = "batch_all_triplet";
    const CLASS: &'static str = "BatchAllTripletLoss";

    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn margin(&self) -> Option<f64> {
        Some(self.margin)
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let (mut sum, mut count) = (0.0, 0_u64);
        for i in 0..rows {
            let of_row = distances.row(i);
            for p in (0..rows).filter(|&p| p != i && classes[p] == classes[i]) {
                for n in (0..rows).filter(|&n| classes[n] != classes[i]) {
                    let missing = of_row[p] - of_row[n] + self.margin;
                    if missing > SMALLEST {
                        sum += missing;
                        count += 1;
                        d_distances[i * rows + p] += 1.0;
                        d_distances[i * rows + n] -= 1.0;
                    }
                }
            }
        }
        let count = count.max(1) as f64;
        d_distances.iter_mut().for_each(|d| *d /= count);
        sum / count
    }
}
