//! L2 normalization of rows: y = x / max(‖x‖₂, 1e-12).

use crate::context::Context;
use crate::instruction_set::multiversion;
use crate::lanes::sum;
use crate::matrix::{Matrix, Rows};

const SMALLEST: f32 = 1e-12;
/// Rows of a task.
const ROWS: usize = 32;

/// Fills `out`, without gaps, with the rows of `x` scaled to length 1. A row of zeros stays.
pub fn normalize(context: &Context, x: Rows<'_>, out: &mut [f32]) {
    let columns = x.columns();
    assert_eq!(out.len(), x.rows() * columns, "{} elements for ({}, {columns})", out.len(), x.rows());
    if out.is_empty() {
        return;
    }
    let isa = context.isa();
    context.for_each_chunk(out, ROWS * columns, |task, out| {
        for (row, out) in out.chunks_exact_mut(columns).enumerate() {
            forward(isa, x.row(task * ROWS + row), out);
        }
    });
}

/// Returns the rows of `x` scaled to length 1, as [`normalize`] does.
pub fn normalized(context: &Context, x: Rows<'_>) -> Matrix {
    let mut unit = Matrix::zeros(x.rows(), x.columns());
    normalize(context, x, unit.data_mut());
    unit
}

/// Fills `d_x`, without gaps, with the gradient of `x`: (d_y − y · (y·d_y)) / ‖x‖.
pub fn normalize_backward(context: &Context, x: Rows<'_>, d_y: Rows<'_>, d_x: &mut [f32]) {
    let columns = x.columns();
    assert_eq!(
        (d_y.rows(), d_y.columns(), d_x.len()),
        (x.rows(), columns, x.rows() * columns),
        "({}, {columns})",
        x.rows()
    );
    if d_x.is_empty() {
        return;
    }
    let isa = context.isa();
    context.for_each_chunk(d_x, ROWS * columns, |task, d_x| {
        for (row, d_x) in d_x.chunks_exact_mut(columns).enumerate() {
            backward(isa, x.row(task * ROWS + row), d_y.row(task * ROWS + row), d_x);
        }
    });
}

multiversion! {
    fn forward(x: &[f32], out: &mut [f32]) {
        let length = sum([x], |[x]| x * x).sqrt().max(SMALLEST);
        for (out, x) in out.iter_mut().zip(x) {
            *out = x / length;
        }
    }
}

multiversion! {
    fn backward(x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        let norm = sum([x], |[x]| x * x).sqrt();
        let length = norm.max(SMALLEST);
        // Below the smallest length the divisor is constant and the norm has no gradient.
        let along = if norm < SMALLEST { 0.0 } else { sum([x, d_y], |[x, d_y]| x / length * d_y) };
        for (j, d_x) in d_x.iter_mut().enumerate() {
            *d_x = (d_y[j] - x[j] / length * along) / length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    fn reference_normalize(x: &[f64]) -> Vec<f64> {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        x.iter().map(|x| x / length).collect()
    }

    #[test]
    fn every_instruction_set_agrees_with_the_formula_and_its_gradient() {
        for isa in InstructionSet::available() {
            for columns in 1..40 {
                let (x, d_y) = (noise(columns, 1), noise(columns, 2));
                let (mut y, mut d_x) = (vec![0.0; columns], vec![0.0; columns]);
                forward(isa, &x, &mut y);
                backward(isa, &x, &d_y, &mut d_x);
                assert_close(&y, &reference_normalize(&wide(&x)), 1e-6, isa.name());
                let value = |x: &[f64]| reference_normalize(x).iter().zip(&d_y).map(|(y, d)| y * f64::from(*d)).sum();
                assert_close(&d_x, &finite_differences(&wide(&x), value), 2e-5, isa.name());
            }
            println!("normalize: {} checked", isa.name());
        }
    }

    #[test]
    fn zeros_stay_and_strides_are_kept_apart() {
        let data = [3.0, 4.0, 9.0, 0.0, 0.0, 9.0];
        let mut out = [9.0; 4];
        normalize(&Context::new(1), Rows::new(&data, 2, 2, 3), &mut out);
        assert_eq!(out, [0.6, 0.8, 0.0, 0.0]);
    }
}
