//! Benchmark of the machine: the rate that no product can exceed.

use super::form::{Form, LeftWords};
use super::pack::PackedMatrix;
use super::tile::{self, Job, Order};
use crate::context::Context;
use crate::matrix::Rows;
use crate::precision::Precision;
use std::time::Instant;

/// Measures the operations per second of all threads in a loop that only multiplies and adds: the left
/// operand stays in registers, the right one in the first-level cache. A multiply-add counts as two.
pub fn peak_rate(context: &Context, precision: Precision) -> f64 {
    rate(context, precision, 2_000)
}

fn rate(context: &Context, precision: Precision, rounds: usize) -> f64 {
    const TRIES: usize = 12;
    let form = Form::new(context.isa(), precision);
    // Three quarters of a cache of 32 KB.
    let steps = (24 << 10) / (form.columns * form.right_bytes);
    let operations = 2 * tile::HELD_ROWS * form.columns * form.step * steps * rounds * context.threads();
    let compute = || {
        // Floats that have to be rounded: where no instruction multiplies and adds, others take other times.
        let word = match form.left {
            LeftWords::Floats | LeftWords::RoundedFloats => 1.1f32.to_bits(),
            LeftWords::Bf16Pairs | LeftWords::BytePairs | LeftWords::ByteQuads => 0,
        };
        let left = [word; tile::HELD_ROWS];
        let k = steps * form.step;
        let right = vec![0.7; k * form.columns];
        let right =
            PackedMatrix::packed(&Context::new(1), form, Rows::new(&right, k, form.columns, form.columns), false);
        let mut sums = [0u32; tile::LARGEST];
        let job = Job {
            left: left.as_ptr(),
            order: Order::Rows(1),
            panel: right.panel(0, 0..steps).as_ptr(),
            steps,
            sums: sums.as_mut_ptr(),
            stride: form.columns,
            goes_on: false,
        };
        for _ in 0..rounds {
            // SAFETY: there is a word for each row, a panel of so many steps, room for the sums, and the form belongs to an `Isa`
            // that detection gave.
            unsafe { (form.limit)(&job, tile::HELD_ROWS) };
        }
        std::hint::black_box(&sums);
    };
    let seconds = |_: usize| {
        let began = Instant::now();
        context.run(context.threads(), |_| compute());
        began.elapsed().as_secs_f64()
    };
    operations as f64 / (0..TRIES).map(seconds).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::noise;

    fn cases() -> impl Iterator<Item = (InstructionSet, Precision)> {
        InstructionSet::available().into_iter().flat_map(|isa| Precision::ALL.map(|precision| (isa, precision)))
    }

    #[test]
    fn every_instruction_set_has_a_rate_in_every_precision() {
        for (isa, precision) in cases() {
            assert!(
                rate(&Context::with_instruction_set(1, isa), precision, 2) > 0.0,
                "{} {}",
                isa.name(),
                precision.name()
            );
        }
    }

    /// The loop that measures the limit multiplies: its sums are those of the loop itself where all steps have the same words.
    #[test]
    fn the_limit_is_measured_by_multiplying() {
        for (isa, precision) in cases() {
            let form = Form::new(isa, precision);
            let (rows, steps) = (tile::HELD_ROWS, 37);
            let b = noise(steps * form.step * form.columns, 1);
            let b = Rows::new(&b, steps * form.step, form.columns, form.columns);
            let packed = PackedMatrix::packed(&Context::new(1), form, b, false);
            let words: Vec<u32> = match form.left {
                LeftWords::Floats | LeftWords::RoundedFloats => [1.0, -2.0, 0.5, 3.0].map(f32::to_bits).to_vec(),
                _ => vec![0x0002_0001, 0x0005_0004, 0x0001_0001, 0x0009_0002],
            };
            let everywhere: Vec<u32> = words.iter().flat_map(|word| std::iter::repeat_n(*word, steps)).collect();
            let run = |kernel: tile::Kernel, left: &[u32], row_step: usize| {
                let mut sums = vec![0u32; rows * form.columns];
                let job = Job {
                    left: left.as_ptr(),
                    order: Order::Rows(row_step),
                    panel: packed.panel(0, 0..steps).as_ptr(),
                    steps,
                    sums: sums.as_mut_ptr(),
                    stride: form.columns,
                    goes_on: false,
                };
                // SAFETY: words of all rows and steps that are read, a panel of so many steps, room for the sums.
                unsafe { kernel(&job, rows) };
                sums
            };
            let what = format!("{} {}", isa.name(), precision.name());
            assert_eq!(run(form.limit, &words, 1), run(form.kernel, &everywhere, steps), "{what}");
        }
    }
}
