//! A linear layer with an adapter, and the places of its numbers.

use std::ops::Range;

/// A linear layer with an adapter.
pub(super) struct Target {
    /// The range of its weight in the model's arena.
    pub(super) weight: Range<usize>,
    /// The range of its weight among the weights of the targets without adapters.
    pub(super) own: Range<usize>,
    /// The range of its gradient among the gradients of the sums.
    pub(super) gradient: Range<usize>,
    /// `(rank, inputs)`
    pub(super) a: Range<usize>,
    /// `(outputs, rank)`
    pub(super) b: Range<usize>,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
}
