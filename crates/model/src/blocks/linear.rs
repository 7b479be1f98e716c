//! Linear layer: `y = x Wᵀ + b`.

use super::Declarations;
use crate::pass::{Compute, Mask};
use crate::weights::{Gradients, LinearWeight, Parameter};
use maana_kernels::{Epilogue, Rows};

/// A linear layer, or several of the same input stacked to one.
pub(crate) struct Linear {
    weight: LinearWeight,
    /// `(outputs)`
    bias: Option<Parameter>,
}

impl Linear {
    /// Declares `{name}.weight`, `(outputs, inputs)`, and perhaps `{name}.bias` for each name.
    /// Layers share the memory for packed weights by `role`.
    pub(crate) fn declare(
        declarations: &mut Declarations,
        role: &'static str,
        names: &[String],
        outputs: usize,
        inputs: usize,
        has_bias: bool,
    ) -> Self {
        let parameters = &mut declarations.parameters;
        let named = |kind: &str| names.iter().map(|name| format!("{name}.{kind}")).collect::<Vec<_>>();
        let weight = parameters.linear(role, &named("weight"), outputs, inputs);
        let bias = has_bias.then(|| parameters.stacked(&named("bias"), &[outputs]));
        Self { weight, bias }
    }

    /// Computes `y = epilogue(x Wᵀ + b)`. With the dropout of adapters an epilogue may only add.
    pub(crate) fn forward(&self, compute: Compute<'_>, x: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
        let packed = compute.weights.packed(compute.context, &self.weight);
        let bias = self.bias.as_ref().map(|bias| compute.weights.values(bias));
        let x = rows(x, self.weight.inputs);
        maana_kernels::linear(compute.context, x, &packed, bias, epilogue, y);
        if let Some(adapters) = compute.adapters {
            adapters.add_to_output(compute.context, &self.weight.weight.range, x, y);
        }
    }

    /// Computes `sum = residual + dropout(x Wᵀ + b)`.
    pub(crate) fn forward_residual(
        &self,
        compute: Compute<'_>,
        x: &[f32],
        mask: Option<Mask<'_>>,
        residual: &[f32],
        sum: &mut [f32],
    ) {
        let Some(mask) = mask else { return self.forward(compute, x, Epilogue::Add(residual), sum) };
        self.forward(compute, x, Epilogue::None, sum);
        mask.apply(compute.context, self.weight.outputs, sum);
        maana_kernels::add(compute.context, sum, residual);
    }

    /// Adds the gradients of the parameters that are not frozen: `dW += d_yᵀ x` and `db += Σ d_y`.
    pub(crate) fn backward_parameters(
        &self,
        compute: Compute<'_>,
        x: &[f32],
        d_y: &[f32],
        gradients: &mut Gradients<'_>,
    ) {
        let (x, d_y) = (rows(x, self.weight.inputs), rows(d_y, self.weight.outputs));
        if let Some(adapters) = compute.adapters {
            // Only adapters train.
            let threads = (compute.context, compute.precision);
            return adapters.add_weight_gradients(threads, &self.weight.weight.range, x, d_y, gradients);
        }
        if let Some(d_weight) = gradients.of(&self.weight.weight.range) {
            maana_kernels::matmul_weight_gradient(compute.context, compute.precision, d_y, x, d_weight);
        }
        if let Some(d_bias) = self.bias.as_ref().and_then(|bias| gradients.of(&bias.range)) {
            maana_kernels::sum_columns(compute.context, d_y, d_bias);
        }
    }

    /// Computes the gradient of the input, `d_x = d_y W`, or adds it to `d_x`.
    pub(crate) fn backward_input(&self, compute: Compute<'_>, d_y: &[f32], d_x: &mut [f32], accumulate: bool) {
        let weight = self.weight.rows(compute.weights.values(&self.weight.weight));
        maana_kernels::matmul(
            compute.context,
            compute.precision,
            rows(d_y, self.weight.outputs),
            weight,
            d_x,
            accumulate,
        );
        if let Some(adapters) = compute.adapters {
            let d_y = rows(d_y, self.weight.outputs);
            adapters.add_to_input_gradient(compute.context, &self.weight.weight.range, d_y, d_x);
        }
    }
}

fn rows(values: &[f32], columns: usize) -> Rows<'_> {
    Rows::new(values, values.len() / columns, columns, columns)
}
