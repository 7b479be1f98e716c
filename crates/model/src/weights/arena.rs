//! Parameters, gradients and moments of a model that trains, each in one arena, and their update by
//! AdamW.

use super::Tensor;
use maana_kernels::{AdamW, Context};
use std::ops::Range;
use std::sync::Arc;

/// One of the arenas that a training run keeps in its checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePart {
    /// The parameters.
    Parameters,
    /// Running means of the gradients.
    FirstMoments,
    /// Running means of the squared gradients.
    SecondMoments,
    /// Running average of the parameters.
    Average,
    /// Gradients summed since the last update.
    Gradients,
}

/// Parameters with their gradients and moments, in the layout of [`ParameterArena::tensors`].
/// Gradients and moments take memory when training begins, the average when it begins.
///
/// The update is that of PyTorch's AdamW (arXiv:1711.05101) with the parameter groups of
/// transformers' `Trainer`.
#[derive(Clone, Debug)]
pub struct ParameterArena {
    tensors: Vec<Tensor>,
    /// Shared with encoders that read the parameters as they are now; an update while one is in use
    /// copies them.
    parameters: Arc<Vec<f32>>,
    gradients: Vec<f32>,
    first_moments: Vec<f32>,
    second_moments: Vec<f32>,
    average: Vec<f32>,
}

impl ParameterArena {
    /// Returns an arena of `parameters`, of which `tensors` names every part, in order and without
    /// gaps.
    pub fn new(tensors: Vec<Tensor>, parameters: Vec<f32>) -> Self {
        let parameters = Arc::new(parameters);
        let [gradients, first_moments, second_moments, average] = [(); 4].map(|()| Vec::new());
        Self { tensors, parameters, gradients, first_moments, second_moments, average }
    }

    /// Names, shapes and places of the parameters.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All parameters.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The parameters, shared. An update while the result is in use copies them first.
    pub fn share(&self) -> Arc<Vec<f32>> {
        Arc::clone(&self.parameters)
    }

    /// All parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        Arc::make_mut(&mut self.parameters).as_mut_slice()
    }

    /// Gradients summed since the last update.
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// The parameters, and the gradients to be added to.
    pub fn for_backward(&mut self) -> (&[f32], &mut [f32]) {
        let gradients = part(&mut self.gradients, self.parameters.len());
        (&self.parameters, gradients)
    }

    /// Sets the summed gradients to zero.
    pub fn clear_gradients(&mut self) {
        self.gradients.fill(0.0);
    }

    /// Euclidean norm of the summed gradients.
    pub fn gradient_norm(&self, context: &Context) -> f64 {
        maana_kernels::sum_of_squares(context, &self.gradients).sqrt()
    }

    /// Makes one update with the summed gradients times `gradient_scale`, and sets them to zero.
    /// Weight decay applies to neither biases nor LayerNorm, and not to a tensor that never had a
    /// gradient, as in the reference.
    pub fn update(&mut self, context: &Context, settings: &AdamW, gradient_scale: f32) {
        let elements = self.parameters.len();
        let gradients = part(&mut self.gradients, elements);
        let first_moments = part(&mut self.first_moments, elements);
        let second_moments = part(&mut self.second_moments, elements);
        if gradient_scale != 1.0 {
            maana_kernels::scale(context, gradients, gradient_scale);
        }
        let parts = if settings.weight_decay == 0.0 {
            vec![(0..elements, 0.0)]
        } else {
            let trains = |range: &Range<usize>| {
                let nonzero = |values: &[f32]| values[range.clone()].iter().any(|value| *value != 0.0);
                nonzero(gradients) || nonzero(second_moments)
            };
            let tensors = self.tensors.iter().filter(|tensor| trains(&tensor.range));
            tensors
                .map(|tensor| (tensor.range.clone(), if tensor.decays() { settings.weight_decay } else { 0.0 }))
                .collect()
        };
        let parameters = Arc::make_mut(&mut self.parameters);
        for (range, weight_decay) in parts {
            maana_kernels::adamw(
                context,
                &mut parameters[range.clone()],
                &gradients[range.clone()],
                &mut first_moments[range.clone()],
                &mut second_moments[range],
                &AdamW { weight_decay, ..*settings },
            );
        }
        gradients.fill(0.0);
    }

    /// Moves the average towards the parameters: a ← a + (1 − decay) (p − a). Update 1 starts it
    /// with the parameters, as PyTorch's `AveragedModel` does.
    pub fn update_average(&mut self, context: &Context, decay: f64, step: u64) {
        let average = part(&mut self.average, self.parameters.len());
        match step {
            1 => average.copy_from_slice(&self.parameters),
            _ => maana_kernels::interpolate(context, average, &self.parameters, (1.0 - decay) as f32),
        }
    }

    /// Exchanges the parameters with their average, which must have begun.
    pub fn swap_average(&mut self) {
        assert_eq!(self.average.len(), self.parameters.len(), "the average has begun");
        std::mem::swap(Arc::make_mut(&mut self.parameters), &mut self.average);
    }

    /// Copies elements of one arena, from `first` on, to `into`.
    pub fn read(&self, of: StatePart, first: usize, into: &mut [f32]) {
        let arena = match of {
            StatePart::Parameters => &self.parameters[..],
            StatePart::FirstMoments => &self.first_moments,
            StatePart::SecondMoments => &self.second_moments,
            StatePart::Average => &self.average,
            StatePart::Gradients => &self.gradients,
        };
        match arena.is_empty() {
            true => into.fill(0.0),
            false => into.copy_from_slice(&arena[first..first + into.len()]),
        }
    }

    /// Sets elements of one arena, from `first` on.
    pub fn write(&mut self, of: StatePart, first: usize, values: &[f32]) {
        let elements = self.parameters.len();
        let arena = match of {
            StatePart::Parameters => &mut Arc::make_mut(&mut self.parameters)[..],
            StatePart::FirstMoments => part(&mut self.first_moments, elements),
            StatePart::SecondMoments => part(&mut self.second_moments, elements),
            StatePart::Average => part(&mut self.average, elements),
            StatePart::Gradients => part(&mut self.gradients, elements),
        };
        arena[first..first + values.len()].copy_from_slice(values);
    }
}

/// Returns an arena of this many elements, zero at first.
fn part(arena: &mut Vec<f32>, elements: usize) -> &mut [f32] {
    if arena.is_empty() {
        *arena = vec![0.0; elements];
    }
    arena
}

impl Tensor {
    /// Returns whether weight decay applies: not to biases and LayerNorm.
    fn decays(&self) -> bool {
        let name = self.name.to_lowercase();
        !["bias", "layernorm", "layer_norm"].iter().any(|part| name.contains(part))
    }
}
