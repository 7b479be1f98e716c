//! Dense layer on embeddings: `y = activation(x Wᵀ + b)`, in f32, perhaps with a residual.

use crate::weights::{Gradients, Tensor};
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

/// Returns the class of an activation, if it has one.
pub(crate) fn class_of_activation(activation: Activation) -> Option<&'static str> {
    CLASSES.into_iter().find(|(known, _)| *known == activation).map(|(_, class)| class)
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
    weight: Range<usize>,
    /// `(outputs)`
    bias: Option<Range<usize>>,
    residual: Option<Residual>,
    name: Option<String>,
}

/// The sum behind the activation: `y + x`, or with a projection `y + x Rᵀ`.
#[derive(Clone, Debug, PartialEq)]
enum Residual {
    /// `x`
    Input,
    /// `x Rᵀ`, where R is `(outputs, inputs)`
    Projection(Range<usize>),
}

impl Dense {
    /// Returns a layer without parameters yet. They lie in the encoder's own file under `name`, or,
    /// without a name, in a folder of the module.
    pub(crate) fn new([inputs, outputs]: [usize; 2], bias: bool, activation: Activation, name: Option<String>) -> Self {
        Self { inputs, outputs, activation, weight: 0..0, bias: bias.then_some(0..0), residual: None, name }
    }

    /// Adds the input behind the activation, projected if the layer changes the number of columns.
    pub(crate) fn with_residual(mut self) -> Self {
        let projects = self.inputs != self.outputs;
        self.residual = Some(if projects { Residual::Projection(0..0) } else { Residual::Input });
        self
    }

    /// Returns true if the layer has a bias.
    pub(crate) fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// Returns true if the input is added behind the activation.
    pub(crate) fn has_residual(&self) -> bool {
        self.residual.is_some()
    }

    /// Name of the parameters in the encoder's file; none if they lie in a folder of the module.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the class of PyTorch for the activation.
    pub(crate) fn activation_class(&self) -> &'static str {
        class_of_activation(self.activation).expect("a dense layer is made with a known class")
    }

    /// Lists the parameters under their names in the file.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        let name = self.name().unwrap_or("linear");
        let tensor = |name: String, shape: &[usize], range: &Range<usize>| Tensor {
            name,
            shape: shape.to_vec(),
            range: range.clone(),
        };
        let mut tensors = vec![tensor(format!("{name}.weight"), &[self.outputs, self.inputs], &self.weight)];
        tensors.extend(self.bias.iter().map(|bias| tensor(format!("{name}.bias"), &[self.outputs], bias)));
        if let Some(Residual::Projection(range)) = &self.residual {
            tensors.push(tensor("residual.weight".into(), &[self.outputs, self.inputs], range));
        }
        tensors
    }

    /// Assigns the parameters their ranges from `start` on; returns their end.
    pub(crate) fn place(&mut self, start: usize) -> usize {
        self.weight = start..start + self.outputs * self.inputs;
        let mut end = self.weight.end;
        if let Some(bias) = &mut self.bias {
            *bias = end..end + self.outputs;
            end = bias.end;
        }
        if let Some(Residual::Projection(range)) = &mut self.residual {
            *range = end..end + self.outputs * self.inputs;
            end = range.end;
        }
        end
    }

    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: &Matrix) -> Matrix {
        let before = self.before_activation(context, parameters, x);
        let mut y = Matrix::zeros(before.rows(), before.columns());
        self.activation.forward(context, before.data(), y.data_mut());
        match &self.residual {
            None => {}
            Some(Residual::Input) => maana_kernels::add(context, y.data_mut(), x.data()),
            Some(Residual::Projection(range)) => {
                let projection = self.weight_in(parameters, range);
                maana_kernels::matmul_transposed(context, x.view(), projection, y.data_mut(), true);
            }
        }
        y
    }

    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: &Matrix,
        d_y: &Matrix,
        gradients: &mut Gradients<'_>,
    ) -> Matrix {
        let before = self.before_activation(context, parameters, x);
        let mut d_before = d_y.clone();
        self.activation.backward(context, before.data(), d_before.data_mut());
        let mut d_x = Matrix::zeros(x.rows(), self.inputs);
        let mut linear = |d_y: &Matrix, weight: &Range<usize>, accumulate| {
            if let Some(d_weight) = gradients.of(weight) {
                maana_kernels::matmul_weight_gradient(context, Precision::F32, d_y.view(), x.view(), d_weight);
            }
            let weight = self.weight_in(parameters, weight);
            maana_kernels::matmul(context, Precision::F32, d_y.view(), weight, d_x.data_mut(), accumulate);
        };
        linear(&d_before, &self.weight, false);
        if let Some(Residual::Projection(range)) = &self.residual {
            linear(d_y, range, true);
        }
        if let Some(Residual::Input) = &self.residual {
            maana_kernels::add(context, d_x.data_mut(), d_y.data());
        }
        if let Some(d_bias) = self.bias.as_ref().and_then(|bias| gradients.of(bias)) {
            maana_kernels::sum_columns(context, d_before.view(), d_bias);
        }
        d_x
    }

    fn before_activation(&self, context: &Context, parameters: &[f32], x: &Matrix) -> Matrix {
        let mut y = Matrix::zeros(x.rows(), self.outputs);
        let weight = self.weight_in(parameters, &self.weight);
        maana_kernels::matmul_transposed(context, x.view(), weight, y.data_mut(), false);
        if let Some(bias) = self.bias.clone() {
            maana_kernels::add_bias(context, y.data_mut(), &parameters[bias]);
        }
        y
    }

    fn weight_in<'a>(&self, parameters: &'a [f32], range: &Range<usize>) -> Rows<'a> {
        Rows::new(&parameters[range.clone()], self.outputs, self.inputs, self.inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::testing::check_gradients;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let check = |mut dense: Dense| {
            let parameters = dense.place(0);
            assert_eq!(parameters, dense.tensors().iter().map(|tensor| tensor.range.len()).sum::<usize>());
            check_gradients(
                [dense.inputs, dense.outputs],
                parameters,
                |context, parameters, x| dense.forward(context, parameters, x),
                |context, parameters, x, d_y, gradients| dense.backward(context, parameters, x, d_y, gradients),
            );
        };
        for (activation, _) in CLASSES {
            check(Dense::new([3, 2], true, activation, None));
        }
        check(Dense::new([3, 2], false, Activation::Tanh, None).with_residual());
        check(Dense::new([3, 3], true, Activation::Gelu, None).with_residual());
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
