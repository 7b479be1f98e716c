//! One head of one sequence: the blocks of its query rows, the keys next to each, and its operands
//! packed for products.

use super::shape::Attention;
use crate::matmul::{Layout, Strided};
use std::ops::Range;

/// Scores that exist at a time, so that they stay in the second-level cache.
const SCORES: usize = 16 << 10;

/// Returns the query rows of a block: as many as have [`SCORES`] scores, and with a window fewer
/// than that has tokens, as each block also computes scores next to the window; a multiple of the
/// height of every tile. The division changes no bit.
fn rows_together(length: usize, l: usize, window: Option<usize>) -> usize {
    let rows = match window {
        None => SCORES / l.max(1),
        Some(window) => window / 4 * 3,
    };
    (rows.clamp(24, 240) / 12 * 12).min(length)
}

/// Keys next to the query rows of a block: those that at least one of them sees, and the others in
/// the same panels.
#[derive(Clone, Copy)]
pub(super) struct Near {
    /// First query row of the block.
    pub(super) first: usize,
    /// First key, which begins a panel.
    pub(super) start: usize,
    /// Number of keys.
    pub(super) keys: usize,
    /// Columns of the scores: the number of keys, rounded up to whole panels.
    pub(super) columns: usize,
    /// Tokens of the sequence.
    length: usize,
    /// Greatest distance of a key from its query.
    window: usize,
    /// True if blocks have different keys, so that none is packed for all of them.
    pub(super) is_packed_for_each_block: bool,
}

impl Near {
    /// Returns the columns of the keys that a query row of the block sees.
    #[inline(always)]
    pub(super) fn visible(&self, row: usize) -> Range<usize> {
        let query = self.first + row;
        let end = query.saturating_add(self.window).saturating_add(1).min(self.length);
        query.saturating_sub(self.window) - self.start..end - self.start
    }
}

/// One head of one sequence.
pub(super) struct Head<'a> {
    qkv: &'a [f32],
    pub(super) first: usize,
    pub(super) length: usize,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) number: usize,
    /// The window, unless it holds the whole sequence for each token.
    pub(super) window: Option<usize>,
}

/// Sizes of a task's buffers.
pub(super) struct Sizes {
    pub(super) l: usize,
    pub(super) d: usize,
    /// Query rows of a block.
    pub(super) block: usize,
    /// The most columns that the scores of a block have.
    pub(super) span: usize,
    /// Factors of dropout for these rows, if there is dropout.
    pub(super) dropped: usize,
    /// Distances from a query to a key, if there is a position bias.
    pub(super) distances: usize,
}

impl<'a> Head<'a> {
    pub(super) fn new(of: Attention<'_>, qkv: &'a [f32], task: usize) -> Self {
        let Attention { offsets, heads, head_dim, .. } = of;
        assert!(of.window.is_none() || of.position_bias.is_none(), "a window or a position bias");
        let (sequence, number) = (task / heads, task % heads);
        let first = offsets[sequence];
        let length = offsets[sequence + 1] - first;
        let window = of.window.filter(|window| *window < length.saturating_sub(1));
        Self { qkv, first, length, heads, head_dim, number, window }
    }

    /// Returns the keys next to `rows` query rows.
    pub(super) fn near(&self, first: usize, rows: usize, panel: usize) -> Near {
        let (length, window) = (self.length, self.window.unwrap_or(usize::MAX));
        let start = first.saturating_sub(window) / panel * panel;
        let end = (first + rows).saturating_add(window).min(length).next_multiple_of(panel);
        let keys = end.min(length) - start;
        Near {
            first,
            start,
            keys,
            columns: end - start,
            length,
            window,
            is_packed_for_each_block: self.window.is_some(),
        }
    }

    pub(super) fn sizes(&self, panel: usize, of: Attention<'_>) -> Sizes {
        let (l, d) = (self.length.next_multiple_of(panel), self.head_dim.next_multiple_of(panel));
        let block = rows_together(self.length, l, self.window);
        let span = self.window.map_or(l, |window| l.min((block + 2 * window).next_multiple_of(panel) + panel));
        let dropped = if of.dropout.is_some() { block * span } else { 0 };
        let distances = if of.position_bias.is_some() { (2 * self.length).saturating_sub(1) } else { 0 };
        Sizes { l, d, block, span, dropped, distances }
    }

    /// Tokens of the sequence.
    pub(super) fn tokens(&self) -> Range<usize> {
        self.first..self.first + self.length
    }

    /// Columns of the head among those of all heads.
    pub(super) fn columns(&self) -> Range<usize> {
        self.number * self.head_dim..(self.number + 1) * self.head_dim
    }

    /// Start of the query (0), key (1) or value (2) of a row.
    fn start(&self, part: usize, row: usize) -> usize {
        ((self.first + row) * 3 + part) * self.heads * self.head_dim + self.columns().start
    }

    /// Queries, keys or values from a row on, in place.
    pub(super) fn rows(&self, part: usize, row: usize) -> Strided<'a> {
        let values = &self.qkv[self.start(part, row).min(self.qkv.len())..];
        Strided { values, layout: Layout::RowMajor(3 * self.heads * self.head_dim) }
    }

    /// Packs keys or values times `factor` as the columns of panels, padded with zeros:
    /// `[panel][d][column]`.
    pub(super) fn transpose(&self, part: usize, factor: f32, panel: usize, into: &mut [f32]) {
        let size = self.head_dim * panel;
        if !self.length.is_multiple_of(panel) {
            let last = self.length / panel * size;
            into[last..].fill(0.0);
        }
        for row in 0..self.length {
            let start = self.start(part, row);
            let into = &mut into[row / panel * size + row % panel..];
            for (value, into) in self.qkv[start..start + self.head_dim].iter().zip(into.iter_mut().step_by(panel)) {
                *into = value * factor;
            }
        }
    }
}

/// Packs `length` rows of `columns` values into panels, padded with zeros: `[panel][row][column]`.
pub(super) fn rows_to_panels(rows: Strided<'_>, length: usize, columns: usize, panel: usize, into: &mut [f32]) {
    let (row_stride, _) = rows.layout.strides();
    for (number, start) in (0..columns).step_by(panel).enumerate() {
        let width = panel.min(columns - start);
        let into = &mut into[number * length * panel..][..length * panel];
        for (row, into) in into.chunks_exact_mut(panel).enumerate() {
            let (values, padding) = into.split_at_mut(width);
            values.copy_from_slice(&rows.values[row * row_stride + start..][..width]);
            padding.fill(0.0);
        }
    }
}
