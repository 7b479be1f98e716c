//! Matrix products `c = a · b` in f32, bf16 and bytes, with `b` packed into panels as wide as a tile.
//!
//! Every element of the result is one chain of multiply-adds over k in ascending order, whatever the tiling, the number of
//! threads or of rows: so a row is the same bits alone and among others, and a sum over tokens may be cut anywhere (in bf16
//! after an even number). Multiplication and addition round once, on every rung: f32 products are the same bits on all of them,
//! and so are bf16 products on those without instructions for bf16, which round in a way of their own.

mod epilogue;
mod form;
mod pack;
mod peak_rate;
mod small;
mod tile;

pub use epilogue::Epilogue;
pub use pack::PackedMatrix;
pub use peak_rate::peak_rate;
pub(crate) use small::{Panels, SmallProduct, Strided};
pub(crate) use tile::Order;

use crate::aligned::cast;
use crate::context::Context;
use crate::disjoint::Disjoint;
use crate::matrix::Rows;
use crate::precision::Precision;
use crate::prefetch::prefetch;
use crate::row_scale::RowScale;
use epilogue::Finish;
use form::{Form, LeftWords};
use pack::{with_blocks, with_packed, with_words};
use std::ops::Range;
use tile::Job;

/// The most rows that one task computes: a multiple of every tile's height.
const TASK_ROWS: usize = 120;
/// Steps of the innermost loop after which it turns to the next rows, so that the panel's part stays in the second cache.
const BLOCK_STEPS: usize = 768;
/// Panels whose sums stay near while one block of steps follows the other.
const PANELS_TOGETHER: usize = 4;

/// `c = a · b`, or `c += a · b` if `accumulate`. `a` is `(m, k)`, `b` `(k, n)`, `c` `(m, n)` without gaps.
pub fn matmul(context: &Context, precision: Precision, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.rows(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    with_packed(context, Form::new(context.isa(), precision), b, false, |packed| {
        product(context, &Left::Rows(a), packed, c, accumulate, &Finish::NONE);
    });
}

/// `c = a · bᵀ` in f32, or `c += a · bᵀ` if `accumulate`. `a` is `(m, k)`, `b` `(n, k)`, `c` `(m, n)` without gaps.
pub fn matmul_transposed(context: &Context, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.columns(), "({}, {}) · ({}, {})ᵀ", a.rows(), a.columns(), b.rows(), b.columns());
    with_packed(context, Form::new(context.isa(), Precision::F32), b, true, |packed| {
        product(context, &Left::Rows(a), packed, c, accumulate, &Finish::NONE);
    });
}

/// `c = epilogue(a · b + bias)` with `b` packed before: a linear layer. `a` is `(m, k)`, `c` `(m, n)` without gaps.
pub fn linear(
    context: &Context,
    a: Rows<'_>,
    b: &PackedMatrix,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
    c: &mut [f32],
) {
    assert_eq!(a.columns(), b.k(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.k(), b.n());
    assert!(bias.is_none_or(|bias| bias.len() == b.n()), "a bias for each of {} columns", b.n());
    if let Epilogue::Add(x) = epilogue {
        assert_eq!(x.len(), c.len(), "one place for each element");
    }
    product(context, &Left::Rows(a), b, c, false, &Finish { bias, epilogue });
}

/// `c += aᵀ · b`, the sum over tokens of a weight's gradient. `a` is `(t, m)`, `b` `(t, n)`, `c` `(m, n)` without gaps.
/// Two calls with the first and the last tokens give the same bits as one with all of them.
pub fn matmul_weight_gradient(context: &Context, precision: Precision, a: Rows<'_>, b: Rows<'_>, c: &mut [f32]) {
    assert_eq!(a.rows(), b.rows(), "({}, {})ᵀ · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    let form = Form::new(context.isa(), precision);
    with_blocks(context, &form, a, |words| {
        with_packed(context, form, b, false, |packed| {
            product(context, &Left::Blocks { words, rows: a.columns() }, packed, c, true, &Finish::NONE);
        });
    });
}

/// A left operand.
enum Left<'a> {
    /// `(m, k)`
    Rows(Rows<'a>),
    /// `[block][step][row][word]`
    Blocks { words: &'a [u32], rows: usize },
}

/// Words of the rows of a task, and how they lie.
struct Words<'a> {
    words: &'a [u32],
    order: Order,
    /// Words from tile to tile.
    tile_step: usize,
    scales: &'a [RowScale],
}

fn product(
    context: &Context,
    left: &Left<'_>,
    right: &PackedMatrix,
    c: &mut [f32],
    accumulate: bool,
    finish: &Finish<'_>,
) {
    let form = &right.form;
    let m = match left {
        Left::Rows(rows) => rows.rows(),
        Left::Blocks { rows, .. } => *rows,
    };
    let n = right.n;
    assert_eq!(c.len(), m * n, "{} places for ({m}, {n})", c.len());
    assert!(!accumulate || form.precision != Precision::Int8, "sums of bytes begin with zero");
    if m == 0 || n == 0 {
        return;
    }
    // Enough tasks of one size that threads end together, as large as possible beyond that. The cut changes no bit.
    let threads = context.threads();
    let row_tasks = m.div_ceil(TASK_ROWS);
    let row_tasks = if row_tasks < threads { row_tasks } else { row_tasks.next_multiple_of(threads) };
    let task_rows = m.div_ceil(row_tasks).next_multiple_of(form.height);
    let row_tasks = m.div_ceil(task_rows);
    let panels = n.div_ceil(form.columns);
    let groups = (4 * threads).div_ceil(row_tasks).clamp(1, panels);
    let group = panels.div_ceil(groups);
    let groups = panels.div_ceil(group);
    let result = Disjoint::new(c);
    context.run(row_tasks * groups, |task| {
        let (row_task, part) = (task / groups, task % groups);
        let rows = row_task * task_rows..m.min((row_task + 1) * task_rows);
        let panels = part * group..panels.min((part + 1) * group);
        let work = Task { context, right, rows, panels, c: &result, accumulate, finish };
        match left {
            Left::Rows(a) if form.left == LeftWords::Floats => {
                let a = a.range(work.rows.clone());
                let (order, tile_step) = (Order::Rows(a.stride()), form.height * a.stride());
                work.compute(&Words { words: cast(a.data()), order, tile_step, scales: &[] });
            }
            Left::Rows(a) => with_words(context, form, a.range(work.rows.clone()), |words, scales| {
                let row_step = form.steps(right.k);
                let (order, tile_step) = (Order::Rows(row_step), form.height * row_step);
                work.compute(&Words { words, order, tile_step, scales });
            }),
            Left::Blocks { words, .. } => {
                let tile_step = form.height * form.steps(right.k);
                let words = &words[work.rows.start / form.height * tile_step..];
                let order = Order::Steps(form.height);
                work.compute(&Words { words, order, tile_step, scales: &[] });
            }
        }
    });
}

/// Some rows and panels of a product.
struct Task<'a> {
    context: &'a Context,
    right: &'a PackedMatrix,
    rows: Range<usize>,
    panels: Range<usize>,
    c: &'a Disjoint<'a, f32>,
    accumulate: bool,
    finish: &'a Finish<'a>,
}

impl Task<'_> {
    fn compute(&self, left: &Words<'_>) {
        let form = &self.right.form;
        let steps = form.steps(self.right.k);
        let blocks = steps.div_ceil(BLOCK_STEPS).max(1);
        let block = steps.div_ceil(blocks);
        let ends = self.panels.end;
        for first in self.panels.clone().step_by(PANELS_TOGETHER) {
            let panels = first..ends.min(first + PANELS_TOGETHER);
            for number in 0..blocks {
                let range = number * block..steps.min((number + 1) * block);
                for panel in panels.clone() {
                    // What the loop will want after this panel.
                    let next = match (panel + 1 < panels.end, number + 1 < blocks) {
                        (true, _) => self.right.panel(panel + 1, range.clone()),
                        (false, true) => self.right.panel(panels.start, range.end..steps.min(range.end + block)),
                        (false, false) if panels.end < ends => self.right.panel(panels.end, 0..block),
                        (false, false) => &[],
                    };
                    let goes_on = self.accumulate || number > 0;
                    self.right.with_panel(self.context, panel, range.clone(), |right| {
                        self.compute_panel(left, panel, right, range.clone(), goes_on, next);
                    });
                }
            }
            let columns = self.columns(panels.start).start..self.columns(panels.end - 1).end;
            self.finish.apply(self.right, self.rows.clone(), columns, self.c, left.scales);
        }
    }

    fn columns(&self, panel: usize) -> Range<usize> {
        let width = self.right.form.columns;
        panel * width..self.right.n.min((panel + 1) * width)
    }

    /// The tiles of one panel and some steps, and meanwhile the bytes of the `next` one brought near: a product of few rows
    /// waits for memory otherwise.
    fn compute_panel(
        &self,
        left: &Words<'_>,
        panel: usize,
        right: &[u8],
        steps: Range<usize>,
        goes_on: bool,
        next: &[u8],
    ) {
        let (form, n) = (&self.right.form, self.right.n);
        let columns = self.columns(panel);
        let tiles = self.rows.len().div_ceil(form.height);
        let mut next = next.chunks(next.len().div_ceil(tiles).max(1));
        for (number, first) in self.rows.clone().step_by(form.height).enumerate() {
            let rows = form.height.min(self.rows.end - first);
            prefetch(next.next().unwrap_or_default());
            let (row_step, k_step) = left.order.distances();
            let start = number * left.tile_step + steps.start * k_step;
            if !steps.is_empty() {
                let last = start + (rows - 1) * row_step + (steps.len() - 1) * k_step;
                assert!(last < left.words.len(), "word {last} of {}", left.words.len());
            }
            let mut job = Job {
                left: left.words[start.min(left.words.len())..].as_ptr(),
                order: left.order,
                panel: right.as_ptr(),
                steps: steps.len(),
                sums: std::ptr::null_mut(),
                stride: n,
                goes_on,
            };
            // SAFETY: this task alone has these rows and columns of the result.
            let row = |row: usize| unsafe {
                let start = (first + row) * n;
                self.c.slice(start + columns.start..start + columns.end)
            };
            if columns.len() == form.columns {
                let start = first * n + columns.start;
                job.sums = self.c.pointer(start..start + (rows - 1) * n + columns.len()).cast();
                // SAFETY: the left words and the result's rows were just checked, the panel has these steps, and the form
                // belongs to an `Isa` that detection gave.
                unsafe { (form.kernel)(&job, rows) };
                continue;
            }
            let mut buffer = [0u32; tile::LARGEST];
            for i in 0..rows {
                let from: &[u32] = cast(row(i));
                buffer[i * form.columns..][..columns.len()].copy_from_slice(from);
            }
            (job.sums, job.stride) = (buffer.as_mut_ptr(), form.columns);
            // SAFETY: as above; the buffer has room for the largest tile.
            unsafe { (form.kernel)(&job, rows) };
            for i in 0..rows {
                let from = &buffer[i * form.columns..][..columns.len()];
                row(i).iter_mut().zip(from).for_each(|(into, from)| *into = f32::from_bits(*from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::{from_bf16, to_bf16};
    use crate::instruction_set::InstructionSet;
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

    const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    fn on_rung(
        isa: InstructionSet,
        precision: Precision,
        threads: usize,
        a: Rows<'_>,
        b: Rows<'_>,
        c: &mut [f32],
        accumulate: bool,
    ) {
        let context = Context::with_instruction_set(threads, isa);
        let mut compact = c.to_vec();
        for (form, c) in [(Form::new(isa, precision), &mut *c), (Form::compact(isa, precision), &mut compact[..])] {
            let packed = PackedMatrix::packed(&context, form, b, false);
            product(&context, &Left::Rows(a), &packed, c, accumulate, &Finish::NONE);
        }
        let bits = |c: &[f32]| c.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(c), bits(&compact), "{} {}: in both forms", isa.name(), precision.name());
    }

    fn rounded(values: &[f32]) -> Vec<f32> {
        values.iter().map(|value| from_bf16(to_bf16(*value))).collect()
    }

    /// Rows as bytes with a scale and a zero, and columns as bytes with a scale, back as numbers.
    fn rounded_to_bytes(a: Rows<'_>, b: Rows<'_>) -> (Vec<f32>, Vec<f32>) {
        let mut left = Vec::new();
        for row in 0..a.rows() {
            let (least, largest) = a.row(row).iter().fold((0f32, 0f32), |(l, h), x| (l.min(*x), h.max(*x)));
            let scale = (largest - least) / 255.0;
            let zero = (-least * (1.0 / scale)).round_ties_even();
            let byte = |x: &f32| ((x * (1.0 / scale)).round_ties_even() + zero).clamp(0.0, 255.0);
            left.extend(a.row(row).iter().map(|x| (byte(x) - zero) * scale));
        }
        let scale = |column: usize| (0..b.rows()).map(|k| b.row(k)[column].abs()).fold(0.0, f32::max) / 63.0;
        let scales: Vec<f32> = (0..b.columns()).map(scale).collect();
        let right =
            (0..b.rows()).flat_map(|k| b.row(k).iter().zip(&scales).map(|(x, s)| (x / s).round_ties_even() * s));
        (left, right.collect())
    }

    const SHAPES: [(usize, usize, usize); 10] = [
        (1, 1, 1),
        (1, 384, 40),
        (5, 7, 31),
        (12, 64, 32),
        (13, 65, 33),
        (25, 3, 97),
        (100, 40, 64),
        (3, 1000, 17),
        (7, 1537, 50),
        (97, 10, 16),
    ];

    /// The rung whose bits a rung is to give: those with instructions for bf16 have their own.
    fn same_bits_as(isa: InstructionSet, precision: Precision) -> InstructionSet {
        if precision == Precision::Bf16 && isa.has_bf16() { isa } else { InstructionSet::available()[0] }
    }

    #[test]
    fn every_instruction_set_agrees_with_the_plain_product_for_odd_shapes_and_gives_the_same_bits() {
        for isa in InstructionSet::available() {
            for (m, k, n) in SHAPES.into_iter().chain([(3, 0, 5)]) {
                let (a, b) = (noise(m * (k + 3), 1), noise(k * n, 2));
                let (rounded_a, rounded_b) = (rounded(&a), rounded(&b));
                for (precision, left, right) in [(Precision::F32, &a, &b), (Precision::Bf16, &rounded_a, &rounded_b)] {
                    let what = format!("{} {} ({m},{k},{n})", isa.name(), precision.name());
                    let (plain_a, plain_b) = (Rows::new(left, m, k, k + 3), Rows::new(right, k, n, n));
                    let (a, b) = (Rows::new(&a, m, k, k + 3), Rows::new(&b, k, n, n));
                    for accumulate in [false, true] {
                        let mut c = noise(m * n, 3);
                        let start = if accumulate { c.clone() } else { vec![0.0; m * n] };
                        let mut other = c.clone();
                        on_rung(isa, precision, 2, a, b, &mut c, accumulate);
                        assert_close(&c, &reference_matmul(plain_a, plain_b, &start), 2e-5, &what);
                        on_rung(same_bits_as(isa, precision), precision, 2, a, b, &mut other, accumulate);
                        assert_eq!(c, other, "{what}");
                    }
                }
            }
            println!("matmul: {} checked in f32 and bf16", isa.name());
        }
    }

    /// Sums of bytes are exact, so that all rungs give the same bits, and those are what the plain product of the rounded
    /// operands gives.
    #[test]
    fn products_of_bytes_are_exact_and_the_same_on_every_instruction_set() {
        for (m, k, n) in SHAPES {
            let (a, b) = (noise(m * (k + 3), 1), noise(k * n, 2));
            let (a, b) = (Rows::new(&a, m, k, k + 3), Rows::new(&b, k, n, n));
            let (left, right) = rounded_to_bytes(a, b);
            let expected = reference_matmul(Rows::new(&left, m, k, k), Rows::new(&right, k, n, n), &vec![0.0; m * n]);
            let mut first = None;
            for isa in InstructionSet::available() {
                let mut c = vec![9.0; m * n];
                on_rung(isa, Precision::Int8, 2, a, b, &mut c, false);
                assert_close(&c, &expected, 1e-5, &format!("{} ({m},{k},{n})", isa.name()));
                assert_eq!(&c, first.get_or_insert_with(|| c.clone()), "{} ({m},{k},{n})", isa.name());
            }
        }
        for isa in InstructionSet::available() {
            println!("matmul: {} checked in int8", isa.name());
        }
    }

    /// Zeros, rows of one value, and the largest sums that bytes can have.
    #[test]
    fn extremes_of_bytes() {
        for isa in InstructionSet::available() {
            let a = [vec![0.0; 3000], vec![5.0; 3000], vec![-2.0; 3000]].concat();
            let b = [vec![0.0; 3000], vec![1.0; 3000], vec![-7.0; 3000]].concat();
            let context = Context::new(1);
            let form = Form::new(isa, Precision::Int8);
            let packed = PackedMatrix::packed(&context, form, Rows::new(&b, 3, 3000, 3000), true);
            let mut c = vec![9.0; 9];
            product(&context, &Left::Rows(Rows::new(&a, 3, 3000, 3000)), &packed, &mut c, false, &Finish::NONE);
            let expected = [0.0, 0.0, 0.0, 0.0, 15_000.0, -105_000.0, 0.0, -6000.0, 42_000.0];
            assert_close(&c, &expected, 1e-4, isa.name());
        }
    }

    #[test]
    fn a_number_that_is_none_stays_in_its_row() {
        for isa in InstructionSet::available() {
            for precision in PRECISIONS {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut a = noise(2 * 40, 1);
                    let b = noise(40 * 20, 2);
                    let mut expected = vec![0.0; 40];
                    on_rung(
                        isa,
                        precision,
                        1,
                        Rows::new(&a, 2, 40, 40),
                        Rows::new(&b, 40, 20, 20),
                        &mut expected,
                        false,
                    );
                    a[3] = bad;
                    let mut c = vec![0.0; 40];
                    on_rung(isa, precision, 1, Rows::new(&a, 2, 40, 40), Rows::new(&b, 40, 20, 20), &mut c, false);
                    assert!(c[..20].iter().all(|c| !c.is_finite()), "{} {}", isa.name(), precision.name());
                    assert_eq!(c[20..], expected[20..]);
                }
            }
        }
    }

    #[test]
    fn every_form_of_the_product_is_the_same_product() {
        let context = Context::new(2);
        let (m, k, n) = (29, 70, 45);
        let (a, b, bias) = (noise(m * k, 4), noise(k * n, 5), noise(n, 6));
        let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
        let b_transposed = transposed(b);
        let b_transposed = Rows::new(&b_transposed, n, k, k);
        let a_transposed = transposed(a);
        for precision in PRECISIONS {
            let mut expected = vec![0.0; m * n];
            matmul(&context, precision, a, b, &mut expected, false);
            let mut c = vec![9.0; m * n];
            let mut packed = PackedMatrix::pack(&context, precision, b);
            linear(&context, a, &packed, None, Epilogue::None, &mut c);
            assert_eq!(c, expected);
            packed.repack_transposed(&context, b_transposed);
            linear(&context, a, &packed, Some(&bias), Epilogue::None, &mut c);
            let packed = PackedMatrix::pack_transposed_expanded(&context, precision, b_transposed);
            let mut again = vec![9.0; m * n];
            linear(&context, a, &packed, Some(&bias), Epilogue::None, &mut again);
            assert_eq!(c, again);
            let biased: Vec<f32> = expected.iter().enumerate().map(|(i, value)| value + bias[i % n]).collect();
            assert_eq!(c, biased);
            let x = noise(m * n, 7);
            linear(&context, a, &packed, Some(&bias), Epilogue::Add(&x), &mut c);
            assert_eq!(c, biased.iter().zip(&x).map(|(c, x)| c + x).collect::<Vec<_>>());
            linear(&context, a, &packed, Some(&bias), Epilogue::Activation(crate::Activation::Gelu), &mut c);
            let mut gelu = vec![0.0; m * n];
            crate::Activation::Gelu.forward(&context, &biased, &mut gelu);
            assert_eq!(c, gelu);
            if precision == Precision::Int8 {
                continue;
            }
            c.fill(0.0);
            matmul_weight_gradient(&context, precision, Rows::new(&a_transposed, k, m, m), b, &mut c);
            assert_eq!(c, expected);
        }
        let mut expected = vec![0.0; m * n];
        matmul(&context, Precision::F32, a, b, &mut expected, false);
        let mut c = vec![9.0; m * n];
        matmul_transposed(&context, a, b_transposed, &mut c, false);
        assert_eq!(c, expected);
    }

    #[test]
    fn weight_gradients_agree_on_every_instruction_set() {
        for isa in InstructionSet::available() {
            for (t, m, n) in [(0, 3, 4), (1, 1, 1), (19, 13, 33), (64, 50, 70), (801, 25, 40)] {
                let (a, b, start) = (noise(t * m, 1), noise(t * n, 2), noise(m * n, 3));
                for precision in [Precision::F32, Precision::Bf16] {
                    let on = |isa: InstructionSet| {
                        let (a, b, mut c) = (Rows::new(&a, t, m, m), Rows::new(&b, t, n, n), start.clone());
                        matmul_weight_gradient(&Context::with_instruction_set(2, isa), precision, a, b, &mut c);
                        c
                    };
                    let c = on(isa);
                    assert_eq!(c, on(same_bits_as(isa, precision)), "{} {}", isa.name(), precision.name());
                    let (a, b) =
                        if precision == Precision::F32 { (a.clone(), b.clone()) } else { (rounded(&a), rounded(&b)) };
                    let a_transposed = transposed(Rows::new(&a, t, m, m));
                    let expected = reference_matmul(Rows::new(&a_transposed, m, t, t), Rows::new(&b, t, n, n), &start);
                    assert_close(&c, &expected, 2e-5, &format!("{} {}", isa.name(), precision.name()));
                }
            }
            println!("weight gradients: {} checked in f32 and bf16", isa.name());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// No bit depends on other rows, on threads, or on where a sum over tokens is cut.
        #[test]
        fn results_are_the_same_bits_in_any_company(m in 1usize..120, k in 0usize..80, n in 1usize..80, threads in 1usize..4, cut in 0usize..40) {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
            for (isa, precision) in InstructionSet::available().into_iter().flat_map(|isa| PRECISIONS.map(|precision| (isa, precision))) {
                let mut whole = vec![0.0; m * n];
                on_rung(isa, precision, threads, a, b, &mut whole, false);
                let mut last = vec![0.0; n];
                on_rung(isa, precision, 1, a.range(m - 1..m), b, &mut last, false);
                prop_assert_eq!(&whole[(m - 1) * n..], &last[..]);
            }
            let (t, cut) = (k, (2 * cut).min(k));
            let left = noise(t * m, 7);
            let left = Rows::new(&left, t, m, m);
            for precision in [Precision::F32, Precision::Bf16] {
                let mut whole = noise(m * n, 8);
                let mut parts = whole.clone();
                matmul_weight_gradient(&Context::new(threads), precision, left, b, &mut whole);
                matmul_weight_gradient(&Context::new(1), precision, left.range(0..cut), b.range(0..cut), &mut parts);
                matmul_weight_gradient(&Context::new(1), precision, left.range(cut..t), b.range(cut..t), &mut parts);
                prop_assert_eq!(whole, parts);
            }
        }
    }
}
