//! LayerNorm on embeddings: `y = (x − mean) / √(variance + ε) · γ + β`. For that on tokens see
//! [`super::LayerNorm`].

use crate::weights::{Gradients, Tensor};
use maana_kernels::{Context, Matrix};
use std::ops::Range;

/// A LayerNorm behind pooling and the ranges of its parameters in the arena.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmbeddingNorm {
    pub(crate) width: usize,
    pub(crate) epsilon: f32,
    /// γ, `(width)`
    weight: Range<usize>,
    /// β, `(width)`
    bias: Option<Range<usize>>,
    name: Option<String>,
}

impl EmbeddingNorm {
    /// Returns a norm without parameters yet. They lie in the encoder's own file under `name`, or,
    /// without a name, in a folder of the module.
    pub(crate) fn new(width: usize, epsilon: f32, bias: bool, name: Option<String>) -> Self {
        Self { width, epsilon, weight: 0..0, bias: bias.then_some(0..0), name }
    }

    /// Name of the parameters in the encoder's file; none if they lie in a folder of the module.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Lists the parameters under their names in the file.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        let name = self.name().unwrap_or("norm");
        let tensor = |part: &str, range| Tensor { name: format!("{name}.{part}"), shape: vec![self.width], range };
        let bias = self.bias.clone().map(|range| tensor("bias", range));
        std::iter::once(tensor("weight", self.weight.clone())).chain(bias).collect()
    }

    /// Assigns the parameters their ranges from `start` on; returns their end.
    pub(crate) fn place(&mut self, start: usize) -> usize {
        self.weight = start..start + self.width;
        let Some(bias) = &mut self.bias else { return self.weight.end };
        *bias = self.weight.end..self.weight.end + self.width;
        bias.end
    }

    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: &Matrix) -> Matrix {
        self.normalized(context, parameters, x).0
    }

    /// Returns `d_x` and adds the gradients of γ and β.
    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: &Matrix,
        d_y: &Matrix,
        gradients: &mut Gradients<'_>,
    ) -> Matrix {
        let (_, statistics) = self.normalized(context, parameters, x);
        let mut d_x = Matrix::zeros(x.rows(), self.width);
        let d_parameters = gradients.of_norm(&self.weight, self.bias.as_ref());
        let gamma = &parameters[self.weight.clone()];
        maana_kernels::layer_norm_backward(
            context,
            x.data(),
            gamma,
            &statistics,
            d_y.data(),
            d_x.data_mut(),
            d_parameters,
        );
        d_x
    }

    /// Returns `y`, and the mean and 1/σ of each row.
    fn normalized(&self, context: &Context, parameters: &[f32], x: &Matrix) -> (Matrix, Vec<f32>) {
        let (mut y, mut statistics) = (Matrix::zeros(x.rows(), self.width), vec![0.0; 2 * x.rows()]);
        let beta = self.bias.clone().map(|bias| &parameters[bias]);
        let gamma = &parameters[self.weight.clone()];
        maana_kernels::layer_norm(context, x.data(), gamma, beta, self.epsilon, y.data_mut(), &mut statistics);
        (y, statistics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::testing::check_gradients;

    #[test]
    fn gradients_agree_with_finite_differences() {
        for bias in [true, false] {
            let mut norm = EmbeddingNorm::new(5, 1e-5, bias, None);
            let parameters = norm.place(0);
            assert_eq!(parameters, if bias { 10 } else { 5 });
            check_gradients(
                [5, 5],
                parameters,
                |context, parameters, x| norm.forward(context, parameters, x),
                |context, parameters, x, d_y, gradients| norm.backward(context, parameters, x, d_y, gradients),
            );
        }
    }

    #[test]
    fn rows_have_mean_beta_and_deviation_gamma() {
        let mut norm = EmbeddingNorm::new(4, 0.0, true, None);
        norm.place(0);
        let parameters = [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0];
        let x = Matrix::from_vec(1, 4, vec![3.0, 5.0, 3.0, 5.0]);
        let y = norm.forward(&Context::new(1), &parameters, &x);
        assert_eq!(y.data(), [-1.0, 3.0, -1.0, 3.0]);
    }
}
