//! Paraphrase mining as `paraphrase_mining` of Sentence Transformers 6.2 does it: for each row its
//! nearest, of all these pairs the best. Which of equally good pairs stay is fixed here (lower rows
//! first), and left to chance there.

use crate::error::VectorsError;
use crate::search::{Corpus, Metric, Search, search};
use maana_kernels::{Context, Rows};
use std::cmp::Ordering;

/// Two rows and their cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Greater is nearer.
    pub score: f32,
    /// The lower row.
    pub first: usize,
    /// The higher row.
    pub second: usize,
}

/// Limits on the pairs.
#[derive(Clone, Copy, Debug)]
pub struct Mining {
    /// The nearest of each row that are looked at.
    pub top_k: usize,
    /// The most pairs that are given.
    pub max_pairs: usize,
    /// Compare the first `dim` columns only, re-normalised.
    pub dim: Option<usize>,
}

impl Default for Mining {
    fn default() -> Self {
        Self { top_k: 100, max_pairs: 500_000, dim: None }
    }
}

/// Rows that are searched for at once.
const CHUNK: usize = 1024;

/// The pairs with the greatest cosines, best first; of equal ones that of lower rows first. Each
/// pair once.
///
/// Memory in addition to the rows: about `2 · max_pairs` pairs, and `top_k` hits for a thousand
/// rows.
///
/// ```
/// use maana_kernels::{Context, Rows};
/// use maana_vectors::pairs::{Mining, paraphrase_mining};
///
/// let rows = Rows::new(&[1.0, 0.0, 0.0, 1.0, 0.9, 0.1], 3, 2, 2);
/// let pairs = paraphrase_mining(&Context::new(1), rows, &Mining::default()).unwrap();
/// assert_eq!((pairs[0].first, pairs[0].second), (0, 2));
/// ```
///
/// # Errors
/// Values that are not finite, or a prefix of 0 or more than all columns.
pub fn paraphrase_mining(context: &Context, rows: Rows<'_>, settings: &Mining) -> Result<Vec<Pair>, VectorsError> {
    let corpus = Corpus::from(rows);
    let k = settings.top_k.saturating_add(1);
    let search_settings = Search { k, metric: Metric::Cosine, dim: settings.dim, ..Search::default() };
    let most = settings.max_pairs;
    let mut pairs: Vec<Pair> = Vec::new();
    let mut floor = f32::NEG_INFINITY;
    for start in (0..rows.rows()).step_by(CHUNK) {
        let asked = rows.range(start..rows.rows().min(start + CHUNK));
        let found = search(context, &corpus, asked, &search_settings)?;
        for (row, hits) in found.iter().enumerate().map(|(row, hits)| (start + row, hits)) {
            let others = hits.iter().filter(|hit| hit.row != row).take(settings.top_k);
            pairs.extend(others.filter(|hit| hit.score >= floor).map(|hit| Pair {
                score: hit.score,
                first: row.min(hit.row),
                second: row.max(hit.row),
            }));
        }
        if pairs.len() >= most.saturating_mul(2).max(1 << 16) {
            floor = keep_best(&mut pairs, most);
        }
    }
    keep_best(&mut pairs, most);
    Ok(pairs)
}

/// Sorts, drops duplicates and the excess; returns the score below which nothing has a
/// chance.
fn keep_best(pairs: &mut Vec<Pair>, most: usize) -> f32 {
    pairs.sort_unstable_by(order);
    // Found from either row, a pair has the same score to the bit.
    pairs.dedup_by_key(|pair| (pair.first, pair.second));
    pairs.truncate(most);
    if pairs.len() < most { f32::NEG_INFINITY } else { pairs.last().map_or(f32::INFINITY, |pair| pair.score) }
}

fn order(a: &Pair, b: &Pair) -> Ordering {
    let scores = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    scores.then(a.first.cmp(&b.first)).then(a.second.cmp(&b.second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, embeddings};

    fn reference_pairs(rows: Rows<'_>) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = (0..rows.rows())
            .flat_map(|first| (first + 1..rows.rows()).map(move |second| (first, second)))
            .map(|(first, second)| Pair {
                score: Metric::Cosine.score(rows.row(first), rows.row(second)),
                first,
                second,
            })
            .collect();
        pairs.sort_by(order);
        pairs
    }

    #[test]
    fn all_pairs_in_order_for_any_threads() {
        let matrix = embeddings(90, 12, 4, 1);
        let rows = matrix.view();
        let expected = reference_pairs(rows);
        for threads in [1, 3] {
            let mine = |top_k, max_pairs| {
                let settings = Mining { top_k, max_pairs, ..Mining::default() };
                paraphrase_mining(&Context::new(threads), rows, &settings).unwrap()
            };
            assert_eq!(mine(89, 500_000), expected);
            assert_eq!(mine(100, 50), expected[..50]);
            assert!(mine(100, 0).is_empty() && mine(0, 10).is_empty());
        }
        assert!(paraphrase_mining(&Context::new(1), rows.range(0..1), &Mining::default()).unwrap().is_empty());
    }

    #[test]
    fn many_rows_pass_through_little_room() {
        let matrix = embeddings(3000, 8, 30, 2);
        let settings = Mining { top_k: 60, max_pairs: 40, ..Mining::default() };
        let pairs = paraphrase_mining(&Context::new(2), matrix.view(), &settings).unwrap();
        assert_eq!(pairs, reference_pairs(matrix.view())[..40]);
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        let rows = blobs.view().range(0..40);
        for (name, settings) in
            [("all", Mining::default()), ("limited", Mining { top_k: 3, max_pairs: 25, ..Mining::default() })]
        {
            let expected: Vec<[f64; 3]> = golden.get(&format!("/mining/{name}"));
            let pairs = paraphrase_mining(&Context::new(1), rows, &settings).unwrap();
            assert_eq!(pairs.len(), expected.len());
            for (pair, [score, first, second]) in pairs.iter().zip(expected) {
                assert!((f64::from(pair.score) - score).abs() < 1e-6);
                assert_eq!((pair.first, pair.second), (first as usize, second as usize));
            }
        }
    }
}
