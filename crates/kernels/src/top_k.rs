//! Selection of the k greatest scores, in descending order, equal ones by ascending index. NaN is
//! ignored.

use std::cmp::Ordering;

/// Returns the k greatest of `scores` with their indices.
pub fn top_k(scores: &[f32], k: usize) -> Vec<(f32, u32)> {
    let mut top = TopK::new(k);
    top.push(scores, 0);
    top.into_sorted()
}

/// Selection of the k greatest scores from blocks in any order and of any size.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// Best first.
    best: Vec<(f32, u32)>,
}

impl TopK {
    /// Creates an empty selection of k scores.
    pub fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k.min(1 << 16)) }
    }

    /// Adds a block whose first score has the index `first`.
    pub fn push(&mut self, scores: &[f32], first: u32) {
        if self.k == 0 {
            return;
        }
        for (place, &score) in scores.iter().enumerate() {
            let full = self.best.len() == self.k;
            let worst = if full { self.best[self.k - 1].0 } else { f32::NEG_INFINITY };
            // Most scores fail here. The comparison is false for NaN.
            if score >= worst {
                self.insert((score, first + place as u32));
            }
        }
    }

    fn insert(&mut self, entry: (f32, u32)) {
        let place = self.best.partition_point(|other| order(other, &entry) == Ordering::Less);
        if place < self.k {
            self.best.truncate(self.k - 1);
            self.best.insert(place, entry);
        }
    }

    /// Returns scores and indices, best first; fewer than k if there were fewer.
    pub fn into_sorted(self) -> Vec<(f32, u32)> {
        self.best
    }
}

fn order(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference_top_k(scores: &[f32], k: usize) -> Vec<(f32, u32)> {
        let numbers = scores.iter().enumerate().filter(|(_, score)| !score.is_nan());
        let mut all: Vec<(f32, u32)> = numbers.map(|(place, score)| (*score, place as u32)).collect();
        all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        all.truncate(k);
        all
    }

    proptest! {
        #[test]
        fn agrees_with_sorting_for_any_blocks(values in prop::collection::vec(-4i8..5, 0..60), k in 0usize..20, cut in 0usize..60) {
            // Few values, so that many are equal; -4 is replaced by NaN.
            let scores: Vec<f32> = values.iter().map(|v| if *v == -4 { f32::NAN } else { f32::from(*v) }).collect();
            prop_assert_eq!(top_k(&scores, k), reference_top_k(&scores, k));
            let cut = cut.min(scores.len());
            let mut blocks = TopK::new(k);
            blocks.push(&scores[cut..], cut as u32);
            blocks.push(&scores[..cut], 0);
            prop_assert_eq!(blocks.into_sorted(), reference_top_k(&scores, k));
        }
    }

    #[test]
    fn infinities_are_scores() {
        let scores = [f32::NEG_INFINITY, f32::NAN, f32::INFINITY];
        assert_eq!(top_k(&scores, 3), [(f32::INFINITY, 2), (f32::NEG_INFINITY, 0)]);
    }
}
