//! The seam between models and training: tokens and gradients, no strings and no files.

use crate::weights::{StatePart, Tensor, UpdatePlan};
use maana_kernels::{Context, Matrix, Rows};
use maana_text::TokenBatch;
use std::ops::Range;

/// The random numbers of one forward and backward pass. A dropout mask is a function of these and
/// of the place of a token or a sequence in the whole batch, so that it is the same in forward and
/// backward, for any number of threads, and for a batch computed at once or in parts, each with its
/// `first_token` and `first_sequence`.
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
        /// The number of the first sequence in the same way.
        first_sequence: u64,
    },
}

/// The most that one pass computes. A larger batch is computed in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassLimit {
    /// Number of sequences.
    pub sequences: usize,
    /// Number of tokens; a longer sequence is a part of its own.
    pub tokens: usize,
}

impl DropoutSeed {
    /// Returns the random numbers of the modules behind the encoder for one of the lower layers,
    /// which are others than those of the last layer.
    pub(crate) fn of_layer(self, layer: usize) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::On { seed, pass, first_token, first_sequence } => {
                let seed = seed ^ maana_files::mix(layer as u64 + 1);
                Self::On { seed, pass, first_token, first_sequence }
            }
        }
    }
}

impl Default for PassLimit {
    /// No limit.
    fn default() -> Self {
        Self { sequences: usize::MAX, tokens: usize::MAX }
    }
}

impl PassLimit {
    /// Divides the sequences of a batch into parts, in order. Behind each part but the last, the
    /// numbers of sequences and of tokens are multiples of `multiple`, for which a part may have to
    /// exceed the limit.
    pub fn parts(&self, offsets: &[usize], multiple: usize) -> Vec<Range<usize>> {
        let sequences = offsets.len().saturating_sub(1);
        let divisible = |end: usize| end.is_multiple_of(multiple) && offsets[end].is_multiple_of(multiple);
        let (mut parts, mut start) = (Vec::new(), 0);
        while start < sequences {
            let fits = |end: usize| end - start <= self.sequences && offsets[end] - offsets[start] <= self.tokens;
            let end = match (start + 1..=sequences).take_while(|end| fits(*end)).last() {
                Some(end) if end == sequences => sequences,
                most => {
                    let most = most.unwrap_or(start + 1);
                    let before = (start + 1..=most).rev().find(|end| divisible(*end));
                    before.or_else(|| (most + 1..sequences).find(|end| divisible(*end))).unwrap_or(sequences)
                }
            };
            parts.push(start..end);
            start = end;
        }
        parts
    }
}

/// A model that trains: embeddings out, their gradients back in. It owns its parameters, gradients
/// and optimizer state, wherever they are held.
pub trait Trainable {
    /// Memory of a pass, with what forward saves for backward. One value is used from pass to pass.
    type Activations: Default + Send;

    /// Number of columns of an embedding.
    fn dimension(&self) -> usize;

    /// Returns the memory of passes through one of several towers: texts of some columns pass
    /// through one of their own. A model without towers has number 0 only.
    fn activations(&self, _tower: usize) -> Self::Activations {
        Self::Activations::default()
    }

    /// Reserves the memory for batches of at most `sequences` sequences in passes of at most
    /// `limit`, so that none of them allocates.
    fn reserve(&self, _sequences: usize, _limit: PassLimit, _activations: &mut Self::Activations) {}

    /// The number by whose multiples, of sequences and of tokens, a batch may be cut into parts
    /// without a change of any bit of the gradients.
    fn part_multiple(&self) -> usize {
        1
    }

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
    ) {
        self.backward_part(context, batch, dropout, activations, d_embeddings);
        self.finish_parts(context, activations);
    }

    /// As [`Trainable::backward`], of a part of a batch. The parts follow one another in order, and
    /// [`Trainable::finish_parts`] follows the last: the gradients are then the same bits as those
    /// of the batch at once.
    fn backward_part(
        &mut self,
        context: &Context,
        part: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Self::Activations,
        d_embeddings: Rows<'_>,
    );

    /// Number of layers below the last whose embeddings [`Trainable::forward_layers`] gives: the
    /// embeddings of tokens are number 0, the output of the first layer is number 1.
    fn lower_layers(&self) -> usize {
        0
    }

    /// As [`Trainable::forward`], followed by the embeddings that the modules behind the encoder
    /// make of each of some lower layers, whose numbers ascend.
    ///
    /// # Panics
    /// If the model does not have these layers.
    fn forward_layers(
        &self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        layers: &[usize],
        activations: &mut Self::Activations,
    ) -> Vec<Matrix> {
        assert!(layers.is_empty(), "the model gives embeddings of its last layer only");
        vec![self.forward(context, batch, dropout, activations)]
    }

    /// As [`Trainable::backward_part`], given the gradients of the embeddings of
    /// [`Trainable::forward_layers`], in its order.
    ///
    /// # Panics
    /// If the model does not have these layers.
    fn backward_layers_part(
        &mut self,
        context: &Context,
        part: &TokenBatch,
        dropout: DropoutSeed,
        layers: &[usize],
        activations: &mut Self::Activations,
        d_embeddings: &[Rows<'_>],
    ) {
        assert!(layers.is_empty(), "the model gives embeddings of its last layer only");
        self.backward_part(context, part, dropout, activations, d_embeddings[0]);
    }

    /// Adds gradients whose sum waits for the last part of a batch.
    fn finish_parts(&mut self, _context: &Context, _activations: &mut Self::Activations) {}

    /// Describes settings that results depend on in addition to the parameters, for the identity of
    /// a run.
    fn describe_settings(&self) -> String {
        String::new()
    }

    /// Sets the summed gradients to zero.
    fn clear_gradients(&mut self);

    /// Euclidean norm of the summed gradients.
    fn gradient_norm(&self, context: &Context) -> f64;

    /// Sets the optimizer of all further updates, and which tensors train. A change discards
    /// gradients and moments. Without a call it is AdamW with the defaults of PyTorch.
    fn set_update_plan(&mut self, plan: UpdatePlan);

    /// Makes update `step`, from 1, with the summed gradients times `gradient_scale`, and sets the
    /// gradients to zero.
    fn update(&mut self, context: &Context, step: u64, learning_rate: f64, gradient_scale: f32);

    /// Moves the running average of the parameters towards them by `1 − decay`. Update 1 starts it
    /// with the parameters.
    fn update_average(&mut self, context: &Context, decay: f64, step: u64);

    /// Exchanges the parameters with their average, which must have begun.
    fn swap_average(&mut self);

    /// Names, shapes and places of all parameters.
    fn tensors(&self) -> &[Tensor];

    /// Names, shapes and places of the numbers in a part of the training state; none if the
    /// optimizer does not have it.
    fn state_tensors(&self, part: StatePart) -> Vec<Tensor>;

    /// Copies elements of the training state, from `first` on, to `into`. Gradients and moments are
    /// zero at first.
    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]);

    /// Sets elements of the training state, from `first` on.
    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_holds_as_many_sequences_as_fit() {
        let offsets = [0, 3, 4, 14, 16, 18];
        let parts = |sequences, tokens, multiple| PassLimit { sequences, tokens }.parts(&offsets, multiple);
        assert_eq!(parts(usize::MAX, usize::MAX, 1), std::slice::from_ref(&(0..5)));
        assert_eq!(parts(2, usize::MAX, 1), [0..2, 2..4, 4..5]);
        assert_eq!(parts(9, 4, 1), [0..2, 2..3, 3..5], "a long sequence is a part");
        assert_eq!(parts(3, usize::MAX, 2), [0..2, 2..5]);
        assert_eq!(parts(1, 1, 2), [0..2, 2..4, 4..5], "more than the limit where no cut is possible");
        assert!(PassLimit::default().parts(&[0], 1).is_empty());
    }

    proptest! {
        #[test]
        fn parts_follow_one_another_and_end_at_multiples(
            lengths in prop::collection::vec(1usize..20, 1..60),
            sequences in 1usize..20,
            tokens in 1usize..60,
            multiple in 1usize..3,
        ) {
            let mut offsets = vec![0];
            offsets.extend(lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }));
            let parts = PassLimit { sequences, tokens }.parts(&offsets, multiple);
            let mut start = 0;
            for part in &parts {
                prop_assert!(part.start == start && part.end > start);
                start = part.end;
                let cut = start % multiple == 0 && offsets[start] % multiple == 0;
                prop_assert!(start == lengths.len() || cut);
                let fits = part.len() <= sequences && offsets[part.end] - offsets[part.start] <= tokens;
                prop_assert!(fits || part.len() == 1 || multiple > 1);
            }
            prop_assert_eq!(start, lengths.len());
        }
    }
}
