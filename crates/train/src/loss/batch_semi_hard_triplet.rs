//! Semi-hard triplets of a batch by class: the mean over all pairs `i`, `p` of one class of `max(0,
//! d(i, p) − d(i, n) + margin)`, where `n` is the nearest row of another class that is farther than
//! `p`, or else the farthest one. <https://arxiv.org/abs/1503.03832>

use super::batch_distances::{BatchDistances, BatchTriplets};
use super::distance::DistanceMetric;

/// Each pair of a class with its semi-hard negative. The reference's `BatchSemiHardTripletLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSemiHardTriplet {
    /// Margin; 5 in the reference.
    pub margin: f64,
    /// Distance, cosine or Euclidean; Euclidean in the reference.
    pub metric: DistanceMetric,
}

impl BatchTriplets for BatchSemiHardTriplet {
    const NAME: &'static str = "batch_semi_hard_triplet";
    const CLASS: &'static str = "BatchSemiHardTripletLoss";

    fn metric(&self) -> DistanceMetric {
        self.metric
    }

    fn margin(&self) -> Option<f64> {
        Some(self.margin)
    }

    fn of_distances(&self, distances: &BatchDistances<'_>, classes: &[f32], d_distances: &mut [f64]) -> f64 {
        let rows = classes.len();
        let (mut sum, mut pairs) = (0.0, 0_u64);
        for i in 0..rows {
            let of_row = distances.row(i);
            for p in (0..rows).filter(|&p| p != i && classes[p] == classes[i]) {
                pairs += 1;
                let negative = semi_hard(of_row, classes, i, of_row[p]);
                let missing = of_row[p] - negative.map_or(0.0, |n| of_row[n]) + self.margin;
                if missing > 0.0 {
                    sum += missing;
                    d_distances[i * rows + p] += 1.0;
                    if let Some(n) = negative {
                        d_distances[i * rows + n] -= 1.0;
                    }
                }
            }
        }
        let pairs = pairs.max(1) as f64;
        d_distances.iter_mut().for_each(|d| *d /= pairs);
        sum / pairs
    }
}

/// Returns the nearest row of another class that is farther than `near`, or else the farthest of
/// other classes; `None` without other classes.
fn semi_hard(distances: &[f64], classes: &[f32], i: usize, near: f64) -> Option<usize> {
    let others = || (0..distances.len()).filter(|&n| classes[n] != classes[i]);
    let nearer = |a: usize, b: usize| if distances[b] < distances[a] { b } else { a };
    let farther = |a: usize, b: usize| if distances[b] > distances[a] { b } else { a };
    others().filter(|&n| distances[n] > near).reduce(nearer).or_else(|| others().reduce(farther))
}
