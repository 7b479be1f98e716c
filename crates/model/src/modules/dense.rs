//! Dense: `y = activation(x Wᵀ + b)` on embeddings. Few rows, so nothing here is in a hurry but the products.

use maana_kernels::{Matrix, Pool, Precision, Rows};
use std::ops::Range;

/// The activations that a dense module may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Identity,
    Tanh,
    Relu,
    Gelu,
}

impl Activation {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Identity, "torch.nn.modules.linear.Identity"),
        (Self::Tanh, "torch.nn.modules.activation.Tanh"),
        (Self::Relu, "torch.nn.modules.activation.ReLU"),
        (Self::Gelu, "torch.nn.modules.activation.GELU"),
    ];

    /// The class that the folder names, in any of its modules (`torch.nn.Tanh` is the same class).
    pub(crate) fn from_class(class: &str) -> Option<Self> {
        let last = class.rsplit('.').next();
        Self::NAMES.into_iter().find(|(_, name)| name.rsplit('.').next() == last).map(|(activation, _)| activation)
    }

    pub(crate) fn class(self) -> &'static str {
        Self::NAMES.into_iter().find(|(activation, _)| *activation == self).expect("every activation has a name").1
    }
}

/// A dense module and the place of its parameters in the arena.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dense {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) activation: Activation,
    /// `(outputs, inputs)`
    pub(crate) weight: Range<usize>,
    /// `(outputs)`
    pub(crate) bias: Option<Range<usize>>,
}

impl Dense {
    pub(crate) fn forward(&self, pool: &Pool, parameters: &[f32], x: Rows<'_>) -> Matrix {
        let mut y = self.before_activation(pool, parameters, x);
        match self.activation {
            Activation::Identity => {}
            Activation::Tanh => y.data_mut().iter_mut().for_each(|value| *value = value.tanh()),
            Activation::Relu => y.data_mut().iter_mut().for_each(|value| *value = value.max(0.0)),
            Activation::Gelu => {
                let before = y.clone();
                maana_kernels::gelu(pool, before.data(), y.data_mut());
            }
        }
        y
    }

    pub(crate) fn backward(
        &self,
        pool: &Pool,
        parameters: &[f32],
        x: Rows<'_>,
        d_y: Rows<'_>,
        gradients: &mut [f32],
    ) -> Matrix {
        let before = self.before_activation(pool, parameters, x);
        let mut d_before = d_y.to_matrix();
        let pairs = d_before.data_mut().iter_mut().zip(before.data());
        match self.activation {
            Activation::Identity => {}
            Activation::Tanh => pairs.for_each(|(d, value)| *d *= 1.0 - value.tanh() * value.tanh()),
            Activation::Relu => pairs.filter(|(_, value)| **value <= 0.0).for_each(|(d, _)| *d = 0.0),
            Activation::Gelu => maana_kernels::gelu_backward(pool, before.data(), d_before.data_mut()),
        }
        maana_kernels::matmul_weight_gradient(
            pool,
            Precision::F32,
            d_before.view(),
            x,
            &mut gradients[self.weight.clone()],
        );
        if let Some(bias) = self.bias.clone() {
            maana_kernels::sum_columns(pool, d_before.view(), &mut gradients[bias]);
        }
        let mut d_x = Matrix::zeros(x.rows(), self.inputs);
        maana_kernels::matmul(pool, Precision::F32, d_before.view(), self.weight(parameters), d_x.data_mut(), false);
        d_x
    }

    fn before_activation(&self, pool: &Pool, parameters: &[f32], x: Rows<'_>) -> Matrix {
        let mut y = Matrix::zeros(x.rows(), self.outputs);
        maana_kernels::matmul_transposed(pool, x, self.weight(parameters), y.data_mut(), false);
        if let Some(bias) = self.bias.clone() {
            maana_kernels::add_bias(pool, y.data_mut(), &parameters[bias]);
        }
        y
    }

    fn weight<'a>(&self, parameters: &'a [f32]) -> Rows<'a> {
        Rows::new(&parameters[self.weight.clone()], self.outputs, self.inputs, self.inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let pool = Pool::new(1);
        for activation in [Activation::Identity, Activation::Tanh, Activation::Relu, Activation::Gelu] {
            let dense = Dense { inputs: 3, outputs: 2, activation, weight: 0..6, bias: Some(6..8) };
            let mut parameters: Vec<f32> = (0..8).map(|i| ((i * 37 % 11) as f32 - 5.0) * 0.13).collect();
            let mut x = Matrix::from_vec(2, 3, vec![0.5, -1.1, 0.7, 1.3, 0.2, -0.4]);
            let upstream = Matrix::from_vec(2, 2, vec![0.3, -0.8, 1.1, 0.6]);
            let value = |parameters: &[f32], x: &Matrix| -> f64 {
                let y = dense.forward(&pool, parameters, x.view());
                y.data().iter().zip(upstream.data()).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
            };
            let mut gradients = vec![0.0; 8];
            let d_x = dense.backward(&pool, &parameters, x.view(), upstream.view(), &mut gradients);
            let step = 1e-2;
            for index in 0..8 {
                let kept = parameters[index];
                parameters[index] = kept + step;
                let above = value(&parameters, &x);
                parameters[index] = kept - step;
                let below = value(&parameters, &x);
                parameters[index] = kept;
                let expected = (above - below) / (2.0 * f64::from(step));
                assert!((f64::from(gradients[index]) - expected).abs() < 2e-3, "{activation:?} parameter {index}");
            }
            for index in 0..6 {
                let kept = x.data()[index];
                x.data_mut()[index] = kept + step;
                let above = value(&parameters, &x);
                x.data_mut()[index] = kept - step;
                let below = value(&parameters, &x);
                x.data_mut()[index] = kept;
                let expected = (above - below) / (2.0 * f64::from(step));
                assert!((f64::from(d_x.data()[index]) - expected).abs() < 2e-3, "{activation:?} input {index}");
            }
        }
    }

    #[test]
    fn classes_are_known_by_their_last_name() {
        assert_eq!(Activation::from_class("torch.nn.Tanh"), Some(Activation::Tanh));
        assert_eq!(Activation::from_class(Activation::Gelu.class()), Some(Activation::Gelu));
        assert_eq!(Activation::from_class("torch.nn.modules.activation.SiLU"), None);
    }
}
