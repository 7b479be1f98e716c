//! What follows a product while its sums are still in the nearest cache: bytes become numbers again, the bias is added, and
//! an activation or the residual.

use super::form::Precision;
use super::pack::{PackedMatrix, RowScale};
use crate::activation::Activation;
use crate::dispatch::on_every_rung;
use crate::parallel::Disjoint;
use std::ops::Range;

/// What is done to an element of a linear layer after its bias was added.
#[derive(Clone, Copy)]
pub enum After<'a> {
    /// Nothing.
    Nothing,
    /// An activation.
    Activation(Activation),
    /// The residual is added: `(m, n)`.
    Add(&'a [f32]),
}

pub(super) struct Epilogue<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) after: After<'a>,
}

impl Epilogue<'_> {
    pub(super) const NONE: Epilogue<'static> = Epilogue { bias: None, after: After::Nothing };

    /// Finishes some rows and columns of the result, whose sums are complete. `scales` has one element a row, of bytes.
    pub(super) fn finish(
        &self,
        right: &PackedMatrix,
        rows: Range<usize>,
        columns: Range<usize>,
        c: &Disjoint<f32>,
        scales: &[RowScale],
    ) {
        let bytes = right.form.precision == Precision::Int8;
        if !bytes && self.bias.is_none() && matches!(self.after, After::Nothing) {
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
                dequantize(isa, values, scale, &right.scales[columns.clone()], &right.sums[columns.clone()]);
            }
            let bias = self.bias.map(|bias| &bias[columns.clone()]);
            match self.after {
                After::Nothing => add_bias(isa, values, bias),
                After::Activation(activation) => {
                    add_bias(isa, values, bias);
                    activation.apply(isa, values);
                }
                After::Add(x) => add_both(isa, values, bias, &x[number * right.n..][columns.clone()]),
            }
        }
    }
}

on_every_rung! {
    /// The bits of an i32 become an f32: `scale · column's scale · (sum − zero · column's sum)`.
    fn dequantize(values: &mut [f32], row: RowScale, scales: &[f32], sums: &[i32]) {
        for ((value, scale), column) in values.iter_mut().zip(scales).zip(sums) {
            let sum = value.to_bits().cast_signed() - row.zero * column;
            *value = sum as f32 * (row.scale * scale);
        }
    }
}

on_every_rung! {
    fn add_bias(values: &mut [f32], bias: Option<&[f32]>) {
        let Some(bias) = bias else { return };
        for (value, bias) in values.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

on_every_rung! {
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
