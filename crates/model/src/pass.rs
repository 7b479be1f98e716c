//! One pass of a batch through an encoder: the batch, the weights, the memory, and the rows that
//! are computed.

use crate::activations::{ActivationLayout, Buffers, RoundedSlot, Slot};
use crate::lora::AdapterDropout;
use crate::trainable::DropoutSeed;
use crate::weights::Weights;
use maana_kernels::{Context, Dropout, Precision};
use maana_text::TokenBatch;

/// A forward or a backward pass. Activations have one row for each token, sequences back to back
/// without padding.
pub(crate) struct Pass<'a> {
    pub(crate) compute: Compute<'a>,
    pub(crate) batch: &'a TokenBatch,
    pub(crate) dropout: DropoutSeed,
    /// Ascending numbers of the tokens that are pooled, if not all are: the last layer computes
    /// only these to its end.
    pub(crate) pooled: Option<&'a [usize]>,
    /// True if activations have a row for each pooled token instead of each token: behind the
    /// attention of the last layer.
    pub(crate) selected: bool,
    layout: &'a ActivationLayout,
    pub(crate) buffers: &'a mut Buffers,
}

/// Threads and weights of a pass.
#[derive(Clone, Copy)]
pub(crate) struct Compute<'a> {
    pub(crate) context: &'a Context,
    pub(crate) weights: &'a dyn Weights,
    /// Precision of the operands of matrix products.
    pub(crate) precision: Precision,
    /// The dropout of adapters, if there is any.
    pub(crate) adapters: Option<AdapterDropout<'a>>,
}

/// A place in the model where dropout is applied; the number keeps the masks of two places apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropoutSite {
    pub(crate) probability: f32,
    pub(crate) number: u32,
}

impl DropoutSite {
    /// The site behind the embeddings.
    pub(crate) fn embeddings(probability: f32) -> Self {
        Self { probability, number: 0 }
    }

    /// One of the three sites of a layer: 0 attention probabilities, 1 output of attention, 2
    /// output of feed-forward.
    pub(crate) fn layer(probability: f32, layer: usize, site: usize) -> Self {
        Self { probability, number: (3 * layer + site + 1) as u32 }
    }

    /// The site of module number `index` behind pooling.
    pub(crate) fn behind_pooling(probability: f32, index: usize) -> Self {
        // Beyond the sites of all layers, and within the 24 bits of a site.
        Self { probability, number: (1 << 23) | index as u32 }
    }

    /// The dropout of values with one row for each sequence; none if nothing is dropped.
    pub(crate) fn of_sequences(self, seed: DropoutSeed) -> Option<Dropout> {
        let DropoutSeed::On { seed, pass, first_sequence: first_row, .. } = seed else { return None };
        let Self { probability, number: site } = self;
        (probability > 0.0).then_some(Dropout { probability, seed, pass, site, first_row })
    }
}

impl<'a> Pass<'a> {
    /// Returns a forward pass; `pooled` are the tokens that are pooled, if not all are.
    pub(crate) fn new(
        compute: Compute<'a>,
        batch: &'a TokenBatch,
        dropout: DropoutSeed,
        pooled: Option<&'a [usize]>,
        layout: &'a ActivationLayout,
        buffers: &'a mut Buffers,
    ) -> Self {
        buffers.prepare(layout);
        Self { compute, batch, dropout, pooled, selected: false, layout, buffers }
    }

    /// Turns a forward pass that was made into its backward pass.
    pub(crate) fn backward(self) -> Self {
        Self { selected: self.pooled.is_some(), ..self }
    }

    /// True if backward follows.
    pub(crate) fn saves(&self) -> bool {
        self.layout.trains()
    }

    /// True if backward computes each layer once more.
    pub(crate) fn recomputes(&self) -> bool {
        self.layout.recomputes()
    }

    /// Number of tokens of the batch.
    pub(crate) fn tokens(&self) -> usize {
        self.batch.tokens()
    }

    /// Tokens that the rows of activations stand for now; none where these are all.
    pub(crate) fn selection(&self) -> Option<&'a [usize]> {
        self.pooled.filter(|_| self.selected)
    }

    /// Threads and weights for linear layers of the rows that activations have now.
    pub(crate) fn compute(&self) -> Compute<'a> {
        let selection = self.selection();
        Compute { adapters: self.compute.adapters.map(|adapters| adapters.at(selection)), ..self.compute }
    }

    /// Number of rows that activations have now.
    pub(crate) fn rows(&self) -> usize {
        self.selection().map_or(self.tokens(), <[usize]>::len)
    }

    /// The first `rows` rows of several activations.
    pub(crate) fn slices<const N: usize>(&mut self, rows: usize, slots: [Slot; N]) -> [&mut [f32]; N] {
        self.slices_of(slots.map(|slot| (slot, rows)))
    }

    /// The first rows of several activations, as many as are named of each.
    pub(crate) fn slices_of<const N: usize>(&mut self, slots: [(Slot, usize); N]) -> [&mut [f32]; N] {
        self.buffers.rows(self.layout, slots)
    }

    /// Keeps an activation for backward in bf16, where the layout says so.
    pub(crate) fn keep(&mut self, rows: usize, slot: RoundedSlot) {
        self.buffers.keep(self.compute.context, self.layout, rows, slot);
    }

    /// Restores an activation that forward kept.
    pub(crate) fn restore(&mut self, rows: usize, slot: RoundedSlot) {
        self.buffers.restore(self.compute.context, self.layout, rows, slot);
    }

    /// Copies an activation.
    pub(crate) fn copy(&mut self, from: Slot, to: Slot) {
        let rows = self.rows();
        let [from, to] = self.slices(rows, [from, to]);
        to.copy_from_slice(from);
    }

    /// Adds an activation to another.
    pub(crate) fn add(&mut self, from: Slot, to: Slot) {
        let (context, rows) = (self.compute.context, self.rows());
        let [from, to] = self.slices(rows, [from, to]);
        maana_kernels::add(context, to, from);
    }

    /// Fills an activation with zeros.
    pub(crate) fn clear(&mut self, slot: Slot) {
        let rows = self.rows();
        let [values] = self.slices(rows, [slot]);
        values.fill(0.0);
    }

    /// Moves the rows of selected tokens to their places among all tokens; the others become zero.
    pub(crate) fn scatter(&mut self, slot: Slot, selection: &[usize]) {
        let tokens = self.tokens();
        let [values] = self.slices(tokens, [slot]);
        let width = values.len() / tokens;
        maana_kernels::scatter_rows(values, width, selection);
    }

    /// The dropout of a site whose values have `rows_per_token` rows for each token; none if
    /// nothing is dropped.
    pub(crate) fn dropout_at(&self, site: DropoutSite, rows_per_token: usize) -> Option<Dropout> {
        let DropoutSeed::On { seed, pass, first_token, .. } = self.dropout else { return None };
        let DropoutSite { probability, number: site } = site;
        let first_row = first_token * rows_per_token as u64;
        (probability > 0.0).then_some(Dropout { probability, seed, pass, site, first_row })
    }

    /// The dropout mask of the rows that activations have now; none if nothing is dropped.
    pub(crate) fn mask_at(&self, site: DropoutSite) -> Option<Mask<'a>> {
        Some(Mask { dropout: self.dropout_at(site, 1)?, selection: self.selection() })
    }
}

/// The dropout mask of all tokens or of some, which have the masks of their places among all.
#[derive(Clone, Copy)]
pub(crate) struct Mask<'a> {
    dropout: Dropout,
    selection: Option<&'a [usize]>,
}

impl Mask<'_> {
    /// Applies the mask to rows of `width` columns.
    pub(crate) fn apply(self, context: &Context, width: usize, values: &mut [f32]) {
        let Self { dropout, selection } = self;
        match selection {
            None => maana_kernels::dropout(context, values, width, &dropout),
            Some(tokens) => maana_kernels::dropout_rows(context, values, width, tokens, &dropout),
        }
    }
}
