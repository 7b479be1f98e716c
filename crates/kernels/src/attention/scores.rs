//! Operations on scores, row by row: softmax, dropout, the position bias, and their
//! gradients.

use super::head::{Head, Near};
use crate::disjoint::Block;
use crate::dropout::Dropout;
use crate::instruction_set::{InstructionSet, multiversion};
use crate::lanes::{LANES, exp, max, total};

/// Fills the factors of dropout for the query rows of a block, `(rows, near.columns)`.
pub(super) fn fill_factors(isa: InstructionSet, dropout: Dropout, head: &Head<'_>, near: Near, into: &mut [f32]) {
    for (row, into) in into.chunks_exact_mut(near.columns).enumerate() {
        let token = head.first + near.first + row;
        let visible = near.visible(row);
        into[..visible.start].fill(0.0);
        into[visible.end..].fill(0.0);
        dropout.factors(isa, (token * head.heads + head.number) as u64, &mut into[visible]);
    }
}

multiversion! {
    /// Multiplies the rows of `sums` by a factor each.
    pub(super) fn scale_rows(sums: &[f32], factors: &[f32], into: &mut Block<'_, f32>) {
        let stride = sums.len() / factors.len();
        for (row, factor) in factors.iter().enumerate() {
            for (into, sum) in into.row_mut(row).iter_mut().zip(&sums[row * stride..]) {
                *into = sum * factor;
            }
        }
    }
}

multiversion! {
    /// Adds the bias of each distance to the scores of the query rows from `first` on, `(rows, l)`.
    pub(super) fn add_bias(first: usize, length: usize, bias: &[f32], l: usize, scores: &mut [f32]) {
        for (row, scores) in scores.chunks_exact_mut(l).enumerate() {
            let bias = &bias[length - 1 - (first + row)..][..length];
            for (score, bias) in scores.iter_mut().zip(bias) {
                *score += bias;
            }
        }
    }
}

multiversion! {
    /// Adds the gradients of the scores of the query rows from `first` on to the sum of their
    /// distance.
    pub(super) fn sum_by_distance(first: usize, length: usize, l: usize, d_scores: &[f32], d_bias: &mut [f32]) {
        for (row, d_scores) in d_scores.chunks_exact(l).enumerate() {
            let d_bias = &mut d_bias[length - 1 - (first + row)..][..length];
            for (sum, d_score) in d_bias.iter_mut().zip(d_scores) {
                *sum += d_score;
            }
        }
    }
}

multiversion! {
    /// Replaces the scores of each row by e^(score − maximum) times the factor of dropout, those
    /// that the row does not see by 0, and fills log Σ exp and 1 / Σ exp of each row.
    pub(super) fn softmax(
        near: Near,
        factors: Option<&[f32]>,
        scores: &mut [f32],
        log_sum_exp: Option<&mut [f32]>,
        inverse: &mut [f32],
    ) {
        let l = near.columns;
        let mut log_sum_exp = log_sum_exp;
        for (row, scores) in scores.chunks_exact_mut(l).enumerate() {
            let visible = near.visible(row);
            scores[..visible.start].fill(f32::NEG_INFINITY);
            scores[visible.end..].fill(f32::NEG_INFINITY);
            let largest = max(scores);
            let mut sums = [0.0; LANES];
            for scores in scores.as_chunks_mut::<LANES>().0 {
                for (score, sum) in scores.iter_mut().zip(&mut sums) {
                    *score = exp(*score - largest);
                    *sum += *score;
                }
            }
            let total = total(sums);
            inverse[row] = 1.0 / total;
            if let Some(log_sum_exp) = &mut log_sum_exp {
                log_sum_exp[row] = largest + libm::logf(total);
            }
            if let Some(factors) = factors {
                for (score, factor) in scores.iter_mut().zip(&factors[row * l..]) {
                    *score *= factor;
                }
            }
        }
    }
}

multiversion! {
    /// Replaces the scores in `probabilities` by the probabilities after dropout, and the gradients
    /// of those in `d_scores` by the gradients of the scores before scaling; where a row does not
    /// see the key, by 0.
    pub(super) fn softmax_backward(
        scale: f32,
        near: Near,
        factors: Option<&[f32]>,
        log_sum_exp: &[f32],
        along: &[f32],
        probabilities: &mut [f32],
        d_scores: &mut [f32],
    ) {
        let l = near.columns;
        let rows = probabilities.chunks_exact_mut(l).zip(d_scores.chunks_exact_mut(l));
        for (row, (probabilities, d_scores)) in rows.enumerate() {
            let (log_sum_exp, along) = (log_sum_exp[row], along[row]);
            match factors {
                None => {
                    for (p, d) in probabilities.iter_mut().zip(d_scores.iter_mut()) {
                        *p = exp(*p - log_sum_exp);
                        *d = *p * (*d - along) * scale;
                    }
                }
                Some(factors) => {
                    for ((p, d), factor) in probabilities.iter_mut().zip(d_scores.iter_mut()).zip(&factors[row * l..]) {
                        let before = exp(*p - log_sum_exp);
                        *d = before * (*d * factor - along) * scale;
                        *p = before * factor;
                    }
                }
            }
            let visible = near.visible(row);
            for values in [probabilities, d_scores] {
                values[..visible.start].fill(0.0);
                values[visible.end..].fill(0.0);
            }
        }
    }
}
