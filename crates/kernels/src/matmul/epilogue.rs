//! What follows a product while its sums are still in the nearest cache: bytes become numbers again, the bias is added, and
//! an activation or the residual.

use super::pack::PackedMatrix;
use crate::activation::Activation;
use crate::disjoint::Disjoint;
use crate::instruction_set::multiversion;
use crate::precision::Precision;
use crate::row_scale::RowScale;
use std::ops::Range;

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

    /// Finishes some rows and columns of the result, whose sums are complete. `scales` has one element a row, of bytes.
    pub(super) fn apply(
        &self,
        right: &PackedMatrix,
        rows: Range<usize>,
        columns: Range<usize>,
        c: &Disjoint<'_, f32>,
        scales: &[RowScale],
    ) {
        let bytes = right.form.precision == Precision::Int8;
        if !bytes && self.bias.is_none() && matches!(self.epilogue, Epilogue::None) {
            return;
        }
        let row = |row: usize| {
            let range = row * right.n + columns.start..row * right.n + columns.end;
            // SAFETY: the task that calls this alone has these rows and columns.
            unsafe { c.slice(range) }
        };
        let isa = right.form.isa;
        let first = rows.start;
        for number in rows {
            let values = row(number);
            if bytes {
                let scale = scales[number - first];
                dequantize(
                    isa,
                    values,
                    scale,
                    &right.buffers.scales[columns.clone()],
                    &right.buffers.sums[columns.clone()],
                );
            }
            let bias = self.bias.map(|bias| &bias[columns.clone()]);
            match self.epilogue {
                Epilogue::None => add_bias(isa, values, bias),
                Epilogue::Activation(activation) => {
                    add_bias(isa, values, bias);
                    activation.apply(isa, values);
                }
                Epilogue::Add(x) => add_both(isa, values, bias, &x[number * right.n..][columns.clone()]),
            }
        }
    }
}

multiversion! {
    /// The bits of an i32 become an f32: `scale · column's scale · (sum − zero · column's sum)`.
    fn dequantize(values: &mut [f32], row: RowScale, scales: &[f32], sums: &[i32]) {
        for ((value, scale), column) in values.iter_mut().zip(scales).zip(sums) {
            let sum = value.to_bits().cast_signed() - row.zero * column;
            *value = sum as f32 * (row.scale * scale);
        }
    }
}

multiversion! {
    fn add_bias(values: &mut [f32], bias: Option<&[f32]>) {
        let Some(bias) = bias else { return };
        for (value, bias) in values.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

multiversion! {
    fn add_both(values: &mut [f32], bias: Option<&[f32]>, x: &[f32]) {
        if let Some(bias) = bias {
            for (value, bias) in values.iter_mut().zip(bias) {
                *value += bias;
            }
        }
        for (value, x) in values.iter_mut().zip(x) {
            *value += x;
        }
    }
}
