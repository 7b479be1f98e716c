//! Translations in two heaps of sentences, by margin (Artetxe & Schwenk 2019): the cosine of a pair
//! against the mean cosine of either side with its nearest on the other. A sentence that is near to
//! everything is then near to nothing.

use crate::error::VectorsError;
use crate::search::{Corpus, Hit, Search, search};
use maana_kernels::{Context, Rows};
use std::cmp::Ordering;

/// Score of a pair relative to its neighbourhood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Margin {
    /// cosine / mean
    #[default]
    Ratio,
    /// cosine − mean
    Distance,
    /// The cosine only.
    Absolute,
}

/// Which pairs are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The best of the second heap for each of the first.
    Forward,
    /// The best of the first heap for each of the second.
    Backward,
    /// Pairs that are each other's best.
    Intersect,
    /// The pairs of both directions, best first, as long as neither side is taken.
    #[default]
    Max,
}

/// Settings of mining translations.
#[derive(Clone, Copy, Debug)]
pub struct Bitext {
    /// Nearest on the other side: those that are looked at, and whose mean is the surroundings.
    pub neighbours: usize,
    /// Score of a pair relative to its neighbourhood.
    pub margin: Margin,
    /// Which pairs are given.
    pub direction: Direction,
    /// Compare the first `dim` columns only, re-normalised.
    pub dim: Option<usize>,
}

impl Default for Bitext {
    fn default() -> Self {
        Self { neighbours: 4, margin: Margin::Ratio, direction: Direction::Max, dim: None }
    }
}

/// A row of the first heap, a row of the second, and their margin.
pub type Translation = (usize, usize, f32);

/// Pairs of a row of `first` and a row of `second`, best first.
///
/// # Errors
/// Values that are not finite, rows of different dims, no neighbours, or a prefix that is not a
/// prefix.
pub fn bitext(
    context: &Context,
    first: Rows<'_>,
    second: Rows<'_>,
    settings: &Bitext,
) -> Result<Vec<Translation>, VectorsError> {
    if settings.neighbours == 0 {
        return Err(VectorsError::setting("neighbours", "at least one is needed; four are usual"));
    }
    let asked = Search { k: settings.neighbours, dim: settings.dim, ..Search::default() };
    let forward = search(context, &Corpus::from(second), first, &asked)?;
    let backward = search(context, &Corpus::from(first), second, &asked)?;
    let (mean_first, mean_second) = (means(&forward), means(&backward));
    let margin = |hit: &Hit, a: f32, b: f32| match settings.margin {
        Margin::Ratio => hit.score / ((a + b) / 2.0),
        Margin::Distance => hit.score - (a + b) / 2.0,
        Margin::Absolute => hit.score,
    };
    let best = |hits: &[Vec<Hit>], own: &[f32], other: &[f32]| -> Vec<Option<(usize, f32)>> {
        let one = |(row, hits): (usize, &Vec<Hit>)| {
            let scored = hits.iter().map(|hit| (hit.row, margin(hit, own[row], other[hit.row])));
            // Of equal margins the first, which is the nearer.
            scored.fold(None, |best: Option<(usize, f32)>, new| match best {
                Some(best) if new.1 <= best.1 => Some(best),
                _ => Some(new),
            })
        };
        hits.iter().enumerate().map(one).collect()
    };
    let forward = best(&forward, &mean_first, &mean_second);
    let backward = best(&backward, &mean_second, &mean_first);
    let from_first = forward.iter().enumerate().filter_map(|(a, best)| best.map(|(b, score)| (a, b, score)));
    let from_second = backward.iter().enumerate().filter_map(|(b, best)| best.map(|(a, score)| (a, b, score)));
    let mut pairs: Vec<Translation> = match settings.direction {
        Direction::Forward => from_first.collect(),
        Direction::Backward => from_second.collect(),
        Direction::Intersect => {
            let mutual = |(a, b, _): &Translation| backward[*b].is_some_and(|(back, _)| back == *a);
            from_first.filter(mutual).collect()
        }
        Direction::Max => from_first.chain(from_second).collect(),
    };
    pairs.sort_by(|a, b| b.2.partial_cmp(&a.2).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
    if settings.direction == Direction::Max {
        let (mut taken_first, mut taken_second) = (vec![false; first.rows()], vec![false; second.rows()]);
        pairs.retain(|(a, b, _)| {
            let free = !taken_first[*a] && !taken_second[*b];
            if free {
                (taken_first[*a], taken_second[*b]) = (true, true);
            }
            free
        });
    }
    Ok(pairs)
}

fn means(hits: &[Vec<Hit>]) -> Vec<f32> {
    hits.iter().map(|hits| hits.iter().map(|hit| hit.score).sum::<f32>() / hits.len().max(1) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Metric;
    use crate::testing::{embeddings, noise};
    use maana_kernels::Matrix;

    /// The second heap is the first, turned round and shaken, with strangers at its end.
    fn heaps(rows: usize, strangers: usize) -> (Matrix, Matrix) {
        let first = embeddings(rows, 24, rows, 1);
        let shaken = noise((rows + strangers) * 24, 5);
        let value = |i: usize| {
            let row = i / 24;
            let near = if row < rows { first.row(rows - 1 - row)[i % 24] } else { 0.0 };
            near + 0.15 * shaken[i]
        };
        let second = Matrix::from_vec(rows + strangers, 24, (0..(rows + strangers) * 24).map(value).collect());
        (first, second)
    }

    #[test]
    fn what_was_turned_round_is_found_in_every_direction() {
        let (first, second) = heaps(50, 20);
        for margin in [Margin::Ratio, Margin::Distance, Margin::Absolute] {
            for direction in [Direction::Forward, Direction::Backward, Direction::Intersect, Direction::Max] {
                let settings = Bitext { margin, direction, ..Bitext::default() };
                let pairs = bitext(&Context::new(2), first.view(), second.view(), &settings).unwrap();
                let right = pairs.iter().filter(|(a, b, _)| a + b == 49).count();
                assert!(right >= 48, "{margin:?} {direction:?}: {right}");
                assert!(pairs.windows(2).all(|pair| pair[0].2 >= pair[1].2));
                let most = if direction == Direction::Backward { 70 } else { 50 };
                assert!(pairs.len() <= most, "{direction:?}: {}", pairs.len());
            }
        }
    }

    #[test]
    fn the_margin_is_the_formula() {
        let (first, second) = heaps(10, 3);
        let cosine = |a: usize, b: usize| Metric::Cosine.score(first.row(a), second.row(b));
        let mean = |mut scores: Vec<f32>| {
            scores.sort_by(|a, b| b.partial_cmp(a).unwrap());
            scores[..4].iter().sum::<f32>() / 4.0
        };
        let around = |a: usize, b: usize| {
            let of_a = mean((0..13).map(|b| cosine(a, b)).collect());
            let of_b = mean((0..10).map(|a| cosine(a, b)).collect());
            (of_a + of_b) / 2.0
        };
        let ratio = Bitext { direction: Direction::Forward, ..Bitext::default() };
        let distance = Bitext { margin: Margin::Distance, ..ratio };
        for (a, b, score) in bitext(&Context::new(1), first.view(), second.view(), &ratio).unwrap() {
            assert!((score - cosine(a, b) / around(a, b)).abs() < 1e-5);
        }
        for (a, b, score) in bitext(&Context::new(1), first.view(), second.view(), &distance).unwrap() {
            assert!((score - (cosine(a, b) - around(a, b))).abs() < 1e-5);
        }
    }

    #[test]
    fn empty_heaps_have_no_pairs() {
        let (first, _) = heaps(3, 0);
        let pairs = bitext(&Context::new(1), first.view(), first.view().range(0..0), &Bitext::default()).unwrap();
        assert!(pairs.is_empty());
        let none = Bitext { neighbours: 0, ..Bitext::default() };
        assert!(bitext(&Context::new(1), first.view(), first.view(), &none).is_err());
    }
}
