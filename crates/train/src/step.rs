//! Forward and backward pass of one micro-batch through model and loss.

use crate::batches::Batch;
use crate::loss::{Embedded, Loss};
use crate::rows::label_rows;
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{DropoutSeed, PassLimit, Trainable};
use maana_text::TokenBatch;
use std::ops::Range;

/// Memory of the passes, reserved for the largest micro-batch before the first.
pub(crate) struct Step<M: Trainable> {
    activations: M::Activations,
    limit: PassLimit,
}

/// Some sequences of a micro-batch that pass through the model together.
struct Part {
    sequences: Range<usize>,
    tokens: TokenBatch,
    dropout: DropoutSeed,
}

impl<M: Trainable> Step<M> {
    /// Reserves memory for micro-batches of at most `sequences` sequences in passes of at most
    /// `limit`.
    pub(crate) fn new(model: &M, sequences: usize, limit: PassLimit) -> Self {
        let mut activations = M::Activations::default();
        model.reserve(sequences, limit, &mut activations);
        Self { activations, limit }
    }

    /// Adds `weight` × the gradient of the batch's loss to the model's gradients. Returns `weight`
    /// × the loss.
    ///
    /// All columns pass through the model as one packed batch: an embedding does not depend on its
    /// batch-mates, and gradients are always summed in the same order. A batch beyond the limit
    /// passes in parts (GradCache, Gao et al. 2021, arXiv:2101.06983): all are embedded, the loss
    /// sees all embeddings, and each part passes forward once more before it passes backward, to
    /// the same bits as at once. Dropout masks are a function of `seed`, of `pass`, the number of
    /// the micro-batch in the run, and of the place of a token or a sequence in the micro-batch.
    pub(crate) fn run(
        &mut self,
        model: &mut M,
        context: &Context,
        loss: &dyn Loss,
        batch: &Batch,
        (seed, pass): (u64, u64),
        weight: f32,
    ) -> f32 {
        let parts = self.parts(model, batch, (seed, pass));
        let dimension = model.dimension();
        let sequences = batch.columns.iter().map(TokenBatch::sequences).sum();
        let mut embeddings = Matrix::zeros(sequences, dimension);
        // The first part is the last to be embedded, so that it can pass backward at once.
        for part in parts.iter().rev() {
            let embedded = model.forward(context, &part.tokens, part.dropout, &mut self.activations);
            let elements = part.sequences.start * dimension..part.sequences.end * dimension;
            embeddings.data_mut()[elements].copy_from_slice(embedded.data());
        }

        let mut end = 0;
        let column = |tokens: &TokenBatch| {
            end += tokens.sequences();
            embeddings.view().range(end - tokens.sequences()..end)
        };
        let columns: Vec<Rows<'_>> = batch.columns.iter().map(column).collect();
        let mut d_columns: Vec<Matrix> = columns.iter().map(|column| Matrix::zeros(column.rows(), dimension)).collect();
        let labels = batch.labels.as_deref().map(|labels| label_rows(labels, batch.label_length));
        let embedded = Embedded { columns: &columns, labels, pairs: &batch.pairs, pass };
        let value = loss.loss(context, &embedded, weight, &mut d_columns);

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
        let d_embeddings = Rows::new(&d_embeddings, embeddings.rows(), dimension, dimension);
        for (index, Part { sequences, tokens, dropout }) in parts.iter().enumerate() {
            if index > 0 {
                model.forward(context, tokens, *dropout, &mut self.activations);
            }
            let d_embeddings = d_embeddings.range(sequences.clone());
            model.backward_part(context, tokens, *dropout, &mut self.activations, d_embeddings);
        }
        model.finish_parts(context, &mut self.activations);
        value
    }

    /// Packs the columns of a micro-batch one behind the other, and divides them into parts.
    fn parts(&self, model: &M, batch: &Batch, (seed, pass): (u64, u64)) -> Vec<Part> {
        let mut packed = TokenBatch::new();
        for column in &batch.columns {
            packed.extend(column);
        }
        let part = |sequences: Range<usize>| {
            let first_token = packed.offsets[sequences.start] as u64;
            let dropout = DropoutSeed::On { seed, pass, first_token, first_sequence: sequences.start as u64 };
            Part { tokens: packed.part(sequences.clone()), sequences, dropout }
        };
        self.limit.parts(&packed.offsets, model.part_multiple()).into_iter().map(part).collect()
    }
}
