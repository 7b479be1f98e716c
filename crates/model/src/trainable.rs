//! `Trainable`: what training needs of a model. It sees tokens and gradients, never strings or files.

use maana_kernels::{Context, Matrix, Rows};
use maana_text::TokenBatch;

/// One named parameter: where it lies in the arena, and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name in `model.safetensors`, for example `encoder.layer.0.output.dense.weight`.
    pub name: String,
    /// The shape as written to the file.
    pub shape: Vec<usize>,
    /// Where its elements lie in [`Trainable::parameters`] and in the gradients.
    pub range: std::ops::Range<usize>,
}

/// Randomness of one forward and backward pass. Dropout masks are a function of this and of a token's place in the whole
/// batch alone, so that they are the same in forward and backward, for any number of threads, and for a batch computed at
/// once or in parts, each with its `first_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// No dropout: evaluation, and training with dropout 0.
    Off,
    /// Dropout with the probabilities of the model's configuration.
    On {
        /// The seed of the run.
        seed: u64,
        /// The number of the pass: counts the forward passes of the run, so that no two share their masks.
        pass: u64,
        /// The number of the first token among those of the whole batch; 0 where the batch is computed at once.
        first_token: u64,
    },
}

/// A model that can be trained: embeddings out, their gradients back in.
pub trait Trainable {
    /// What forward keeps for backward. One value is reused from pass to pass, so that memory is allocated once.
    type Activations: Default + Send;

    /// The number of columns of an embedding.
    fn dimension(&self) -> usize;

    /// Takes the memory for passes over at most so many sequences, so that none of them takes more.
    fn reserve(&self, _sequences: usize, _keep: &mut Self::Activations) {}

    /// Embeds every sequence of the batch: `(sequences, dimension)`. Fills `keep` with what [`Trainable::backward`] needs.
    fn forward(&self, context: &Context, batch: &TokenBatch, noise: Noise, keep: &mut Self::Activations) -> Matrix;

    /// Adds the gradient of every parameter to `gradients` (same layout as [`Trainable::parameters`]), given that of the
    /// embeddings, `(sequences, dimension)`. `batch`, `noise` and `keep` are those of the forward pass.
    fn backward(
        &self,
        context: &Context,
        batch: &TokenBatch,
        noise: Noise,
        keep: &mut Self::Activations,
        d_embeddings: Rows<'_>,
        gradients: &mut [f32],
    );

    /// Every parameter, in one arena.
    fn parameters(&self) -> &[f32];

    /// The arena, to be changed. Call [`Trainable::parameters_changed`] afterwards.
    fn parameters_mut(&mut self) -> &mut [f32];

    /// Forgets whatever was derived from the parameters (packed weights).
    fn parameters_changed(&mut self);

    /// Names and places of the parameters.
    fn tensors(&self) -> &[Tensor];
}
