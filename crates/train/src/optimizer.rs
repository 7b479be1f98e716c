//! AdamW over the arena of parameters, and clipping by the norm of the whole gradient: what torch computes for the same
//! numbers. Does not know what a parameter is for, beyond its name.

use crate::Arguments;
use maana_kernels::Context;
use maana_model::{Tensor, Trainable};
use std::ops::Range;

/// The moments of AdamW, in the layout of the parameters. <https://arxiv.org/abs/1711.05101>
pub(crate) struct AdamW {
    pub(crate) first_moments: Vec<f32>,
    pub(crate) second_moments: Vec<f32>,
}

impl AdamW {
    pub(crate) fn new(parameters: usize) -> Self {
        Self { first_moments: vec![0.0; parameters], second_moments: vec![0.0; parameters] }
    }

    /// Update number `step` (from 1).
    pub(crate) fn update<M: Trainable>(
        &mut self,
        context: &Context,
        model: &mut M,
        gradients: &[f32],
        learning_rate: f64,
        step: u64,
        arguments: &Arguments,
    ) {
        let parts = if arguments.weight_decay == 0.0 {
            vec![(0..gradients.len(), 0.0)]
        } else {
            let decay = |tensor: &Tensor| if decays(&tensor.name) { arguments.weight_decay } else { 0.0 };
            let tensors = model.tensors().iter();
            // A tensor that never had a gradient is no part of what is trained, and the reference leaves it alone.
            let trained = tensors.filter(|tensor| self.has_gradient(gradients, &tensor.range));
            trained.map(|tensor| (tensor.range.clone(), decay(tensor))).collect()
        };
        for (range, weight_decay) in parts {
            maana_kernels::adamw(
                context,
                &mut model.parameters_mut()[range.clone()],
                &gradients[range.clone()],
                &mut self.first_moments[range.clone()],
                &mut self.second_moments[range],
                &maana_kernels::AdamW {
                    learning_rate,
                    beta1: arguments.adam_beta1,
                    beta2: arguments.adam_beta2,
                    epsilon: arguments.adam_epsilon,
                    weight_decay,
                    step,
                },
            );
        }
    }

    fn has_gradient(&self, gradients: &[f32], range: &Range<usize>) -> bool {
        gradients[range.clone()].iter().any(|d| *d != 0.0)
            || self.second_moments[range.clone()].iter().any(|v| *v != 0.0)
    }
}

/// Whether weight decay applies to a parameter: not to biases and layer norms.
fn decays(name: &str) -> bool {
    let name = name.to_lowercase();
    !["bias", "layernorm", "layer_norm"].iter().any(|part| name.contains(part))
}

/// Scales the gradient down to `max_norm` if it is longer (0: never). Gives back the norm that it had.
pub(crate) fn clip(context: &Context, gradients: &mut [f32], max_norm: f64) -> f64 {
    let norm = maana_kernels::sum_of_squares(context, gradients).sqrt();
    let factor = max_norm / (norm + 1e-6);
    if max_norm > 0.0 && factor < 1.0 {
        maana_kernels::scale(context, gradients, factor as f32);
    }
    norm
}
