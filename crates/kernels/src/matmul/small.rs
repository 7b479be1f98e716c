//! f32 products of operands that one task has in its own memory, such as attention's. The caller lays the right operand into
//! panels itself, and the left one is read where it lies.

use super::form::Form;
use super::tile::{Job, Order};
use crate::aligned::cast;
use crate::instruction_set::InstructionSet;
use crate::precision::Precision;

/// A left operand, where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) order: Order,
}

/// A right operand, `[panel][step][column]`, with [`SmallProduct::columns`] columns a panel and a step for each k.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) steps: usize,
}

/// The innermost loop of a rung, for such products.
#[derive(Clone, Copy)]
pub(crate) struct SmallProduct(Form);

impl SmallProduct {
    pub(crate) fn new(isa: InstructionSet) -> Self {
        Self(Form::new(isa, Precision::F32))
    }

    /// Columns of a panel.
    pub(crate) fn columns(&self) -> usize {
        self.0.columns
    }

    /// `sums[i][j] = Σ left(i, k) · right(k, j)` over k in ascending order, or `+=` if `goes_on`. `sums` is `(rows, n)` without
    /// gaps, n the columns of all panels. A sum that is cut into calls is the same bits as one call.
    pub(crate) fn multiply(&self, left: Strided<'_>, right: Panels<'_>, sums: &mut [f32], rows: usize, goes_on: bool) {
        let (height, columns, steps) = (self.0.height, self.0.columns, right.steps);
        let (words, panel) = (cast::<f32, u32>(left.values), steps * columns);
        if rows == 0 {
            return;
        }
        let n = sums.len() / rows;
        assert_eq!(n % columns, 0, "{n} columns in panels of {columns}");
        assert!(n / columns * panel <= right.values.len(), "{n} columns of {steps} in {}", right.values.len());
        let (row_step, k_step) = left.order.distances();
        let last = (rows - 1) * row_step + steps.saturating_sub(1) * k_step;
        assert!(steps == 0 || last < words.len(), "word {last} of {}", words.len());
        for number in 0..n / columns {
            for first in (0..rows).step_by(height) {
                let part = &mut sums[first * n + number * columns..];
                let job = Job {
                    left: words[(first * row_step).min(words.len())..].as_ptr(),
                    order: left.order,
                    panel: right.values[number * panel..].as_ptr().cast(),
                    steps,
                    sums: part.as_mut_ptr().cast(),
                    stride: n,
                    goes_on,
                };
                // SAFETY: the last word of the left operand and the size of all panels were checked above; `sums` has `rows` rows
                // of n, and the form belongs to an `Isa` that detection gave.
                unsafe { (self.0.kernel)(&job, height.min(rows - first)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    /// Against the plain sum, with the left operand as it is and transposed, and cut anywhere.
    #[test]
    fn every_instruction_set_agrees_with_the_plain_product() {
        for isa in InstructionSet::available() {
            let product = SmallProduct::new(isa);
            let columns = product.columns();
            for (rows, steps, panels) in [(1, 1, 1), (5, 7, 2), (13, 64, 1), (25, 33, 3), (4, 0, 1)] {
                let n = panels * columns;
                let (a, b) = (noise(rows * steps, 1), noise(panels * steps * columns, 2));
                let right = |k: usize, j: usize| b[(j / columns * steps + k) * columns + j % columns];
                let left = |i: usize, k: usize| a[i * steps + k];
                let sum = |i: usize, j: usize| {
                    (0..steps).map(|k| f64::from(left(i, k)) * f64::from(right(k, j))).sum::<f64>()
                };
                let expected: Vec<f64> = (0..rows * n).map(|place| sum(place / n, place % n)).collect();
                let mut sums = vec![9.0; rows * n];
                let whole = Panels { values: &b, steps };
                product.multiply(Strided { values: &a, order: Order::Rows(steps) }, whole, &mut sums, rows, false);
                assert_close(&sums, &expected, 1e-5, &format!("{} ({rows}, {steps}, {n})", isa.name()));
                let transposed: Vec<f32> = (0..rows * steps).map(|place| left(place % rows, place / rows)).collect();
                let mut cut = vec![9.0; rows * n];
                for (number, steps_now) in [0..steps / 3, steps / 3..steps].into_iter().enumerate() {
                    let panels_now: Vec<f32> = (0..panels)
                        .flat_map(|panel| {
                            b[(panel * steps + steps_now.start) * columns..][..steps_now.len() * columns].to_vec()
                        })
                        .collect();
                    let left = Strided { values: &transposed[steps_now.start * rows..], order: Order::Steps(rows) };
                    let right = Panels { values: &panels_now, steps: steps_now.len() };
                    product.multiply(left, right, &mut cut, rows, number > 0);
                }
                assert_eq!(cut, sums, "{} ({rows}, {steps}, {n})", isa.name());
            }
            println!("small products: {} checked", isa.name());
        }
    }
}
