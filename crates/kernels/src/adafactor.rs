//! Adafactor (arXiv:1804.04235) as Hugging Face transformers computes it, with the learning rate of
//! a schedule and without a first moment.

use crate::adamw::squares;
use crate::context::Context;
use crate::instruction_set::multiversion;

/// Rows of a task.
const ROWS: usize = 256;
/// Term added to squared gradients.
const EPSILON: f64 = 1e-30;
/// Least root mean square of a tensor by which the learning rate is multiplied.
const LEAST_SCALE: f64 = 1e-3;

/// Settings of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adafactor {
    /// Learning rate of this update.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Maximum root mean square of the update before the learning rate.
    pub clip_threshold: f64,
    /// Power of `step` in the decay rate of the moments, 1 − step^power.
    pub decay_rate: f64,
    /// Multiplies the learning rate by the root mean square of the parameters.
    pub scale_parameter: bool,
    /// Number of this update, from 1.
    pub step: u64,
}

impl Adafactor {
    /// Decay rate of the moments, and the share of the new squares.
    fn shares(&self) -> (f32, f32) {
        assert!(self.step > 0, "updates are counted from 1");
        let decay = 1.0 - libm::pow(self.step as f64, self.decay_rate);
        (decay as f32, (1.0 - decay) as f32)
    }

    /// Learning rate for these parameters.
    fn rate(&self, context: &Context, parameters: &[f32]) -> f64 {
        if !self.scale_parameter {
            return self.learning_rate;
        }
        let whole = 0..parameters.len();
        let squares = crate::sum_of_squares(context, parameters, std::slice::from_ref(&whole));
        self.learning_rate * (squares / parameters.len() as f64).sqrt().max(LEAST_SCALE)
    }

    /// Factor of an update with this root mean square, and that of the parameters.
    fn factors(&self, rate: f64, root_mean_square: f64) -> (f32, f32) {
        let clipped = rate / (root_mean_square / self.clip_threshold).max(1.0);
        (clipped as f32, (1.0 - rate * self.weight_decay) as f32)
    }
}

/// Updates the parameters of a matrix: the moments R and C are means of the squared gradients of
/// each row and each column; u ← g / √(R Cᵀ / mean R), p ← p (1 − lr·wd) − lr · u / max(1, RMS(u) /
/// clip).
pub fn adafactor_matrix(
    context: &Context,
    parameters: &mut [f32],
    gradients: &[f32],
    row_moments: &mut [f32],
    column_moments: &mut [f32],
    settings: &Adafactor,
) {
    let (rows, columns) = (row_moments.len(), column_moments.len());
    assert_eq!((parameters.len(), gradients.len()), (rows * columns, rows * columns), "{rows} rows of {columns}");
    if parameters.is_empty() {
        return;
    }
    let isa = context.isa();
    let rate = settings.rate(context, parameters);
    let block = |task: usize| gradients[task * ROWS * columns..].chunks_exact(columns).take(ROWS);

    // A task has the sums of its columns, then those of its rows.
    let mut sums = vec![0.0f64; rows.div_ceil(ROWS) * (columns + ROWS)];
    context.for_each_chunk(&mut sums, columns + ROWS, |task, sums| {
        let (column_sums, row_sums) = sums.split_at_mut(columns);
        for (gradients, sum) in block(task).zip(row_sums) {
            *sum = squares(isa, gradients);
            if *sum > 0.0 {
                add_squares(isa, column_sums, gradients);
            }
        }
    });
    let (decay, share) = settings.shares();
    let average = |moment: &mut f32, sum: f64, count: usize| {
        *moment = *moment * decay + ((sum / count as f64 + EPSILON) as f32) * share;
    };
    for (moments, sums) in row_moments.chunks_mut(ROWS).zip(sums.chunks_exact(columns + ROWS)) {
        moments.iter_mut().zip(&sums[columns..]).for_each(|(moment, sum)| average(moment, *sum, columns));
    }
    for (column, moment) in column_moments.iter_mut().enumerate() {
        average(moment, sums.chunks_exact(columns + ROWS).map(|sums| sums[column]).sum(), rows);
    }
    let mean = (row_moments.iter().map(|moment| f64::from(*moment)).sum::<f64>() / rows as f64) as f32;
    let row_factors: Vec<f32> = row_moments.iter().map(|moment| 1.0 / (moment / mean).sqrt()).collect();
    let column_factors: Vec<f32> = column_moments.iter().map(|moment| 1.0 / moment.sqrt()).collect();

    let mut update_sums = vec![0.0f64; rows.div_ceil(ROWS)];
    context.for_each_chunk(&mut update_sums, 1, |task, sum| {
        let row_sums = &sums[task * (columns + ROWS) + columns..];
        for ((gradients, factor), row_sum) in block(task).zip(&row_factors[task * ROWS..]).zip(row_sums) {
            if *row_sum > 0.0 {
                sum[0] += f64::from(*factor) * f64::from(*factor) * scaled_squares(isa, gradients, &column_factors);
            }
        }
    });
    let root_mean_square = (update_sums.iter().sum::<f64>() / (rows * columns) as f64).sqrt();
    let (factor, kept) = settings.factors(rate, root_mean_square);
    context.for_each_chunk(parameters, ROWS * columns, |task, parameters| {
        let row_sums = &sums[task * (columns + ROWS) + columns..];
        let rows = parameters.chunks_exact_mut(columns).zip(block(task)).zip(&row_factors[task * ROWS..]);
        for (((parameters, gradients), row_factor), row_sum) in rows.zip(row_sums) {
            // A row without gradient has the update zero.
            if *row_sum > 0.0 || kept != 1.0 {
                update_row(isa, parameters, gradients, &column_factors, *row_factor * factor, kept);
            }
        }
    });
}

/// Updates the parameters of a vector, with a moment for each: v ← mean of g², u ← g / √v, and p as
/// [`adafactor_matrix`] does.
pub fn adafactor_vector(
    context: &Context,
    parameters: &mut [f32],
    gradients: &[f32],
    moments: &mut [f32],
    settings: &Adafactor,
) {
    let length = parameters.len();
    assert_eq!((gradients.len(), moments.len()), (length, length), "{length} parameters");
    let rate = settings.rate(context, parameters);
    let (decay, share) = settings.shares();
    let mut sum = 0.0;
    for (moment, gradient) in moments.iter_mut().zip(gradients) {
        *moment = *moment * decay + (gradient * gradient + EPSILON as f32) * share;
        let update = f64::from(gradient / moment.sqrt());
        sum += update * update;
    }
    let (factor, kept) = settings.factors(rate, (sum / length as f64).sqrt());
    for ((parameter, gradient), moment) in parameters.iter_mut().zip(gradients).zip(moments) {
        *parameter = *parameter * kept - gradient / moment.sqrt() * factor;
    }
}

multiversion! {
    fn add_squares(sums: &mut [f64], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
}

multiversion! {
    fn scaled_squares(x: &[f32], factors: &[f32]) -> f64 {
        let mut sums = [0.0f64; 8];
        let ((chunks, rest), (factor_chunks, factor_rest)) = (x.as_chunks::<8>(), factors.as_chunks::<8>());
        for (chunk, factors) in chunks.iter().zip(factor_chunks) {
            for (sum, (x, factor)) in sums.iter_mut().zip(chunk.iter().zip(factors)) {
                let scaled = f64::from(*x * *factor);
                *sum += scaled * scaled;
            }
        }
        let rest = rest.iter().zip(factor_rest).map(|(x, factor)| f64::from(*x * *factor));
        rest.fold(sums.iter().sum(), |sum, scaled| sum + scaled * scaled)
    }
}

multiversion! {
    fn update_row(parameters: &mut [f32], gradients: &[f32], factors: &[f32], factor: f32, kept: f32) {
        for ((p, g), column) in parameters.iter_mut().zip(gradients).zip(factors) {
            *p = *p * kept - *g * *column * factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, noise, wide};

    /// Plain twin in f64 of an update of a matrix.
    fn plain(p: &mut [f64], g: &[f64], r: &mut [f64], c: &mut [f64], settings: &Adafactor) {
        let (rows, columns) = (r.len(), c.len());
        let decay = 1.0 - (settings.step as f64).powf(settings.decay_rate);
        let square = |row: usize, column: usize| g[row * columns + column].powi(2) + EPSILON;
        for (row, r) in r.iter_mut().enumerate() {
            let mean = (0..columns).map(|column| square(row, column)).sum::<f64>() / columns as f64;
            *r = *r * decay + mean * (1.0 - decay);
        }
        for (column, c) in c.iter_mut().enumerate() {
            let mean = (0..rows).map(|row| square(row, column)).sum::<f64>() / rows as f64;
            *c = *c * decay + mean * (1.0 - decay);
        }
        let mean = r.iter().sum::<f64>() / rows as f64;
        let update: Vec<f64> =
            g.iter().enumerate().map(|(i, g)| g / (r[i / columns] / mean * c[i % columns]).sqrt()).collect();
        let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
        let scale = if settings.scale_parameter { rms(p).max(LEAST_SCALE) } else { 1.0 };
        let rate = settings.learning_rate * scale;
        let clip = (rms(&update) / settings.clip_threshold).max(1.0);
        p.iter_mut().zip(update).for_each(|(p, u)| *p -= rate * settings.weight_decay * *p + rate * u / clip);
    }

    #[test]
    fn updates_agree_with_the_formula_and_are_the_same_bits_everywhere() {
        let settings = |step, scale_parameter, weight_decay, clip_threshold| Adafactor {
            learning_rate: 1e-2,
            weight_decay,
            clip_threshold,
            decay_rate: -0.8,
            scale_parameter,
            step,
        };
        for (rows, columns) in [(1, 1), (3, 5), (600, 33), (257, 16)] {
            for (scale_parameter, weight_decay, clip) in [(false, 0.0, 1.0), (true, 0.1, 0.5)] {
                let mut results = Vec::new();
                for isa in InstructionSet::available() {
                    for threads in [1, 3] {
                        let context = Context::with_instruction_set(threads, isa);
                        let (mut p, mut r, mut c) = (noise(rows * columns, 1), vec![0.0; rows], vec![0.0; columns]);
                        let (mut rp, mut rr, mut rc) = (wide(&p), vec![0.0; rows], vec![0.0; columns]);
                        for step in 1..=3 {
                            let mut g = noise(rows * columns, 10 + step);
                            // Rows without gradient, as most of a word table.
                            if rows > 2 {
                                g[columns..2 * columns].fill(0.0);
                            }
                            let settings = settings(step, scale_parameter, weight_decay, clip);
                            adafactor_matrix(&context, &mut p, &g, &mut r, &mut c, &settings);
                            plain(&mut rp, &wide(&g), &mut rr, &mut rc, &settings);
                        }
                        assert_close(&p, &rp, 1e-5, "parameters");
                        results.push((p, r, c));
                    }
                }
                assert!(results.iter().all(|result| *result == results[0]));
            }
        }
    }

    #[test]
    fn a_vector_has_a_moment_for_each_parameter() {
        let context = Context::new(1);
        let settings = Adafactor {
            learning_rate: 0.1,
            weight_decay: 0.0,
            clip_threshold: 1.0,
            decay_rate: -0.8,
            scale_parameter: false,
            step: 1,
        };
        let (mut p, mut v) = (vec![1.0, 2.0, 3.0], vec![0.0; 3]);
        adafactor_vector(&context, &mut p, &[0.5, -2.0, 0.0], &mut v, &settings);
        assert_close(&p, &[0.9, 2.1, 3.0], 1e-6, "the first update is the sign of the gradient");
        assert_close(&v, &[0.25, 4.0, 0.0], 1e-6, "moments");
    }
}
