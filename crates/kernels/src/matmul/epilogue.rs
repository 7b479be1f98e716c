//! Operations on the sums of a product while they are in cache: dequantization, bias, and an
//! activation or a residual.

use super::rhs::RhsOperand;
use crate::activation::Activation;
use crate::disjoint::Block;
use crate::instruction_set::multiversion;
use crate::prefetch::prefetch;
use crate::row_scale::RowScale;

/// Rows after which a row of the residual is read that is fetched into the cache: it was written by
/// another part of the model.
const AHEAD: usize = 8;

/// Operation on the elements of a linear layer after the bias is added.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    /// No operation.
    None,
    /// Applies an activation function.
    Activation(Activation),
    /// Adds a residual of the same shape as the result.
    Add(&'a [f32]),
}

/// Bias and epilogue of a product.
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) epilogue: Epilogue<'a>,
}

impl Finish<'_> {
    pub(super) const NONE: Finish<'static> = Finish { bias: None, epilogue: Epilogue::None };

    /// Finishes a block of complete sums, whose first element is `(first_row, first_column)` of the
    /// result. `scales` has an element for each row of the block, if the product is int8.
    pub(super) fn apply(
        &self,
        rhs: &RhsOperand<'_>,
        mut sums: Block<'_, f32>,
        (first_row, first_column): (usize, usize),
        scales: &[RowScale],
    ) {
        if scales.is_empty() && self.bias.is_none() && matches!(self.epilogue, Epilogue::None) {
            return;
        }
        let isa = rhs.variant().isa;
        let columns = first_column..first_column + sums.columns();
        let bias = self.bias.map(|bias| &bias[columns.clone()]);
        let (column_scales, column_sums) = rhs.column_scales();
        for index in 0..sums.rows() {
            if let Epilogue::Add(x) = self.epilogue {
                let start = (first_row + sums.rows().min(index + AHEAD) - 1) * rhs.n();
                prefetch(&x[start..][columns.clone()]);
            }
            let values = sums.row_mut(index);
            if let Some(scale) = scales.get(index) {
                dequantize(isa, values, *scale, &column_scales[columns.clone()], &column_sums[columns.clone()], bias);
            } else {
                add_bias(isa, values, bias);
            }
            match self.epilogue {
                Epilogue::None => {}
                Epilogue::Activation(activation) => activation.apply(isa, values),
                Epilogue::Add(x) => add(isa, values, &x[(first_row + index) * rhs.n()..][columns.clone()]),
            }
        }
    }
}

multiversion! {
    /// Replaces the bits of an i32 by an f32: `row scale · column scale · (sum − zero point ·
    /// column sum)`, plus the bias.
    fn dequantize(values: &mut [f32], row: RowScale, scales: &[f32], sums: &[i32], bias: Option<&[f32]>) {
        let dequantized = |value: f32, scale: f32, column: i32| {
            let sum = value.to_bits().cast_signed() - row.zero * column;
            sum as f32 * (row.scale * scale)
        };
        let columns = values.iter_mut().zip(scales).zip(sums);
        match bias {
            Some(bias) => {
                for (((value, scale), column), bias) in columns.zip(bias) {
                    *value = dequantized(*value, *scale, *column) + bias;
                }
            }
            None => {
                for ((value, scale), column) in columns {
                    *value = dequantized(*value, *scale, *column);
                }
            }
        }
    }
}

multiversion! {
    fn add_bias(values: &mut [f32], bias: Option<&[f32]>) {
        for (value, bias) in values.iter_mut().zip(bias.unwrap_or_default()) {
            *value += bias;
        }
    }
}

multiversion! {
    fn add(values: &mut [f32], x: &[f32]) {
        for (value, x) in values.iter_mut().zip(x) {
            *value += x;
        }
    }
}
