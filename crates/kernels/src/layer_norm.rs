//! Layer normalization (arXiv:1607.06450): y = γ · (x − mean) / √(variance + ε) + β for each row,
//! also without β. Sums over a row are in f32 in a fixed order; sums over rows, for γ and β, ascend
//! row by row.

use crate::context::Context;
use crate::instruction_set::multiversion;
use crate::lanes::sum;

/// Rows of a task.
const ROWS: usize = 16;
/// Columns of a task that sums over rows.
const COLUMNS: usize = 64;

/// Normalizes every row of `x` into `y`, and stores mean and 1/√(variance + ε) of row `i` in
/// `statistics[2i..2i + 2]`.
pub fn layer_norm(
    context: &Context,
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f32,
    y: &mut [f32],
    statistics: &mut [f32],
) {
    let width = gamma.len();
    let rows = x.len() / width;
    assert_eq!((x.len(), y.len()), (rows * width, rows * width), "rows of {width}");
    assert!(beta.is_none_or(|beta| beta.len() == width), "a bias for each column");
    assert_eq!(statistics.len(), 2 * rows, "two statistics for each of {rows} rows");
    let isa = context.isa();
    context.for_each_chunk_of([(y, ROWS * width), (statistics, 2 * ROWS)], |task, [y, statistics]| {
        let (first, rows) = (task * ROWS, y.len() / width);
        forward(isa, &x[first * width..(first + rows) * width], gamma, beta, epsilon, y, statistics);
    });
}

multiversion! {
    fn forward(x: &[f32], gamma: &[f32], beta: Option<&[f32]>, epsilon: f32, y: &mut [f32], statistics: &mut [f32]) {
        let width = gamma.len();
        for ((x, y), statistics) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(statistics.chunks_exact_mut(2)) {
            let mean = sum([x], |[x]| x) / width as f32;
            let variance = sum([x], |[x]| (x - mean) * (x - mean)) / width as f32;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            statistics.copy_from_slice(&[mean, inverse]);
            scale(x, gamma, beta, mean, inverse, y);
        }
    }
}

/// Recomputes the result of [`layer_norm`] from its statistics, with the same bits.
pub fn layer_norm_recompute(
    context: &Context,
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    statistics: &[f32],
    y: &mut [f32],
) {
    let width = gamma.len();
    let rows = x.len() / width;
    assert_eq!((x.len(), y.len()), (rows * width, rows * width), "rows of {width}");
    assert!(beta.is_none_or(|beta| beta.len() == width), "a bias for each column");
    assert_eq!(statistics.len(), 2 * rows, "two statistics for each of {rows} rows");
    let isa = context.isa();
    context.for_each_chunk(y, ROWS * width, |task, y| {
        let (first, rows) = (task * ROWS, y.len() / width);
        let statistics = &statistics[2 * first..2 * (first + rows)];
        again(isa, &x[first * width..(first + rows) * width], gamma, beta, statistics, y);
    });
}

multiversion! {
    fn again(x: &[f32], gamma: &[f32], beta: Option<&[f32]>, statistics: &[f32], y: &mut [f32]) {
        let width = gamma.len();
        for ((x, y), statistics) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(statistics.as_chunks::<2>().0) {
            scale(x, gamma, beta, statistics[0], statistics[1], y);
        }
    }
}

#[inline(always)]
fn scale(x: &[f32], gamma: &[f32], beta: Option<&[f32]>, mean: f32, inverse: f32, y: &mut [f32]) {
    match beta {
        Some(beta) => {
            for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = (x - mean) * inverse * gamma + beta;
            }
        }
        None => {
            for ((y, x), gamma) in y.iter_mut().zip(x).zip(gamma) {
                *y = (x - mean) * inverse * gamma;
            }
        }
    }
}

/// Fills `d_x` with the gradient of `x`, and adds those of γ and of β, if there is one, to
/// `d_parameters`, unless they are frozen.
pub fn layer_norm_backward(
    context: &Context,
    x: &[f32],
    gamma: &[f32],
    statistics: &[f32],
    d_y: &[f32],
    d_x: &mut [f32],
    d_parameters: Option<(&mut [f32], Option<&mut [f32]>)>,
) {
    let width = gamma.len();
    let rows = x.len() / width;
    assert_eq!((d_y.len(), d_x.len()), (x.len(), x.len()), "rows of {width}");
    assert_eq!(statistics.len(), 2 * rows, "two statistics for each of {rows} rows");
    let isa = context.isa();
    context.for_each_chunk(d_x, ROWS * width, |task, d_x| {
        let (start, end) = (task * ROWS * width, task * ROWS * width + d_x.len());
        let statistics = &statistics[2 * start / width..2 * end / width];
        backward_rows(isa, &x[start..end], gamma, statistics, &d_y[start..end], d_x);
    });
    let Some((d_gamma, d_beta)) = d_parameters else { return };
    assert_eq!(d_gamma.len(), width, "a gradient for each column");
    let Some(d_beta) = d_beta else {
        return context.for_each_chunk(d_gamma, COLUMNS, |task, d_gamma| {
            backward_gamma(isa, x, statistics, d_y, width, task * COLUMNS, d_gamma);
        });
    };
    assert_eq!(d_beta.len(), width, "a gradient for each column");
    context.for_each_chunk_of([(d_gamma, COLUMNS), (d_beta, COLUMNS)], |task, [d_gamma, d_beta]| {
        backward_columns(isa, x, statistics, d_y, width, task * COLUMNS, d_gamma, d_beta);
    });
}

multiversion! {
    fn backward_rows(x: &[f32], gamma: &[f32], statistics: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        let width = gamma.len();
        for (row, d_x) in d_x.chunks_exact_mut(width).enumerate() {
            let (x, d_y) = (&x[row * width..(row + 1) * width], &d_y[row * width..(row + 1) * width]);
            let (mean, inverse) = (statistics[2 * row], statistics[2 * row + 1]);
            let normed = |x: f32| (x - mean) * inverse;
            let mean_d = sum([d_y, gamma], |[d_y, gamma]| d_y * gamma) / width as f32;
            let mean_d_normed = sum([d_y, gamma, x], |[d_y, gamma, x]| d_y * gamma * normed(x)) / width as f32;
            for j in 0..width {
                d_x[j] = inverse * (d_y[j] * gamma[j] - mean_d - normed(x[j]) * mean_d_normed);
            }
        }
    }
}

multiversion! {
    fn backward_columns(
        x: &[f32],
        statistics: &[f32],
        d_y: &[f32],
        width: usize,
        first: usize,
        d_gamma: &mut [f32],
        d_beta: &mut [f32],
    ) {
        let columns = d_gamma.len();
        for (row, statistics) in statistics.chunks_exact(2).enumerate() {
            let start = row * width + first;
            let (x, d_y) = (&x[start..start + columns], &d_y[start..start + columns]);
            for j in 0..columns {
                d_gamma[j] += d_y[j] * ((x[j] - statistics[0]) * statistics[1]);
                d_beta[j] += d_y[j];
            }
        }
    }
}

multiversion! {
    fn backward_gamma(x: &[f32], statistics: &[f32], d_y: &[f32], width: usize, first: usize, d_gamma: &mut [f32]) {
        for (row, statistics) in statistics.chunks_exact(2).enumerate() {
            let start = row * width + first;
            for (d_gamma, (x, d_y)) in d_gamma.iter_mut().zip(x[start..].iter().zip(&d_y[start..])) {
                *d_gamma += d_y * ((x - statistics[0]) * statistics[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    fn reference_layer_norm(x: &[f64], gamma: &[f64], beta: &[f64], epsilon: f64) -> Vec<f64> {
        let width = gamma.len();
        x.chunks(width)
            .flat_map(|x| {
                let mean = x.iter().sum::<f64>() / width as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                (0..width)
                    .map(move |j| (x[j] - mean) / (variance + epsilon).sqrt() * gamma[j] + beta[j])
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_instruction_set_agrees_with_the_formula_for_every_width() {
        for isa in InstructionSet::available() {
            for width in (1..40).chain([384, 768]) {
                let (x, gamma, beta) = (noise(3 * width, 1), noise(width, 2), noise(width, 3));
                let (mut y, mut statistics) = (vec![0.0; 3 * width], vec![0.0; 6]);
                forward(isa, &x, &gamma, Some(&beta), 1e-5, &mut y, &mut statistics);
                let expected = reference_layer_norm(&wide(&x), &wide(&gamma), &wide(&beta), 1e-5);
                assert_close(&y, &expected, 2e-5, &format!("{} width {width}", isa.name()));
                forward(isa, &x, &gamma, None, 1e-5, &mut y, &mut statistics);
                let expected = reference_layer_norm(&wide(&x), &wide(&gamma), &vec![0.0; width], 1e-5);
                assert_close(&y, &expected, 2e-5, &format!("{} width {width} without bias", isa.name()));
            }
            println!("layer_norm: {} checked", isa.name());
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (width, rows) = (19, 5);
        let (x, gamma, beta, d_y) = (noise(rows * width, 1), noise(width, 2), noise(width, 3), noise(rows * width, 4));
        let context = Context::new(2);
        let (mut y, mut statistics) = (vec![0.0; x.len()], vec![0.0; 2 * rows]);
        layer_norm(&context, &x, &gamma, Some(&beta), 1e-5, &mut y, &mut statistics);
        let (mut d_x, mut d_gamma, mut d_beta) = (vec![0.0; x.len()], vec![0.0; width], vec![0.0; width]);
        layer_norm_backward(&context, &x, &gamma, &statistics, &d_y, &mut d_x, Some((&mut d_gamma, Some(&mut d_beta))));
        let (mut again, mut d_gamma_only) = (vec![0.0; x.len()], vec![0.0; width]);
        layer_norm_backward(&context, &x, &gamma, &statistics, &d_y, &mut again, Some((&mut d_gamma_only, None)));
        assert_eq!((&again, &d_gamma_only), (&d_x, &d_gamma), "without bias, the same bits");
        let value = |x: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
            reference_layer_norm(x, gamma, beta, 1e-5).iter().zip(&d_y).map(|(y, d)| y * f64::from(*d)).sum()
        };
        let (x, gamma, beta) = (wide(&x), wide(&gamma), wide(&beta));
        assert_close(&d_x, &finite_differences(&x, |x| value(x, &gamma, &beta)), 1e-4, "d_x");
        assert_close(&d_gamma, &finite_differences(&gamma, |gamma| value(&x, gamma, &beta)), 1e-4, "d_gamma");
        assert_close(&d_beta, &finite_differences(&beta, |beta| value(&x, &gamma, beta)), 1e-4, "d_beta");
    }

    /// A shift and a scale of a row leave the result unchanged.
    #[test]
    fn shift_and_scale_change_nothing() {
        let (x, ones, zeros) = (noise(64, 9), vec![1.0; 64], vec![0.0; 64]);
        let moved: Vec<f32> = x.iter().map(|x| 3.0 * x + 2.0).collect();
        let norm = |x: &[f32]| {
            let (mut y, mut statistics) = (vec![0.0; 64], vec![0.0; 2]);
            layer_norm(&Context::new(1), x, &ones, Some(&zeros), 0.0, &mut y, &mut statistics);
            y
        };
        assert_close(&norm(&moved), &wide(&norm(&x)), 1e-5, "moved");
    }
}
