//! Pooling: token embeddings of a text to one embedding, by one mode or by several, concatenated.

use crate::activations::Slot;
use crate::pass::Pass;
use maana_kernels::{Matrix, PoolingMode};
use maana_text::TokenBatch;

/// The pooling module of a folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pooling {
    /// Modes in the order of their columns; each gives as many as the encoder has.
    pub(crate) modes: Vec<PoolingMode>,
    /// True if the tokens of a prompt are pooled.
    pub(crate) include_prompt: bool,
}

impl Pooling {
    /// Pools the token embeddings of a pass, `(tokens, hidden)` or only those of the pooled
    /// tokens, to `(sequences, modes · hidden)`.
    pub(crate) fn pool(&self, pass: &mut Pass<'_>, tokens: Slot, hidden: usize) -> Matrix {
        let starts = self.starts(pass.batch);
        let (context, offsets, rows) = (pass.compute.context, &pass.batch.offsets, pass.rows());
        let selected = pass.selection().is_some();
        let [tokens] = pass.slices(rows, [tokens]);
        if selected {
            return Matrix::from_vec(rows, hidden, tokens.to_vec());
        }
        let mut pooled = Matrix::zeros(offsets.len() - 1, self.modes.len() * hidden);
        for (index, &mode) in self.modes.iter().enumerate() {
            let (stride, offset) = (pooled.columns(), index * hidden);
            maana_kernels::pooling(context, mode, tokens, hidden, offsets, starts, pooled.data_mut(), stride, offset);
        }
        pooled
    }

    /// Computes the gradient of the token embeddings, whose slots are `[tokens, d_tokens]`.
    pub(crate) fn pool_backward(&self, pass: &mut Pass<'_>, slots: [Slot; 2], hidden: usize, d_pooled: &Matrix) {
        let (rows, selected) = (pass.rows(), pass.selection().is_some());
        let [_, d_tokens] = pass.slices(rows, slots);
        if selected {
            return d_tokens.copy_from_slice(d_pooled.data());
        }
        d_tokens.fill(0.0);
        self.add_backward(pass, slots, hidden, d_pooled);
    }

    /// Adds the gradient of the token embeddings of all tokens, whose slots are `[tokens,
    /// d_tokens]`.
    pub(crate) fn add_backward(&self, pass: &mut Pass<'_>, slots: [Slot; 2], hidden: usize, d_pooled: &Matrix) {
        let starts = self.starts(pass.batch);
        let (context, offsets, rows) = (pass.compute.context, &pass.batch.offsets, pass.rows());
        let [tokens, d_tokens] = pass.slices(rows, slots);
        for (index, &mode) in self.modes.iter().enumerate() {
            let (stride, offset, d_out) = (d_pooled.columns(), index * hidden, d_pooled.data());
            maana_kernels::pooling_backward(
                context, mode, tokens, hidden, offsets, starts, d_out, stride, offset, d_tokens,
            );
        }
    }

    /// Returns the number of the one token of each sequence that is pooled, if the mode pools one.
    pub(crate) fn tokens(&self, batch: &TokenBatch) -> Option<Vec<usize>> {
        let [mode] = *self.modes else { return None };
        maana_kernels::pooled_tokens(mode, &batch.offsets, self.starts(batch))
    }

    /// Returns how many leading tokens of each sequence are not pooled, if any are.
    fn starts<'a>(&self, batch: &'a TokenBatch) -> Option<&'a [usize]> {
        (!self.include_prompt && !batch.prompt_lengths.is_empty()).then_some(&batch.prompt_lengths[..])
    }
}

/// Every pooling mode with its flag in the third version of the folder, in the order in which that
/// is written, and its name in newer versions.
pub(crate) const POOLING_NAMES: [(PoolingMode, &str, &str); 6] = [
    (PoolingMode::Cls, "pooling_mode_cls_token", "cls"),
    (PoolingMode::Mean, "pooling_mode_mean_tokens", "mean"),
    (PoolingMode::Max, "pooling_mode_max_tokens", "max"),
    (PoolingMode::MeanSqrtLen, "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    (PoolingMode::WeightedMean, "pooling_mode_weightedmean_tokens", "weightedmean"),
    (PoolingMode::LastToken, "pooling_mode_lasttoken", "lasttoken"),
];

/// Returns the place of a mode among several that are given by flags: the order of the reference,
/// which is not that of the flags.
pub(crate) fn concatenation_rank(mode: PoolingMode) -> usize {
    match mode {
        PoolingMode::Cls => 0,
        PoolingMode::Max => 1,
        PoolingMode::Mean => 2,
        PoolingMode::MeanSqrtLen => 3,
        PoolingMode::WeightedMean => 4,
        PoolingMode::LastToken => 5,
    }
}
