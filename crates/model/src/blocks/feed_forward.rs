//! Feed-forward part of a layer: `dropout(activation(x W₁ᵀ + b₁) W₂ᵀ + b₂)`, each token by itself.

use super::{Declarations, Linear};
use crate::activations::{RoundedSlot, Slot};
use crate::config::EncoderConfig;
use crate::pass::{DropoutSite, Pass};
use crate::weights::Gradients;
use maana_kernels::{Activation, Epilogue};

/// Two linear layers with an activation between them.
pub(crate) struct FeedForward {
    up: Linear,
    activation: Activation,
    down: Linear,
    dropout: DropoutSite,
    hidden: usize,
    /// Input of the activation, `(tokens, intermediate)`; saved.
    before_activation: RoundedSlot,
    /// Output of the activation, `(tokens, intermediate)`; in backward recomputed, then its
    /// gradient.
    activated: Slot,
    /// Gradient behind dropout, `(tokens, hidden)`
    d_dropped: Slot,
}

impl FeedForward {
    /// Declares the linear layers `up`, `(intermediate, hidden)`, and `down`, `(hidden,
    /// intermediate)`.
    pub(crate) fn declare(
        declarations: &mut Declarations,
        config: &EncoderConfig,
        layer: usize,
        [up, down]: [String; 2],
    ) -> Self {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        Self {
            up: Linear::declare(declarations, "up", &[up], intermediate, hidden, true),
            activation: config.activation,
            down: Linear::declare(declarations, "down", &[down], hidden, intermediate, true),
            dropout: DropoutSite::layer(config.hidden_dropout, layer, 2),
            hidden,
            before_activation: declarations.activations.saved_for_backward("before activation", intermediate),
            activated: declarations.activations.shared("activated", intermediate),
            d_dropped: declarations.activations.gradient("d_dropped", hidden),
        }
    }

    /// Computes `sum = residual + FeedForward(x)`.
    pub(crate) fn forward(&self, pass: &mut Pass<'_>, x: Slot, residual: Slot, sum: Slot) {
        let (compute, rows) = (pass.compute(), pass.rows());
        if pass.saves() {
            self.recompute(pass, x);
            let [before, activated] = pass.slices(rows, [self.before_activation.values, self.activated]);
            self.activation.forward(compute.context, before, activated);
        } else {
            let [x, activated] = pass.slices(rows, [x, self.activated]);
            self.up.forward(compute, x, Epilogue::Activation(self.activation), activated);
        }
        let mask = pass.mask_at(self.dropout);
        let [activated, residual, sum] = pass.slices(rows, [self.activated, residual, sum]);
        self.down.forward_residual(compute, activated, mask, residual, sum);
    }

    /// Computes only what backward reads.
    pub(crate) fn recompute(&self, pass: &mut Pass<'_>, x: Slot) {
        let (compute, rows) = (pass.compute(), pass.rows());
        let [x, before] = pass.slices(rows, [x, self.before_activation.values]);
        self.up.forward(compute, x, Epilogue::None, before);
        pass.keep(rows, self.before_activation);
    }

    /// Adds to `d_x` the gradient of `x`, given that of the sum, and the gradients of the
    /// parameters.
    pub(crate) fn backward(&self, pass: &mut Pass<'_>, x: Slot, d_sum: Slot, d_x: Slot, gradients: &mut Gradients<'_>) {
        let (compute, rows) = (pass.compute(), pass.rows());
        let context = compute.context;
        pass.restore(rows, self.before_activation);
        let mask = pass.mask_at(self.dropout);
        let slots = [x, d_sum, d_x, self.d_dropped, self.before_activation.values, self.activated];
        let [x, d_sum, d_x, d_dropped, before, activated] = pass.slices(rows, slots);

        d_dropped.copy_from_slice(d_sum);
        if let Some(mask) = mask {
            mask.apply(context, self.hidden, d_dropped);
        }
        self.activation.forward(context, before, activated);
        self.down.backward_parameters(compute, activated, d_dropped, gradients);

        let d_activated = activated;
        self.down.backward_input(compute, d_dropped, d_activated, false);
        self.activation.backward(context, before, d_activated);
        self.up.backward_parameters(compute, x, d_activated, gradients);
        self.up.backward_input(compute, d_activated, d_x, true);
    }
}
