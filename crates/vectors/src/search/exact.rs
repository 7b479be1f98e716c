//! Exact search. A block of rows is multiplied with many queries at once; the product, whose
//! rounding depends on the machine, only decides which rows are worth the sum in the fixed order
//! that is their score. A row is passed over only when it is further from the k best than the two
//! roundings can be apart.
//!
//! Where the first columns say most, as in embeddings of a Matryoshka model, only they are
//! multiplied: what the others can add is at most the product of their lengths (Cauchy and
//! Schwarz), and a row that is too far even with it is passed over.

use super::{Best, Corpus, Metric, norm, norms};
use crate::error::{VectorsError, check_finite};
use maana_kernels::{Context, Epilogue, PackedMatrix, Precision, Rows, dot, linear};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its number in the corpus.
    pub row: usize,
    /// By the metric; greater is nearer.
    pub score: f32,
}

/// Returns whether a row may be found, by its number. Called only for rows that are near enough.
pub type Filter<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// A search request.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Number of rows to find; fewer are found when there are fewer.
    pub k: usize,
    /// Metric of the scores.
    pub metric: Metric,
    /// Compare the first `dim` columns only; with `Cosine` that is the prefix re-normalised. `None`
    /// compares all.
    pub dim: Option<usize>,
    /// Rows that may be found; `None` for all.
    pub filter: Option<Filter<'a>>,
    /// Rows that are compared at once; changes speed and memory, never a result.
    pub block_rows: usize,
}

impl Default for Search<'_> {
    fn default() -> Self {
        Self { k: 10, metric: Metric::Cosine, dim: None, filter: None, block_rows: 256 }
    }
}

/// From this many queries on, a product is faster than one sum after the other.
const PRODUCT_QUERIES: usize = 4;
/// Queries that are compared with a block at once.
const QUERY_CHUNK: usize = 512;
/// Limit on the lists of the best, in entries of all threads together.
const ENTRIES: usize = 1 << 23;
/// Blocks of a task, after which the question is asked how many columns are enough.
const TASK_BLOCKS: usize = 8;
/// Blocks from which on it is worth finding out how many columns are enough.
const WORTH_HEADS: usize = 4 * TASK_BLOCKS;
/// Queries, and rows, by which that is found out.
const PROBES: usize = 32;
/// Cost of scoring a single row, relative to its share of the product; measured with AVX2.
const SINGLE: f32 = 16.0;

/// The k nearest rows of each query, nearest first.
///
/// Memory in addition to the corpus is bounded: a block of scores for each thread, and k entries
/// for each of a chunk of queries.
///
/// ```
/// use maana_kernels::{Context, Rows};
/// use maana_vectors::search::{Corpus, Search, search};
///
/// let context = Context::new(1);
/// let corpus = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
/// let corpus = Corpus::from(Rows::new(&corpus, 3, 2, 2));
/// let queries = Rows::new(&[0.0, 2.0], 1, 2, 2);
/// let settings = Search { k: 2, ..Search::default() };
/// let hits = search(&context, &corpus, queries, &settings).unwrap();
/// assert_eq!((hits[0][0].row, hits[0][1].row), (1, 2));
/// ```
///
/// # Errors
/// Queries of other dims than the corpus or with values that are not finite, or a prefix that is
/// not a prefix.
pub fn search(
    context: &Context,
    corpus: &Corpus<'_>,
    queries: Rows<'_>,
    settings: &Search<'_>,
) -> Result<Vec<Vec<Hit>>, VectorsError> {
    let dim = check(corpus, queries, settings.dim)?;
    let queries = queries.prefix(dim);
    let k = settings.k.min(corpus.rows());
    let block = settings.block_rows.max(1);
    let chunk = (ENTRIES / (k * context.threads()).max(1)).clamp(1, QUERY_CHUNK);
    let mut found = Vec::with_capacity(queries.rows());
    for start in (0..queries.rows()).step_by(chunk) {
        let queries = queries.range(start..queries.rows().min(start + chunk));
        let norms = norms(queries);
        let longest = norms.iter().fold(0.0, |longest: f32, norm| longest.max(*norm));
        let scanner = Scanner { context, queries, norms: &norms, longest, settings, corpus };
        let heads = scanner.heads(corpus.rows() / block >= WORTH_HEADS);
        found.extend(scan(context, corpus.rows(), TASK_BLOCKS * block, queries.rows(), k, |range, best, scratch| {
            corpus.for_blocks(range, block, |first, rows| {
                let rows = rows.prefix(dim);
                if heads.is_empty() {
                    scanner.one_by_one(first, rows, best);
                } else {
                    scanner.by_product(first, rows, &heads, best, scratch);
                }
            });
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

/// Cuts the rows into tasks, lets each thread fill lists of the best, one for each query, and
/// merges them. Which rows came to the same lists changes nothing.
pub(super) fn scan<S: Default + Send>(
    context: &Context,
    rows: usize,
    task_rows: usize,
    queries: usize,
    k: usize,
    fill: impl Fn(Range<usize>, &mut [Best], &mut S) + Sync,
) -> Vec<Vec<Hit>> {
    let idle: Mutex<Vec<(Vec<Best>, S)>> = Mutex::default();
    let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    context.run(rows.div_ceil(task_rows), |task| {
        let taken = lock().pop();
        let (mut lists, mut scratch) = taken.unwrap_or_else(|| (vec![Best::new(k); queries], S::default()));
        fill(task * task_rows..rows.min((task + 1) * task_rows), &mut lists, &mut scratch);
        lock().push((lists, scratch));
    });
    let mut merged = vec![Best::new(k); queries];
    for (lists, _) in idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
        merged.iter_mut().zip(lists).for_each(|(merged, best)| merged.merge(best));
    }
    let hit = |(score, row): (f32, u32)| Hit { row: row as usize, score };
    merged.into_iter().map(|best| best.into_sorted().into_iter().map(hit).collect()).collect()
}

struct Scanner<'a> {
    context: &'a Context,
    queries: Rows<'a>,
    norms: &'a [f32],
    longest: f32,
    settings: &'a Search<'a>,
    corpus: &'a Corpus<'a>,
}

/// The first columns of all queries, ready to be multiplied.
struct Head {
    columns: usize,
    packed: PackedMatrix,
    /// Length of the other columns of each query.
    tails: Vec<f32>,
}

#[derive(Default)]
struct Scratch {
    /// Blocks so far.
    blocks: usize,
    /// The head that is multiplied next; none before that was found out.
    head: Option<usize>,
    scores: Vec<f32>,
    bounds: Vec<f32>,
}

/// A row may be near a query if
/// `product + tail of the query · tail >= bound of the query · scale + shift`.
struct Reach {
    tail: f32,
    scale: f32,
    shift: f32,
}

impl Scanner<'_> {
    /// Heads of a few lengths, all columns the last; none where no product is worth while.
    fn heads(&self, worth: bool) -> Vec<Head> {
        if self.queries.rows() < PRODUCT_QUERIES || self.settings.metric == Metric::Manhattan {
            return Vec::new();
        }
        let dim = self.queries.columns();
        let shorter = [dim / 8, dim / 4, dim / 2].into_iter().filter(|columns| worth && *columns >= 16);
        let head = |columns: usize| Head {
            columns,
            packed: PackedMatrix::pack_transposed(self.context, Precision::F32, self.queries.prefix(columns)),
            tails: (0..self.queries.rows()).map(|query| length_of(&self.queries.row(query)[columns..])).collect(),
        };
        shorter.chain([dim]).map(head).collect()
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

    fn by_product(&self, first: usize, rows: Rows<'_>, heads: &[Head], best: &mut [Best], scratch: &mut Scratch) {
        let head = &heads[scratch.head.unwrap_or(heads.len() - 1)];
        let asked = self.queries.rows();
        scratch.scores.resize(asked * rows.rows(), 0.0);
        linear(self.context, rows.prefix(head.columns), &head.packed, None, Epilogue::None, &mut scratch.scores);
        scratch.bounds.clear();
        scratch.bounds.extend(best.iter().enumerate().map(|(query, best)| self.bound(query, best.threshold())));
        for (row, products) in scratch.scores.chunks_exact(asked).enumerate() {
            let x = rows.row(row);
            let reach = self.reach(x, head.columns);
            let mut length = None;
            // Most rows are far from all queries, which is seen for many at once.
            for start in (0..asked).step_by(LANES) {
                let range = start..asked.min(start + LANES);
                let lanes = products[range.clone()].iter().zip(&scratch.bounds[range.clone()]);
                let near = |((product, bound), tail): ((&f32, &f32), &f32)| reach.is_near(*product, *tail, *bound);
                if !lanes.zip(&head.tails[range.clone()]).fold(false, |any, lane| any | near(lane)) {
                    continue;
                }
                for query in range {
                    if reach.is_near(products[query], head.tails[query], scratch.bounds[query])
                        && self.may_be_found(first + row)
                    {
                        let (q, length) = (self.queries.row(query), *length.get_or_insert_with(|| norm(x)));
                        let score = self.settings.metric.score_with(q, x, self.norms[query], length);
                        best[query].offer(score, (first + row) as u32);
                        scratch.bounds[query] = self.bound(query, best[query].threshold());
                    }
                }
            }
        }
        scratch.blocks += 1;
        if heads.len() > 1 && scratch.blocks.is_multiple_of(TASK_BLOCKS) {
            scratch.head = Some(self.cheapest(rows, heads, &scratch.bounds));
        }
    }

    /// Two sums of n products differ by at most 2 n u ‖a‖ ‖b‖ with u = 2⁻²⁴; this is four times
    /// that.
    fn gamma(&self) -> f32 {
        (self.queries.columns() as f32 + 8.0) * 2f32.powi(-21)
    }

    /// Threshold of a product, for a query whose last hit has this score: −∞ lets
    /// everything pass.
    fn bound(&self, query: usize, worst: f32) -> f32 {
        let length = self.norms[query];
        match self.settings.metric {
            Metric::Cosine => (worst - self.gamma()) * length,
            Metric::Dot => worst,
            _ => (length * length - worst * worst) / 2.0 - self.gamma() * length * length,
        }
    }

    fn reach(&self, x: &[f32], columns: usize) -> Reach {
        let (head, tail) = (dot(&x[..columns], &x[..columns]), length_of(&x[columns..]));
        let squared = head + tail * tail;
        let gamma = self.gamma();
        let (scale, shift) = match self.settings.metric {
            Metric::Cosine => (squared.sqrt().max(1e-12), 0.0),
            Metric::Dot => (1.0, -gamma * squared.sqrt() * self.longest),
            _ => (1.0, squared / 2.0 - gamma * squared),
        };
        // Values so large that their squares are not: each is scored.
        if (scale + shift).is_finite() {
            Reach { tail, scale, shift }
        } else {
            Reach { tail: 0.0, scale: 1.0, shift: f32::NEG_INFINITY }
        }
    }

    /// The head that would have been cheapest for these rows.
    fn cheapest(&self, rows: Rows<'_>, heads: &[Head], bounds: &[f32]) -> usize {
        let (asked, count) = (self.queries.rows(), rows.rows());
        let probes = |all: usize| (0..all).step_by(all.div_ceil(PROBES).max(1));
        let cost = |head: &Head| {
            let mut near = 0;
            for row in probes(count) {
                let x = rows.row(row);
                let reach = self.reach(x, head.columns);
                for query in probes(asked) {
                    let product = dot(&self.queries.row(query)[..head.columns], &x[..head.columns]);
                    near += usize::from(reach.is_near(product, head.tails[query], bounds[query]));
                }
            }
            let singles = near as f32 / (probes(count).count() * probes(asked).count()) as f32;
            head.columns as f32 / self.queries.columns() as f32 + SINGLE * singles
        };
        let costs: Vec<f32> = heads.iter().map(cost).collect();
        (0..heads.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0)
    }

    fn may_be_found(&self, row: usize) -> bool {
        self.corpus.is_live(row) && self.settings.filter.is_none_or(|filter| filter(row))
    }
}

impl Reach {
    fn is_near(&self, product: f32, tail: f32, bound: f32) -> bool {
        product + tail * self.tail >= bound * self.scale + self.shift
    }
}

/// Queries that a row is compared with at once.
const LANES: usize = 32;

fn length_of(x: &[f32]) -> f32 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::{Bits, Part, Values};
    use super::*;
    use crate::testing::{bytes_of, grid, noise};
    use maana_kernels::Matrix;
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

        /// Agrees to the bit with sorting all scores, for any threads, block size, prefix, and
        /// company; many scores are equal.
        #[test]
        fn agrees_with_sorting_everything(
            n in 0usize..150, dims in 1usize..40, queries in prop_oneof![0usize..9, 60usize..70], k in 0usize..30,
            threads in 1usize..4, block_rows in 1usize..70, coarse in any::<bool>(), cut in 0usize..150,
        ) {
            let make = |count, seed| if coarse { grid(count, seed) } else { noise(count, seed) };
            let (data, asked) = (make(n * dims, 1), make(queries * dims, 2));
            let (rows, asked) = (Rows::new(&data, n, dims, dims), Rows::new(&asked, queries, dims, dims));
            let context = Context::new(threads);
            let cut = cut.min(n);
            let part = |rows| Part { values: Values::F32(rows), dead: None };
            let corpus = Corpus::new(dims, vec![part(rows.range(0..cut)), part(rows.range(cut..n))]);
            let odd = |row: usize| !row.is_multiple_of(3);
            for metric in METRICS {
                for dim in [None, Some(1 + dims / 2)] {
                    for filter in [None, Some(&odd as Filter<'_>)] {
                        let dim = dim.map(|dim| dim.min(dims));
                        let settings = Search { k, metric, dim, filter, block_rows };
                        let found = search(&context, &corpus, asked, &settings).unwrap();
                        let expected = reference_search(rows, asked, &settings);
                        prop_assert_eq!(bytes_of(&found), bytes_of(&expected), "{:?} {:?}", metric, dim);
                    }
                }
            }
        }
    }

    #[test]
    fn vectors_with_tiny_differences_are_distinguished() {
        // The product rounds such scores together; the sum in the fixed order decides, as in a
        // search for one query.
        let (n, dims) = (300, 64);
        let base = noise(dims, 1);
        let data: Vec<f32> = (0..n * dims)
            .map(|i| base[i % dims] * if i % dims == (i / dims) % dims { 1.000_001 } else { 1.0 })
            .collect();
        let rows = Rows::new(&data, n, dims, dims);
        for metric in METRICS {
            let settings = Search { k: 20, metric, ..Search::default() };
            let found = search(&Context::new(2), &rows.into(), rows.range(0..8), &settings).unwrap();
            assert_eq!(bytes_of(&found), bytes_of(&reference_search(rows, rows.range(0..8), &settings)));
        }
    }

    /// Rows of 160 columns of which the first 40 carry `first` of the squared length.
    fn uneven(rows: usize, first: f32, seed: u64) -> Matrix {
        let mut matrix = Matrix::from_vec(rows, 160, noise(rows * 160, seed));
        for row in 0..rows {
            let (head, tail) = matrix.row_mut(row).split_at_mut(40);
            head.iter_mut().for_each(|x| *x *= (first * 4.0).sqrt());
            tail.iter_mut().for_each(|x| *x *= ((1.0 - first) * 4.0 / 3.0).sqrt());
        }
        matrix
    }

    #[test]
    fn short_heads_are_taken_where_they_say_most_and_change_nothing() {
        let context = Context::new(2);
        for (first, short) in [(0.999, true), (0.25, false)] {
            let (matrix, queries) = (uneven(900, first, 1), uneven(40, first, 2));
            let (rows, asked) = (matrix.view(), queries.view());
            for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
                let settings = Search { k: 3, metric, block_rows: 8, ..Search::default() };
                let found = search(&context, &rows.into(), asked, &settings).unwrap();
                assert_eq!(bytes_of(&found), bytes_of(&reference_search(rows, asked, &settings)), "{metric:?}");
                let (corpus, norms) = (Corpus::from(rows), norms(asked));
                let longest = norms.iter().copied().fold(0.0, f32::max);
                let scanner = Scanner {
                    context: &context,
                    queries: asked,
                    norms: &norms,
                    longest,
                    settings: &settings,
                    corpus: &corpus,
                };
                let heads = scanner.heads(true);
                assert_eq!(heads.iter().map(|head| head.columns).collect::<Vec<_>>(), [20, 40, 80, 160]);
                let bounds: Vec<f32> = (0..40).map(|query| scanner.bound(query, found[query][2].score)).collect();
                let chosen = heads[scanner.cheapest(rows, &heads, &bounds)].columns;
                assert_eq!(chosen <= 40, short, "{chosen} columns by {metric:?}");
            }
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
            let found = search(&Context::new(1), &corpus, rows.range(0..queries), &settings).unwrap();
            assert!(found.iter().all(|hits| hits.len() == 10 && hits.iter().all(|hit| hit.row % 2 == 1)));
        }
    }

    #[test]
    fn what_cannot_be_searched_for_is_said() {
        let data = [1.0f32, 2.0, 3.0, f32::NAN];
        let rows = Rows::new(&data, 2, 2, 2);
        let context = Context::new(1);
        let settings = Search::default();
        let error = search(&context, &rows.into(), rows, &settings).unwrap_err();
        assert!(error.to_string().contains("row 1, column 1 is NaN"), "{error}");
        let error = search(&context, &rows.into(), Rows::new(&data, 1, 3, 3), &settings).unwrap_err();
        assert_eq!(error, VectorsError::Dims { expected: 2, found: 3 });
        for dim in [0, 3] {
            let settings = Search { dim: Some(dim), ..settings };
            assert_eq!(
                search(&context, &rows.into(), rows.range(0..1), &settings),
                Err(VectorsError::Prefix { dim, dims: 2 })
            );
        }
        // A stored row with NaN is never found, and hides no other.
        let found = search(&context, &rows.into(), rows.range(0..1), &settings).unwrap();
        assert_eq!(found[0].iter().map(|hit| hit.row).collect::<Vec<_>>(), [0]);
        assert_eq!(search(&context, &Corpus::new(2, vec![]), rows.range(0..1), &settings).unwrap(), [vec![]]);
    }
}
