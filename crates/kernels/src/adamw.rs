//! AdamW (arXiv:1711.05101) as PyTorch computes it, and the norm of gradients for clipping.

use crate::context::Context;
use crate::disjoint::Disjoint;
use crate::instruction_set::multiversion;
use std::ops::Range;

/// Elements of a task.
const CHUNK: usize = 1 << 14;
/// Rows of a task.
const ROWS: usize = 16;

/// Settings of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this update.
    pub learning_rate: f64,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Term added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this update, from 1.
    pub step: u64,
}

/// Factors of an update that all elements share.
#[derive(Clone, Copy)]
struct Factors {
    decay: f32,
    beta1: f32,
    beta2: f32,
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
}

/// Updates the parameters: p ← p (1 − lr·wd); m ← m + (1−β₁)(g − m); v ← β₂ v + (1−β₂) g²; p ← p −
/// lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
pub fn adamw(
    context: &Context,
    parameters: &mut [f32],
    gradients: &[f32],
    first_moments: &mut [f32],
    second_moments: &mut [f32],
    settings: &AdamW,
) {
    check_lengths(parameters, gradients, first_moments, second_moments);
    let (isa, factors) = (context.isa(), Factors::new(settings));
    let slices = [(parameters, CHUNK), (first_moments, CHUNK), (second_moments, CHUNK)];
    context.for_each_chunk_of(slices, |task, [parameters, first, second]| {
        let gradients = &gradients[task * CHUNK..][..parameters.len()];
        update(isa, factors, parameters, gradients, first, second);
    });
}

/// As [`adamw`], of some rows of a table: those of all others and their moments do not change.
///
/// # Panics
/// If `rows` do not ascend, or one lies outside the table.
pub fn adamw_rows(
    context: &Context,
    [parameters, first_moments, second_moments]: [&mut [f32]; 3],
    gradients: &[f32],
    columns: usize,
    rows: &[u32],
    settings: &AdamW,
) {
    check_lengths(parameters, gradients, first_moments, second_moments);
    assert!(rows.is_sorted_by(|a, b| a < b), "rows ascend");
    let (isa, factors) = (context.isa(), Factors::new(settings));
    let [parameters, first, second] = [parameters, first_moments, second_moments].map(Disjoint::new);
    context.run(rows.len().div_ceil(ROWS), |task| {
        for row in &rows[task * ROWS..rows.len().min((task + 1) * ROWS)] {
            let range = *row as usize * columns..(*row as usize + 1) * columns;
            // SAFETY: rows are different, and only this task uses this one.
            let [parameters, first, second] =
                unsafe { [&parameters, &first, &second].map(|table| table.slice(range.clone())) };
            update(isa, factors, parameters, &gradients[range], first, second);
        }
    });
}

fn check_lengths(parameters: &[f32], gradients: &[f32], first_moments: &[f32], second_moments: &[f32]) {
    let length = parameters.len();
    let lengths = (gradients.len(), first_moments.len(), second_moments.len());
    assert_eq!(lengths, (length, length, length), "{length} parameters");
}

impl Factors {
    fn new(settings: &AdamW) -> Self {
        assert!(settings.step > 0, "updates are counted from 1");
        let power = |beta: f64| 1.0 - libm::pow(beta, settings.step as f64);
        Self {
            decay: (1.0 - settings.learning_rate * settings.weight_decay) as f32,
            beta1: settings.beta1 as f32,
            beta2: settings.beta2 as f32,
            step_size: (settings.learning_rate / power(settings.beta1)) as f32,
            root_correction: power(settings.beta2).sqrt() as f32,
            epsilon: settings.epsilon as f32,
        }
    }
}

multiversion! {
    fn update(factors: Factors, parameters: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        let Factors { decay, beta1, beta2, step_size, root_correction, epsilon } = factors;
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradients).zip(moments) {
            *m += (1.0 - beta1) * (g - *m);
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p = *p * decay - step_size * (*m / (v.sqrt() / root_correction + epsilon));
        }
    }
}

/// Returns Σ x² in f64, summed in chunks of a fixed size in their order, so that the number of
/// threads changes no bit. Outside the ascending `ranges` all elements are zero; chunks without any
/// are not read.
pub fn sum_of_squares(context: &Context, x: &[f32], ranges: &[Range<usize>]) -> f64 {
    let mut sums = vec![0.0f64; x.len().div_ceil(CHUNK)];
    let isa = context.isa();
    context.for_each_chunk(&mut sums, 1, |task, sum| {
        let chunk = task * CHUNK..x.len().min((task + 1) * CHUNK);
        let next = ranges.partition_point(|range| range.end <= chunk.start);
        if ranges.get(next).is_some_and(|range| range.start < chunk.end) {
            sum[0] = squares(isa, &x[chunk]);
        }
    });
    sums.iter().sum()
}

multiversion! {
    pub(crate) fn squares(x: &[f32]) -> f64 {
        let mut sums = [0.0f64; 8];
        let (chunks, rest) = x.as_chunks::<8>();
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(*x) * f64::from(*x);
            }
        }
        rest.iter().fold(sums.iter().sum(), |sum, x| sum + f64::from(*x) * f64::from(*x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, noise, wide};

    #[test]
    fn three_updates_agree_with_the_formula_on_any_number_of_threads() {
        let length = 40_001;
        let mut results = Vec::new();
        for threads in [1, 2, 3] {
            let context = Context::new(threads);
            let (mut p, mut m, mut v) = (noise(length, 1), vec![0.0; length], vec![0.0; length]);
            let (mut rp, mut rm, mut rv) = (wide(&p), vec![0.0f64; length], vec![0.0f64; length]);
            for step in 1..=3 {
                let g = noise(length, 10 + step);
                let settings =
                    AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1, step };
                adamw(&context, &mut p, &g, &mut m, &mut v, &settings);
                for i in 0..length {
                    let g = f64::from(g[i]);
                    rm[i] = 0.9 * rm[i] + 0.1 * g;
                    rv[i] = 0.999 * rv[i] + 0.001 * g * g;
                    let (mh, vh) =
                        (rm[i] / (1.0 - 0.9f64.powi(step as i32)), rv[i] / (1.0 - 0.999f64.powi(step as i32)));
                    rp[i] = rp[i] * (1.0 - 1e-3) - 1e-2 * mh / (vh.sqrt() + 1e-8);
                }
            }
            assert_close(&p, &rp, 1e-5, "parameters");
            results.push(p);
        }
        assert!(results.iter().all(|result| *result == results[0]));
    }

    #[test]
    fn squares_are_summed_the_same_on_every_instruction_set() {
        for length in (0..40).chain([100_000]) {
            let x = noise(length, 5);
            let expected: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
            let whole = 0..length;
            let whole = std::slice::from_ref(&whole);
            let ours = sum_of_squares(&Context::new(3), &x, whole);
            assert!((ours - expected).abs() < 1e-9 * (1.0 + expected));
            assert_eq!(ours, sum_of_squares(&Context::new(1), &x, whole));
            let rungs: Vec<f64> = InstructionSet::available().into_iter().map(|isa| squares(isa, &x)).collect();
            assert!(rungs.iter().all(|sum| *sum == rungs[0]));
        }
    }

    #[test]
    fn squares_of_ranges_are_those_of_all_elements() {
        let context = Context::new(2);
        let ranges = [5..9, 9..10, CHUNK - 1..CHUNK + 1, 3 * CHUNK..3 * CHUNK + 40, 5 * CHUNK - 1..5 * CHUNK];
        let mut x = vec![0.0; 5 * CHUNK];
        ranges.iter().for_each(|range| x[range.clone()].copy_from_slice(&noise(range.len(), range.start as u64)));
        let all = sum_of_squares(&context, &x, std::slice::from_ref(&(0..x.len())));
        assert_eq!(sum_of_squares(&context, &x, &ranges), all);
        assert_eq!(sum_of_squares(&context, &[], &[]), 0.0);
    }

    #[test]
    fn rows_are_updated_as_the_whole_table_and_others_stay() {
        let (rows, columns) = (50, 7);
        let touched: Vec<u32> = (0..rows as u32).filter(|row| row % 3 == 1).collect();
        let settings =
            AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1, step: 2 };
        let table = |seed| noise(rows * columns, seed);
        let (g, v) = (table(4), table(3).iter().map(|v| v.abs()).collect::<Vec<_>>());
        let (mut p, mut m, mut w) = (table(1), table(2), v.clone());
        adamw(&Context::new(1), &mut p, &g, &mut m, &mut w, &settings);
        for threads in [1, 3] {
            let (mut rp, mut rm, mut rv) = (table(1), table(2), v.clone());
            adamw_rows(&Context::new(threads), [&mut rp, &mut rm, &mut rv], &g, columns, &touched, &settings);
            for row in 0..rows {
                let range = row * columns..(row + 1) * columns;
                let expected = if row % 3 == 1 { &p } else { &table(1) };
                assert_eq!(rp[range.clone()], expected[range], "row {row}");
            }
        }
    }
}
