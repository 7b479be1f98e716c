//! Attention of each sequence and head by itself: context = softmax(scale · Q Kᵀ) V, bidirectional, softmax in f32.
//! One task is one head of one sequence, so that no result depends on its batch-mates; only one row of scores exists at a
//! time. Backward computes the probabilities again from log Σ exp. Letters: `l` tokens of the sequence, `d` head_dim.

use crate::dispatch::{isa, on_every_rung};
use crate::dropout::Dropout;
use crate::lanes::{exp, max, sum};
use crate::parallel::{Disjoint, Pool};
use std::cell::RefCell;

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
        let head = Head {
            qkv,
            first: offsets[task / heads],
            length: length(offsets, task / heads),
            heads,
            head_dim,
            head: task % heads,
        };
        with_scratch((2 * head_dim + 3) * head.length, |scratch| {
            let (scratch, factors) = scratch.split_at_mut((2 * head_dim + 2) * head.length);
            let (keys, scores) = scratch.split_at_mut(head_dim * head.length);
            let scores = &mut scores[..head.length];
            head.transpose(1, keys);
            for row in 0..head.length {
                let token = head.first + row;
                if let Some(dropout) = dropout {
                    dropout.factors((token * heads + head.head) as u64, factors);
                }
                // SAFETY: this token of this head belongs to this task alone.
                let (out, lse) = unsafe {
                    let start = token * width + head.head * head_dim;
                    let lse = token * heads + head.head;
                    (context.slice(start..start + head_dim), log_sum_exp.slice(lse..lse + 1))
                };
                lse[0] = forward_row(isa, &head, row, scale, dropout.is_some(), keys, scores, factors, out);
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
        let head = Head {
            qkv,
            first: offsets[task / heads],
            length: length(offsets, task / heads),
            heads,
            head_dim,
            head: task % heads,
        };
        let l = head.length;
        with_scratch((4 * head_dim + 3) * l, |scratch| {
            let (keys, rest) = scratch.split_at_mut(head_dim * l);
            let (values, rest) = rest.split_at_mut(head_dim * l);
            let (d_keys, rest) = rest.split_at_mut(head_dim * l);
            let (d_values, rest) = rest.split_at_mut(head_dim * l);
            let (probabilities, rest) = rest.split_at_mut(l);
            let (d_scores, factors) = rest.split_at_mut(l);
            head.transpose(1, keys);
            head.transpose(2, values);
            d_keys.fill(0.0);
            d_values.fill(0.0);
            for row in 0..l {
                let token = head.first + row;
                if let Some(dropout) = dropout {
                    dropout.factors((token * heads + head.head) as u64, factors);
                }
                let start = token * width + head.head * head_dim;
                let d_out = &d_context[start..start + head_dim];
                let out = &context[start..start + head_dim];
                // SAFETY: the query of this token and head belongs to this task alone.
                let d_query = unsafe { d_qkv.slice(head.place(0, row)..head.place(0, row) + head_dim) };
                let work = RowWork { keys, values, d_keys, d_values, probabilities, d_scores, factors: &*factors };
                let lse = log_sum_exp[token * heads + head.head];
                backward_row(isa, &head, row, scale, dropout.is_some(), lse, out, d_out, work, d_query);
            }
            for row in 0..l {
                for (part, gradients) in [(1, &*d_keys), (2, &*d_values)] {
                    let start = head.place(part, row);
                    // SAFETY: key and value of this token and head belong to this task alone.
                    let into = unsafe { d_qkv.slice(start..start + head_dim) };
                    into.iter_mut().enumerate().for_each(|(j, into)| *into = gradients[j * l + row]);
                }
            }
        });
    });
}

fn length(offsets: &[usize], sequence: usize) -> usize {
    offsets[sequence + 1] - offsets[sequence]
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

impl Head<'_> {
    /// Where query (0), key (1) or value (2) of a row begins.
    #[inline(always)]
    fn place(&self, part: usize, row: usize) -> usize {
        ((self.first + row) * 3 + part) * self.heads * self.head_dim + self.head * self.head_dim
    }

    #[inline(always)]
    fn part(&self, part: usize, row: usize) -> &[f32] {
        &self.qkv[self.place(part, row)..self.place(part, row) + self.head_dim]
    }

    /// Keys or values with columns as rows, `(d, l)`, so that sums over `d` run beside each other for all tokens.
    fn transpose(&self, part: usize, into: &mut [f32]) {
        for row in 0..self.length {
            for (j, value) in self.part(part, row).iter().enumerate() {
                into[j * self.length + row] = *value;
            }
        }
    }
}

/// The memory of one row's backward. Letters as above.
struct RowWork<'a> {
    /// `(d, l)`
    keys: &'a [f32],
    /// `(d, l)`
    values: &'a [f32],
    /// `(d, l)`, summed over rows
    d_keys: &'a mut [f32],
    /// `(d, l)`, summed over rows
    d_values: &'a mut [f32],
    /// `(l)`
    probabilities: &'a mut [f32],
    /// `(l)`
    d_scores: &'a mut [f32],
    /// `(l)`
    factors: &'a [f32],
}

/// scores[j] = Σ scale · q[c] · columns[c][j]
#[inline(always)]
fn scores_of(query: &[f32], scale: f32, columns: &[f32], scores: &mut [f32]) {
    let l = scores.len();
    scores.fill(0.0);
    for (c, q) in query.iter().enumerate() {
        let (q, column) = (q * scale, &columns[c * l..(c + 1) * l]);
        for (score, k) in scores.iter_mut().zip(column) {
            *score += q * k;
        }
    }
}

on_every_rung! {
    fn forward_row(
        head: &Head<'_>,
        row: usize,
        scale: f32,
        dropped: bool,
        keys: &[f32],
        scores: &mut [f32],
        factors: &[f32],
        out: &mut [f32],
    ) -> f32 {
        scores_of(head.part(0, row), scale, keys, scores);
        let largest = max(scores);
        for score in scores.iter_mut() {
            *score = exp(*score - largest);
        }
        let total = sum(scores.len(), |j| scores[j]);
        let inverse = 1.0 / total;
        for score in scores.iter_mut() {
            *score *= inverse;
        }
        if dropped {
            for (score, factor) in scores.iter_mut().zip(factors) {
                *score *= factor;
            }
        }
        out.fill(0.0);
        for (j, p) in scores.iter().enumerate() {
            for (out, v) in out.iter_mut().zip(head.part(2, j)) {
                *out += p * v;
            }
        }
        largest + total.ln()
    }
}

on_every_rung! {
    fn backward_row(
        head: &Head<'_>,
        row: usize,
        scale: f32,
        dropped: bool,
        log_sum_exp: f32,
        out: &[f32],
        d_out: &[f32],
        work: RowWork<'_>,
        d_query: &mut [f32],
    ) {
        let RowWork { keys, values, d_keys, d_values, probabilities, d_scores, factors } = work;
        let l = probabilities.len();
        let query = head.part(0, row);
        scores_of(query, scale, keys, probabilities);
        for p in probabilities.iter_mut() {
            *p = exp(*p - log_sum_exp);
        }
        // The gradient of the probabilities as they were used, then of those before dropout.
        scores_of(d_out, 1.0, values, d_scores);
        if dropped {
            for (d, factor) in d_scores.iter_mut().zip(factors) {
                *d *= factor;
            }
        }
        // Σ p · d_p is the same as context · d_context.
        let along = sum(out.len(), |c| out[c] * d_out[c]);
        for (d, p) in d_scores.iter_mut().zip(&*probabilities) {
            *d = p * (*d - along) * scale;
        }
        if dropped {
            for (p, factor) in probabilities.iter_mut().zip(factors) {
                *p *= factor;
            }
        }
        for c in 0..query.len() {
            let (q, d) = (query[c], d_out[c]);
            for (d_key, d_score) in d_keys[c * l..(c + 1) * l].iter_mut().zip(&*d_scores) {
                *d_key += q * d_score;
            }
            for (d_value, p) in d_values[c * l..(c + 1) * l].iter_mut().zip(&*probabilities) {
                *d_value += d * p;
            }
            let key = &keys[c * l..(c + 1) * l];
            d_query[c] = sum(l, |j| d_scores[j] * key[j]);
        }
    }
}

thread_local! {
    /// Memory for one head, kept from task to task.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn with_scratch<R>(length: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut scratch = SCRATCH.take();
    if scratch.len() < length {
        scratch.resize(length, 0.0);
    }
    let result = f(&mut scratch[..length]);
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
        let head_rows = noise(13 * 3 * HEADS * DIM, 6);
        let head = Head { qkv: &head_rows, first: 0, length: 13, heads: HEADS, head_dim: DIM, head: 1 };
        let mut keys = vec![0.0; DIM * 13];
        head.transpose(1, &mut keys);
        let run = |isa: Isa| {
            let (mut scores, mut out) = (vec![0.0; 13], vec![0.0; DIM]);
            let lse = forward_row(isa, &head, 4, SCALE, false, &keys, &mut scores, &[], &mut out);
            (lse, out)
        };
        for isa in Isa::ladder() {
            assert_eq!(run(isa), run(Isa::ladder()[0]), "{}", isa.name());
            println!("attention: {} checked", isa.name());
        }
    }
}
