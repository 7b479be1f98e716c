//! One micro-batch forward and backward: the one place where the two meet.

use crate::batches::Batch;
use crate::loss::{Embedded, Loss};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{Noise, Trainable};
use maana_text::TokenBatch;

/// What is kept from one micro-batch to the next: the memory for the largest, taken before the first.
pub(crate) struct Step<M: Trainable> {
    keep: M::Activations,
}

impl<M: Trainable> Step<M> {
    /// For micro-batches of at most so many sequences.
    pub(crate) fn new(model: &M, sequences: usize) -> Self {
        let mut keep = M::Activations::default();
        model.reserve(sequences, &mut keep);
        Self { keep }
    }

    /// Adds `weight` × the gradient of the loss of this batch to `gradients`, and gives back `weight` × the loss.
    ///
    /// All columns go through the model as one packed batch: an embedding does not depend on its neighbours, and the order
    /// in which gradients are summed is always the same. The dropout masks belong to `seed` and `pass`, the number of the
    /// micro-batch in the run.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the same one computation")]
    pub(crate) fn run(
        &mut self,
        model: &M,
        context: &Context,
        loss: &dyn Loss,
        batch: &Batch,
        (seed, pass): (u64, u64),
        weight: f32,
        gradients: &mut [f32],
    ) -> f32 {
        let mut packed = TokenBatch::new();
        for column in &batch.columns {
            packed.extend(column);
        }
        let noise = Noise::On { seed, pass, first_token: 0 };
        let embeddings = model.forward(context, &packed, noise, &mut self.keep);

        let (rows, dimension) = (batch.rows.len(), embeddings.columns());
        let column = |index: usize| embeddings.view().range(index * rows..(index + 1) * rows);
        let columns: Vec<Rows<'_>> = (0..batch.columns.len()).map(column).collect();
        let mut d_columns: Vec<Matrix> = columns.iter().map(|_| Matrix::zeros(rows, dimension)).collect();
        let embedded = Embedded { columns: &columns, labels: batch.labels.as_deref(), pass };
        let value = loss.loss(context, &embedded, weight, &mut d_columns);

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
        let d_embeddings = Rows::new(&d_embeddings, embeddings.rows(), dimension, dimension);
        model.backward(context, &packed, noise, &mut self.keep, d_embeddings, gradients);
        value
    }
}
