//! Attention of each sequence and head: attended = softmax(scale · Q Kᵀ + bias) V, bidirectional,
//! softmax in f32, of all tokens or of those within a window. One task is one head of one sequence,
//! so that no result depends on its batch-mates; only the scores of some rows exist at a time, and
//! with a window only those of the panels that the window touches. Backward recomputes the
//! probabilities from log Σ exp. Letters: `l` tokens of the sequence, `d` head_dim, both rounded up
//! to whole panels where they are a stride.
//!
//! Keys outside of the window have the probability 0 and keep their place in every sum, so that
//! results do not depend on which of them are computed.

mod head;
mod scores;
mod shape;

use crate::context::Context;
use crate::disjoint::Disjoint;
use crate::lanes::sum;
use crate::matmul::{Layout, Panels, SmallProduct, Strided};
use head::{Head, Sizes, rows_to_panels};
use scores::{add_bias, fill_factors, scale_rows, softmax, softmax_backward, sum_by_distance};
pub use shape::{Attention, PositionBias};

/// Fills `attended` and `log_sum_exp`, which only [`attention_backward`] reads. `qkv` is `(tokens,
/// 3, heads, head_dim)`, `attended` `(queries, heads, head_dim)`, `log_sum_exp` `(queries, heads)`.
///
/// # Panics
/// If shapes differ.
pub fn attention(
    context: &Context,
    of: Attention<'_>,
    qkv: &[f32],
    attended: &mut [f32],
    log_sum_exp: Option<&mut [f32]>,
) {
    let isa = context.isa();
    let Attention { heads, head_dim, scale, position_bias, dropout, .. } = of;
    let (tokens, width) = of.tokens_and_width();
    let results = of.queries.map_or(tokens, <[usize]>::len);
    assert_eq!((qkv.len(), attended.len()), (tokens * 3 * width, results * width), "{tokens} tokens of {width}");
    let log_sum_exps = log_sum_exp.as_ref().map_or(results * heads, |of| of.len());
    assert_eq!(log_sum_exps, results * heads, "{results} queries, {heads} heads");
    let product = SmallProduct::new(isa);
    let panel = product.nr();
    let (attended, log_sum_exp) = (Disjoint::new(attended), log_sum_exp.map(Disjoint::new));
    context.run(of.tasks(), |task| {
        let head = Head::new(of, qkv, task);
        let length = head.length;
        let (queries, results) = of.queries_and_results(task / heads);
        // SAFETY: only this task uses the results of its sequence and the columns of its head.
        let (mut attended, mut log_sum_exp) = unsafe {
            let number = head.number;
            (
                attended.block(results.clone(), head.columns(), width),
                log_sum_exp.as_ref().map(|of| of.block(results, number..number + 1, heads)),
            )
        };
        let Sizes { l, d, block, span, dropped, distances } = head.sizes(panel, of);
        let sizes = [head_dim * l, span.min(length) * d, block * span, dropped, block * d, block, block, distances];
        with_scratch(context, sizes, |[keys, values, scores, factors, sums, lse, inverse, bias]| {
            if let Some(position_bias) = position_bias {
                position_bias.fill(head.number, heads, bias);
            }
            head.transpose(1, scale, panel, keys);
            for first in queries.clone().step_by(block.max(1)) {
                let rows = block.min(queries.end - first);
                let near = head.near(first, rows, panel);
                let scores = &mut scores[..rows * near.columns];
                let keys = Panels { values: &keys[near.start * head_dim..], k: head_dim };
                product.multiply(head.rows(0, first), keys, scores, rows, false);
                if position_bias.is_some() {
                    add_bias(isa, first, length, bias, l, scores);
                }
                let factors = dropout.map(|dropout| {
                    let factors = &mut factors[..rows * near.columns];
                    fill_factors(isa, dropout, &head, near, factors);
                    &*factors
                });
                let inverse = &mut inverse[..rows];
                softmax(isa, near, factors, scores, log_sum_exp.as_ref().map(|_| &mut lse[..rows]), inverse);
                if near.is_packed_for_each_block || first == queries.start {
                    rows_to_panels(head.rows(2, near.start), near.keys, head_dim, panel, values);
                }
                let scores = Strided { values: scores, layout: Layout::RowMajor(near.columns) };
                product.multiply(scores, Panels { values, k: near.keys }, &mut sums[..rows * d], rows, false);
                let first = first - queries.start;
                scale_rows(isa, &sums[..rows * d], inverse, &mut attended.part(first..first + rows, 0..head_dim));
                if let Some(log_sum_exp) = &mut log_sum_exp {
                    for (row, lse) in lse[..rows].iter().enumerate() {
                        log_sum_exp.row_mut(first + row)[0] = *lse;
                    }
                }
            }
        });
    });
}

/// Fills `d_qkv`, given the arguments and results of [`attention`] and the gradient of `attended`.
/// With a position bias, fills `d_bias_tables`, `(sequences, heads, buckets)`, with the gradient of
/// its table for each sequence and head, for [`sum_position_bias`]; without, it is empty.
///
/// # Panics
/// If shapes differ.
#[expect(clippy::too_many_arguments, reason = "operands, results and gradients are slices of their own")]
pub fn attention_backward(
    context: &Context,
    of: Attention<'_>,
    qkv: &[f32],
    attended: &[f32],
    log_sum_exp: &[f32],
    d_attended: &[f32],
    d_qkv: &mut [f32],
    d_bias_tables: &mut [f32],
) {
    let isa = context.isa();
    let Attention { heads, head_dim, scale, position_bias, dropout, .. } = of;
    let (tokens, width) = of.tokens_and_width();
    assert_eq!((qkv.len(), d_qkv.len()), (tokens * 3 * width, tokens * 3 * width), "{tokens} tokens of {width}");
    assert_eq!((attended.len(), d_attended.len()), (tokens * width, tokens * width), "{tokens} tokens of {width}");
    let product = SmallProduct::new(isa);
    let panel = product.nr();
    let buckets = position_bias.map_or(0, |bias| bias.table.len() / heads);
    assert_eq!(d_bias_tables.len(), of.tasks() * buckets, "a gradient of the position bias for each sequence");
    d_bias_tables.fill(0.0);
    let (d_qkv, d_bias_tables) = (Disjoint::new(d_qkv), Disjoint::new(d_bias_tables));
    context.run(of.tasks(), |task| {
        let head = Head::new(of, qkv, task);
        let length = head.length;
        // SAFETY: only this task uses the rows of its sequence and the columns of its head, and the
        // table of its sequence and head.
        let (d_qkv, d_bias_table) = unsafe {
            let part = |part: usize| {
                let columns = head.columns();
                d_qkv.block(head.tokens(), part * width + columns.start..part * width + columns.end, 3 * width)
            };
            ([part(0), part(1), part(2)], d_bias_tables.slice(task * buckets..(task + 1) * buckets))
        };
        let [mut d_query, d_key, d_value] = d_qkv;
        let Sizes { l, d, block, span, dropped, distances } = head.sizes(panel, of);
        let (columns, rows, few, scores) = (head_dim * l, length * d, block * d, block * span);
        let near_rows = span.min(length) * d;
        let sizes = [
            columns, columns, near_rows, rows, rows, scores, scores, dropped, few, few, few, block, block, distances,
            distances,
        ];
        with_scratch(context, sizes, |scratch| {
            let [keys, values, key_rows, d_keys, d_values, probabilities, d_scores, factors, rest @ ..] = scratch;
            let [queries, d_outs, d_queries, lse, along, bias, d_bias] = rest;
            if let Some(position_bias) = position_bias {
                position_bias.fill(head.number, heads, bias);
                d_bias.fill(0.0);
            }
            head.transpose(1, scale, panel, keys);
            head.transpose(2, 1.0, panel, values);
            if head.window.is_some() {
                // Blocks add to the rows of their keys, in any part of the sequence.
                d_keys.fill(0.0);
                d_values.fill(0.0);
            }
            for first in (0..length).step_by(block.max(1)) {
                let rows = block.min(length - first);
                let near = head.near(first, rows, panel);
                let l = near.columns;
                let (probabilities, d_scores) = (&mut probabilities[..rows * l], &mut d_scores[..rows * l]);
                let start = (head.first + first) * width + head.columns().start;
                let d_out = Strided { values: &d_attended[start..], layout: Layout::RowMajor(width) };
                for row in 0..rows {
                    let token = head.first + first + row;
                    let start = token * width + head.columns().start;
                    let (out, d_out) = (&attended[start..start + head_dim], &d_attended[start..start + head_dim]);
                    lse[row] = log_sum_exp[token * heads + head.number];
                    // Σ p · d_p equals attended · d_attended.
                    along[row] = sum([out, d_out], |[out, d_out]| out * d_out);
                }
                let factors = dropout.map(|dropout| {
                    let factors = &mut factors[..rows * l];
                    fill_factors(isa, dropout, &head, near, factors);
                    &*factors
                });
                let (columns, start) = (|values| Panels { values, k: head_dim }, near.start * head_dim);
                product.multiply(head.rows(0, first), columns(&keys[start..]), probabilities, rows, false);
                product.multiply(d_out, columns(&values[start..]), d_scores, rows, false);
                if position_bias.is_some() {
                    add_bias(isa, first, length, bias, l, probabilities);
                }
                softmax_backward(isa, scale, near, factors, &lse[..rows], &along[..rows], probabilities, d_scores);
                if position_bias.is_some() {
                    sum_by_distance(isa, first, length, l, d_scores, d_bias);
                }

                // Sums over query rows continue from block to block.
                rows_to_panels(d_out, rows, head_dim, panel, d_outs);
                rows_to_panels(head.rows(0, first), rows, head_dim, panel, queries);
                let (rows_of, accumulate) = (|values| Panels { values, k: rows }, first > 0 || head.window.is_some());
                let transposed = |values| Strided { values, layout: Layout::ColumnMajor(l) };
                let of_keys = near.start * d..(near.start + near.keys) * d;
                let (d_near_values, d_near_keys) = (&mut d_values[of_keys.clone()], &mut d_keys[of_keys]);
                product.multiply(transposed(probabilities), rows_of(d_outs), d_near_values, near.keys, accumulate);
                product.multiply(transposed(d_scores), rows_of(queries), d_near_keys, near.keys, accumulate);

                if near.is_packed_for_each_block || first == 0 {
                    rows_to_panels(head.rows(1, near.start), near.keys, head_dim, panel, key_rows);
                }
                let d_scores = Strided { values: d_scores, layout: Layout::RowMajor(l) };
                let key_rows = Panels { values: key_rows, k: near.keys };
                product.multiply(d_scores, key_rows, &mut d_queries[..rows * d], rows, false);
                for row in 0..rows {
                    d_query.row_mut(first + row).copy_from_slice(&d_queries[row * d..][..head_dim]);
                }
            }
            if let Some(position_bias) = position_bias {
                // The gradients are those of the scores before scaling, but the bias is added after
                // it.
                for (d, bucket) in d_bias.iter().zip(position_bias.buckets(length)) {
                    d_bias_table[*bucket as usize] += d / scale;
                }
            }
            for (mut into, gradients) in [(d_key, d_keys), (d_value, d_values)] {
                for row in 0..length {
                    into.row_mut(row).copy_from_slice(&gradients[row * d..][..head_dim]);
                }
            }
        });
    });
}

/// Adds the gradients of the position bias of [`attention_backward`] to that of its table,
/// `(buckets, heads)`, sequence after sequence: two calls with the first and the last sequences
/// give the same bits as one with all.
///
/// # Panics
/// If `d_bias_tables` does not consist of whole tables.
pub fn sum_position_bias(d_bias_tables: &[f32], heads: usize, d_table: &mut [f32]) {
    let buckets = d_table.len() / heads;
    assert!(d_bias_tables.len().is_multiple_of(d_table.len()), "tables of {} biases", d_table.len());
    for table in d_bias_tables.chunks_exact(d_table.len()) {
        for (index, sum) in d_table.iter_mut().enumerate() {
            *sum += table[index % heads * buckets + index / heads];
        }
    }
}

/// Calls `f` with buffers of the given sizes, whose contents are unspecified.
fn with_scratch<const N: usize, R>(context: &Context, sizes: [usize; N], f: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    context.with_scratch(
        |scratch| &mut scratch.attention,
        |scratch| {
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
            f(parts)
        },
    )
}

#[cfg(test)]
mod tests;
