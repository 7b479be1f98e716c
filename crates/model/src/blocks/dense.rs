//! Dense layer on embeddings: `y = activation(x Wᵀ + b)`, in f32.

use crate::weights::Gradients;
use maana_kernels::{Activation, Context, Matrix, Precision, Rows};
use std::ops::Range;

/// Activations and the classes of PyTorch that a folder names for them.
const CLASSES: [(Activation, &str); 6] = [
    (Activation::Identity, "torch.nn.modules.linear.Identity"),
    (Activation::Tanh, "torch.nn.modules.activation.Tanh"),
    (Activation::Relu, "torch.nn.modules.activation.ReLU"),
    (Activation::Gelu, "torch.nn.modules.activation.GELU"),
    (Activation::Silu, "torch.nn.modules.activation.SiLU"),
    (Activation::Sigmoid, "torch.nn.modules.activation.Sigmoid"),
];

/// Returns the activation of a class in any module of PyTorch (`torch.nn.Tanh` is the same class).
pub(crate) fn activation_of_class(class: &str) -> Option<Activation> {
    let last = class.strip_prefix("torch.")?.rsplit('.').next();
    CLASSES.into_iter().find(|(_, name)| name.rsplit('.').next() == last).map(|(activation, _)| activation)
}

/// Lists the known classes by their last names.
pub(crate) fn known_classes() -> String {
    CLASSES.map(|(_, name)| name.rsplit('.').next().unwrap_or_default()).join(", ")
}

/// A dense layer and the ranges of its parameters in the arena.
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
    /// Returns the class of PyTorch for the activation.
    pub(crate) fn activation_class(&self) -> &'static str {
        let class = CLASSES.into_iter().find(|(activation, _)| *activation == self.activation);
        class.expect("a dense layer is made with a known class").1
    }

    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: Rows<'_>) -> Matrix {
        let before = self.before_activation(context, parameters, x);
        let mut y = Matrix::zeros(before.rows(), before.columns());
        self.activation.forward(context, before.data(), y.data_mut());
        y
    }

    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: Rows<'_>,
        d_y: Rows<'_>,
        gradients: &mut Gradients<'_>,
    ) -> Matrix {
        let before = self.before_activation(context, parameters, x);
        let mut d_before = d_y.to_matrix();
        self.activation.backward(context, before.data(), d_before.data_mut());
        if let Some(d_weight) = gradients.of(&self.weight) {
            maana_kernels::matmul_weight_gradient(context, Precision::F32, d_before.view(), x, d_weight);
        }
        if let Some(d_bias) = self.bias.as_ref().and_then(|bias| gradients.of(bias)) {
            maana_kernels::sum_columns(context, d_before.view(), d_bias);
        }
        let mut d_x = Matrix::zeros(x.rows(), self.inputs);
        maana_kernels::matmul(context, Precision::F32, d_before.view(), self.weight(parameters), d_x.data_mut(), false);
        d_x
    }

    fn before_activation(&self, context: &Context, parameters: &[f32], x: Rows<'_>) -> Matrix {
        let mut y = Matrix::zeros(x.rows(), self.outputs);
        maana_kernels::matmul_transposed(context, x, self.weight(parameters), y.data_mut(), false);
        if let Some(bias) = self.bias.clone() {
            maana_kernels::add_bias(context, y.data_mut(), &parameters[bias]);
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
        let context = Context::new(1);
        for (activation, _) in CLASSES {
            let dense = Dense { inputs: 3, outputs: 2, activation, weight: 0..6, bias: Some(6..8) };
            let mut parameters: Vec<f32> = (0..8).map(|i| ((i * 37 % 11) as f32 - 5.0) * 0.13).collect();
            let mut x = Matrix::from_vec(2, 3, vec![0.5, -1.1, 0.7, 1.3, 0.2, -0.4]);
            let upstream = Matrix::from_vec(2, 2, vec![0.3, -0.8, 1.1, 0.6]);
            let value = |parameters: &[f32], x: &Matrix| -> f64 {
                let y = dense.forward(&context, parameters, x.view());
                y.data().iter().zip(upstream.data()).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
            };
            let mut gradients = vec![0.0; 8];
            let d_x = dense.backward(
                &context,
                &parameters,
                x.view(),
                upstream.view(),
                &mut Gradients::except(&mut gradients, &[]),
            );
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
    fn classes_are_known_by_their_last_name_within_pytorch() {
        assert_eq!(activation_of_class("torch.nn.Tanh"), Some(Activation::Tanh));
        assert_eq!(activation_of_class("torch.nn.modules.activation.SiLU"), Some(Activation::Silu));
        assert_eq!(activation_of_class("torch.nn.modules.activation.Mish"), None);
        assert_eq!(activation_of_class("somebody.Tanh"), None, "the reference does not trust it either");
        for (activation, class) in CLASSES {
            assert_eq!(activation_of_class(class), Some(activation));
        }
    }
}
