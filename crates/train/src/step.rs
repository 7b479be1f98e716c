//! Forward and backward pass of one micro-batch through model and loss.

use crate::batches::Batch;
use crate::loss::{Embedded, Loss};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{DropoutSeed, Trainable};
use maana_text::TokenBatch;

/// Memory of the passes, reserved for the largest micro-batch before the first.
pub(crate) struct Step<M: Trainable> {
    activations: M::Activations,
}

impl<M: Trainable> Step<M> {
    /// Reserves memory for micro-batches of at most `sequences` sequences.
    pub(crate) fn new(model: &M, sequences: usize) -> Self {
        let mut activations = M::Activations::default();
        model.reserve(sequences, &mut activations);
        Self { activations }
    }

    /// Adds `weight` × the gradient of the batch's loss to the model's gradients. Returns `weight`
    /// × the loss.
    ///
    /// All columns pass through the model as one packed batch: an embedding does not depend on its
    /// batch-mates, and gradients are always summed in the same order. Dropout masks are a function
    /// of `seed` and `pass`, the number of the micro-batch in the run.
    pub(crate) fn run(
        &mut self,
        model: &mut M,
        context: &Context,
        loss: &dyn Loss,
        batch: &Batch,
        (seed, pass): (u64, u64),
        weight: f32,
    ) -> f32 {
        let mut packed = TokenBatch::new();
        for column in &batch.columns {
            packed.extend(column);
        }
        let dropout = DropoutSeed::On { seed, pass, first_token: 0 };
        let embeddings = model.forward(context, &packed, dropout, &mut self.activations);

        let (rows, dimension) = (batch.rows.len(), embeddings.columns());
        let column = |index: usize| embeddings.view().range(index * rows..(index + 1) * rows);
        let columns: Vec<Rows<'_>> = (0..batch.columns.len()).map(column).collect();
        let mut d_columns: Vec<Matrix> = columns.iter().map(|_| Matrix::zeros(rows, dimension)).collect();
        let labels = batch.labels.as_deref().map(|labels| {
            let length = labels.len() / rows;
            Rows::new(labels, rows, length, length)
        });
        let embedded = Embedded { columns: &columns, labels, pass };
        let value = loss.loss(context, &embedded, weight, &mut d_columns);

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
        let d_embeddings = Rows::new(&d_embeddings, embeddings.rows(), dimension, dimension);
        model.backward(context, &packed, dropout, &mut self.activations, d_embeddings);
        value
    }
}
