//! Element-wise sums and products, and sums over rows in ascending order.

use crate::context::Context;
use crate::instruction_set::multiversion;
use crate::matrix::Rows;

/// Elements of a task.
const CHUNK: usize = 1 << 14;
/// Columns of a task that sums over rows.
const COLUMNS: usize = 64;

/// Adds `y` to `x`.
pub fn add(context: &Context, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "an addend for each element");
    context.for_each_chunk(x, CHUNK, |task, x| add_slice(context.isa(), x, &y[task * CHUNK..task * CHUNK + x.len()]));
}

/// Adds `bias` to every row of `x`.
pub fn add_bias(context: &Context, x: &mut [f32], bias: &[f32]) {
    assert!(!bias.is_empty() && x.len().is_multiple_of(bias.len()), "{} elements in rows of {}", x.len(), bias.len());
    let rows = (CHUNK / bias.len()).max(1);
    context.for_each_chunk(x, rows * bias.len(), |_, x| {
        x.chunks_exact_mut(bias.len()).for_each(|row| add_slice(context.isa(), row, bias));
    });
}

/// Multiplies `x` by `factor`.
pub fn scale(context: &Context, x: &mut [f32], factor: f32) {
    context.for_each_chunk(x, CHUNK, |_, x| x.iter_mut().for_each(|x| *x *= factor));
}

/// Moves `x` towards `y` by a share of the distance: x ← x + share · (y − x).
pub fn interpolate(context: &Context, x: &mut [f32], y: &[f32], share: f32) {
    assert_eq!(x.len(), y.len(), "a target for each element");
    context.for_each_chunk(x, CHUNK, |task, x| {
        interpolate_slice(context.isa(), x, &y[task * CHUNK..task * CHUNK + x.len()], share);
    });
}

/// Adds the rows of `x` to `out`, row after row, so that two calls with the first and the last rows
/// give the same bits as one with all.
pub fn sum_columns(context: &Context, x: Rows<'_>, out: &mut [f32]) {
    assert_eq!(x.columns(), out.len(), "a sum for each column");
    context.for_each_chunk(out, COLUMNS, |task, out| {
        let first = task * COLUMNS;
        for row in 0..x.rows() {
            add_slice(context.isa(), out, &x.row(row)[first..first + out.len()]);
        }
    });
}

multiversion! {
    fn add_slice(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

multiversion! {
    fn interpolate_slice(x: &mut [f32], y: &[f32], share: f32) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += share * (y - *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::noise;

    #[test]
    fn interpolations_are_the_same_bits_on_every_instruction_set_and_number_of_threads() {
        for length in (0..40).chain([40_000]) {
            let (x, y) = (noise(length, 1), noise(length, 2));
            let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + 0.3 * (y - x)).collect();
            for isa in InstructionSet::available() {
                let mut moved = x.clone();
                interpolate_slice(isa, &mut moved, &y, 0.3);
                assert_eq!(moved, expected);
            }
            let mut moved = x;
            interpolate(&Context::new(3), &mut moved, &y, 0.3);
            assert_eq!(moved, expected);
        }
    }

    #[test]
    fn sums_and_scales_of_every_length() {
        let context = Context::new(2);
        for length in (0..40).chain([40_000]) {
            let (mut x, y) = (noise(length, 1), noise(length, 2));
            let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| (x + y) * 0.5).collect();
            add(&context, &mut x, &y);
            scale(&context, &mut x, 0.5);
            assert_eq!(x, expected);
        }
    }

    #[test]
    fn rows_are_summed_in_order_however_they_are_cut() {
        let (rows, columns) = (37, 131);
        let x = noise(rows * columns, 3);
        let x = Rows::new(&x, rows, columns, columns);
        let mut expected = noise(columns, 4);
        let mut whole = expected.clone();
        let mut parts = expected.clone();
        for row in 0..rows {
            expected.iter_mut().zip(x.row(row)).for_each(|(sum, x)| *sum += x);
        }
        sum_columns(&Context::new(3), x, &mut whole);
        sum_columns(&Context::new(1), x.range(0..11), &mut parts);
        sum_columns(&Context::new(2), x.range(11..rows), &mut parts);
        assert_eq!((&whole, &parts), (&expected, &expected));
        let mut biased = x.to_matrix().into_vec();
        add_bias(&Context::new(2), &mut biased, &expected);
        assert_eq!(biased[columns + 5], x.row(1)[5] + expected[5]);
    }
}
