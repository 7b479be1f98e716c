//! Rows in one byte a value, each column in ranges of its own, compared with a query in 16 bits. By
//! whole numbers, so that a comparison gives the same bits on every machine; near the metric's
//! order, and no score that anybody is shown.

use super::{Corpus, Metric, norm};
use crate::error::VectorsError;
use crate::quantize::{Ranges, quantize_into};
use maana_kernels::{Context, Rows, dot, dot_all_codes, dot_codes, prefetch, weights_of_codes};
use std::ops::Range;

/// Rows that a task takes.
pub(super) const BLOCK: usize = 512;

/// Codes of the first columns of rows, re-normalised with `Cosine`.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    metric: Metric,
    pub(crate) ranges: Ranges,
    steps: Vec<f32>,
    /// `(rows, columns)`
    pub(crate) data: Vec<i8>,
    /// Half the squared length of each row, of metrics that are distances.
    pub(crate) halves: Vec<f32>,
}

/// Codes in memory or on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodesView<'a> {
    pub(crate) metric: Metric,
    pub(crate) ranges: &'a Ranges,
    pub(crate) steps: &'a [f32],
    pub(crate) data: &'a [i8],
    pub(crate) halves: &'a [f32],
}

/// A query for codes: nearness is `offset + scale · Σ weight · code`, less half the
/// row's squared length.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodesQuery {
    weights: Vec<i16>,
    scale: f32,
    offset: f32,
}

impl Codes {
    /// Codes of the first `prefix` columns of every row, dead ones too, as their numbers count.
    ///
    /// # Errors
    /// A prefix of 0 or more than all columns.
    pub(crate) fn of(
        context: &Context,
        corpus: &Corpus<'_>,
        metric: Metric,
        prefix: usize,
    ) -> Result<Self, VectorsError> {
        if prefix == 0 || prefix > corpus.columns() {
            return Err(VectorsError::Prefix { dim: prefix, dims: corpus.columns() });
        }
        let rows = corpus.rows();
        let mut parts: Vec<Ranges> = vec![Ranges::nothing(prefix); rows.div_ceil(BLOCK)];
        context.for_each_chunk(&mut parts, 1, |task, part| {
            for_prefixes(corpus, metric, prefix, block(task, rows), |_, rows| part[0].widen(rows));
        });
        let mut ranges = Ranges::nothing(prefix);
        parts.iter().for_each(|part| ranges.widen_by(part));
        let steps = ranges.steps();
        let mut data = vec![0i8; rows * prefix];
        context.for_each_chunk(&mut data, BLOCK * prefix, |task, out| {
            let mut places = out.iter_mut();
            for_prefixes(corpus, metric, prefix, block(task, rows), |_, rows| {
                quantize_into(rows, &ranges, &steps, |value| {
                    *places.next().expect("a place for each value") = (i16::from(value) - 128) as i8;
                });
            });
        });
        let mut halves = Vec::new();
        if is_distance(metric) {
            halves.resize(rows, 0.0);
            context.for_each_chunk(&mut halves, BLOCK, |task, out| {
                let start = task * BLOCK;
                for_prefixes(corpus, metric, prefix, block(task, rows), |first, rows| {
                    for row in 0..rows.rows() {
                        out[first + row - start] = dot(rows.row(row), rows.row(row)) / 2.0;
                    }
                });
            });
        }
        Ok(Self { metric, ranges, steps, data, halves })
    }

    pub(crate) fn view(&self) -> CodesView<'_> {
        CodesView {
            metric: self.metric,
            ranges: &self.ranges,
            steps: &self.steps,
            data: &self.data,
            halves: &self.halves,
        }
    }
}

/// Returns whether nearness needs the rows' lengths. Rows that are near by absolute differences are
/// near by squared ones, as good as always.
pub(crate) fn is_distance(metric: Metric) -> bool {
    matches!(metric, Metric::Euclidean | Metric::Manhattan)
}

impl CodesView<'_> {
    /// Columns of a row.
    pub(crate) fn columns(self) -> usize {
        self.ranges.low.len()
    }

    /// A query by its first columns.
    pub(crate) fn query(self, query: &[f32]) -> CodesQuery {
        let query = &query[..self.columns()];
        let length = if self.metric == Metric::Cosine { norm(query) } else { 1.0 };
        let weight = |(value, step): (&f32, &f32)| value / length * step;
        let weights: Vec<f32> = query.iter().zip(self.steps).map(weight).collect();
        let offset = query.iter().enumerate().map(|(column, value)| value / length * self.middle(column)).sum();
        let largest = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        let scale = self.scale(largest);
        let nearest = |weight: &f32| (weight / scale).round() as i16;
        CodesQuery { weights: weights.iter().map(nearest).collect(), scale, offset }
    }

    /// Divisor of the largest weight, so that Σ weight · code stays within 32 bits.
    fn scale(self, largest: f32) -> f32 {
        let limit = (i32::MAX as f32 / 129.0 / self.columns() as f32).min(32_000.0);
        if largest > 0.0 { largest / limit } else { 1.0 }
    }

    /// Value of code 0: the middle of its bucket; −128 is the first.
    fn middle(self, column: usize) -> f32 {
        self.ranges.low[column] + 128.5 * self.steps[column]
    }

    /// Computes the nearness of scattered rows.
    pub(crate) fn near(self, query: &CodesQuery, rows: &[u32], sums: &mut Vec<i32>, mut each: impl FnMut(f32, u32)) {
        sums.resize(rows.len(), 0);
        if !self.halves.is_empty() {
            rows.iter().for_each(|row| prefetch(&self.halves[*row as usize..][..1]));
        }
        dot_codes(&query.weights, self.data, rows, sums);
        for (row, sum) in rows.iter().zip(sums.iter()) {
            each(self.nearness(query, *sum, *row as usize), *row);
        }
    }

    /// Computes the nearness of consecutive rows.
    pub(crate) fn near_all(self, query: &CodesQuery, rows: Range<usize>, mut each: impl FnMut(f32, usize)) {
        let mut sums = [0; BLOCK];
        for start in rows.clone().step_by(BLOCK) {
            let rows = start..rows.end.min(start + BLOCK);
            let sums = &mut sums[..rows.len()];
            dot_all_codes(&query.weights, &self.data[rows.start * self.columns()..rows.end * self.columns()], sums);
            for (row, sum) in rows.zip(sums.iter()) {
                each(self.nearness(query, *sum, row), row);
            }
        }
    }

    fn nearness(self, query: &CodesQuery, sum: i32, row: usize) -> f32 {
        query.offset + query.scale * sum as f32 - self.halves.get(row).copied().unwrap_or(0.0)
    }
}

/// Rows of a graph that are queries themselves, as they are while it is built.
pub(crate) struct RowQueries<'a> {
    codes: CodesView<'a>,
    /// For each column the weight of code 0, and the increment of a code.
    base: Vec<f32>,
    steps: Vec<f32>,
    scale: f32,
    offsets: Vec<f32>,
}

impl<'a> RowQueries<'a> {
    pub(crate) fn new(context: &Context, codes: CodesView<'a>) -> Self {
        let columns = codes.columns();
        let middles: Vec<f32> = (0..columns).map(|column| codes.middle(column)).collect();
        let weight = |code: f32, column: usize| (middles[column] + code * codes.steps[column]) * codes.steps[column];
        let ends = (0..columns).flat_map(|column| [weight(-128.0, column).abs(), weight(127.0, column).abs()]);
        let scale = codes.scale(ends.fold(0.0, f32::max));
        let base = (0..columns).map(|column| weight(0.0, column) / scale).collect();
        let steps = codes.steps.iter().map(|step| step * step / scale).collect();
        let mut offsets = vec![0.0; codes.data.len() / columns];
        context.for_each_chunk(&mut offsets, BLOCK, |task, offsets| {
            for (row, offset) in (task * BLOCK..).zip(offsets) {
                let codes_of_row = codes.data[row * columns..][..columns].iter().zip(codes.steps).zip(&middles);
                *offset = codes_of_row.map(|((code, step), middle)| (middle + f32::from(*code) * step) * middle).sum();
            }
        });
        Self { codes, base, steps, scale, offsets }
    }

    pub(crate) fn codes(&self) -> CodesView<'a> {
        self.codes
    }

    /// Makes a row the query.
    pub(crate) fn take(&self, row: u32, query: &mut CodesQuery) {
        let columns = self.codes.columns();
        query.weights.resize(columns, 0);
        (query.scale, query.offset) = (self.scale, self.offsets[row as usize]);
        let codes = &self.codes.data[row as usize * columns..][..columns];
        weights_of_codes(codes, &self.base, &self.steps, &mut query.weights);
    }
}

/// The rows of a task.
pub(super) fn block(task: usize, rows: usize) -> Range<usize> {
    task * BLOCK..rows.min((task + 1) * BLOCK)
}

/// Calls `f` with the first number and the prefixes of blocks of rows, with `Cosine` at length 1.
pub(super) fn for_prefixes(
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
