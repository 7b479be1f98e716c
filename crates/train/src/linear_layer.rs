//! A linear layer that a loss owns and that trains with the model, such as a classifier. It belongs
//! to the run, not to the model: checkpoints have it, and the folder of the model does not.

use maana_files::{SplitMix64, mix};
use maana_kernels::{Context, Matrix, Precision, Rows};
use maana_model::{ParameterArena, StatePart, Tensor};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `y = x Wᵀ + b`, with the gradients and moments of W and b.
#[derive(Debug)]
pub struct LinearLayer {
    arena: Mutex<ParameterArena>,
    /// Columns of `x`.
    pub inputs: usize,
    /// Columns of `y`.
    pub outputs: usize,
}

impl LinearLayer {
    /// Creates a layer with the parameters `{name}.weight` and `{name}.bias`, which are drawn by
    /// `seed` as PyTorch draws those of `nn.Linear`: uniformly between ±1/√inputs.
    pub fn new(name: &str, [inputs, outputs]: [usize; 2], seed: u64) -> Self {
        let elements = outputs * inputs;
        let weight = Tensor { name: format!("{name}.weight"), shape: vec![outputs, inputs], range: 0..elements };
        let range = elements..elements + outputs;
        let bias = Tensor { name: format!("{name}.bias"), shape: vec![outputs], range };
        let mut random = SplitMix64::new(mix(seed));
        let bound = 1.0 / (inputs as f32).sqrt();
        let draw = || {
            let unit = (random.next_u64() >> 40) as f32 / (1u64 << 24) as f32;
            (2.0 * unit - 1.0) * bound
        };
        let values = std::iter::repeat_with(draw).take(elements + outputs).collect();
        Self { arena: Mutex::new(ParameterArena::new(vec![weight, bias], values)), inputs, outputs }
    }

    /// Parameters, gradients and moments.
    pub(crate) fn arena(&self) -> MutexGuard<'_, ParameterArena> {
        self.arena.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns weight and bias, one behind the other.
    pub fn parameters(&self) -> Vec<f32> {
        self.arena().parameters().to_vec()
    }

    /// Sets weight and bias, one behind the other.
    ///
    /// # Panics
    /// If their number is wrong.
    pub fn set_parameters(&self, values: &[f32]) {
        let mut arena = self.arena();
        assert_eq!(values.len(), arena.parameters().len(), "all parameters");
        arena.write(StatePart::Parameters, 0, values);
    }

    /// Returns the gradients of weight and bias since the last update; empty before the first.
    pub fn gradients(&self) -> Vec<f32> {
        self.arena().gradients().to_vec()
    }

    /// Computes `y`.
    pub(crate) fn forward(&self, context: &Context, x: Rows<'_>) -> Matrix {
        let arena = self.arena();
        let mut y = Matrix::zeros(x.rows(), self.outputs);
        maana_kernels::matmul_transposed(context, x, self.weight_in(arena.parameters()), y.data_mut(), false);
        maana_kernels::add_bias(context, y.data_mut(), &arena.parameters()[self.bias()]);
        y
    }

    /// Returns the gradient of `x`, and adds those of the parameters if `trains`.
    pub(crate) fn backward(&self, context: &Context, x: Rows<'_>, d_y: &Matrix, trains: bool) -> Matrix {
        let mut arena = self.arena();
        let (parameters, mut gradients) = arena.for_backward();
        if trains {
            if let Some(d_weight) = gradients.of(&(0..self.bias().start)) {
                maana_kernels::matmul_weight_gradient(context, Precision::F32, d_y.view(), x, d_weight);
            }
            if let Some(d_bias) = gradients.of(&self.bias()) {
                maana_kernels::sum_columns(context, d_y.view(), d_bias);
            }
        }
        let mut d_x = Matrix::zeros(x.rows(), self.inputs);
        let weight = self.weight_in(parameters);
        maana_kernels::matmul(context, Precision::F32, d_y.view(), weight, d_x.data_mut(), false);
        d_x
    }

    fn weight_in<'a>(&self, parameters: &'a [f32]) -> Rows<'a> {
        Rows::new(&parameters[..self.bias().start], self.outputs, self.inputs, self.inputs)
    }

    fn bias(&self) -> Range<usize> {
        let start = self.outputs * self.inputs;
        start..start + self.outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_drawn_by_the_seed_within_the_bound_of_pytorch() {
        let of = |seed| LinearLayer::new("classifier", [16, 3], seed).parameters();
        assert_eq!(of(42), of(42));
        assert!(of(42) != of(43));
        let values = of(42);
        assert_eq!(values.len(), 51);
        assert!(values.iter().all(|value| value.abs() <= 0.25) && values.iter().any(|value| value.abs() > 0.2));
        assert!(values.iter().sum::<f32>().abs() < 3.0, "around zero");
    }
}
