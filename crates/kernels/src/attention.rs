//! Attention of each sequence and head by itself: context = softmax(scale · Q Kᵀ) V, bidirectional, softmax in f32.
//! One task is one head of one sequence, so that no result depends on its batch-mates; four rows of scores exist at a time.
//! Backward computes the probabilities again from log Σ exp. Letters: `l` tokens of the sequence, `d` head_dim, both rounded up
//! to whole blocks of 16 where they are a stride, with zeros behind.

use crate::dispatch::{isa, on_every_rung};
use crate::dropout::Dropout;
use crate::lanes::{exp, max, sum};
use crate::parallel::{Disjoint, Pool};
use std::cell::RefCell;

/// Query rows that are worked on together.
const ROWS: usize = 4;
/// Columns that are summed together.
const COLUMNS: usize = 16;

/// Fills `context` and `log_sum_exp`. `qkv` is `(tokens, 3, heads, head_dim)`, `context` `(tokens, heads, head_dim)`,
/// `log_sum_exp` `(tokens, heads)`. Dropout applies to the probabilities: row = token · heads + head, column = key.
#[expect(clippy::too_many_arguments, reason = "forward and backward share their order of arguments")]
pub fn attention(
    pool: &Pool,
    qkv: &[f32],
    offsets: &[usize],
    heads: usize,
    head_dim: usize,
    scale: f32,
    dropout: Option<Dropout>,
    context: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    let tokens = *offsets.last().expect("offsets begin with 0");
    let width = heads * head_dim;
    assert_eq!((qkv.len(), context.len()), (tokens * 3 * width, tokens * width), "{tokens} tokens of {width}");
    assert_eq!(log_sum_exp.len(), tokens * heads, "{tokens} tokens, {heads} heads");
    let isa = isa();
    let (context, log_sum_exp) = (Disjoint::new(context), Disjoint::new(log_sum_exp));
    pool.run((offsets.len() - 1) * heads, |task| {
        let head = Head::new(qkv, offsets, heads, head_dim, task);
        let (l, d) = (head.length.next_multiple_of(COLUMNS), head_dim.next_multiple_of(COLUMNS));
        let sizes = [d * l, l * d, ROWS * l, ROWS * l, ROWS * d, ROWS * d];
        with_scratch(sizes, |[keys, values, scores, factors, queries, contexts]| {
            head.transpose(1, keys, l);
            head.gather(2, values, d);
            factors.fill(0.0);
            let mut factors = dropout.map(|_| factors);
            for first in (0..head.length).step_by(ROWS) {
                let rows = ROWS.min(head.length - first);
                head.gather_rows(0, first, rows, queries, d);
                fill_factors(dropout, &head, first, rows, factors.as_deref_mut(), l);
                let lse =
                    forward_rows(isa, head.length, scale, keys, values, queries, factors.as_deref(), scores, contexts);
                for row in 0..rows {
                    let token = head.first + first + row;
                    let (start, place) = (token * width + head.head * head_dim, token * heads + head.head);
                    // SAFETY: this token of this head belongs to this task alone.
                    let (out, into) =
                        unsafe { (context.slice(start..start + head_dim), log_sum_exp.slice(place..place + 1)) };
                    out.copy_from_slice(&contexts[row * d..row * d + head_dim]);
                    into[0] = lse[row];
                }
            }
        });
    });
}

/// Fills `d_qkv`, given what [`attention`] took and gave and the gradient of its context.
#[expect(clippy::too_many_arguments, reason = "forward and backward share their order of arguments")]
pub fn attention_backward(
    pool: &Pool,
    qkv: &[f32],
    offsets: &[usize],
    heads: usize,
    head_dim: usize,
    scale: f32,
    dropout: Option<Dropout>,
    context: &[f32],
    log_sum_exp: &[f32],
    d_context: &[f32],
    d_qkv: &mut [f32],
) {
    let tokens = *offsets.last().expect("offsets begin with 0");
    let width = heads * head_dim;
    assert_eq!((qkv.len(), d_qkv.len()), (tokens * 3 * width, tokens * 3 * width), "{tokens} tokens of {width}");
    assert_eq!((context.len(), d_context.len()), (tokens * width, tokens * width), "{tokens} tokens of {width}");
    let isa = isa();
    let d_qkv = Disjoint::new(d_qkv);
    pool.run((offsets.len() - 1) * heads, |task| {
        let head = Head::new(qkv, offsets, heads, head_dim, task);
        let (l, d) = (head.length.next_multiple_of(COLUMNS), head_dim.next_multiple_of(COLUMNS));
        let sizes = [d * l, d * l, l * d, l * d, l * d, ROWS * l, ROWS * l, ROWS * l, ROWS * d, ROWS * d, ROWS * d];
        with_scratch(sizes, |scratch| {
            let [keys, values, key_rows, d_keys, d_values, probabilities, d_scores, factors, rest @ ..] = scratch;
            let [queries, d_outs, d_queries] = rest;
            head.transpose(1, keys, l);
            head.transpose(2, values, l);
            head.gather(1, key_rows, d);
            d_keys.fill(0.0);
            d_values.fill(0.0);
            factors.fill(0.0);
            let mut factors = dropout.map(|_| factors);
            for first in (0..head.length).step_by(ROWS) {
                let rows = ROWS.min(head.length - first);
                head.gather_rows(0, first, rows, queries, d);
                fill_factors(dropout, &head, first, rows, factors.as_deref_mut(), l);
                d_outs.fill(0.0);
                // Rows behind the last one have no probabilities: e^(score − ∞).
                let (mut lse, mut along) = ([f32::INFINITY; ROWS], [0.0; ROWS]);
                for row in 0..rows {
                    let token = head.first + first + row;
                    let start = token * width + head.head * head_dim;
                    let (out, d_out) = (&context[start..start + head_dim], &d_context[start..start + head_dim]);
                    d_outs[row * d..row * d + head_dim].copy_from_slice(d_out);
                    lse[row] = log_sum_exp[token * heads + head.head];
                    // Σ p · d_p is the same as context · d_context.
                    along[row] = sum(head_dim, |c| out[c] * d_out[c]);
                }
                let work = RowsWork {
                    length: head.length,
                    scale,
                    log_sum_exp: lse,
                    along,
                    keys,
                    values,
                    key_rows,
                    queries,
                    d_outs,
                    factors: factors.as_deref(),
                };
                backward_rows(isa, work, probabilities, d_scores, d_keys, d_values, d_queries);
                for row in 0..rows {
                    let start = head.place(0, first + row);
                    // SAFETY: the query of this token and head belongs to this task alone.
                    let into = unsafe { d_qkv.slice(start..start + head_dim) };
                    into.copy_from_slice(&d_queries[row * d..row * d + head_dim]);
                }
            }
            for row in 0..head.length {
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

/// Dropout's factors of some rows, `(ROWS, l)`.
fn fill_factors(
    dropout: Option<Dropout>,
    head: &Head<'_>,
    first: usize,
    rows: usize,
    into: Option<&mut [f32]>,
    l: usize,
) {
    if let (Some(dropout), Some(into)) = (dropout, into) {
        for row in 0..rows {
            let token = head.first + first + row;
            dropout.factors((token * head.heads + head.head) as u64, &mut into[row * l..row * l + head.length]);
        }
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

impl<'a> Head<'a> {
    fn new(qkv: &'a [f32], offsets: &[usize], heads: usize, head_dim: usize, task: usize) -> Self {
        let (sequence, head) = (task / heads, task % heads);
        let first = offsets[sequence];
        Self { qkv, first, length: offsets[sequence + 1] - first, heads, head_dim, head }
    }

    /// Where query (0), key (1) or value (2) of a row begins.
    fn place(&self, part: usize, row: usize) -> usize {
        ((self.first + row) * 3 + part) * self.heads * self.head_dim + self.head * self.head_dim
    }

    fn part(&self, part: usize, row: usize) -> &[f32] {
        &self.qkv[self.place(part, row)..self.place(part, row) + self.head_dim]
    }

    /// Keys or values with columns as rows, `(d, l)`, so that sums over `d` run beside each other for all tokens.
    fn transpose(&self, part: usize, into: &mut [f32], l: usize) {
        into.fill(0.0);
        for start in (0..self.length).step_by(COLUMNS) {
            for row in start..self.length.min(start + COLUMNS) {
                for (j, value) in self.part(part, row).iter().enumerate() {
                    into[j * l + row] = *value;
                }
            }
        }
    }

    /// Keys or values as rows, `(l, d)`.
    fn gather(&self, part: usize, into: &mut [f32], d: usize) {
        for row in 0..self.length {
            into[row * d..row * d + self.head_dim].copy_from_slice(self.part(part, row));
            into[row * d + self.head_dim..(row + 1) * d].fill(0.0);
        }
    }

    /// Some rows, and zeros for those that there are not. `(ROWS, d)`
    fn gather_rows(&self, part: usize, first: usize, rows: usize, into: &mut [f32], d: usize) {
        into.fill(0.0);
        for row in 0..rows {
            into[row * d..row * d + self.head_dim].copy_from_slice(self.part(part, first + row));
        }
    }
}

/// products[r][j] = Σ factor · a[r][c] · columns[c][j], with `a` `(ROWS, d)`, `columns` `(d, l)`.
#[inline(always)]
fn multiply(a: &[f32], factor: f32, columns: &[f32], products: &mut [f32]) {
    let (d, l) = (a.len() / ROWS, products.len() / ROWS);
    for start in (0..l).step_by(COLUMNS) {
        let mut sums = [[0.0f32; COLUMNS]; ROWS];
        for c in 0..d {
            let column = block(columns, c * l + start);
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = a[r * d + c] * factor;
                for (sum, y) in sums.iter_mut().zip(column) {
                    *sum += x * y;
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            products[r * l + start..r * l + start + COLUMNS].copy_from_slice(sums);
        }
    }
}

/// out[r][c] = Σ p[r][j] · rows[j][c] over `length` rows, with `p` `(ROWS, l)`, `rows` `(l, d)`, `out` `(ROWS, d)`.
#[inline(always)]
fn combine(p: &[f32], length: usize, rows: &[f32], out: &mut [f32]) {
    let (l, d) = (p.len() / ROWS, out.len() / ROWS);
    for start in (0..d).step_by(COLUMNS) {
        let mut sums = [[0.0f32; COLUMNS]; ROWS];
        for j in 0..length {
            let row = block(rows, j * d + start);
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = p[r * l + j];
                for (sum, y) in sums.iter_mut().zip(row) {
                    *sum += x * y;
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            out[r * d + start..r * d + start + COLUMNS].copy_from_slice(sums);
        }
    }
}

/// sums[j][c] += Σ p[r][j] · a[r][c] for `length` rows, with `p` `(ROWS, l)`, `a` `(ROWS, d)`, `sums` `(l, d)`.
#[inline(always)]
fn spread(p: &[f32], a: &[f32], length: usize, sums: &mut [f32]) {
    let (l, d) = (p.len() / ROWS, a.len() / ROWS);
    for start in (0..d).step_by(COLUMNS) {
        for j in 0..length {
            let mut sum = *block(sums, j * d + start);
            for r in 0..ROWS {
                let x = p[r * l + j];
                for (sum, y) in sum.iter_mut().zip(block(a, r * d + start)) {
                    *sum += x * y;
                }
            }
            sums[j * d + start..j * d + start + COLUMNS].copy_from_slice(&sum);
        }
    }
}

#[inline(always)]
fn block(values: &[f32], start: usize) -> &[f32; COLUMNS] {
    values[start..start + COLUMNS].try_into().expect("as many as a block has")
}

on_every_rung! {
    fn forward_rows(
        length: usize,
        scale: f32,
        keys: &[f32],
        values: &[f32],
        queries: &[f32],
        factors: Option<&[f32]>,
        scores: &mut [f32],
        contexts: &mut [f32],
    ) -> [f32; ROWS] {
        multiply(queries, scale, keys, scores);
        let l = scores.len() / ROWS;
        let mut log_sum_exp = [0.0; ROWS];
        for (row, scores) in scores.chunks_exact_mut(l).enumerate() {
            scores[length..].fill(f32::NEG_INFINITY);
            let largest = max(scores);
            for score in scores.iter_mut() {
                *score = exp(*score - largest);
            }
            let total = sum(l, |j| scores[j]);
            let inverse = 1.0 / total;
            for score in scores.iter_mut() {
                *score *= inverse;
            }
            log_sum_exp[row] = largest + total.ln();
        }
        if let Some(factors) = factors {
            for (score, factor) in scores.iter_mut().zip(factors) {
                *score *= factor;
            }
        }
        combine(scores, length, values, contexts);
        log_sum_exp
    }
}

/// What backward of some rows reads. Letters as above.
struct RowsWork<'a> {
    length: usize,
    scale: f32,
    log_sum_exp: [f32; ROWS],
    /// Σ context · d_context
    along: [f32; ROWS],
    /// `(d, l)`
    keys: &'a [f32],
    /// `(d, l)`
    values: &'a [f32],
    /// `(l, d)`
    key_rows: &'a [f32],
    /// `(ROWS, d)`
    queries: &'a [f32],
    /// `(ROWS, d)`
    d_outs: &'a [f32],
    /// `(ROWS, l)`
    factors: Option<&'a [f32]>,
}

on_every_rung! {
    fn backward_rows(
        work: RowsWork<'_>,
        probabilities: &mut [f32],
        d_scores: &mut [f32],
        d_keys: &mut [f32],
        d_values: &mut [f32],
        d_queries: &mut [f32],
    ) {
        let RowsWork { length, scale, log_sum_exp, along, keys, values, key_rows, queries, d_outs, factors } = work;
        let l = probabilities.len() / ROWS;
        multiply(queries, scale, keys, probabilities);
        for (row, probabilities) in probabilities.chunks_exact_mut(l).enumerate() {
            for p in probabilities.iter_mut() {
                *p = exp(*p - log_sum_exp[row]);
            }
            probabilities[length..].fill(0.0);
        }
        // The gradient of the probabilities as they were used, then of those before dropout.
        multiply(d_outs, 1.0, values, d_scores);
        if let Some(factors) = factors {
            for (d, factor) in d_scores.iter_mut().zip(factors) {
                *d *= factor;
            }
        }
        for (row, (d_scores, probabilities)) in d_scores.chunks_exact_mut(l).zip(probabilities.chunks_exact(l)).enumerate() {
            for (d, p) in d_scores.iter_mut().zip(probabilities) {
                *d = p * (*d - along[row]) * scale;
            }
        }
        if let Some(factors) = factors {
            for (p, factor) in probabilities.iter_mut().zip(factors) {
                *p *= factor;
            }
        }
        spread(d_scores, queries, length, d_keys);
        spread(probabilities, d_outs, length, d_values);
        combine(d_scores, length, key_rows, d_queries);
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
        let mut context = vec![0.0; offsets[offsets.len() - 1] * width];
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
                            context[i * width + head * DIM + j] += weight / total * f64::from(factors[k]) * v;
                        }
                    }
                }
            }
        }
        context
    }

    fn forward(pool: &Pool, qkv: &[f32], offsets: &[usize], dropout: Option<Dropout>) -> (Vec<f32>, Vec<f32>) {
        let tokens = offsets[offsets.len() - 1];
        let (mut context, mut lse) = (vec![0.0; tokens * HEADS * DIM], vec![0.0; tokens * HEADS]);
        attention(pool, qkv, offsets, HEADS, DIM, SCALE, dropout, &mut context, &mut lse);
        (context, lse)
    }

    #[test]
    fn context_and_gradient_agree_with_the_formula_with_and_without_dropout() {
        let offsets = [0, 1, 8, 27];
        let qkv = noise(27 * 3 * HEADS * DIM, 1);
        let d_context = noise(27 * HEADS * DIM, 2);
        let on = Dropout { probability: 0.3, seed: 1, pass: 2, place: 3, first_row: 0 };
        for dropout in [None, Some(on)] {
            let pool = Pool::new(2);
            let (context, lse) = forward(&pool, &qkv, &offsets, dropout);
            assert_close(&context, &reference_attention(&wide(&qkv), &offsets, dropout), 1e-5, "context");
            let mut d_qkv = vec![9.0; qkv.len()];
            attention_backward(
                &pool, &qkv, &offsets, HEADS, DIM, SCALE, dropout, &context, &lse, &d_context, &mut d_qkv,
            );
            let value = |qkv: &[f64]| -> f64 {
                let context = reference_attention(qkv, &offsets, dropout);
                context.iter().zip(&d_context).map(|(c, d)| c * f64::from(*d)).sum()
            };
            assert_close(&d_qkv, &finite_differences(&wide(&qkv), value), 2e-5, "d_qkv");
        }
    }

    #[test]
    fn a_sequence_is_the_same_bits_alone_and_among_others() {
        let offsets = [0, 3, 40, 41];
        let qkv = noise(41 * 3 * HEADS * DIM, 5);
        let (together, _) = forward(&Pool::new(3), &qkv, &offsets, None);
        let (row, width) = (3 * HEADS * DIM, HEADS * DIM);
        let (alone, _) = forward(&Pool::new(1), &qkv[3 * row..40 * row], &[0, 37], None);
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
        let (context, lse) = forward(&Pool::new(1), &qkv, &[0, 9], None);
        assert!(context.iter().all(|c| (c - 0.5).abs() < 1e-5), "{context:?}");
        assert!(lse.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn every_rung_gives_the_same_bits() {
        let (l, d, length) = (32, 16, 27);
        let (mut keys, values) = (noise(d * l, 6), noise(l * d, 7));
        keys.chunks_mut(l).for_each(|row| row[length..].fill(0.0));
        let (queries, d_outs) = (noise(ROWS * d, 8), noise(ROWS * d, 9));
        let run = |isa: Isa| {
            let (mut scores, mut contexts) = (vec![0.0; ROWS * l], vec![0.0; ROWS * d]);
            let lse = forward_rows(isa, length, SCALE, &keys, &values, &queries, None, &mut scores, &mut contexts);
            let work = RowsWork {
                length,
                scale: SCALE,
                log_sum_exp: lse,
                along: [0.1; ROWS],
                keys: &keys,
                values: &keys,
                key_rows: &values,
                queries: &queries,
                d_outs: &d_outs,
                factors: None,
            };
            let (mut p, mut d_scores) = (vec![0.0; ROWS * l], vec![0.0; ROWS * l]);
            let (mut d_keys, mut d_values, mut d_queries) = (vec![0.0; l * d], vec![0.0; l * d], vec![0.0; ROWS * d]);
            backward_rows(isa, work, &mut p, &mut d_scores, &mut d_keys, &mut d_values, &mut d_queries);
            (lse, contexts, d_keys, d_values, d_queries)
        };
        for isa in Isa::ladder() {
            assert_eq!(run(isa), run(Isa::ladder()[0]), "{}", isa.name());
            println!("attention: {} checked", isa.name());
        }
    }
}
