//! The trait of all encoders.

use crate::activations::Slot;
use crate::blocks::RelativePositionBias;
use crate::pass::Pass;
use crate::weights::Gradients;

/// An encoder that knows where its parameters and activations lie, and holds neither.
pub(crate) trait Encoder: Send + Sync {
    /// Computes token embeddings of the last layer, which are left in [`Encoder::output`].
    fn forward(&self, pass: &mut Pass<'_>);

    /// Adds the gradients of all parameters, given that of the token embeddings in the second slot
    /// of [`Encoder::output`].
    fn backward(&self, pass: &mut Pass<'_>, gradients: &mut Gradients<'_>);

    /// The bias by relative position, whose gradients wait for the last part of a batch.
    fn position_bias(&self) -> Option<&RelativePositionBias>;

    /// The token embeddings, `(tokens, hidden)`, and their gradient.
    fn output(&self) -> [Slot; 2];
}
