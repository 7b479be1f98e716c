//! Matrix products in f32: `c = a · b`, with `b` packed into panels of 32 columns.
//!
//! Every element of the result is one chain of multiply-adds over k in ascending order, whatever the tiling, the number of
//! threads or of rows: so a row is the same bits alone and among others, and a sum over tokens may be cut anywhere.
//! (On the portable rung multiplication and addition round separately, on the others once.)

mod panels;
mod tile;

pub use panels::PackedMatrix;

use crate::dispatch::{Isa, isa};
use crate::matrix::Rows;
use crate::parallel::{Disjoint, Pool};
use panels::{PANEL, with_packed_rows, with_panels};
use std::ops::Range;
use tile::{Left, Tile};

/// Rows that one task computes: a multiple of every tile's height.
const TASK_ROWS: usize = 96;

/// `c = a · b`, or `c += a · b` if `accumulate`. `a` is `(m, k)`, `b` `(k, n)`, `c` `(m, n)` without gaps.
pub fn matmul(pool: &Pool, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.rows(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    with_panels(pool, b, false, |panels| product(isa(), pool, Left::rows(a), panels, b.columns(), None, c, accumulate));
}

/// `c = a · bᵀ`, or `c += a · bᵀ` if `accumulate`. `a` is `(m, k)`, `b` `(n, k)`, `c` `(m, n)` without gaps.
pub fn matmul_transposed(pool: &Pool, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.columns(), "({}, {}) · ({}, {})ᵀ", a.rows(), a.columns(), b.rows(), b.columns());
    with_panels(pool, b, true, |panels| product(isa(), pool, Left::rows(a), panels, b.rows(), None, c, accumulate));
}

/// `c = a · b + bias`, or `c += …` if `accumulate`, with `b` packed before. `a` is `(m, k)`, `c` `(m, n)` without gaps.
pub fn matmul_packed(
    pool: &Pool,
    a: Rows<'_>,
    b: &PackedMatrix,
    bias: Option<&[f32]>,
    c: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(a.columns(), b.k(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.k(), b.n());
    assert!(bias.is_none_or(|bias| bias.len() == b.n()), "a bias for each of {} columns", b.n());
    product(isa(), pool, Left::rows(a), b.panels(), b.n(), bias, c, accumulate);
}

/// `c += aᵀ · b`, the sum over tokens of a weight's gradient. `a` is `(t, m)`, `b` `(t, n)`, `c` `(m, n)` without gaps.
/// Two calls with the first and the last tokens give the same bits as one with all of them.
pub fn matmul_weight_gradient(pool: &Pool, a: Rows<'_>, b: Rows<'_>, c: &mut [f32]) {
    assert_eq!(a.rows(), b.rows(), "({}, {})ᵀ · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    weight_gradient_on(isa(), pool, a, b, c);
}

fn weight_gradient_on(isa: Isa, pool: &Pool, a: Rows<'_>, b: Rows<'_>, c: &mut [f32]) {
    let height = Tile::new(isa).height();
    with_packed_rows(pool, a, height, |left| {
        with_panels(pool, b, false, |panels| {
            product(isa, pool, Left::packed(left, a.columns(), a.rows(), height), panels, b.columns(), None, c, true);
        });
    });
}

#[expect(clippy::too_many_arguments, reason = "a product and how it is stored")]
fn product(
    isa: Isa,
    pool: &Pool,
    left: Left<'_>,
    panels: &[f32],
    n: usize,
    bias: Option<&[f32]>,
    c: &mut [f32],
    accumulate: bool,
) {
    let (m, k) = (left.rows, left.k);
    assert_eq!(c.len(), m * n, "{} places for ({m}, {n})", c.len());
    if m == 0 || n == 0 {
        return;
    }
    let tile = Tile::new(isa);
    let row_tasks = m.div_ceil(TASK_ROWS);
    let panel_count = n.div_ceil(PANEL);
    // Enough tasks that threads end together, as large as possible beyond that. The cut changes no bit.
    let groups = (4 * pool.threads()).div_ceil(row_tasks).clamp(1, panel_count);
    let group_panels = panel_count.div_ceil(groups);
    let groups = panel_count.div_ceil(group_panels);
    let result = Disjoint::new(c);
    pool.run(row_tasks * groups, |task| {
        let (row_task, group) = (task / groups, task % groups);
        let rows = row_task * TASK_ROWS..m.min((row_task + 1) * TASK_ROWS);
        for panel in group * group_panels..panel_count.min((group + 1) * group_panels) {
            let right = &panels[panel * k * PANEL..(panel + 1) * k * PANEL];
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            compute_panel(&tile, &left, rows.clone(), right, columns, n, bias, &result, accumulate);
        }
    });
}

/// The tiles of some rows and one panel.
#[expect(clippy::too_many_arguments, reason = "a product and how it is stored")]
fn compute_panel(
    tile: &Tile,
    left: &Left<'_>,
    rows: Range<usize>,
    right: &[f32],
    columns: Range<usize>,
    n: usize,
    bias: Option<&[f32]>,
    result: &Disjoint<f32>,
    accumulate: bool,
) {
    let mut buffer = [0.0f32; tile::TALLEST * PANEL];
    let mut row = rows.start;
    while row < rows.end {
        let height = tile.height().min(rows.end - row);
        for i in 0..if accumulate { height } else { 0 } {
            let start = (row + i) * n;
            // SAFETY: this task alone has these rows and columns of the result.
            let from = unsafe { result.slice(start + columns.start..start + columns.end) };
            buffer[i * PANEL..i * PANEL + columns.len()].copy_from_slice(from);
        }
        tile.compute(left, row, height, right, &mut buffer, accumulate);
        for i in 0..height {
            let start = (row + i) * n;
            // SAFETY: this task alone has these rows and columns of the result.
            let into = unsafe { result.slice(start + columns.start..start + columns.end) };
            let from = &buffer[i * PANEL..i * PANEL + columns.len()];
            match bias {
                Some(bias) => {
                    let biases = &bias[columns.clone()];
                    into.iter_mut().zip(from.iter().zip(biases)).for_each(|(into, (from, bias))| *into = from + bias);
                }
                None => into.copy_from_slice(from),
            }
        }
        row += height;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};
    use proptest::prelude::*;

    fn reference_matmul(a: Rows<'_>, b: Rows<'_>, c: &[f32]) -> Vec<f64> {
        let n = b.columns();
        let element = |index: usize| {
            let (row, column) = (index / n, index % n);
            let products = a.row(row).iter().enumerate().map(|(k, a)| f64::from(*a) * f64::from(b.row(k)[column]));
            f64::from(c[index]) + products.sum::<f64>()
        };
        (0..c.len()).map(element).collect()
    }

    fn transposed(rows: Rows<'_>) -> Vec<f32> {
        (0..rows.columns()).flat_map(|column| (0..rows.rows()).map(move |row| rows.row(row)[column])).collect()
    }

    fn on_rung(isa: Isa, threads: usize, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
        let pool = Pool::new(threads);
        with_panels(&pool, b, false, |panels| {
            product(isa, &pool, Left::rows(a), panels, b.columns(), None, c, accumulate);
        });
    }

    #[test]
    fn every_rung_agrees_with_the_plain_product_for_odd_shapes() {
        for isa in Isa::ladder() {
            for (m, k, n) in
                [(1, 1, 1), (1, 384, 40), (5, 7, 31), (12, 64, 32), (13, 65, 33), (25, 3, 97), (100, 40, 64), (3, 0, 5)]
            {
                let (a, b) = (noise(m * (k + 3), 1), noise(k * n, 2));
                let a = Rows::new(&a, m, k, k + 3);
                let b = Rows::new(&b, k, n, n);
                for accumulate in [false, true] {
                    let mut c = noise(m * n, 3);
                    let start = if accumulate { c.clone() } else { vec![0.0; m * n] };
                    on_rung(isa, 2, a, b, &mut c, accumulate);
                    assert_close(&c, &reference_matmul(a, b, &start), 1e-5, &format!("{} ({m},{k},{n})", isa.name()));
                }
            }
            println!("matmul: {} checked", isa.name());
        }
    }

    #[test]
    fn every_form_of_the_product_is_the_same_product() {
        let pool = Pool::new(2);
        let (m, k, n) = (29, 70, 45);
        let (a, b, bias) = (noise(m * k, 4), noise(k * n, 5), noise(n, 6));
        let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
        let b_transposed = transposed(b);
        let b_transposed = Rows::new(&b_transposed, n, k, k);
        let mut expected = vec![0.0; m * n];
        matmul(&pool, a, b, &mut expected, false);
        let mut c = vec![9.0; m * n];
        matmul_transposed(&pool, a, b_transposed, &mut c, false);
        assert_eq!(c, expected);
        let mut packed = PackedMatrix::pack(&pool, b);
        matmul_packed(&pool, a, &packed, None, &mut c, false);
        assert_eq!(c, expected);
        packed.repack_transposed(&pool, b_transposed);
        matmul_packed(&pool, a, &packed, Some(&bias), &mut c, false);
        let biased: Vec<f32> = expected.iter().enumerate().map(|(i, value)| value + bias[i % n]).collect();
        assert_eq!(c, biased);
        let a_transposed = transposed(a);
        c.fill(0.0);
        matmul_weight_gradient(&pool, Rows::new(&a_transposed, k, m, m), b, &mut c);
        assert_eq!(c, expected);
    }

    #[test]
    fn weight_gradients_agree_on_every_rung() {
        for isa in Isa::ladder() {
            for (t, m, n) in [(0, 3, 4), (1, 1, 1), (19, 13, 33), (64, 50, 70)] {
                let (a, b, start) = (noise(t * m, 1), noise(t * n, 2), noise(m * n, 3));
                let (a, b) = (Rows::new(&a, t, m, m), Rows::new(&b, t, n, n));
                let mut c = start.clone();
                weight_gradient_on(isa, &Pool::new(2), a, b, &mut c);
                let a_transposed = transposed(a);
                let expected = reference_matmul(Rows::new(&a_transposed, m, t, t), b, &start);
                assert_close(&c, &expected, 1e-5, isa.name());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// No bit depends on other rows, on threads, or on where a sum over tokens is cut.
        #[test]
        fn results_are_the_same_bits_in_any_company(m in 1usize..120, k in 0usize..80, n in 1usize..80, threads in 1usize..4, cut in 0usize..80) {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
            for isa in Isa::ladder() {
                let mut whole = vec![0.0; m * n];
                on_rung(isa, threads, a, b, &mut whole, false);
                let mut last = vec![0.0; n];
                on_rung(isa, 1, a.range(m - 1..m), b, &mut last, false);
                prop_assert_eq!(&whole[(m - 1) * n..], &last[..]);
            }
            let pool = Pool::new(threads);
            let (t, cut) = (k, cut.min(k));
            let left = noise(t * m, 7);
            let left = Rows::new(&left, t, m, m);
            let mut whole = noise(m * n, 8);
            let mut parts = whole.clone();
            matmul_weight_gradient(&pool, left, b, &mut whole);
            matmul_weight_gradient(&Pool::new(1), left.range(0..cut), b.range(0..cut), &mut parts);
            matmul_weight_gradient(&pool, left.range(cut..t), b.range(cut..t), &mut parts);
            prop_assert_eq!(whole, parts);
        }
    }
}
