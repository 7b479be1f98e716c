//! The trait of all encoders.

use crate::activations::Slot;
use crate::blocks::{Pooling, RelativePositionBias};
use crate::pass::Pass;
use crate::weights::Gradients;
use maana_kernels::Matrix;

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

    /// Computes the pooled embeddings, `(sequences, modes · hidden)`. Encoders whose tokens do not
    /// depend on one another need no memory for them.
    fn forward_pooled(&self, pass: &mut Pass<'_>, pooling: &Pooling, hidden: usize) -> Matrix {
        self.forward(pass);
        let [tokens, _] = self.output();
        pooling.pool(pass, tokens, hidden)
    }

    /// Adds the gradients of all parameters, given that of the pooled embeddings.
    fn backward_pooled(
        &self,
        pass: &mut Pass<'_>,
        pooling: &Pooling,
        hidden: usize,
        d_pooled: &Matrix,
        gradients: &mut Gradients<'_>,
    ) {
        pooling.pool_backward(pass, self.output(), hidden, d_pooled);
        self.backward(pass, gradients);
    }
}
