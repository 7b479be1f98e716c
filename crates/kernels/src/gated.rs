//! Gated linear units (Shazeer 2020, arXiv:2002.05202): `activation(input) · gate`, where a row
//! holds the input and then the gate. GeGLU has GELU as its activation.

use crate::activation::Activation;
use crate::context::Context;
use crate::instruction_set::{InstructionSet, multiversion};

/// Approximate number of elements of a task.
const CHUNK: usize = 1 << 13;

/// Fills `out`, `(rows, width)`, from the rows of `u`, `(rows, 2 · width)`.
///
/// # Panics
/// If shapes differ.
pub fn gated(context: &Context, activation: Activation, u: &[f32], width: usize, out: &mut [f32]) {
    assert_eq!(u.len(), 2 * out.len(), "an input and a gate for each of {width} columns");
    let isa = context.isa();
    let rows = rows_of_task(width);
    context.for_each_chunk(out, rows * width, |task, out| {
        let u = &u[2 * task * rows * width..];
        for (u, out) in u.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (input, gate) = u.split_at(width);
            out.copy_from_slice(input);
            activation.apply(isa, out);
            multiply(isa, out, gate);
        }
    });
}

/// Fills `d_u` with the gradient of `u`, given that of the results of [`gated`].
///
/// # Panics
/// If shapes differ.
pub fn gated_backward(
    context: &Context,
    activation: Activation,
    u: &[f32],
    width: usize,
    d_out: &[f32],
    d_u: &mut [f32],
) {
    assert_eq!((u.len(), d_u.len()), (2 * d_out.len(), 2 * d_out.len()), "rows of {width}");
    let isa = context.isa();
    let rows = rows_of_task(width);
    context.for_each_chunk(d_u, 2 * rows * width, |task, d_u| {
        let first = task * rows * width;
        let (u, d_out) = (&u[2 * first..], &d_out[first..]);
        let rows = u.chunks_exact(2 * width).zip(d_out.chunks_exact(width)).zip(d_u.chunks_exact_mut(2 * width));
        for ((u, d_out), d_u) in rows {
            backward_row(isa, activation, u, d_out, d_u);
        }
    });
}

fn backward_row(isa: InstructionSet, activation: Activation, u: &[f32], d_out: &[f32], d_u: &mut [f32]) {
    let (input, gate) = u.split_at(d_out.len());
    let (d_input, d_gate) = d_u.split_at_mut(d_out.len());
    d_input.copy_from_slice(d_out);
    multiply(isa, d_input, gate);
    activation.multiply_by_slope(isa, input, d_input);
    d_gate.copy_from_slice(input);
    activation.apply(isa, d_gate);
    multiply(isa, d_gate, d_out);
}

fn rows_of_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

multiversion! {
    fn multiply(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x *= y;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    /// SiLU instead of GELU, whose error function f64 does not have.
    fn reference(u: &[f64], width: usize) -> Vec<f64> {
        let row = |u: &[f64]| -> Vec<f64> { (0..width).map(|j| u[j] / (1.0 + (-u[j]).exp()) * u[width + j]).collect() };
        u.chunks(2 * width).flat_map(row).collect()
    }

    #[test]
    fn every_instruction_set_agrees_with_the_formula_in_the_same_bits() {
        for (rows, width) in [(1, 1), (5, 7), (3, 64), (40, 1152)] {
            let u: Vec<f32> = noise(rows * 2 * width, 1).iter().map(|u| 3.0 * u).collect();
            let d_out = noise(rows * width, 2);
            for activation in [Activation::Gelu, Activation::Silu] {
                let mut all = Vec::new();
                for isa in InstructionSet::available() {
                    for threads in [1, 3] {
                        let context = Context::with_instruction_set(threads, isa);
                        let (mut out, mut d_u) = (vec![9.0; rows * width], vec![9.0; u.len()]);
                        gated(&context, activation, &u, width, &mut out);
                        gated_backward(&context, activation, &u, width, &d_out, &mut d_u);
                        all.push((out, d_u));
                    }
                }
                assert!(all.iter().all(|other| *other == all[0]), "{activation:?} {rows} × {width}");
                let (out, d_u) = &all[0];
                if activation == Activation::Silu {
                    assert_close(out, &reference(&wide(&u), width), 1e-5, "out");
                    if rows < 40 {
                        let value = |u: &[f64]| -> f64 {
                            reference(u, width).iter().zip(&d_out).map(|(x, d)| x * f64::from(*d)).sum()
                        };
                        assert_close(d_u, &finite_differences(&wide(&u), value), 2e-5, "d_u");
                    }
                }
            }
        }
        println!("gated: all instruction sets checked");
    }
}
