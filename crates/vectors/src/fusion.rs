//! Several rankings made one: reciprocal-rank fusion (Cormack, Clarke & Büttcher 2009), which looks
//! at places only, so that scores of different kinds need not be compared.

use crate::search::Hit;
use std::collections::BTreeMap;

/// Usual constant: low ranks still count a little.
pub const USUAL_CONSTANT: f32 = 60.0;

/// The k rows with the greatest Σ weight / (constant + place), places counted from 1; of equal ones
/// the lower row. A ranking in which a row does not stand adds nothing.
///
/// ```
/// use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
/// use maana_vectors::search::Hit;
///
/// let hit = |row, score| Hit { row, score };
/// let by_vector = [hit(3, 0.9), hit(1, 0.8)];
/// let by_words = [hit(1, 12.0), hit(7, 5.0)];
/// let fused = fuse(&[(&by_vector, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, 10);
/// assert_eq!(fused.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1, 3, 7]);
/// ```
pub fn fuse(rankings: &[(&[Hit], f32)], constant: f32, k: usize) -> Vec<Hit> {
    let mut scores: BTreeMap<usize, f32> = BTreeMap::new();
    for (hits, weight) in rankings {
        for (place, hit) in hits.iter().enumerate() {
            *scores.entry(hit.row).or_default() += weight / (constant + place as f32 + 1.0);
        }
    }
    let mut fused: Vec<Hit> = scores.into_iter().map(|(row, score)| Hit { row, score }).collect();
    // Rows come ascending, and the sort keeps equal ones as they are.
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused.truncate(k);
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[usize]) -> Vec<Hit> {
        rows.iter().map(|row| Hit { row: *row, score: 0.0 }).collect()
    }

    #[test]
    fn places_are_summed_and_weighed() {
        let (a, b) = (ranking(&[1, 2, 3]), ranking(&[3, 4]));
        let fused = fuse(&[(&a, 1.0), (&b, 1.0)], 60.0, 10);
        assert_eq!(fused.iter().map(|hit| hit.row).collect::<Vec<_>>(), [3, 1, 2, 4]);
        assert!((fused[0].score - (1.0 / 63.0 + 1.0 / 61.0)).abs() < 1e-7);
        // Equal places: the lower row first.
        assert_eq!(fused[2].score, fused[3].score);
        let heavy = fuse(&[(&a, 1.0), (&b, 0.0)], 60.0, 2);
        assert_eq!(heavy.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1, 2]);
        assert!(fuse(&[], 60.0, 5).is_empty());
    }
}
