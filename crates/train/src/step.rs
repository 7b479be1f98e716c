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
    /// By tower.
    activations: Vec<M::Activations>,
    limit: PassLimit,
}

/// Some sequences of a micro-batch that pass through a tower of the model together.
struct Part {
    tower: usize,
    sequences: Range<usize>,
    tokens: TokenBatch,
    dropout: DropoutSeed,
}

impl<M: Trainable> Step<M> {
    /// Reserves memory for micro-batches of at most `sequences` sequences in passes of at most
    /// `limit` through some towers.
    pub(crate) fn new(model: &M, sequences: usize, limit: PassLimit, towers: usize) -> Self {
        let mut activations: Vec<M::Activations> = (0..towers).map(|tower| model.activations(tower)).collect();
        activations.iter_mut().for_each(|activations| model.reserve(sequences, limit, activations));
        Self { activations, limit }
    }

    /// Adds `weight` × the gradient of the batch's loss to the model's gradients. Returns `weight`
    /// × the loss.
    ///
    /// All columns pass through the model as one packed batch: an embedding does not depend on its
    /// batch-mates, and gradients are always summed in the same order. Columns of different towers
    /// pass one behind the other. A batch beyond the limit
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
        let layers = loss.layers(pass);
        // Of the last layer, then of each lower one.
        let mut embeddings = vec![Matrix::zeros(sequences, dimension); 1 + layers.len()];
        // The first part of a tower is the last to be embedded, so that it passes backward at once.
        for part in parts.iter().rev() {
            let activations = &mut self.activations[part.tower];
            let embedded = model.forward_layers(context, &part.tokens, part.dropout, &layers, activations);
            let elements = part.sequences.start * dimension..part.sequences.end * dimension;
            for (embeddings, embedded) in embeddings.iter_mut().zip(embedded) {
                embeddings.data_mut()[elements.clone()].copy_from_slice(embedded.data());
            }
        }

        let columns: Vec<Rows<'_>> = embeddings.iter().flat_map(|embeddings| columns_of(batch, embeddings)).collect();
        let mut d_columns: Vec<Matrix> = columns.iter().map(|column| Matrix::zeros(column.rows(), dimension)).collect();
        let labels = batch.labels.as_deref().map(|labels| label_rows(labels, batch.label_length));
        let embedded = Embedded { columns: &columns, labels, pairs: &batch.pairs, pass, trains: true };
        let value = loss.loss(context, &embedded, weight, &mut d_columns);

        let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
        let d_embeddings = Rows::new(&d_embeddings, embeddings.len() * sequences, dimension, dimension);
        let mut began = vec![false; self.activations.len()];
        for Part { tower, sequences, tokens, dropout } in &parts {
            let activations = &mut self.activations[*tower];
            if std::mem::replace(&mut began[*tower], true) {
                model.forward_layers(context, tokens, *dropout, &layers, activations);
            }
            let start_of = |layer: usize| layer * embeddings[0].rows() + sequences.start;
            let of_layers = (0..embeddings.len()).map(|layer| start_of(layer)..start_of(layer) + sequences.len());
            let d_embeddings: Vec<Rows<'_>> = of_layers.map(|rows| d_embeddings.range(rows)).collect();
            model.backward_layers_part(context, tokens, *dropout, &layers, activations, &d_embeddings);
        }
        for (activations, began) in self.activations.iter_mut().zip(began) {
            if began {
                model.finish_parts(context, activations);
            }
        }
        value
    }

    /// Packs the columns of a micro-batch one behind the other, and divides them into parts.
    fn parts(&self, model: &M, batch: &Batch, (seed, pass): (u64, u64)) -> Vec<Part> {
        let mut packed = TokenBatch::new();
        for column in &batch.columns {
            packed.extend(column);
        }
        let part = |tower: usize, sequences: Range<usize>| {
            let first_token = packed.offsets[sequences.start] as u64;
            let dropout = DropoutSeed::On { seed, pass, first_token, first_sequence: sequences.start as u64 };
            Part { tower, tokens: packed.part(sequences.clone()), sequences, dropout }
        };
        let mut parts = Vec::new();
        for (tower, sequences) in runs_of_towers(batch) {
            let start = packed.offsets[sequences.start];
            let offsets: Vec<usize> =
                packed.offsets[sequences.start..=sequences.end].iter().map(|offset| offset - start).collect();
            let of_run = self.limit.parts(&offsets, model.part_multiple());
            parts.extend(
                of_run.into_iter().map(|own| part(tower, sequences.start + own.start..sequences.start + own.end)),
            );
        }
        parts
    }
}

/// Divides the embeddings of a micro-batch into its columns.
fn columns_of<'a>(batch: &Batch, embeddings: &'a Matrix) -> Vec<Rows<'a>> {
    let mut end = 0;
    let column = |tokens: &TokenBatch| {
        end += tokens.sequences();
        embeddings.view().range(end - tokens.sequences()..end)
    };
    batch.columns.iter().map(column).collect()
}

/// Returns the sequences of adjacent columns with the same tower.
fn runs_of_towers(batch: &Batch) -> Vec<(usize, Range<usize>)> {
    let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
    let mut end = 0;
    for (index, column) in batch.columns.iter().enumerate() {
        let tower = batch.towers.get(index).copied().unwrap_or(0);
        let sequences = end..end + column.sequences();
        end = sequences.end;
        match runs.last_mut() {
            Some((last, run)) if *last == tower => run.end = end,
            _ => runs.push((tower, sequences)),
        }
    }
    runs
}
