//! Feed-forward part with a gated linear unit (Shazeer 2020, arXiv:2002.05202): `dropout(activation
//! (x Wᵢᵀ) · x Wgᵀ) Wₒᵀ`, each token by itself. The rows of Wᵢ and Wg are one linear layer.

use super::{Declarations, Linear};
use crate::activations::{RoundedSlot, Slot};
use crate::config::EncoderConfig;
use crate::pass::{DropoutSite, Pass};
use crate::weights::Gradients;
use maana_kernels::{Activation, Epilogue};

/// Two linear layers, the first of which gives input and gate of the activation.
pub(crate) struct GatedFeedForward {
    up: Linear,
    activation: Activation,
    down: Linear,
    dropout: DropoutSite,
    intermediate: usize,
    /// Input and gate, `(tokens, 2, intermediate)`; saved.
    before_activation: RoundedSlot,
    /// Input of the second linear layer, `(tokens, intermediate)`; in backward recomputed, then its
    /// gradient.
    activated: Slot,
    /// Gradient of input and gate.
    d_before: Slot,
}

impl GatedFeedForward {
    /// Declares the linear layers `up`, `(2 intermediate, hidden)`, and `down`, `(hidden,
    /// intermediate)`, with or without biases.
    pub(crate) fn declare(
        declarations: &mut Declarations,
        config: &EncoderConfig,
        layer: usize,
        [up, down]: [String; 2],
        biases: bool,
        dropout: f32,
    ) -> Self {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        Self {
            up: Linear::declare(declarations, "up", &[up], 2 * intermediate, hidden, biases),
            activation: config.activation,
            down: Linear::declare(declarations, "down", &[down], hidden, intermediate, biases),
            dropout: DropoutSite::layer(dropout, layer, 2),
            intermediate,
            before_activation: declarations.activations.saved_rounded("before activation", 2 * intermediate),
            activated: declarations.activations.shared("activated", intermediate),
            d_before: declarations.activations.gradient("d_before", 2 * intermediate),
        }
    }

    /// Computes `sum = residual + FeedForward(x)`.
    pub(crate) fn forward(&self, pass: &mut Pass<'_>, x: Slot, residual: Slot, sum: Slot) {
        self.recompute(pass, x);
        self.activate(pass);
        let (compute, rows) = (pass.compute(), pass.rows());
        let [activated, residual, sum] = pass.slices(rows, [self.activated, residual, sum]);
        self.down.forward_residual(compute, activated, None, residual, sum);
    }

    /// Computes only what backward reads.
    pub(crate) fn recompute(&self, pass: &mut Pass<'_>, x: Slot) {
        let (compute, rows) = (pass.compute(), pass.rows());
        let [x, before] = pass.slices(rows, [x, self.before_activation.values]);
        self.up.forward(compute, x, Epilogue::None, before);
        pass.keep(rows, self.before_activation);
    }

    /// Computes `d_x`, given the gradient of the sum, and adds the gradients of the parameters.
    pub(crate) fn backward(&self, pass: &mut Pass<'_>, x: Slot, d_sum: Slot, d_x: Slot, gradients: &mut Gradients<'_>) {
        let (compute, rows) = (pass.compute(), pass.rows());
        pass.restore(rows, self.before_activation);
        self.activate(pass);
        let mask = pass.mask_at(self.dropout);
        let slots = [x, d_sum, d_x, self.before_activation.values, self.activated, self.d_before];
        let [x, d_sum, d_x, before, activated, d_before] = pass.slices(rows, slots);
        self.down.backward_parameters(compute, activated, d_sum, gradients);

        let d_activated = activated;
        self.down.backward_input(compute, d_sum, d_activated, false);
        if let Some(mask) = mask {
            mask.apply(compute.context, self.intermediate, d_activated);
        }
        maana_kernels::gated_backward(
            compute.context,
            self.activation,
            before,
            self.intermediate,
            d_activated,
            d_before,
        );
        self.up.backward_parameters(compute, x, d_before, gradients);
        self.up.backward_input(compute, d_before, d_x, false);
    }

    /// Computes the input of the second linear layer.
    fn activate(&self, pass: &mut Pass<'_>) {
        let (context, rows, mask) = (pass.compute.context, pass.rows(), pass.mask_at(self.dropout));
        let [before, activated] = pass.slices(rows, [self.before_activation.values, self.activated]);
        maana_kernels::gated(context, self.activation, before, self.intermediate, activated);
        if let Some(mask) = mask {
            mask.apply(context, self.intermediate, activated);
        }
    }
}
