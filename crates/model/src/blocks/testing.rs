//! Comparison of a block's gradients with finite differences.

use crate::weights::Gradients;
use maana_kernels::{Context, Matrix};

/// Checks the gradients of a block with some inputs, outputs and parameters for two rows.
pub(super) fn check_gradients(
    [inputs, outputs]: [usize; 2],
    parameters: usize,
    forward: impl Fn(&Context, &[f32], &Matrix) -> Matrix,
    backward: impl Fn(&Context, &[f32], &Matrix, &Matrix, &mut Gradients<'_>) -> Matrix,
) {
    let context = Context::new(1);
    let number = |index: usize| ((index * 37 % 11) as f32 - 5.0) * 0.13;
    let mut values: Vec<f32> = (0..parameters).map(number).collect();
    let mut x = Matrix::from_vec(2, inputs, (0..2 * inputs).map(|index| 1.7 * number(index * 5 + 3)).collect());
    let upstream = Matrix::from_vec(2, outputs, (0..2 * outputs).map(|index| number(index * 3 + 1)).collect());
    let mut gradients = vec![0.0; parameters];
    let d_x = backward(&context, &values, &x, &upstream, &mut Gradients::except(&mut gradients, &[]));
    let value = |parameters: &[f32], x: &Matrix| -> f64 {
        let y = forward(&context, parameters, x);
        y.data().iter().zip(upstream.data()).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
    };
    let step = 1e-2;
    let difference = |above: f64, below: f64| (above - below) / (2.0 * f64::from(step));
    for index in 0..parameters {
        let kept = values[index];
        values[index] = kept + step;
        let above = value(&values, &x);
        values[index] = kept - step;
        let below = value(&values, &x);
        values[index] = kept;
        let expected = difference(above, below);
        assert!((f64::from(gradients[index]) - expected).abs() < 2e-3, "parameter {index}");
    }
    for index in 0..2 * inputs {
        let kept = x.data()[index];
        x.data_mut()[index] = kept + step;
        let above = value(&values, &x);
        x.data_mut()[index] = kept - step;
        let below = value(&values, &x);
        x.data_mut()[index] = kept;
        let expected = difference(above, below);
        assert!((f64::from(d_x.data()[index]) - expected).abs() < 2e-3, "input {index}");
    }
}
