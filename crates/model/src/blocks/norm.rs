//! LayerNorm (Ba et al. 2016, arXiv:1607.06450): `y = (x − mean) / √(variance + ε) · γ + β` for
//! each token, in some families without β.

use super::Declarations;
use crate::activations::Slot;
use crate::pass::Pass;
use crate::weights::{Gradients, Parameter};

/// A LayerNorm and its input, which it saves for backward with mean and 1/σ.
pub(crate) struct LayerNorm {
    gamma: Parameter,
    beta: Option<Parameter>,
    epsilon: f32,
    /// The input, `(tokens, width)`; the block in front of the norm writes it.
    pub(crate) input: Slot,
    /// Mean and 1/σ, `(tokens, 2)`
    statistics: Slot,
}

impl LayerNorm {
    /// Declares `{name}.weight` and perhaps `{name}.bias`, `(width)`. Activations have the names
    /// `[input, statistics]`.
    pub(crate) fn declare(
        declarations: &mut Declarations,
        name: &str,
        width: usize,
        epsilon: f32,
        has_bias: bool,
        [input, statistics]: [&'static str; 2],
    ) -> Self {
        let activations = &mut declarations.activations;
        let saved = [activations.saved(input, width), activations.saved(statistics, 2)];
        Self::with_activations(declarations, name, width, epsilon, has_bias, saved)
    }

    /// Declares a norm whose output is the input of a layer, from which backward may compute the
    /// layer once more.
    pub(crate) fn declare_between_layers(
        declarations: &mut Declarations,
        name: &str,
        width: usize,
        epsilon: f32,
        has_bias: bool,
    ) -> Self {
        let activations = &mut declarations.activations;
        let saved = [("output sum", width), ("output statistics", 2)]
            .map(|(name, width)| activations.saved_between_layers(name, width));
        Self::with_activations(declarations, name, width, epsilon, has_bias, saved)
    }

    fn with_activations(
        declarations: &mut Declarations,
        name: &str,
        width: usize,
        epsilon: f32,
        has_bias: bool,
        [input, statistics]: [Slot; 2],
    ) -> Self {
        let parameters = &mut declarations.parameters;
        Self {
            gamma: parameters.parameter(format!("{name}.weight"), &[width]),
            beta: has_bias.then(|| parameters.parameter(format!("{name}.bias"), &[width])),
            epsilon,
            input,
            statistics,
        }
    }

    /// Computes `y` from the input.
    pub(crate) fn forward(&self, pass: &mut Pass<'_>, y: Slot) {
        let (compute, rows) = (pass.compute, pass.rows());
        let gamma = compute.weights.values(&self.gamma);
        let beta = self.beta.as_ref().map(|beta| compute.weights.values(beta));
        let [x, y, statistics] = pass.slices(rows, [self.input, y, self.statistics]);
        maana_kernels::layer_norm(compute.context, x, gamma, beta, self.epsilon, y, statistics);
    }

    /// Computes the first `rows` rows of `y` once more from what forward saved, to the same bits.
    pub(crate) fn recompute(&self, pass: &mut Pass<'_>, rows: usize, y: Slot) {
        let compute = pass.compute;
        let gamma = compute.weights.values(&self.gamma);
        let beta = self.beta.as_ref().map(|beta| compute.weights.values(beta));
        let [x, y, statistics] = pass.slices(rows, [self.input, y, self.statistics]);
        maana_kernels::layer_norm_recompute(compute.context, x, gamma, beta, statistics, y);
    }

    /// Computes `d_x` from `d_y` and adds the gradients of γ and β, unless they are frozen.
    pub(crate) fn backward(&self, pass: &mut Pass<'_>, d_y: Slot, d_x: Slot, gradients: &mut Gradients<'_>) {
        let (compute, rows) = (pass.compute, pass.rows());
        let gamma = compute.weights.values(&self.gamma);
        let d_parameters = gradients.of_norm(&self.gamma.range, self.beta.as_ref().map(|beta| &beta.range));
        let [x, statistics, d_y, d_x] = pass.slices(rows, [self.input, self.statistics, d_y, d_x]);
        maana_kernels::layer_norm_backward(compute.context, x, gamma, statistics, d_y, d_x, d_parameters);
    }
}
