//! The seam between models and training: tokens and gradients, no strings and no files.

use crate::weights::{StatePart, Tensor};
use maana_kernels::{AdamW, Context, Matrix, Rows};
use maana_text::TokenBatch;

/// The random numbers of one forward and backward pass. A dropout mask is a function of these and
/// of a token's place in the whole batch, so that it is the same in forward and backward, for any
/// number of threads, and for a batch computed at once or in parts, each with its `first_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutSeed {
    /// No dropout.
    Off,
    /// Dropout with the probabilities of the model's configuration.
    On {
        /// The seed of the run.
        seed: u64,
        /// The number of the forward pass in the run, so that no two passes share their masks.
        pass: u64,
        /// The number of the first token among those of the whole batch; 0 where the batch is
        /// computed at once.
        first_token: u64,
    },
}

/// A model that trains: embeddings out, their gradients back in. It owns its parameters, gradients
/// and optimizer state, wherever they are held.
pub trait Trainable {
    /// Memory of a pass, with what forward saves for backward. One value is used from pass to pass.
    type Activations: Default + Send;

    /// Number of columns of an embedding.
    fn dimension(&self) -> usize;

    /// Reserves the memory for passes over at most `sequences` sequences, so that none of them
    /// allocates.
    fn reserve(&self, _sequences: usize, _activations: &mut Self::Activations) {}

    /// Embeds every sequence of the batch: `(sequences, dimension)`. Saves what
    /// [`Trainable::backward`] needs.
    fn forward(
        &self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Self::Activations,
    ) -> Matrix;

    /// Adds the gradient of every parameter to the model's own sums, given that of the embeddings,
    /// `(sequences, dimension)`. The other arguments are those of the forward pass.
    fn backward(
        &mut self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Self::Activations,
        d_embeddings: Rows<'_>,
    );

    /// Sets the summed gradients to zero.
    fn clear_gradients(&mut self);

    /// Euclidean norm of the summed gradients.
    fn gradient_norm(&self, context: &Context) -> f64;

    /// Makes one update of AdamW with the summed gradients times `gradient_scale`, and sets the
    /// gradients to zero.
    fn update(&mut self, context: &Context, settings: &AdamW, gradient_scale: f32);

    /// Names, shapes and places of all parameters; gradients and moments have the same places.
    fn tensors(&self) -> &[Tensor];

    /// Copies elements of the training state, from `first` on, to `into`. Gradients and moments are
    /// zero at first.
    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]);

    /// Sets elements of the training state, from `first` on.
    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]);
}
