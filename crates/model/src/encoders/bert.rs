//! BERT (Devlin et al. 2018, arXiv:1810.04805), forward and backward. RoBERTa, CamemBERT,
//! XLM-RoBERTa and DistilBERT are the same encoder with other names and settings.
//!
//! ```text
//! x = dropout(LayerNorm(word + position + segment))
//! for each layer:
//!     y = LayerNorm(x + Attention(x))
//!     x = LayerNorm(y + FeedForward(y))
//! ```
//!
//! Each variable is a slot: memory with one row of `hidden` columns for each token. Backward goes
//! through the same lines from the last to the first: `d_x` is the gradient of the loss with
//! respect to `x`. A sum passes its gradient on to both addends, so that `d_y` is that of the sum,
//! plus what comes through the feed-forward part. Forward saves the inputs of the LayerNorms; `x`
//! and `y` are recomputed from them. With checkpoints it saves only those at the end of each layer.

use super::encoder::{Encoder, LayerHook};
use super::names::LayerNames;
use crate::activations::Slot;
use crate::blocks::{
    AttentionVariant, Declarations, Embeddings, FeedForward, LayerNorm, RelativePositionBias, SelfAttention,
};
use crate::config::EncoderConfig;
use crate::pass::Pass;
use crate::weights::Gradients;
use std::ops::Range;
use std::sync::Arc;

/// The encoder.
pub(crate) struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    position_bias: Option<Arc<RelativePositionBias>>,
    /// The parameters below the first layer, and those that all layers share.
    parameters: Range<usize>,
    x: Slot,
    d_x: Slot,
    d_sum: Slot,
}

/// One layer: attention and feed-forward, each with a residual connection and a LayerNorm behind
/// it.
struct Layer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    norm: LayerNorm,
    parameters: Range<usize>,
    y: Slot,
}

impl Bert {
    /// Declares all parameters and activations; `bias` is added to attention scores where a family
    /// has one.
    pub(crate) fn declare(
        config: &EncoderConfig,
        declarations: &mut Declarations,
        bias: Option<&Arc<RelativePositionBias>>,
    ) -> Self {
        let embeddings = Embeddings::declare(declarations, config);
        let parameters = 0..declarations.parameters.elements;
        let layers = (0..config.layers).map(|index| Layer::declare(config, declarations, index, bias)).collect();
        let activations = &mut declarations.activations;
        Self {
            embeddings,
            layers,
            position_bias: bias.cloned(),
            parameters,
            x: activations.shared("x", config.hidden),
            d_x: activations.gradient("d_x", config.hidden),
            d_sum: activations.gradient("d_sum", config.hidden),
        }
    }

    /// Computes the input of a layer once more.
    fn recompute_input(&self, pass: &mut Pass<'_>, layer: usize) {
        let tokens = pass.tokens();
        match layer.checked_sub(1) {
            Some(before) => self.layers[before].norm.recompute(pass, tokens, self.x),
            None => self.embeddings.recompute(pass, self.x),
        }
    }
}

impl Encoder for Bert {
    fn forward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>) {
        self.embeddings.forward(pass, self.x);
        for (index, layer) in self.layers.iter().enumerate() {
            at_layer(pass, index, self.output());
            layer.forward(pass, self.x);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>, gradients: &mut Gradients<'_>) {
        let embeddings_train = gradients.trains(&self.parameters);
        // Below the lowest layer that trains, gradients are not needed.
        let lowest = match embeddings_train {
            true => 0,
            false => self.layers.iter().take_while(|layer| !gradients.trains(&layer.parameters)).count(),
        };
        for (index, layer) in self.layers.iter().enumerate().skip(lowest).rev() {
            self.recompute_input(pass, index);
            if pass.recomputes() {
                layer.recompute(pass, self.x);
                self.recompute_input(pass, index);
            }
            layer.backward(pass, self.x, self.d_x, self.d_sum, gradients);
            at_layer(pass, index, self.output());
        }
        if embeddings_train {
            self.embeddings.backward(pass, self.d_x, self.d_sum, gradients);
        }
    }

    fn position_bias(&self) -> Option<&RelativePositionBias> {
        self.position_bias.as_deref()
    }

    fn output(&self) -> [Slot; 2] {
        [self.x, self.d_x]
    }
}

impl Layer {
    fn declare(
        config: &EncoderConfig,
        declarations: &mut Declarations,
        index: usize,
        bias: Option<&Arc<RelativePositionBias>>,
    ) -> Self {
        let (hidden, epsilon) = (config.hidden, config.layer_norm_epsilon);
        let names = LayerNames::of(config.architecture, index);
        let first = declarations.parameters.elements;
        let sums = ["attention sum", "attention statistics"];
        let variant = AttentionVariant { biases: true, position_bias: bias.cloned(), rotary: None, window: None };
        Self {
            attention: SelfAttention::declare(declarations, config, index, names.attention, variant),
            attention_norm: LayerNorm::declare(declarations, &names.attention_norm, hidden, epsilon, true, sums),
            feed_forward: FeedForward::declare(declarations, config, index, names.feed_forward),
            norm: LayerNorm::declare_between_layers(declarations, &names.norm, hidden, epsilon, true),
            parameters: first..declarations.parameters.elements,
            y: declarations.activations.shared("y", hidden),
        }
    }

    /// Replaces `x` by the output of the layer.
    fn forward(&self, pass: &mut Pass<'_>, x: Slot) {
        let Self { attention, attention_norm, feed_forward, norm, y, .. } = self;
        attention.forward(pass, x, x, attention_norm.input);
        attention_norm.forward(pass, *y);
        feed_forward.forward(pass, *y, *y, norm.input);
        norm.forward(pass, x);
    }

    /// Computes once more what backward reads, all but the input of the last norm, which is saved.
    /// Uses up `x`.
    fn recompute(&self, pass: &mut Pass<'_>, x: Slot) {
        let Self { attention, attention_norm, feed_forward, y, .. } = self;
        pass.selected = false;
        attention.forward(pass, x, x, attention_norm.input);
        attention_norm.forward(pass, *y);
        feed_forward.recompute(pass, *y);
    }

    /// Replaces `d_x`, the gradient of the layer's output, by that of its input `x`.
    fn backward(&self, pass: &mut Pass<'_>, x: Slot, d_x: Slot, d_sum: Slot, gradients: &mut Gradients<'_>) {
        let Self { attention, attention_norm, feed_forward, norm, y, .. } = self;
        norm.backward(pass, d_x, d_sum, gradients);
        let d_y = d_x;
        pass.copy(d_sum, d_y);
        let rows = pass.rows();
        attention_norm.recompute(pass, rows, *y);
        feed_forward.backward(pass, *y, d_sum, d_y, gradients);
        attention_norm.backward(pass, d_y, d_sum, gradients);
        pass.copy(d_sum, d_x);
        attention.backward(pass, x, d_sum, d_x, gradients);
    }
}
