//! Embeddings of tokens: `dropout(LayerNorm(word + position + segment))`, in some families without
//! positions or segments.

use super::{Declarations, LayerNorm};
use crate::activations::Slot;
use crate::config::EncoderConfig;
use crate::pass::{DropoutSite, Pass};
use crate::weights::{Gradients, Parameter};
use maana_text::TokenBatch;

/// Tables of words and, in most families, positions and segments, and a LayerNorm of their sum.
pub(crate) struct Embeddings {
    /// `(vocabulary, hidden)`
    word: Parameter,
    /// `(positions, hidden)`
    position: Option<Parameter>,
    /// `(segments, hidden)`
    segment: Option<Parameter>,
    norm: LayerNorm,
    dropout: DropoutSite,
    hidden: usize,
    /// Row of the position table for the first token.
    first_position: u32,
    /// The padding token, which takes the row of its own number where it occurs in a text.
    padding: Option<u32>,
    /// The most tokens of a text.
    longest: usize,
}

impl Embeddings {
    /// Declares the tables and the norm under their names in BERT or ModernBERT, whose positions
    /// are no embeddings.
    pub(crate) fn declare(declarations: &mut Declarations, config: &EncoderConfig) -> Self {
        let hidden = config.hidden;
        let parameters = &mut declarations.parameters;
        let (word, norm, norm_bias) = match &config.modern_bert {
            Some(modern) => ("embeddings.tok_embeddings.weight", "embeddings.norm", modern.norm_bias),
            None => ("embeddings.word_embeddings.weight", "embeddings.LayerNorm", true),
        };
        let word = parameters.word_embeddings(word, [config.vocabulary, hidden]);
        let position = config
            .modern_bert
            .is_none()
            .then(|| parameters.parameter("embeddings.position_embeddings.weight", &[config.positions, hidden]));
        let segment = (config.segments > 0)
            .then(|| parameters.parameter("embeddings.token_type_embeddings.weight", &[config.segments, hidden]));
        let epsilon = config.layer_norm_epsilon;
        let norm = LayerNorm::declare_between_layers(declarations, norm, hidden, epsilon, norm_bias);
        Self {
            word,
            position,
            segment,
            norm,
            dropout: DropoutSite::embeddings(config.hidden_dropout),
            hidden,
            first_position: config.first_position as u32,
            padding: config.padding,
            longest: config.longest(),
        }
    }

    /// Computes `x`, `(tokens, hidden)`.
    pub(crate) fn forward(&self, pass: &mut Pass<'_>, x: Slot) {
        let (context, weights) = (pass.compute.context, pass.compute.weights);
        let (batch, tokens, hidden) = (pass.batch, pass.tokens(), self.hidden);
        self.number_positions(batch, &mut pass.buffers.positions);
        let positions = std::mem::take(&mut pass.buffers.positions);
        let [sum] = pass.slices(tokens, [self.norm.input]);
        maana_kernels::gather_rows(context, weights.values(&self.word), hidden, &batch.ids, sum, false);
        if let Some(position) = &self.position {
            maana_kernels::gather_rows(context, weights.values(position), hidden, &positions, sum, true);
        }
        if let Some(segment) = &self.segment {
            maana_kernels::gather_rows(context, weights.values(segment), hidden, &batch.type_ids, sum, true);
        }
        pass.buffers.positions = positions;
        self.norm.forward(pass, x);
        self.drop(pass, x);
    }

    /// Computes `x` once more from what forward saved, to the same bits.
    pub(crate) fn recompute(&self, pass: &mut Pass<'_>, x: Slot) {
        let tokens = pass.tokens();
        self.norm.recompute(pass, tokens, x);
        self.drop(pass, x);
    }

    /// Adds the gradients of tables and norm, given that of `x`. Uses up `d_x` and `d_sum`.
    pub(crate) fn backward(&self, pass: &mut Pass<'_>, d_x: Slot, d_sum: Slot, gradients: &mut Gradients<'_>) {
        let (context, batch, tokens, hidden) = (pass.compute.context, pass.batch, pass.tokens(), self.hidden);
        self.drop(pass, d_x);
        self.norm.backward(pass, d_x, d_sum, gradients);
        let positions = std::mem::take(&mut pass.buffers.positions);
        let [d_sum] = pass.slices(tokens, [d_sum]);
        let mut scatter = |ids: &[u32], table: &Parameter| {
            if let Some(d_table) = gradients.of(&table.range) {
                maana_kernels::scatter_add_rows(context, d_sum, hidden, ids, d_table);
            }
        };
        scatter(&batch.ids, &self.word);
        if let Some(position) = &self.position {
            scatter(&positions, position);
        }
        if let Some(segment) = &self.segment {
            scatter(&batch.type_ids, segment);
        }
        pass.buffers.positions = positions;
    }

    fn drop(&self, pass: &mut Pass<'_>, values: Slot) {
        let Some(dropout) = pass.dropout_at(self.dropout, 1) else { return };
        let (context, tokens) = (pass.compute.context, pass.tokens());
        let [values] = pass.slices(tokens, [values]);
        maana_kernels::dropout(context, values, self.hidden, &dropout);
    }

    fn number_positions(&self, batch: &TokenBatch, positions: &mut Vec<u32>) {
        positions.clear();
        for index in 0..batch.sequences() {
            let length = batch.length(index);
            assert!(length <= self.longest, "{length} tokens, but only {} positions", self.longest);
            let mut next = self.first_position;
            positions.extend(batch.sequence(index).iter().map(|id| match self.padding {
                // A padding token that occurs in the text takes its own row and does not count.
                Some(padding) if *id == padding => padding,
                _ => {
                    next += 1;
                    next - 1
                }
            }));
        }
    }
}
