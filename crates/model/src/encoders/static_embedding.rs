//! Static embeddings (Sentence Transformers' `StaticEmbedding`, Model2Vec): a table with a row for
//! each token, and nothing that depends on the neighbours of a token.
//!
//! ```text
//! embedding = mean of word[token] over the tokens of a text
//! ```
//!
//! A text without tokens has a row of zeros. Forward and backward read and write rows of the table
//! directly: no memory of a pass grows with the number of tokens.

use super::encoder::{Encoder, LayerHook};
use crate::activations::Slot;
use crate::blocks::{Declarations, Pooling, RelativePositionBias};
use crate::config::EncoderConfig;
use crate::pass::Pass;
use crate::weights::{Gradients, Parameter};
use maana_kernels::Matrix;

/// The name of the table in the file.
pub(crate) const TABLE: &str = "embedding.weight";

/// The encoder.
pub(crate) struct StaticEmbedding {
    /// `(vocabulary, hidden)`
    word: Parameter,
    hidden: usize,
    /// Embeddings of single tokens; only in inference, where they may be asked for.
    x: Slot,
    d_x: Slot,
}

impl StaticEmbedding {
    /// Declares the table.
    pub(crate) fn declare(config: &EncoderConfig, declarations: &mut Declarations) -> Self {
        let EncoderConfig { vocabulary, hidden, .. } = *config;
        let Declarations { parameters, activations } = declarations;
        let width = if activations.trains() { 0 } else { hidden };
        Self {
            word: parameters.word_embeddings(TABLE, [vocabulary, hidden]),
            hidden,
            x: activations.shared("x", width),
            d_x: activations.gradient("d_x", 0),
        }
    }
}

impl Encoder for StaticEmbedding {
    fn forward(&self, pass: &mut Pass<'_>, _at_layer: &mut LayerHook<'_>) {
        let (compute, batch, tokens) = (pass.compute, pass.batch, pass.tokens());
        let [x] = pass.slices(tokens, [self.x]);
        let word = compute.weights.values(&self.word);
        maana_kernels::gather_rows(compute.context, word, self.hidden, &batch.ids, x, false);
    }

    fn backward(&self, _pass: &mut Pass<'_>, _at_layer: &mut LayerHook<'_>, _gradients: &mut Gradients<'_>) {
        unreachable!("training needs only the means of tokens");
    }

    fn position_bias(&self) -> Option<&RelativePositionBias> {
        None
    }

    fn output(&self) -> [Slot; 2] {
        [self.x, self.d_x]
    }

    fn forward_pooled(
        &self,
        pass: &mut Pass<'_>,
        _pooling: &Pooling,
        hidden: usize,
        layers: &[usize],
    ) -> (Matrix, Vec<Matrix>) {
        assert!(layers.is_empty(), "a static model has no layers");
        let (compute, batch) = (pass.compute, pass.batch);
        let mut pooled = Matrix::zeros(batch.sequences(), hidden);
        let word = compute.weights.values(&self.word);
        maana_kernels::mean_rows(compute.context, word, hidden, &batch.ids, &batch.offsets, pooled.data_mut());
        (pooled, Vec::new())
    }

    fn backward_pooled(
        &self,
        pass: &mut Pass<'_>,
        (_pooling, hidden): (&Pooling, usize),
        d_pooled: &Matrix,
        _lower: (&[usize], &[Matrix]),
        gradients: &mut Gradients<'_>,
    ) {
        let (context, batch) = (pass.compute.context, pass.batch);
        if let Some(d_word) = gradients.of(&self.word.range) {
            maana_kernels::mean_rows_backward(context, d_pooled.data(), hidden, &batch.ids, &batch.offsets, d_word);
        }
    }
}
