//! A prefix of every row in one byte or one bit a value: small enough to be scanned whole, near enough to make a shortlist.
//! With `Cosine` it is the prefix re-normalised. Queries stay finer than the rows: a plane of bytes is compared with
//! 16-bit weights that hold the query and the widths of the buckets.

use super::exact::{check, scan};
use super::{Best, Corpus, Hit, Metric, norm};
use crate::error::VectorsError;
use crate::quantize::{Ranges, quantize_into};
use maana_kernels::{Pool, Rows};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Bits of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanePrecision {
    /// One byte, in ranges of the plane's own rows, as `quantize::int8`.
    Int8,
    /// One bit, the sign; rows are compared by the bits that differ.
    Binary,
}

impl PlanePrecision {
    /// Bytes of a row with `dims` values.
    pub fn row_bytes(self, dims: usize) -> usize {
        match self {
            PlanePrecision::Int8 => dims,
            PlanePrecision::Binary => dims.div_ceil(64) * 8,
        }
    }
}

/// The plane.
#[derive(Clone, Debug)]
pub struct Plane {
    metric: Metric,
    prefix: usize,
    rows: usize,
    values: PlaneValues,
}

#[derive(Clone, Debug)]
enum PlaneValues {
    Int8 { data: Vec<i8>, ranges: Ranges },
    Binary { data: Vec<u64>, words: usize },
}

/// A query as a plane compares it.
enum PlaneQuery {
    /// 16-bit weights; a score is `offset + scale · Σ weight · value`.
    Int8 {
        weights: Vec<i16>,
        scale: f32,
        offset: f32,
    },
    Binary(Vec<u64>),
}

/// Rows that a task takes.
const BLOCK: usize = 512;

impl Plane {
    /// A plane of the first `prefix` columns of every row, dead ones too, as their numbers count.
    ///
    /// # Errors
    /// A prefix that is no prefix, or a metric other than `Cosine` and `Dot`.
    pub fn build(
        pool: &Pool,
        corpus: &Corpus<'_>,
        metric: Metric,
        prefix: usize,
        precision: PlanePrecision,
    ) -> Result<Self, VectorsError> {
        if prefix == 0 || prefix > corpus.columns() {
            return Err(VectorsError::Prefix { dim: prefix, dims: corpus.columns() });
        }
        if !matches!(metric, Metric::Cosine | Metric::Dot) {
            let message = format!("planes compare by cosine or dot; for {} search exactly", metric.name());
            return Err(VectorsError::setting("metric", message));
        }
        let rows = corpus.rows();
        let tasks = rows.div_ceil(BLOCK);
        let values = match precision {
            PlanePrecision::Int8 => {
                let mut ranges: Vec<Ranges> = vec![Ranges::nothing(prefix); tasks];
                pool.for_each_chunk(&mut ranges, 1, |task, ranges| {
                    for_prefixes(corpus, metric, prefix, block(task, rows), |_, rows| ranges[0].widen(rows));
                });
                let ranges = together(ranges, prefix);
                let steps = ranges.steps();
                let mut data = vec![0i8; rows * prefix];
                pool.for_each_chunk(&mut data, BLOCK * prefix, |task, out| {
                    let mut places = out.iter_mut();
                    for_prefixes(corpus, metric, prefix, block(task, rows), |_, rows| {
                        quantize_into(rows, &ranges, &steps, |value| {
                            *places.next().expect("a place for each value") = (i16::from(value) - 128) as i8;
                        });
                    });
                });
                PlaneValues::Int8 { data, ranges }
            }
            PlanePrecision::Binary => {
                let words = prefix.div_ceil(64);
                let mut data = vec![0u64; rows * words];
                pool.for_each_chunk(&mut data, BLOCK * words, |task, out| {
                    let start = task * BLOCK;
                    for_prefixes(corpus, Metric::Dot, prefix, block(task, rows), |first, rows| {
                        for row in 0..rows.rows() {
                            let place = (first + row - start) * words;
                            pack(rows.row(row), &mut out[place..place + words]);
                        }
                    });
                });
                PlaneValues::Binary { data, words }
            }
        };
        Ok(Self { metric, prefix, rows, values })
    }

    /// Columns of the prefix.
    pub fn prefix(&self) -> usize {
        self.prefix
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.values {
            PlaneValues::Int8 { data, .. } => data.len(),
            PlaneValues::Binary { data, .. } => data.len() * 8,
        }
    }

    /// The k rows nearest on the plane for each query, of those that `corpus` has alive and `filter` lets through. The
    /// scores are the plane's: for bytes near the metric's, for bits the share of equal bits less that of different ones.
    ///
    /// # Errors
    /// Queries of other dims than the corpus or with values that are not finite.
    pub fn scan(
        &self,
        pool: &Pool,
        corpus: &Corpus<'_>,
        queries: Rows<'_>,
        k: usize,
        filter: Option<super::Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        assert_eq!(corpus.rows(), self.rows, "the plane of another corpus");
        check(corpus, queries, None)?;
        let k = k.min(self.rows);
        let groups = self.rows.div_ceil(BLOCK).clamp(1, 4 * pool.threads());
        let chunk = ((1 << 22) / (k * groups).max(1)).clamp(1, 64);
        let mut found = Vec::with_capacity(queries.rows());
        let may_be_found = |row: usize| corpus.is_live(row) && filter.is_none_or(|filter| filter(row));
        for start in (0..queries.rows()).step_by(chunk) {
            let range = start..queries.rows().min(start + chunk);
            let asked: Vec<PlaneQuery> = range.map(|query| self.query(queries.row(query))).collect();
            found.extend(scan(pool, self.rows, asked.len(), k, groups, |range, best| {
                for start in range.clone().step_by(BLOCK) {
                    let rows = start..range.end.min(start + BLOCK);
                    for (query, best) in asked.iter().zip(best.iter_mut()) {
                        self.scan_block(query, rows.clone(), best, &may_be_found);
                    }
                }
            }));
        }
        Ok(found)
    }

    fn query(&self, query: &[f32]) -> PlaneQuery {
        let query = &query[..self.prefix];
        match &self.values {
            PlaneValues::Binary { words, .. } => {
                let mut bits = vec![0; *words];
                pack(query, &mut bits);
                PlaneQuery::Binary(bits)
            }
            PlaneValues::Int8 { ranges, .. } => {
                let length = if self.metric == Metric::Cosine { norm(query) } else { 1.0 };
                let steps = ranges.steps();
                let weights: Vec<f32> = query.iter().zip(&steps).map(|(q, step)| q / length * step).collect();
                // A value stands for the middle of its bucket; −128 is the first.
                let middles = query.iter().zip(&steps).zip(&ranges.low);
                let offset = middles.map(|((q, step), low)| q / length * (low + 128.5 * step)).sum();
                let largest = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
                // Σ weight · value stays within 32 bits.
                let limit = (i32::MAX as f32 / 129.0 / self.prefix as f32).min(32_000.0);
                let scale = if largest > 0.0 { largest / limit } else { 1.0 };
                let weights = weights.iter().map(|weight| (weight / scale).round() as i16).collect();
                PlaneQuery::Int8 { weights, scale, offset }
            }
        }
    }

    fn scan_block(&self, query: &PlaneQuery, rows: Range<usize>, best: &mut Best, may: &dyn Fn(usize) -> bool) {
        let mut worst = best.threshold();
        let mut offer = |score: f32, row: usize| {
            if score >= worst && may(row) {
                best.offer(score, row as u32);
                worst = best.threshold();
            }
        };
        match (&self.values, query) {
            (PlaneValues::Int8 { data, .. }, PlaneQuery::Int8 { weights, scale, offset }) => {
                let values = &data[rows.start * self.prefix..rows.end * self.prefix];
                for (row, values) in rows.zip(values.chunks_exact(self.prefix)) {
                    offer(offset + scale * dot(weights, values) as f32, row);
                }
            }
            (PlaneValues::Binary { data, words }, PlaneQuery::Binary(bits)) => {
                let values = &data[rows.start * words..rows.end * words];
                for (row, values) in rows.zip(values.chunks_exact(*words)) {
                    let different: u32 = values.iter().zip(bits).map(|(a, b)| (a ^ b).count_ones()).sum();
                    offer(1.0 - 2.0 * different as f32 / self.prefix as f32, row);
                }
            }
            _ => unreachable!("a query of the plane's own precision"),
        }
    }
}

fn block(task: usize, rows: usize) -> Range<usize> {
    task * BLOCK..rows.min((task + 1) * BLOCK)
}

/// Calls `f` with the first number and the prefixes of blocks of rows, with `Cosine` at length 1.
fn for_prefixes(
    corpus: &Corpus<'_>,
    metric: Metric,
    prefix: usize,
    range: Range<usize>,
    mut f: impl FnMut(usize, Rows<'_>),
) {
    let mut values = Vec::new();
    corpus.for_blocks(range, BLOCK, |first, rows| {
        let rows = rows.prefix(prefix);
        if metric != Metric::Cosine {
            return f(first, rows);
        }
        values.clear();
        for row in 0..rows.rows() {
            let length = norm(rows.row(row));
            values.extend(rows.row(row).iter().map(|value| value / length));
        }
        f(first, Rows::new(&values, rows.rows(), prefix, prefix));
    });
}

fn together(ranges: Vec<Ranges>, columns: usize) -> Ranges {
    let mut all = Ranges::nothing(columns);
    for ranges in ranges {
        for column in 0..columns {
            all.low[column] = all.low[column].min(ranges.low[column]);
            all.high[column] = all.high[column].max(ranges.high[column]);
        }
    }
    all
}

fn pack(values: &[f32], words: &mut [u64]) {
    words.fill(0);
    for (column, value) in values.iter().enumerate() {
        words[column / 64] |= u64::from(*value > 0.0) << (column % 64);
    }
}

/// Σ weight · value.
fn dot(weights: &[i16], values: &[i8]) -> i32 {
    weights.iter().zip(values).map(|(weight, value)| i32::from(*weight) * i32::from(*value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes_of, embeddings, noise};

    /// What a plane's scan should give, in f64 and one row after the other.
    fn reference_scan(plane: &Plane, corpus: Rows<'_>, query: &[f32]) -> Vec<f64> {
        let prefix = plane.prefix;
        let length = |x: &[f32]| if plane.metric == Metric::Cosine { f64::from(norm(x)) } else { 1.0 };
        let q = &query[..prefix];
        let score = |row: usize| match &plane.values {
            PlaneValues::Int8 { data, ranges } => {
                let steps = ranges.steps();
                let value = |d: usize| {
                    f64::from(ranges.low[d]) + (f64::from(data[row * prefix + d]) + 128.5) * f64::from(steps[d])
                };
                (0..prefix).map(|d| f64::from(q[d]) / length(q) * value(d)).sum()
            }
            PlaneValues::Binary { .. } => {
                let x = corpus.row(row);
                let same = (0..prefix).filter(|d| (q[*d] > 0.0) == (x[*d] > 0.0)).count();
                2.0 * same as f64 / prefix as f64 - 1.0
            }
        };
        (0..corpus.rows()).map(score).collect()
    }

    #[test]
    fn scans_agree_with_the_plain_sums_for_any_threads() {
        let (n, dims) = (1100, 70);
        let matrix = embeddings(n, dims, 5, 1);
        let rows = matrix.view();
        let queries = embeddings(3, dims, 2, 9);
        for metric in [Metric::Cosine, Metric::Dot] {
            for precision in [PlanePrecision::Int8, PlanePrecision::Binary] {
                for prefix in [1, 17, 64, 70] {
                    let build = |threads| Plane::build(&Pool::new(threads), &rows.into(), metric, prefix, precision);
                    let (one, two) = (build(1).unwrap(), build(3).unwrap());
                    let scan = |plane: &Plane, threads| {
                        plane.scan(&Pool::new(threads), &rows.into(), queries.view(), 40, None).unwrap()
                    };
                    let found = scan(&one, 1);
                    assert_eq!(bytes_of(&found), bytes_of(&scan(&two, 3)));
                    assert_eq!(one.bytes(), n * precision.row_bytes(prefix));
                    for (query, hits) in found.iter().enumerate() {
                        let expected = reference_scan(&one, rows, queries.row(query));
                        let mut sorted = expected.clone();
                        sorted.sort_by(|a, b| b.partial_cmp(a).unwrap());
                        let scale = sorted[0].abs().max(1.0);
                        for (place, hit) in hits.iter().enumerate() {
                            assert!((f64::from(hit.score) - expected[hit.row]).abs() < 1e-3 * scale);
                            assert!(
                                (f64::from(hit.score) - sorted[place]).abs() < 1e-3 * scale,
                                "{precision:?} {prefix}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_are_those_of_quantize() {
        let data = noise(30 * 8, 4);
        let rows = Rows::new(&data, 30, 8, 8);
        let plane = Plane::build(&Pool::new(1), &rows.into(), Metric::Dot, 5, PlanePrecision::Int8).unwrap();
        let PlaneValues::Int8 { data, ranges } = plane.values else { panic!("bytes were asked for") };
        let prefix = rows.prefix(5);
        assert_eq!(ranges, Ranges::of(prefix).unwrap());
        assert_eq!(data, crate::quantize::int8(prefix, &ranges));
    }

    #[test]
    fn what_has_no_plane_is_said() {
        let rows = Rows::new(&[1.0, 2.0], 1, 2, 2);
        let build = |metric, prefix| {
            Plane::build(&Pool::new(1), &rows.into(), metric, prefix, PlanePrecision::Int8).unwrap_err().to_string()
        };
        assert!(build(Metric::Euclidean, 1).contains("cosine or dot"));
        assert!(build(Metric::Cosine, 3).contains("from 1 to 2"));
    }
}
