//! Helpers of the tests of losses.

#![allow(dead_code, reason = "each test file uses a part of it")]

use maana_kernels::{Context, Matrix, Rows};
use maana_train::loss::{Embedded, Loss};
use serde_json::Value;

/// Reads a list of numbers.
pub(crate) fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|float| float.as_f64().unwrap() as f32).collect()
}

/// Returns the loss and the gradient of every column.
pub(crate) fn measure(loss: &dyn Loss, columns: &[Matrix], labels: Option<&[f32]>, weight: f32) -> (f32, Vec<Matrix>) {
    measure_with(1, loss, columns, labels, weight)
}

/// As [`measure`], with a number of threads.
pub(crate) fn measure_with(
    threads: usize,
    loss: &dyn Loss,
    columns: &[Matrix],
    labels: Option<&[f32]>,
    weight: f32,
) -> (f32, Vec<Matrix>) {
    let context = Context::new(threads);
    let views: Vec<Rows<'_>> = columns.iter().map(Matrix::view).collect();
    let mut d_columns: Vec<Matrix> = columns.iter().map(|x| Matrix::zeros(x.rows(), x.columns())).collect();
    let labels = labels.map(|labels| {
        let length = labels.len() / columns[0].rows();
        Rows::new(labels, columns[0].rows(), length, length)
    });
    let value = loss.loss(
        &context,
        &Embedded { columns: &views, labels, pairs: &[], pass: 0, trains: true },
        weight,
        &mut d_columns,
    );
    (value, d_columns)
}

/// Returns reproducible pseudo-random numbers.
pub(crate) fn made_up(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}
