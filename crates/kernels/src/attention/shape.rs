//! Shape and variant of attention.

use crate::dropout::Dropout;
use std::ops::Range;

/// Shape and variant of attention, forward and backward.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Start of each sequence, followed by the end of the last.
    pub offsets: &'a [usize],
    /// Number of heads.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Bias that is added to the scaled scores.
    pub position_bias: Option<PositionBias<'a>>,
    /// Greatest distance of a key from its query, in both directions; not with a position bias.
    pub window: Option<usize>,
    /// The token of each sequence whose output is computed, as a position in the batch; without,
    /// all tokens are. Forward only.
    pub queries: Option<&'a [usize]>,
    /// Dropout of the probabilities: row = token · heads + head, column = key, counted from the
    /// first in the window.
    pub dropout: Option<Dropout>,
}

impl Attention<'_> {
    pub(super) fn tokens_and_width(&self) -> (usize, usize) {
        assert!(self.offsets.is_sorted(), "offsets ascend");
        (*self.offsets.last().expect("offsets begin with 0"), self.heads * self.head_dim)
    }

    pub(super) fn tasks(&self) -> usize {
        (self.offsets.len() - 1) * self.heads
    }

    /// Returns the queries of a sequence, counted from its first token, and their rows of the
    /// result.
    pub(super) fn queries_and_results(&self, sequence: usize) -> (Range<usize>, Range<usize>) {
        let (start, end) = (self.offsets[sequence], self.offsets[sequence + 1]);
        let Some(queries) = self.queries else { return (0..end - start, start..end) };
        let token = queries[sequence];
        assert!((start..end).contains(&token), "token {token} in the sequence {start}..{end}");
        (token - start..token - start + 1, sequence..sequence + 1)
    }
}

/// A bias of the scores by relative position: `scale · q·k + table[bucket(key − query)][head]`.
#[derive(Clone, Copy)]
pub struct PositionBias<'a> {
    /// Learned biases, `(buckets, heads)`.
    pub table: &'a [f32],
    /// Bucket of each distance key − query, from −(L − 1) to L − 1 for sequences of up to L tokens:
    /// 2 L − 1 elements.
    pub buckets: &'a [u32],
}

impl PositionBias<'_> {
    /// Returns the buckets of the distances in a sequence of `length` tokens.
    pub(super) fn buckets(&self, length: usize) -> &[u32] {
        let longest = self.buckets.len().div_ceil(2);
        assert!(length <= longest, "a sequence of {length} tokens, buckets for {longest}");
        &self.buckets[longest - length..][..(2 * length).saturating_sub(1)]
    }

    /// Fills the bias of one head for each distance.
    pub(super) fn fill(&self, head: usize, heads: usize, distances: &mut [f32]) {
        let length = distances.len().div_ceil(2);
        for (bias, bucket) in distances.iter_mut().zip(self.buckets(length)) {
            *bias = self.table[*bucket as usize * heads + head];
        }
    }
}
