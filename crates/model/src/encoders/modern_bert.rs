//! ModernBERT (Warner et al. 2024, arXiv:2412.13663), forward and backward.
//!
//! ```text
//! x = dropout(LayerNorm(word))
//! for each layer:
//!     y = x + Attention(LayerNorm(x))      in the first layer Attention(x)
//!     x = y + GatedFeedForward(LayerNorm(y))
//! x = LayerNorm(x)
//! ```
//!
//! Attention has rotary positions; it is global in some layers and within a window in the others.
//! The norms are in front of each part, so that `x` and `y` are the inputs of norms, which forward
//! saves: `x` is that of the norm that reads it. The slot `normed` holds the input of a part. `d_x`
//! is the gradient of `x` and of `y`, to which that of a part's input is added.

use super::encoder::{Encoder, LayerHook};
use super::names::LayerNames;
use crate::activations::Slot;
use crate::blocks::{
    AttentionVariant, Declarations, Embeddings, GatedFeedForward, LayerNorm, RelativePositionBias, RotaryPositions,
    SelfAttention,
};
use crate::config::{EncoderConfig, ModernBertConfig};
use crate::pass::Pass;
use crate::weights::Gradients;
use std::ops::Range;
use std::sync::Arc;

/// The encoder.
pub(crate) struct ModernBert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    /// The parameters below the first layer.
    parameters: Range<usize>,
    normed: Slot,
    d_x: Slot,
    d_normed: Slot,
    d_part: Slot,
}

/// One layer: attention and feed-forward, each behind a norm and with a residual connection.
struct Layer {
    /// The norm in front of attention, which the first layer does not have.
    attention_norm: Option<LayerNorm>,
    attention: SelfAttention,
    norm: LayerNorm,
    feed_forward: GatedFeedForward,
    parameters: Range<usize>,
}

impl ModernBert {
    /// Declares all parameters and activations.
    pub(crate) fn declare(config: &EncoderConfig, modern: &ModernBertConfig, declarations: &mut Declarations) -> Self {
        let embeddings = Embeddings::declare(declarations, config);
        let parameters = 0..declarations.parameters.elements;
        let rotary = rotary_positions(config, modern);
        let layers = rotary.into_iter().enumerate();
        let layers =
            layers.map(|(index, rotary)| Layer::declare(config, modern, declarations, index, rotary)).collect();
        let (hidden, epsilon) = (config.hidden, config.layer_norm_epsilon);
        let final_norm =
            LayerNorm::declare_between_layers(declarations, "final_norm", hidden, epsilon, modern.norm_bias);
        let activations = &mut declarations.activations;
        Self {
            embeddings,
            layers,
            final_norm,
            parameters,
            normed: activations.shared("normed", hidden),
            d_x: activations.gradient("d_x", hidden),
            d_normed: activations.gradient("d_normed", hidden),
            d_part: activations.gradient("d_part", hidden),
        }
    }

    /// The norm that reads the output of a layer.
    fn norm_behind(&self, layer: usize) -> &LayerNorm {
        let next = self.layers.get(layer + 1).and_then(|layer| layer.attention_norm.as_ref());
        next.unwrap_or(&self.final_norm)
    }

    /// The slot of a layer's input.
    fn input(&self, layer: usize) -> Slot {
        self.layers[layer].attention_norm.as_ref().map_or(self.normed, |norm| norm.input)
    }

    /// Computes the input of a layer's attention once more.
    fn recompute_input(&self, pass: &mut Pass<'_>, layer: usize) {
        let tokens = pass.tokens();
        match &self.layers[layer].attention_norm {
            Some(norm) => norm.recompute(pass, tokens, self.normed),
            None => self.embeddings.recompute(pass, self.normed),
        }
    }
}

/// Rotary positions of each layer, shared by those of one base.
fn rotary_positions(config: &EncoderConfig, modern: &ModernBertConfig) -> Vec<Arc<RotaryPositions>> {
    let mut known: Vec<(f64, Arc<RotaryPositions>)> = Vec::new();
    let of_base = |theta: f64| {
        if let Some((_, positions)) = known.iter().find(|(other, _)| *other == theta) {
            return Arc::clone(positions);
        }
        let positions = Arc::new(RotaryPositions::new(theta, config.head_dim(), config.longest()));
        known.push((theta, Arc::clone(&positions)));
        positions
    };
    modern.layers.iter().map(|layer| layer.rope_theta).map(of_base).collect()
}

impl Encoder for ModernBert {
    fn forward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>) {
        self.embeddings.forward(pass, self.normed);
        for (index, layer) in self.layers.iter().enumerate() {
            at_layer(pass, index, [self.input(index), self.d_x]);
            layer.forward(pass, self.normed, self.norm_behind(index).input);
        }
        self.final_norm.forward(pass, self.normed);
    }

    fn backward(&self, pass: &mut Pass<'_>, at_layer: &mut LayerHook<'_>, gradients: &mut Gradients<'_>) {
        let embeddings_train = gradients.trains(&self.parameters);
        // Below the lowest layer that trains, gradients are not needed.
        let lowest = match embeddings_train {
            true => 0,
            false => self.layers.iter().take_while(|layer| !gradients.trains(&layer.parameters)).count(),
        };
        self.final_norm.backward(pass, self.d_x, self.d_part, gradients);
        pass.copy(self.d_part, self.d_x);
        for (index, layer) in self.layers.iter().enumerate().skip(lowest).rev() {
            if pass.recomputes() {
                self.recompute_input(pass, index);
                layer.recompute(pass, self.normed);
            }
            layer.backward_feed_forward(pass, self.normed, [self.d_x, self.d_normed, self.d_part], gradients);
            self.recompute_input(pass, index);
            layer.backward_attention(pass, self.normed, [self.d_x, self.d_normed, self.d_part], gradients);
            at_layer(pass, index, [self.input(index), self.d_x]);
        }
        if embeddings_train {
            self.embeddings.backward(pass, self.d_x, self.d_part, gradients);
        }
    }

    fn position_bias(&self) -> Option<&RelativePositionBias> {
        None
    }

    fn output(&self) -> [Slot; 2] {
        [self.normed, self.d_x]
    }
}

impl Layer {
    fn declare(
        config: &EncoderConfig,
        modern: &ModernBertConfig,
        declarations: &mut Declarations,
        index: usize,
        rotary: Arc<RotaryPositions>,
    ) -> Self {
        let (hidden, epsilon, norm_bias) = (config.hidden, config.layer_norm_epsilon, modern.norm_bias);
        let LayerNames { attention, attention_norm, feed_forward, norm } = LayerNames::of(config.architecture, index);
        let first = declarations.parameters.elements;
        let attention_norm = (index > 0)
            .then(|| LayerNorm::declare_between_layers(declarations, &attention_norm, hidden, epsilon, norm_bias));
        let variant = AttentionVariant {
            biases: modern.attention_bias,
            rotary: Some(rotary),
            window: modern.layers[index].window,
            position_bias: None,
        };
        let attention = SelfAttention::declare(declarations, config, index, attention, variant);
        let sums = ["attention sum", "attention statistics"];
        let norm = LayerNorm::declare(declarations, &norm, hidden, epsilon, norm_bias, sums);
        let (biases, dropout) = (modern.mlp_bias, modern.mlp_dropout);
        let feed_forward = GatedFeedForward::declare(declarations, config, index, feed_forward, biases, dropout);
        let parameters = first..declarations.parameters.elements;
        Self { attention_norm, attention, norm, feed_forward, parameters }
    }

    /// Computes the output of the layer. In the first layer `normed` holds `x`.
    fn forward(&self, pass: &mut Pass<'_>, normed: Slot, output: Slot) {
        let Self { attention_norm, attention, norm, feed_forward, .. } = self;
        let x = match attention_norm {
            Some(norm) => {
                norm.forward(pass, normed);
                norm.input
            }
            None => normed,
        };
        attention.forward(pass, normed, x, norm.input);
        norm.forward(pass, normed);
        feed_forward.forward(pass, normed, norm.input, output);
    }

    /// Computes once more what backward reads, from the input of attention. Uses up `normed`.
    fn recompute(&self, pass: &mut Pass<'_>, normed: Slot) {
        let Self { attention_norm, attention, norm, feed_forward, .. } = self;
        pass.selected = false;
        attention.forward(pass, normed, attention_norm.as_ref().map_or(normed, |norm| norm.input), norm.input);
        norm.forward(pass, normed);
        feed_forward.recompute(pass, normed);
    }

    /// Replaces `d_x`, the gradient of the layer's output, by that of `y`.
    fn backward_feed_forward(
        &self,
        pass: &mut Pass<'_>,
        normed: Slot,
        [d_x, d_normed, d_part]: [Slot; 3],
        gradients: &mut Gradients<'_>,
    ) {
        let rows = pass.rows();
        self.norm.recompute(pass, rows, normed);
        self.feed_forward.backward(pass, normed, d_x, d_normed, gradients);
        self.norm.backward(pass, d_normed, d_part, gradients);
        pass.add(d_part, d_x);
    }

    /// Replaces `d_x`, the gradient of `y`, by that of the layer's input, given what attention
    /// reads.
    fn backward_attention(
        &self,
        pass: &mut Pass<'_>,
        normed: Slot,
        [d_x, d_normed, d_part]: [Slot; 3],
        gradients: &mut Gradients<'_>,
    ) {
        let selection = pass.selection();
        pass.clear(d_normed);
        self.attention.backward(pass, normed, d_x, d_normed, gradients);
        if let Some(selection) = selection {
            pass.scatter(d_x, selection);
        }
        match &self.attention_norm {
            Some(norm) => {
                norm.backward(pass, d_normed, d_part, gradients);
                pass.add(d_part, d_x);
            }
            None => pass.add(d_normed, d_x),
        }
    }
}
