//! Pooling: token embeddings of a text to one embedding, in one way or in several side by side.

use maana_kernels::{Context, Matrix, PoolingMode};

/// The pooling module of a folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pooling {
    /// Each gives as many columns as the encoder has; they stand side by side in this order.
    pub(crate) modes: Vec<PoolingMode>,
    /// Whether the tokens of the prompt count.
    pub(crate) include_prompt: bool,
}

impl Pooling {
    /// `(sequences, modes · hidden)` from `(tokens, hidden)`. `prompt_length` is the number of leading tokens that belong to
    /// the prompt.
    pub(crate) fn forward(
        &self,
        context: &Context,
        tokens: &[f32],
        hidden: usize,
        offsets: &[usize],
        prompt_length: usize,
    ) -> Matrix {
        let sequences = offsets.len() - 1;
        let mut pooled = Matrix::zeros(sequences, self.modes.len() * hidden);
        let starts = self.starts(offsets, prompt_length);
        for (index, &mode) in self.modes.iter().enumerate() {
            let (stride, offset) = (pooled.columns(), index * hidden);
            let starts = starts.as_deref();
            maana_kernels::pooling(context, mode, tokens, hidden, offsets, starts, pooled.data_mut(), stride, offset);
        }
        pooled
    }

    /// The one token of each sequence that the embedding is made of, if it is made of one.
    pub(crate) fn tokens(&self, offsets: &[usize], prompt_length: usize) -> Option<Vec<usize>> {
        let [mode] = *self.modes else { return None };
        maana_kernels::pooled_tokens(mode, offsets, self.starts(offsets, prompt_length).as_deref())
    }

    /// Adds the gradient of the tokens to `d_tokens`, `(tokens, hidden)`. Training has no prompts.
    pub(crate) fn backward(
        &self,
        context: &Context,
        tokens: &[f32],
        hidden: usize,
        offsets: &[usize],
        d_pooled: &Matrix,
        d_tokens: &mut [f32],
    ) {
        for (index, &mode) in self.modes.iter().enumerate() {
            let (stride, offset) = (d_pooled.columns(), index * hidden);
            let d_out = d_pooled.data();
            maana_kernels::pooling_backward(
                context, mode, tokens, hidden, offsets, None, d_out, stride, offset, d_tokens,
            );
        }
    }

    fn starts(&self, offsets: &[usize], prompt_length: usize) -> Option<Vec<usize>> {
        let left_out = prompt_length > 0 && !self.include_prompt;
        left_out.then(|| offsets.windows(2).map(|pair| prompt_length.min(pair[1] - pair[0])).collect())
    }
}
