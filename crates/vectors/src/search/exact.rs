//! Exact search. A block of rows is multiplied with many queries at once; the product, whose rounding depends on the
//! machine, only decides which rows are worth the sum in the fixed order that is their score. A row is passed over only
//! when it is further from the k best than the two roundings can be apart.

use super::{Best, Corpus, Metric, norm, norms};
use crate::error::{VectorsError, check_finite};
use maana_kernels::{Pool, Rows, matmul_transposed};

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its number in the corpus.
    pub row: usize,
    /// By the metric; greater is nearer.
    pub score: f32,
}

/// Whether a row, by its number, may be found. Asked only about rows that are near enough.
pub type Filter<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// What to search for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// How many rows to find; fewer are found when there are fewer.
    pub k: usize,
    /// What is compared.
    pub metric: Metric,
    /// Compare the first `dim` columns only; with `Cosine` that is the prefix re-normalised. `None` compares all.
    pub dim: Option<usize>,
    /// Rows that may be found; `None` for all.
    pub filter: Option<Filter<'a>>,
    /// Rows that are compared at once; changes speed and memory, never a result.
    pub block_rows: usize,
}

impl Default for Search<'_> {
    fn default() -> Self {
        Self { k: 10, metric: Metric::Cosine, dim: None, filter: None, block_rows: 1024 }
    }
}

/// From this many queries on, a product is faster than one sum after the other.
const PRODUCT_QUERIES: usize = 4;
/// From this many queries on, a block is worth being packed for the product; before, the queries are.
const PACKED_QUERIES: usize = 64;
/// Queries that are compared with a block at once.
const QUERY_CHUNK: usize = 256;
/// What the lists of the best may take, in entries of all threads together.
const ENTRIES: usize = 1 << 23;

/// The k nearest rows of each query, nearest first.
///
/// Memory beside the corpus is bounded: a block of scores for each thread, and k entries for each of a chunk of queries.
///
/// ```
/// use maana_kernels::{Pool, Rows};
/// use maana_vectors::search::{Corpus, Search, search};
///
/// let pool = Pool::new(1);
/// let corpus = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
/// let corpus = Corpus::from(Rows::new(&corpus, 3, 2, 2));
/// let hits = search(&pool, &corpus, Rows::new(&[0.0, 2.0], 1, 2, 2), &Search { k: 2, ..Search::default() }).unwrap();
/// assert_eq!((hits[0][0].row, hits[0][1].row), (1, 2));
/// ```
///
/// # Errors
/// Queries of other dims than the corpus or with values that are not finite, or a prefix that is no prefix.
pub fn search(
    pool: &Pool,
    corpus: &Corpus<'_>,
    queries: Rows<'_>,
    settings: &Search<'_>,
) -> Result<Vec<Vec<Hit>>, VectorsError> {
    let dim = check(corpus, queries, settings.dim)?;
    let queries = queries.prefix(dim);
    let k = settings.k.min(corpus.rows());
    let block = settings.block_rows.max(1);
    let groups = corpus.rows().div_ceil(block).clamp(1, 4 * pool.threads());
    let chunk = (ENTRIES / (k * groups).max(1)).clamp(1, QUERY_CHUNK);
    let mut found = Vec::with_capacity(queries.rows());
    for start in (0..queries.rows()).step_by(chunk) {
        let queries = queries.range(start..queries.rows().min(start + chunk));
        found.extend(scan(pool, corpus.rows(), queries.rows(), k, groups, |range, best| {
            let scanner = Scanner { pool, queries, norms: &norms(queries), settings, corpus };
            let mut scratch = Scratch::default();
            corpus.for_blocks(range, block, |first, rows| scanner.block(first, rows.prefix(dim), best, &mut scratch));
        }));
    }
    Ok(found)
}

/// The dim that is compared, if all is as it should be.
pub(crate) fn check(corpus: &Corpus<'_>, queries: Rows<'_>, dim: Option<usize>) -> Result<usize, VectorsError> {
    if queries.columns() != corpus.columns() && queries.rows() > 0 {
        return Err(VectorsError::Dims { expected: corpus.columns(), found: queries.columns() });
    }
    check_finite(queries)?;
    let dims = queries.columns();
    match dim {
        Some(dim) if dim == 0 || dim > dims => Err(VectorsError::Prefix { dim, dims }),
        dim => Ok(dim.unwrap_or(dims)),
    }
}

/// Cuts the rows into groups, lets threads fill a list of the best for each query and group, and merges the lists.
pub(super) fn scan(
    pool: &Pool,
    rows: usize,
    queries: usize,
    k: usize,
    groups: usize,
    fill: impl Fn(std::ops::Range<usize>, &mut [Best]) + Sync,
) -> Vec<Vec<Hit>> {
    let size = rows.div_ceil(groups.max(1)).max(1);
    let mut lists: Vec<Vec<Best>> = (0..groups).map(|_| vec![Best::new(k); queries]).collect();
    pool.for_each_chunk(&mut lists, 1, |group, lists| {
        fill((group * size).min(rows)..((group + 1) * size).min(rows), &mut lists[0]);
    });
    let mut merged = vec![Best::new(k); queries];
    for list in lists {
        merged.iter_mut().zip(list).for_each(|(merged, best)| merged.merge(best));
    }
    let hit = |(score, row): (f32, u32)| Hit { row: row as usize, score };
    merged.into_iter().map(|best| best.into_sorted().into_iter().map(hit).collect()).collect()
}

struct Scanner<'a> {
    pool: &'a Pool,
    queries: Rows<'a>,
    norms: &'a [f32],
    settings: &'a Search<'a>,
    corpus: &'a Corpus<'a>,
}

#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
}

impl Scanner<'_> {
    fn block(&self, first: usize, rows: Rows<'_>, best: &mut [Best], scratch: &mut Scratch) {
        if self.queries.rows() < PRODUCT_QUERIES || self.settings.metric == Metric::Manhattan {
            self.one_by_one(first, rows, best);
        } else {
            self.by_product(first, rows, best, scratch);
        }
    }

    fn one_by_one(&self, first: usize, rows: Rows<'_>, best: &mut [Best]) {
        let metric = self.settings.metric;
        for row in 0..rows.rows() {
            let x = rows.row(row);
            let norm = if metric == Metric::Cosine { norm(x) } else { 0.0 };
            for (query, best) in best.iter_mut().enumerate() {
                let score = metric.score_with(self.queries.row(query), x, self.norms[query], norm);
                if score >= best.threshold() && self.may_be_found(first + row) {
                    best.offer(score, (first + row) as u32);
                }
            }
        }
    }

    fn by_product(&self, first: usize, rows: Rows<'_>, best: &mut [Best], scratch: &mut Scratch) {
        let metric = self.settings.metric;
        let count = rows.rows();
        let asked = self.queries.rows();
        scratch.scores.resize(asked * count, 0.0);
        // Where the product of a query and a row lies: steps from query to query and from row to row.
        let (query_step, row_step) = if asked >= PACKED_QUERIES {
            matmul_transposed(self.pool, self.queries, rows, &mut scratch.scores, false);
            (count, 1)
        } else {
            matmul_transposed(self.pool, rows, self.queries, &mut scratch.scores, false);
            (1, asked)
        };
        let lengths = norms(rows);
        // Two sums of n products differ by at most 2 n u ‖a‖ ‖b‖ with u = 2⁻²⁴; this is four times that.
        let gamma = (rows.columns() as f32 + 8.0) * 2f32.powi(-21);
        for (query, best) in best.iter_mut().enumerate() {
            let (q, length) = (self.queries.row(query), self.norms[query]);
            let products = scratch.scores[query * query_step..].iter().step_by(row_step);
            let mut worst = best.threshold();
            for (row, (product, x_length)) in products.zip(&lengths).enumerate() {
                let near = match metric {
                    Metric::Cosine => *product >= (worst - gamma) * (length * x_length),
                    Metric::Dot => *product >= worst - gamma * (length * x_length),
                    _ => {
                        let squared = length * length + x_length * x_length - 2.0 * product;
                        // −∞ squared lets everything pass while there is room.
                        squared <= worst * worst + gamma * (length + x_length) * (length + x_length)
                    }
                };
                if near && self.may_be_found(first + row) {
                    let score = metric.score_with(q, rows.row(row), length, *x_length);
                    best.offer(score, (first + row) as u32);
                    worst = best.threshold();
                }
            }
        }
    }

    fn may_be_found(&self, row: usize) -> bool {
        self.corpus.is_live(row) && self.settings.filter.is_none_or(|filter| filter(row))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bits, Part, Values};
    use super::*;
    use crate::testing::{bytes_of, grid, noise};
    use proptest::prelude::*;

    const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan];

    fn reference_search(rows: Rows<'_>, queries: Rows<'_>, settings: &Search<'_>) -> Vec<Vec<Hit>> {
        let dim = settings.dim.unwrap_or(rows.columns());
        let one = |query: usize| {
            let q = &queries.row(query)[..dim];
            let hit = |row: usize| Hit { row, score: settings.metric.score(q, &rows.row(row)[..dim]) };
            let mut all: Vec<Hit> = (0..rows.rows()).map(hit).collect();
            all.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.row.cmp(&b.row)));
            all.retain(|hit| settings.filter.is_none_or(|filter| filter(hit.row)));
            all.truncate(settings.k);
            all
        };
        (0..queries.rows()).map(one).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Agrees to the bit with sorting all scores, for any threads, block size, prefix, and company; many scores are equal.
        #[test]
        fn agrees_with_sorting_everything(
            n in 0usize..150, dims in 1usize..40, queries in prop_oneof![0usize..9, 60usize..70], k in 0usize..30,
            threads in 1usize..4, block_rows in 1usize..70, coarse in any::<bool>(), cut in 0usize..150,
        ) {
            let make = |count, seed| if coarse { grid(count, seed) } else { noise(count, seed) };
            let (data, asked) = (make(n * dims, 1), make(queries * dims, 2));
            let (rows, asked) = (Rows::new(&data, n, dims, dims), Rows::new(&asked, queries, dims, dims));
            let pool = Pool::new(threads);
            let cut = cut.min(n);
            let part = |rows| Part { values: Values::F32(rows), dead: None };
            let corpus = Corpus::new(dims, vec![part(rows.range(0..cut)), part(rows.range(cut..n))]);
            let odd = |row: usize| !row.is_multiple_of(3);
            for metric in METRICS {
                for dim in [None, Some(1 + dims / 2)] {
                    for filter in [None, Some(&odd as Filter<'_>)] {
                        let dim = dim.map(|dim| dim.min(dims));
                        let settings = Search { k, metric, dim, filter, block_rows };
                        let found = search(&pool, &corpus, asked, &settings).unwrap();
                        let expected = reference_search(rows, asked, &settings);
                        prop_assert_eq!(bytes_of(&found), bytes_of(&expected), "{:?} {:?}", metric, dim);
                    }
                }
            }
        }
    }

    #[test]
    fn vectors_that_hardly_differ_are_told_apart() {
        // The product rounds such scores together; the sum in the fixed order decides, as in a search for one query.
        let (n, dims) = (300, 64);
        let base = noise(dims, 1);
        let data: Vec<f32> = (0..n * dims)
            .map(|i| base[i % dims] * if i % dims == (i / dims) % dims { 1.000_001 } else { 1.0 })
            .collect();
        let rows = Rows::new(&data, n, dims, dims);
        for metric in METRICS {
            let settings = Search { k: 20, metric, ..Search::default() };
            let found = search(&Pool::new(2), &rows.into(), rows.range(0..8), &settings).unwrap();
            assert_eq!(bytes_of(&found), bytes_of(&reference_search(rows, rows.range(0..8), &settings)));
        }
    }

    #[test]
    fn dead_rows_are_not_found_and_a_large_k_finds_all() {
        let data = noise(20 * 4, 3);
        let rows = Rows::new(&data, 20, 4, 4);
        let mut dead = Bits::none(20);
        (0..20).step_by(2).for_each(|row| assert!(dead.insert(row)));
        let corpus = Corpus::new(4, vec![Part { values: Values::F32(rows), dead: Some(&dead) }]);
        for queries in [1, 5] {
            let settings = Search { k: 1000, ..Search::default() };
            let found = search(&Pool::new(1), &corpus, rows.range(0..queries), &settings).unwrap();
            assert!(found.iter().all(|hits| hits.len() == 10 && hits.iter().all(|hit| hit.row % 2 == 1)));
        }
    }

    #[test]
    fn what_cannot_be_searched_for_is_said() {
        let data = [1.0f32, 2.0, 3.0, f32::NAN];
        let rows = Rows::new(&data, 2, 2, 2);
        let pool = Pool::new(1);
        let settings = Search::default();
        let error = search(&pool, &rows.into(), rows, &settings).unwrap_err();
        assert!(error.to_string().contains("row 1, column 1 is NaN"), "{error}");
        let error = search(&pool, &rows.into(), Rows::new(&data, 1, 3, 3), &settings).unwrap_err();
        assert_eq!(error, VectorsError::Dims { expected: 2, found: 3 });
        for dim in [0, 3] {
            let settings = Search { dim: Some(dim), ..settings };
            assert_eq!(
                search(&pool, &rows.into(), rows.range(0..1), &settings),
                Err(VectorsError::Prefix { dim, dims: 2 })
            );
        }
        // A stored row that is no number is never found, and hides no other.
        let found = search(&pool, &rows.into(), rows.range(0..1), &settings).unwrap();
        assert_eq!(found[0].iter().map(|hit| hit.row).collect::<Vec<_>>(), [0]);
        assert_eq!(search(&pool, &Corpus::new(2, vec![]), rows.range(0..1), &settings).unwrap(), [vec![]]);
    }
}
