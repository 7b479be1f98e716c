//! Time and memory of one text by its length.

use crate::costs::batch;
use crate::timing::median_seconds;
use maana::kernels::Context;
use maana::model::{Activations, DropoutSeed, InferenceModel, Trainable, TrainingModel};

/// Cost of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthCost {
    /// Tokens of the text.
    pub tokens: usize,
    /// Duration of the pass, in training forward and backward.
    pub seconds: f64,
    /// Memory that the pass works in, without weights and gradients.
    pub bytes: usize,
}

/// Measures encoding of one text of `tokens` tokens.
pub fn length_of_encoding(model: &InferenceModel, context: &Context, tokens: usize) -> LengthCost {
    let batch = batch(model.spec().config().vocabulary, 1, tokens);
    let mut keep = Activations::default();
    let seconds = median_seconds(|| {
        model.embed(context, &batch, &mut keep);
    });
    LengthCost { tokens, seconds, bytes: keep.bytes() }
}

/// Measures forward and backward of one text of `tokens` tokens.
pub fn length_of_training(model: &mut TrainingModel, context: &Context, tokens: usize) -> LengthCost {
    let batch = batch(model.spec().config().vocabulary, 1, tokens);
    let mut keep = Activations::default();
    let dropout = DropoutSeed::On { seed: 1, pass: 0, first_token: 0, first_sequence: 0 };
    let seconds = median_seconds(|| {
        let embeddings = model.forward(context, &batch, dropout, &mut keep);
        model.backward(context, &batch, dropout, &mut keep, embeddings.view());
    });
    LengthCost { tokens, seconds, bytes: keep.bytes() }
}
