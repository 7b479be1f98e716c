//! The trait of all encoders.

use crate::activations::{Buffers, Slot};
use crate::pass::Pass;
use crate::weights::Gradients;

/// An encoder that knows where its parameters and activations lie, and holds neither.
pub(crate) trait Encoder: Send + Sync {
    /// Computes token embeddings of the last layer, which are left in [`Encoder::output`].
    fn forward(&self, pass: &mut Pass<'_>);

    /// Adds the gradients of all parameters, given that of the token embeddings in the second slot
    /// of [`Encoder::output`].
    fn backward(&self, pass: &mut Pass<'_>, gradients: &mut Gradients<'_>);

    /// Adds gradients that are summed when all parts of a batch have passed.
    fn finish_backward(&self, _buffers: &mut Buffers, _gradients: &mut Gradients<'_>) {}

    /// Reserves the memory of what waits until then, for batches of at most `sequences` sequences.
    fn reserve(&self, _sequences: usize, _buffers: &mut Buffers) {}

    /// The token embeddings, `(tokens, hidden)`, and their gradient.
    fn output(&self) -> [Slot; 2];
}
