//! The trait of all encoders.

use crate::activations::Slot;
use crate::blocks::{Pooling, RelativePositionBias};
use crate::pass::Pass;
use crate::weights::Gradients;
use maana_kernels::Matrix;

/// Receives the input of a layer by its number, when a pass has computed its token embeddings, or
/// their gradient: the slots of both.
pub(crate) type LayerHook<'a> = dyn FnMut(&mut Pass<'_>, usize, [Slot; 2]) + 'a;

/// An encoder that knows where its parameters and activations lie, and holds neither.
pub(crate) trait Encoder: Send + Sync {
    /// Computes token embeddings of the last layer, which are left in [`Encoder::output`]. Calls
    /// `at_layer` with the input of each layer, in order.
    fn forward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>);

    /// Adds the gradients of all parameters, given that of the token embeddings in the second slot
    /// of [`Encoder::output`]. Calls `at_layer` with the input of each layer that it computes, from
    /// the last on, which may add to its gradient.
    fn backward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>, gradients: &mut Gradients<'_>);

    /// The bias by relative position, whose gradients wait for the last part of a batch.
    fn position_bias(&self) -> Option<&RelativePositionBias>;

    /// The token embeddings, `(tokens, hidden)`, and their gradient.
    fn output(&self) -> [Slot; 2];

    /// Computes the pooled embeddings, `(sequences, modes · hidden)`, and those of the inputs of
    /// `layers`, which ascend. Encoders whose tokens do not depend on one another need no memory
    /// for them.
    fn forward_pooled(
        &self,
        pass: &mut Pass<'_>,
        pooling: &Pooling,
        hidden: usize,
        layers: &[usize],
    ) -> (Matrix, Vec<Matrix>) {
        let mut lower = Vec::new();
        self.forward(pass, &mut |pass, layer, [tokens, _]| {
            if layers.contains(&layer) {
                lower.push(pooling.pool(pass, tokens, hidden));
            }
        });
        let [tokens, _] = self.output();
        (pooling.pool(pass, tokens, hidden), lower)
    }

    /// Adds the gradients of all parameters, given those of the pooled embeddings and of the inputs
    /// of `layers`.
    fn backward_pooled(
        &self,
        pass: &mut Pass<'_>,
        (pooling, hidden): (&Pooling, usize),
        d_pooled: &Matrix,
        (layers, d_lower): (&[usize], &[Matrix]),
        gradients: &mut Gradients<'_>,
    ) {
        pooling.pool_backward(pass, self.output(), hidden, d_pooled);
        let mut add = |pass: &mut Pass<'_>, layer: usize, slots: [Slot; 2]| {
            if let Some(index) = layers.iter().position(|known| *known == layer) {
                pooling.add_backward(pass, slots, hidden, &d_lower[index]);
            }
        };
        self.backward(pass, &mut add, gradients);
    }
}
