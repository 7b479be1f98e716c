//! Attention of each sequence and head by itself: attended = softmax(scale · Q Kᵀ) V, bidirectional, softmax in f32.
//! One task is one head of one sequence, so that no result depends on its batch-mates; the scores of some rows exist at a time.
//! Backward computes the probabilities again from log Σ exp. Letters: `l` tokens of the sequence, `d` head_dim, both rounded up
//! to whole panels of the innermost loop where they are a stride.

use crate::dispatch::{Isa, isa, on_every_rung};
use crate::dropout::Dropout;
use crate::lanes::{LANES, exp, max, sum, total};
use crate::matmul::{Order, Panels, SmallProduct, Strided};
use crate::parallel::{Context, Disjoint};
use std::cell::RefCell;

/// Scores that exist at a time, so that they stay in the second cache.
const SCORES: usize = 16 << 10;

/// Query rows that are worked on together: as many as have so few scores, a multiple of every tile's height. The cut changes no
/// bit.
fn rows_together(length: usize, l: usize) -> usize {
    let rows = (SCORES / l.max(1)).clamp(24, 240) / 12 * 12;
    rows.min(length)
}

/// What attention runs over, forward and backward.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Where each sequence begins, and behind the last where it ends.
    pub offsets: &'a [usize],
    /// Heads side by side.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Applies to the probabilities: row = token · heads + head, column = key.
    pub dropout: Option<Dropout>,
}

/// Fills `attended` and `log_sum_exp`. `qkv` is `(tokens, 3, heads, head_dim)`, `attended` `(tokens, heads, head_dim)`,
/// `log_sum_exp` `(tokens, heads)`.
pub fn attention(context: &Context, of: Attention<'_>, qkv: &[f32], attended: &mut [f32], log_sum_exp: &mut [f32]) {
    forward_on(isa(), context, of, qkv, attended, log_sum_exp);
}

fn forward_on(
    isa: Isa,
    context: &Context,
    of: Attention<'_>,
    qkv: &[f32],
    attended: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    let Attention { heads, head_dim, scale, dropout, .. } = of;
    let (tokens, width) = of.tokens_and_width();
    assert_eq!((qkv.len(), attended.len()), (tokens * 3 * width, tokens * width), "{tokens} tokens of {width}");
    assert_eq!(log_sum_exp.len(), tokens * heads, "{tokens} tokens, {heads} heads");
    let product = SmallProduct::new(isa);
    let panel = product.columns();
    let (attended, log_sum_exp) = (Disjoint::new(attended), Disjoint::new(log_sum_exp));
    context.run(of.tasks(), |task| {
        let head = Head::new(of, qkv, task);
        let length = head.length;
        let Sizes { l, d, block, dropped } = head.sizes(panel, dropout);
        let sizes = [head_dim * l, length * d, block * l, dropped, block * d, block, block];
        with_scratch(sizes, |[keys, values, scores, factors, contexts, lse, inverse]| {
            head.transpose(1, scale, panel, keys);
            rows_to_panels(head.rows(2, 0), length, head_dim, panel, values);
            for first in (0..length).step_by(block.max(1)) {
                let rows = block.min(length - first);
                let scores = &mut scores[..rows * l];
                let keys = Panels { values: keys, steps: head_dim };
                product.multiply(head.rows(0, first), keys, scores, rows, false);
                let factors = dropout.map(|dropout| {
                    fill_factors(dropout, &head, first, factors, l);
                    &*factors
                });
                softmax(isa, length, factors, scores, &mut lse[..rows], &mut inverse[..rows]);
                let (scores, values) =
                    (Strided { values: scores, order: Order::Rows(l) }, Panels { values, steps: length });
                product.multiply(scores, values, &mut contexts[..rows * d], rows, false);
                for (row, inverse) in inverse[..rows].iter().enumerate() {
                    let token = head.first + first + row;
                    let (start, place) = (token * width + head.head * head_dim, token * heads + head.head);
                    // SAFETY: this token of this head belongs to this task alone.
                    let (out, into) =
                        unsafe { (attended.slice(start..start + head_dim), log_sum_exp.slice(place..place + 1)) };
                    for (out, sum) in out.iter_mut().zip(&contexts[row * d..]) {
                        *out = sum * inverse;
                    }
                    into[0] = lse[row];
                }
            }
        });
    });
}

/// Fills `d_qkv`, given what [`attention`] took and gave and the gradient of its attended.
pub fn attention_backward(
    context: &Context,
    of: Attention<'_>,
    qkv: &[f32],
    attended: &[f32],
    log_sum_exp: &[f32],
    d_attended: &[f32],
    d_qkv: &mut [f32],
) {
    backward_on(isa(), context, of, qkv, attended, log_sum_exp, d_attended, d_qkv);
}

#[expect(clippy::too_many_arguments, reason = "those of attention_backward, and the rung")]
fn backward_on(
    isa: Isa,
    context: &Context,
    of: Attention<'_>,
    qkv: &[f32],
    attended: &[f32],
    log_sum_exp: &[f32],
    d_attended: &[f32],
    d_qkv: &mut [f32],
) {
    let Attention { heads, head_dim, scale, dropout, .. } = of;
    let (tokens, width) = of.tokens_and_width();
    assert_eq!((qkv.len(), d_qkv.len()), (tokens * 3 * width, tokens * 3 * width), "{tokens} tokens of {width}");
    assert_eq!((attended.len(), d_attended.len()), (tokens * width, tokens * width), "{tokens} tokens of {width}");
    let product = SmallProduct::new(isa);
    let panel = product.columns();
    let d_qkv = Disjoint::new(d_qkv);
    context.run(of.tasks(), |task| {
        let head = Head::new(of, qkv, task);
        let length = head.length;
        let Sizes { l, d, block, dropped } = head.sizes(panel, dropout);
        let (columns, rows, few) = (head_dim * l, length * d, block * d);
        let sizes = [columns, columns, rows, rows, rows, block * l, block * l, dropped, few, few, few, block, block];
        with_scratch(sizes, |scratch| {
            let [keys, values, key_rows, d_keys, d_values, probabilities, d_scores, factors, rest @ ..] = scratch;
            let [queries, d_outs, d_queries, lse, along] = rest;
            head.transpose(1, scale, panel, keys);
            head.transpose(2, 1.0, panel, values);
            rows_to_panels(head.rows(1, 0), length, head_dim, panel, key_rows);
            for first in (0..length).step_by(block.max(1)) {
                let rows = block.min(length - first);
                let (probabilities, d_scores) = (&mut probabilities[..rows * l], &mut d_scores[..rows * l]);
                let place = (head.first + first) * width + head.head * head_dim;
                let d_out = Strided { values: &d_attended[place..], order: Order::Rows(width) };
                for row in 0..rows {
                    let token = head.first + first + row;
                    let start = token * width + head.head * head_dim;
                    let (out, d_out) = (&attended[start..start + head_dim], &d_attended[start..start + head_dim]);
                    lse[row] = log_sum_exp[token * heads + head.head];
                    // Σ p · d_p is the same as attended · d_attended.
                    along[row] = sum(head_dim, |c| out[c] * d_out[c]);
                }
                let factors = dropout.map(|dropout| {
                    fill_factors(dropout, &head, first, factors, l);
                    &*factors
                });
                let columns = |values| Panels { values, steps: head_dim };
                product.multiply(head.rows(0, first), columns(keys), probabilities, rows, false);
                product.multiply(d_out, columns(values), d_scores, rows, false);
                softmax_backward(isa, scale, factors, &lse[..rows], &along[..rows], probabilities, d_scores);

                // Sums over query rows go on from block to block.
                rows_to_panels(d_out, rows, head_dim, panel, d_outs);
                rows_to_panels(head.rows(0, first), rows, head_dim, panel, queries);
                let (rows_of, goes_on) = (|values| Panels { values, steps: rows }, first > 0);
                let transposed = |values| Strided { values, order: Order::Steps(l) };
                product.multiply(transposed(probabilities), rows_of(d_outs), d_values, length, goes_on);
                product.multiply(transposed(d_scores), rows_of(queries), d_keys, length, goes_on);

                let d_scores = Strided { values: d_scores, order: Order::Rows(l) };
                let key_rows = Panels { values: key_rows, steps: length };
                product.multiply(d_scores, key_rows, &mut d_queries[..rows * d], rows, false);
                for row in 0..rows {
                    let start = head.place(0, first + row);
                    // SAFETY: the query of this token and head belongs to this task alone.
                    let into = unsafe { d_qkv.slice(start..start + head_dim) };
                    into.copy_from_slice(&d_queries[row * d..row * d + head_dim]);
                }
            }
            for row in 0..length {
                for (part, gradients) in [(1, &*d_keys), (2, &*d_values)] {
                    let start = head.place(part, row);
                    // SAFETY: key and value of this token and head belong to this task alone.
                    let into = unsafe { d_qkv.slice(start..start + head_dim) };
                    into.copy_from_slice(&gradients[row * d..row * d + head_dim]);
                }
            }
        });
    });
}

/// Dropout's factors of the rows from `first` on, as many as `into` has and the sequence, `(rows, l)`.
fn fill_factors(dropout: Dropout, head: &Head<'_>, first: usize, into: &mut [f32], l: usize) {
    for (row, into) in into.chunks_exact_mut(l).enumerate().take(head.length - first) {
        let token = head.first + first + row;
        dropout.factors((token * head.heads + head.head) as u64, &mut into[..head.length]);
    }
}

/// One head of one sequence.
struct Head<'a> {
    qkv: &'a [f32],
    first: usize,
    length: usize,
    heads: usize,
    head_dim: usize,
    head: usize,
}

/// What a task's buffers are as large as.
struct Sizes {
    l: usize,
    d: usize,
    /// Query rows that are worked on together.
    block: usize,
    /// Dropout's factors of so many rows, if there is dropout.
    dropped: usize,
}

impl Attention<'_> {
    fn tokens_and_width(&self) -> (usize, usize) {
        (*self.offsets.last().expect("offsets begin with 0"), self.heads * self.head_dim)
    }

    fn tasks(&self) -> usize {
        (self.offsets.len() - 1) * self.heads
    }
}

impl<'a> Head<'a> {
    fn new(of: Attention<'_>, qkv: &'a [f32], task: usize) -> Self {
        let Attention { offsets, heads, head_dim, .. } = of;
        let (sequence, head) = (task / heads, task % heads);
        let first = offsets[sequence];
        Self { qkv, first, length: offsets[sequence + 1] - first, heads, head_dim, head }
    }

    fn sizes(&self, panel: usize, dropout: Option<Dropout>) -> Sizes {
        let (l, d) = (self.length.next_multiple_of(panel), self.head_dim.next_multiple_of(panel));
        let block = rows_together(self.length, l);
        Sizes { l, d, block, dropped: if dropout.is_some() { block * l } else { 0 } }
    }

    /// Where query (0), key (1) or value (2) of a row begins.
    fn place(&self, part: usize, row: usize) -> usize {
        ((self.first + row) * 3 + part) * self.heads * self.head_dim + self.head * self.head_dim
    }

    /// Queries, keys or values of the rows from `row` on, where they lie.
    fn rows(&self, part: usize, row: usize) -> Strided<'a> {
        let values = &self.qkv[self.place(part, row).min(self.qkv.len())..];
        Strided { values, order: Order::Rows(3 * self.heads * self.head_dim) }
    }

    /// Keys or values times `factor` as the columns of panels, zeros behind the last: `[panel][d][column]`.
    fn transpose(&self, part: usize, factor: f32, panel: usize, into: &mut [f32]) {
        let size = self.head_dim * panel;
        if !self.length.is_multiple_of(panel) {
            let last = self.length / panel * size;
            into[last..].fill(0.0);
        }
        for row in 0..self.length {
            let start = self.place(part, row);
            let into = &mut into[row / panel * size + row % panel..];
            for (value, into) in self.qkv[start..start + self.head_dim].iter().zip(into.iter_mut().step_by(panel)) {
                *into = value * factor;
            }
        }
    }
}

/// `length` rows of `columns` values as the steps of panels, zeros behind the last column: `[panel][row][column]`.
fn rows_to_panels(rows: Strided<'_>, length: usize, columns: usize, panel: usize, into: &mut [f32]) {
    let (row_step, _) = rows.order.distances();
    for (number, start) in (0..columns).step_by(panel).enumerate() {
        let width = panel.min(columns - start);
        let into = &mut into[number * length * panel..][..length * panel];
        for (row, into) in into.chunks_exact_mut(panel).enumerate() {
            let (values, behind) = into.split_at_mut(width);
            values.copy_from_slice(&rows.values[row * row_step + start..][..width]);
            behind.fill(0.0);
        }
    }
}

on_every_rung! {
    /// e^(score − the row's largest), times dropout's factor, for the first `length` scores of each row; what the others become
    /// is not read. With them, for each row, log Σ exp and 1 / Σ exp.
    fn softmax(
        length: usize,
        factors: Option<&[f32]>,
        scores: &mut [f32],
        log_sum_exp: &mut [f32],
        inverse: &mut [f32],
    ) {
        let l = scores.len() / log_sum_exp.len();
        for (row, scores) in scores.chunks_exact_mut(l).enumerate() {
            scores[length..].fill(f32::NEG_INFINITY);
            let largest = max(scores);
            let mut sums = [0.0; LANES];
            for scores in scores.as_chunks_mut::<LANES>().0 {
                for (score, sum) in scores.iter_mut().zip(&mut sums) {
                    *score = exp(*score - largest);
                    *sum += *score;
                }
            }
            let total = total(sums);
            (log_sum_exp[row], inverse[row]) = (largest + libm::logf(total), 1.0 / total);
            if let Some(factors) = factors {
                for (score, factor) in scores.iter_mut().zip(&factors[row * l..]) {
                    *score *= factor;
                }
            }
        }
    }
}

on_every_rung! {
    /// Scores in `probabilities` become the probabilities as they were used, and gradients of those in `d_scores` become the
    /// gradients of the scores before they were scaled.
    fn softmax_backward(
        scale: f32,
        factors: Option<&[f32]>,
        log_sum_exp: &[f32],
        along: &[f32],
        probabilities: &mut [f32],
        d_scores: &mut [f32],
    ) {
        let l = probabilities.len() / log_sum_exp.len();
        let rows = probabilities.chunks_exact_mut(l).zip(d_scores.chunks_exact_mut(l));
        for (row, (probabilities, d_scores)) in rows.enumerate() {
            let (log_sum_exp, along) = (log_sum_exp[row], along[row]);
            match factors {
                None => {
                    for (p, d) in probabilities.iter_mut().zip(d_scores) {
                        *p = exp(*p - log_sum_exp);
                        *d = *p * (*d - along) * scale;
                    }
                }
                Some(factors) => {
                    for ((p, d), factor) in probabilities.iter_mut().zip(d_scores).zip(&factors[row * l..]) {
                        let before = exp(*p - log_sum_exp);
                        *d = before * (*d * factor - along) * scale;
                        *p = before * factor;
                    }
                }
            }
        }
    }
}

thread_local! {
    /// Memory for one head, kept from task to task.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Buffers of these sizes; what they hold is to be overwritten.
fn with_scratch<const N: usize, R>(sizes: [usize; N], f: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    let mut scratch = SCRATCH.take();
    let needed = sizes.iter().sum();
    if scratch.len() < needed {
        scratch.resize(needed, 0.0);
    }
    let mut rest = &mut scratch[..];
    let parts = sizes.map(|size| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(size);
        rest = others;
        part
    });
    let result = f(parts);
    SCRATCH.replace(scratch);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Isa;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    const HEADS: usize = 2;
    const DIM: usize = 5;
    const SCALE: f32 = 0.4;

    fn of(offsets: &[usize], dropout: Option<Dropout>) -> Attention<'_> {
        Attention { offsets, heads: HEADS, head_dim: DIM, scale: SCALE, dropout }
    }

    fn factors(dropout: Option<Dropout>, row: usize, length: usize) -> Vec<f32> {
        let mut factors = vec![1.0; length];
        if let Some(dropout) = dropout {
            dropout.factors(row as u64, &mut factors);
        }
        factors
    }

    fn reference_attention(qkv: &[f64], offsets: &[usize], dropout: Option<Dropout>) -> Vec<f64> {
        let width = HEADS * DIM;
        let at = |token: usize, part: usize, head: usize, j: usize| qkv[(token * 3 + part) * width + head * DIM + j];
        let mut attended = vec![0.0; offsets[offsets.len() - 1] * width];
        for pair in offsets.windows(2) {
            for head in 0..HEADS {
                for i in pair[0]..pair[1] {
                    let score = |k: usize| (0..DIM).map(|j| at(i, 0, head, j) * at(k, 1, head, j)).sum::<f64>();
                    let weights: Vec<f64> = (pair[0]..pair[1]).map(|k| (f64::from(SCALE) * score(k)).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    let factors = factors(dropout, i * HEADS + head, weights.len());
                    for (k, weight) in weights.iter().enumerate() {
                        for j in 0..DIM {
                            let v = at(pair[0] + k, 2, head, j);
                            attended[i * width + head * DIM + j] += weight / total * f64::from(factors[k]) * v;
                        }
                    }
                }
            }
        }
        attended
    }

    fn forward(context: &Context, qkv: &[f32], offsets: &[usize], dropout: Option<Dropout>) -> (Vec<f32>, Vec<f32>) {
        let tokens = offsets[offsets.len() - 1];
        let (mut attended, mut lse) = (vec![0.0; tokens * HEADS * DIM], vec![0.0; tokens * HEADS]);
        attention(context, of(offsets, dropout), qkv, &mut attended, &mut lse);
        (attended, lse)
    }

    #[test]
    fn context_and_gradient_agree_with_the_formula_with_and_without_dropout() {
        let offsets = [0, 1, 8, 27];
        let qkv = noise(27 * 3 * HEADS * DIM, 1);
        let d_attended = noise(27 * HEADS * DIM, 2);
        let on = Dropout { probability: 0.3, seed: 1, pass: 2, place: 3, first_row: 0 };
        for dropout in [None, Some(on)] {
            let context = Context::new(2);
            let (attended, lse) = forward(&context, &qkv, &offsets, dropout);
            assert_close(&attended, &reference_attention(&wide(&qkv), &offsets, dropout), 1e-5, "attended");
            let mut d_qkv = vec![9.0; qkv.len()];
            attention_backward(&context, of(&offsets, dropout), &qkv, &attended, &lse, &d_attended, &mut d_qkv);
            let value = |qkv: &[f64]| -> f64 {
                let attended = reference_attention(qkv, &offsets, dropout);
                attended.iter().zip(&d_attended).map(|(c, d)| c * f64::from(*d)).sum()
            };
            assert_close(&d_qkv, &finite_differences(&wide(&qkv), value), 2e-5, "d_qkv");
        }
    }

    #[test]
    fn a_sequence_is_the_same_bits_alone_and_among_others() {
        let offsets = [0, 3, 40, 41];
        let qkv = noise(41 * 3 * HEADS * DIM, 5);
        let (together, _) = forward(&Context::new(3), &qkv, &offsets, None);
        let (row, width) = (3 * HEADS * DIM, HEADS * DIM);
        let (alone, _) = forward(&Context::new(1), &qkv[3 * row..40 * row], &[0, 37], None);
        assert_eq!(together[3 * width..40 * width], alone);
    }

    /// Large scores do not overflow, and equal values come out as they went in.
    #[test]
    fn extremes() {
        let mut qkv = vec![60.0; 9 * 3 * HEADS * DIM];
        qkv.iter_mut().skip(7).step_by(11).for_each(|x| *x = -60.0);
        for (token, chunk) in qkv.chunks_mut(3 * HEADS * DIM).enumerate() {
            chunk[2 * HEADS * DIM..].fill(0.5);
            assert!(token < 9);
        }
        let (attended, lse) = forward(&Context::new(1), &qkv, &[0, 9], None);
        assert!(attended.iter().all(|c| (c - 0.5).abs() < 1e-5), "{attended:?}");
        assert!(lse.iter().all(|x| x.is_finite()));
    }

    /// Sequences of one row, of many blocks, and of lengths beside a panel's, heads narrower and wider than a panel.
    #[test]
    fn every_rung_gives_the_same_bits_in_any_company() {
        let offsets = [0, 1, 16, 33, 33, 163, 1200];
        let tokens = offsets[offsets.len() - 1];
        for (heads, head_dim) in [(1, 64), (2, 24)] {
            let width = heads * head_dim;
            let (qkv, d_attended) = (noise(tokens * 3 * width, 6), noise(tokens * width, 7));
            let dropout = Some(Dropout { probability: 0.1, seed: 3, pass: 4, place: 5, first_row: 0 });
            let run = |isa: Isa, threads: usize| {
                let context = Context::new(threads);
                let (mut attended, mut lse) = (vec![9.0; tokens * width], vec![9.0; tokens * heads]);
                let of = Attention { heads, head_dim, ..of(&offsets, dropout) };
                forward_on(isa, &context, of, &qkv, &mut attended, &mut lse);
                let mut d_qkv = vec![9.0; qkv.len()];
                backward_on(isa, &context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv);
                (attended, lse, d_qkv)
            };
            let expected = run(Isa::ladder()[0], 1);
            for isa in Isa::ladder() {
                let got = run(isa, 1);
                assert_eq!(got, run(isa, 3), "{}", isa.name());
                assert!(got == expected, "{}: not the bits of {}", isa.name(), Isa::ladder()[0].name());
                println!("attention: {} checked", isa.name());
            }
        }
    }
}
