//! A prefix of every row in one byte or one bit a value: small enough to be scanned whole, near
//! enough to make a shortlist. With `Cosine` it is the prefix re-normalised.

use super::codes::{BLOCK, Codes, CodesQuery, block, for_prefixes, is_distance};
use super::exact::{check, scan};
use super::{Best, Corpus, Hit, Metric};
use crate::error::VectorsError;
use maana_kernels::{Context, Rows, different_bits};
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
    prefix: usize,
    rows: usize,
    values: PlaneValues,
}

#[derive(Clone, Debug)]
enum PlaneValues {
    Int8(Codes),
    Binary { data: Vec<u64>, words: usize },
}

/// A query as a plane compares it.
enum PlaneQuery {
    Int8(CodesQuery),
    Binary(Vec<u64>),
}

impl Plane {
    /// A plane of the first `prefix` columns of every row, dead ones too, as their numbers count.
    ///
    /// # Errors
    /// A prefix of 0 or more than all columns, or bits with a metric other than `Cosine` and `Dot`.
    pub fn build(
        context: &Context,
        corpus: &Corpus<'_>,
        metric: Metric,
        prefix: usize,
        precision: PlanePrecision,
    ) -> Result<Self, VectorsError> {
        if prefix == 0 || prefix > corpus.columns() {
            return Err(VectorsError::Prefix { dim: prefix, dims: corpus.columns() });
        }
        if precision == PlanePrecision::Binary && is_distance(metric) {
            let message = format!("bits are compared by cosine or dot, not by {}; take int8", metric.name());
            return Err(VectorsError::setting("metric", message));
        }
        let rows = corpus.rows();
        let values = match precision {
            PlanePrecision::Int8 => PlaneValues::Int8(Codes::of(context, corpus, metric, prefix)?),
            PlanePrecision::Binary => {
                let words = prefix.div_ceil(64);
                let mut data = vec![0u64; rows * words];
                context.for_each_chunk(&mut data, BLOCK * words, |task, out| {
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
        Ok(Self { prefix, rows, values })
    }

    /// Columns of the prefix.
    pub fn prefix(&self) -> usize {
        self.prefix
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.values {
            PlaneValues::Int8(codes) => codes.data.len(),
            PlaneValues::Binary { data, .. } => data.len() * 8,
        }
    }

    /// The k rows nearest on the plane for each query, of those that `corpus` has alive and
    /// `filter` lets through. The scores are the plane's: for bytes near the metric's, for bits the
    /// share of equal bits less that of different ones.
    ///
    /// # Errors
    /// Queries of other dims than the corpus or with values that are not finite.
    pub fn scan(
        &self,
        context: &Context,
        corpus: &Corpus<'_>,
        queries: Rows<'_>,
        k: usize,
        filter: Option<super::Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        assert_eq!(corpus.rows(), self.rows, "the plane of another corpus");
        check(corpus, queries, None)?;
        let k = k.min(self.rows);
        let chunk = ((1 << 22) / (k * context.threads()).max(1)).clamp(1, 64);
        let mut found = Vec::with_capacity(queries.rows());
        let may_be_found = |row: usize| corpus.is_live(row) && filter.is_none_or(|filter| filter(row));
        for start in (0..queries.rows()).step_by(chunk) {
            let range = start..queries.rows().min(start + chunk);
            let asked: Vec<PlaneQuery> = range.map(|query| self.query(queries.row(query))).collect();
            found.extend(scan(context, self.rows, 8 * BLOCK, asked.len(), k, |range, best, ()| {
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
        match &self.values {
            PlaneValues::Int8(codes) => PlaneQuery::Int8(codes.view().query(query)),
            PlaneValues::Binary { words, .. } => {
                let mut bits = vec![0; *words];
                pack(&query[..self.prefix], &mut bits);
                PlaneQuery::Binary(bits)
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
            (PlaneValues::Int8(codes), PlaneQuery::Int8(query)) => {
                codes.view().near_all(query, rows, offer);
            }
            (PlaneValues::Binary { data, words }, PlaneQuery::Binary(bits)) => {
                let mut different = [0; BLOCK];
                let different = &mut different[..rows.len()];
                different_bits(bits, &data[rows.start * words..rows.end * words], different);
                for (row, different) in rows.zip(different) {
                    offer(1.0 - 2.0 * *different as f32 / self.prefix as f32, row);
                }
            }
            _ => unreachable!("a query of the plane's own precision"),
        }
    }
}

fn pack(values: &[f32], words: &mut [u64]) {
    words.fill(0);
    for (column, value) in values.iter().enumerate() {
        words[column / 64] |= u64::from(*value > 0.0) << (column % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::norm;
    use super::*;
    use crate::quantize::Ranges;
    use crate::testing::{bytes_of, embeddings, noise};

    /// Expected result of a plane's scan, in f64, row by row.
    fn reference_scan(plane: &Plane, metric: Metric, corpus: Rows<'_>, query: &[f32]) -> Vec<f64> {
        let prefix = plane.prefix;
        let length = |x: &[f32]| if metric == Metric::Cosine { f64::from(norm(x)) } else { 1.0 };
        let q = &query[..prefix];
        let score = |row: usize| match &plane.values {
            PlaneValues::Int8(Codes { data, ranges, .. }) => {
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
                    let build = |threads| Plane::build(&Context::new(threads), &rows.into(), metric, prefix, precision);
                    let (one, two) = (build(1).unwrap(), build(3).unwrap());
                    let scan = |plane: &Plane, threads| {
                        plane.scan(&Context::new(threads), &rows.into(), queries.view(), 40, None).unwrap()
                    };
                    let found = scan(&one, 1);
                    assert_eq!(bytes_of(&found), bytes_of(&scan(&two, 3)));
                    assert_eq!(one.bytes(), n * precision.row_bytes(prefix));
                    for (query, hits) in found.iter().enumerate() {
                        let expected = reference_scan(&one, metric, rows, queries.row(query));
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
        let plane = Plane::build(&Context::new(1), &rows.into(), Metric::Dot, 5, PlanePrecision::Int8).unwrap();
        let PlaneValues::Int8(Codes { data, ranges, .. }) = plane.values else { panic!("bytes were asked for") };
        let prefix = rows.prefix(5);
        assert_eq!(ranges, Ranges::of(prefix).unwrap());
        assert_eq!(data, crate::quantize::int8(prefix, &ranges));
    }

    #[test]
    fn what_has_no_plane_is_said() {
        let rows = Rows::new(&[1.0, 2.0], 1, 2, 2);
        let build = |metric, prefix| {
            Plane::build(&Context::new(1), &rows.into(), metric, prefix, PlanePrecision::Binary)
                .unwrap_err()
                .to_string()
        };
        assert!(build(Metric::Euclidean, 1).contains("cosine or dot, not by euclidean; take int8"));
        assert!(build(Metric::Cosine, 3).contains("from 1 to 2"));
    }
}
