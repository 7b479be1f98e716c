//! Attention of each sequence and head: attended = softmax(scale · Q Kᵀ + bias) V, bidirectional,
//! softmax in f32, of all tokens or of those within a window. One task is one head of one sequence,
//! so that no result depends on its batch-mates; only the scores of some rows exist at a time, and
//! with a window only those of the panels that the window touches. Backward recomputes the
//! probabilities from log Σ exp. Letters: `l` tokens of the sequence, `d` head_dim, both rounded up
//! to whole panels where they are a stride.
//!
//! Keys outside of the window have the probability 0 and keep their place in every sum, so that
//! results do not depend on which of them are computed.

use crate::context::Context;
use crate::disjoint::{Block, Disjoint};
use crate::dropout::Dropout;
use crate::instruction_set::{InstructionSet, multiversion};
use crate::lanes::{LANES, exp, max, sum, total};
use crate::matmul::{Layout, Panels, SmallProduct, Strided};
use std::ops::Range;

/// Scores that exist at a time, so that they stay in the second-level cache.
const SCORES: usize = 16 << 10;

/// Returns the query rows of a block: as many as have [`SCORES`] scores, and with a window fewer
/// than that has tokens, as each block also computes scores next to the window; a multiple of the
/// height of every tile. The division changes no bit.
fn rows_together(length: usize, l: usize, window: Option<usize>) -> usize {
    let rows = match window {
        None => SCORES / l.max(1),
        Some(window) => window / 4 * 3,
    };
    (rows.clamp(24, 240) / 12 * 12).min(length)
}

/// Shape and variant of attention, forward and backward.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Start of each sequence, followed by the end of the last.
    pub offsets: &'a [usize],
    /// Number of heads.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Bias that is added to the scaled scores.
    pub position_bias: Option<PositionBias<'a>>,
    /// Greatest distance of a key from its query, in both directions; not with a position bias.
    pub window: Option<usize>,
    /// The token of each sequence whose output is computed, as a position in the batch; without,
    /// all tokens are. Forward only.
    pub queries: Option<&'a [usize]>,
    /// Dropout of the probabilities: row = token · heads + head, column = key, counted from the
    /// first in the window.
    pub dropout: Option<Dropout>,
}

/// A bias of the scores by relative position: `scale · q·k + table[bucket(key − query)][head]`.
#[derive(Clone, Copy)]
pub struct PositionBias<'a> {
    /// Learned biases, `(buckets, heads)`.
    pub table: &'a [f32],
    /// Bucket of each distance key − query, from −(L − 1) to L − 1 for sequences of up to L tokens:
    /// 2 L − 1 elements.
    pub buckets: &'a [u32],
}

impl PositionBias<'_> {
    /// Returns the buckets of the distances in a sequence of `length` tokens.
    fn buckets(&self, length: usize) -> &[u32] {
        let longest = self.buckets.len().div_ceil(2);
        assert!(length <= longest, "a sequence of {length} tokens, buckets for {longest}");
        &self.buckets[longest - length..][..(2 * length).saturating_sub(1)]
    }

    /// Fills the bias of one head for each distance.
    fn fill(&self, head: usize, heads: usize, distances: &mut [f32]) {
        let length = distances.len().div_ceil(2);
        for (bias, bucket) in distances.iter_mut().zip(self.buckets(length)) {
            *bias = self.table[*bucket as usize * heads + head];
        }
    }
}

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

/// Fills the factors of dropout for the query rows of a block, `(rows, near.columns)`.
fn fill_factors(isa: InstructionSet, dropout: Dropout, head: &Head<'_>, near: Near, into: &mut [f32]) {
    for (row, into) in into.chunks_exact_mut(near.columns).enumerate() {
        let token = head.first + near.first + row;
        let visible = near.visible(row);
        into[..visible.start].fill(0.0);
        into[visible.end..].fill(0.0);
        dropout.factors(isa, (token * head.heads + head.number) as u64, &mut into[visible]);
    }
}

/// Keys next to the query rows of a block: those that at least one of them sees, and the others in
/// the same panels.
#[derive(Clone, Copy)]
struct Near {
    /// First query row of the block.
    first: usize,
    /// First key, which begins a panel.
    start: usize,
    /// Number of keys.
    keys: usize,
    /// Columns of the scores: the number of keys, rounded up to whole panels.
    columns: usize,
    /// Tokens of the sequence.
    length: usize,
    /// Greatest distance of a key from its query.
    window: usize,
    /// True if blocks have different keys, so that none is packed for all of them.
    is_packed_for_each_block: bool,
}

impl Near {
    /// Returns the columns of the keys that a query row of the block sees.
    #[inline(always)]
    fn visible(&self, row: usize) -> Range<usize> {
        let query = self.first + row;
        let end = query.saturating_add(self.window).saturating_add(1).min(self.length);
        query.saturating_sub(self.window) - self.start..end - self.start
    }
}

/// One head of one sequence.
struct Head<'a> {
    qkv: &'a [f32],
    first: usize,
    length: usize,
    heads: usize,
    head_dim: usize,
    number: usize,
    /// The window, unless it holds the whole sequence for each token.
    window: Option<usize>,
}

/// Sizes of a task's buffers.
struct Sizes {
    l: usize,
    d: usize,
    /// Query rows of a block.
    block: usize,
    /// The most columns that the scores of a block have.
    span: usize,
    /// Factors of dropout for these rows, if there is dropout.
    dropped: usize,
    /// Distances from a query to a key, if there is a position bias.
    distances: usize,
}

impl Attention<'_> {
    fn tokens_and_width(&self) -> (usize, usize) {
        assert!(self.offsets.is_sorted(), "offsets ascend");
        (*self.offsets.last().expect("offsets begin with 0"), self.heads * self.head_dim)
    }

    fn tasks(&self) -> usize {
        (self.offsets.len() - 1) * self.heads
    }

    /// Returns the queries of a sequence, counted from its first token, and their rows of the
    /// result.
    fn queries_and_results(&self, sequence: usize) -> (Range<usize>, Range<usize>) {
        let (start, end) = (self.offsets[sequence], self.offsets[sequence + 1]);
        let Some(queries) = self.queries else { return (0..end - start, start..end) };
        let token = queries[sequence];
        assert!((start..end).contains(&token), "token {token} in the sequence {start}..{end}");
        (token - start..token - start + 1, sequence..sequence + 1)
    }
}

impl<'a> Head<'a> {
    fn new(of: Attention<'_>, qkv: &'a [f32], task: usize) -> Self {
        let Attention { offsets, heads, head_dim, .. } = of;
        assert!(of.window.is_none() || of.position_bias.is_none(), "a window or a position bias");
        let (sequence, number) = (task / heads, task % heads);
        let first = offsets[sequence];
        let length = offsets[sequence + 1] - first;
        let window = of.window.filter(|window| *window < length.saturating_sub(1));
        Self { qkv, first, length, heads, head_dim, number, window }
    }

    /// Returns the keys next to `rows` query rows.
    fn near(&self, first: usize, rows: usize, panel: usize) -> Near {
        let (length, window) = (self.length, self.window.unwrap_or(usize::MAX));
        let start = first.saturating_sub(window) / panel * panel;
        let end = (first + rows).saturating_add(window).min(length).next_multiple_of(panel);
        let keys = end.min(length) - start;
        Near {
            first,
            start,
            keys,
            columns: end - start,
            length,
            window,
            is_packed_for_each_block: self.window.is_some(),
        }
    }

    fn sizes(&self, panel: usize, of: Attention<'_>) -> Sizes {
        let (l, d) = (self.length.next_multiple_of(panel), self.head_dim.next_multiple_of(panel));
        let block = rows_together(self.length, l, self.window);
        let span = self.window.map_or(l, |window| l.min((block + 2 * window).next_multiple_of(panel) + panel));
        let dropped = if of.dropout.is_some() { block * span } else { 0 };
        let distances = if of.position_bias.is_some() { (2 * self.length).saturating_sub(1) } else { 0 };
        Sizes { l, d, block, span, dropped, distances }
    }

    /// Tokens of the sequence.
    fn tokens(&self) -> Range<usize> {
        self.first..self.first + self.length
    }

    /// Columns of the head among those of all heads.
    fn columns(&self) -> Range<usize> {
        self.number * self.head_dim..(self.number + 1) * self.head_dim
    }

    /// Start of the query (0), key (1) or value (2) of a row.
    fn start(&self, part: usize, row: usize) -> usize {
        ((self.first + row) * 3 + part) * self.heads * self.head_dim + self.columns().start
    }

    /// Queries, keys or values from a row on, in place.
    fn rows(&self, part: usize, row: usize) -> Strided<'a> {
        let values = &self.qkv[self.start(part, row).min(self.qkv.len())..];
        Strided { values, layout: Layout::RowMajor(3 * self.heads * self.head_dim) }
    }

    /// Packs keys or values times `factor` as the columns of panels, padded with zeros:
    /// `[panel][d][column]`.
    fn transpose(&self, part: usize, factor: f32, panel: usize, into: &mut [f32]) {
        let size = self.head_dim * panel;
        if !self.length.is_multiple_of(panel) {
            let last = self.length / panel * size;
            into[last..].fill(0.0);
        }
        for row in 0..self.length {
            let start = self.start(part, row);
            let into = &mut into[row / panel * size + row % panel..];
            for (value, into) in self.qkv[start..start + self.head_dim].iter().zip(into.iter_mut().step_by(panel)) {
                *into = value * factor;
            }
        }
    }
}

multiversion! {
    /// Multiplies the rows of `sums` by a factor each.
    fn scale_rows(sums: &[f32], factors: &[f32], into: &mut Block<'_, f32>) {
        let stride = sums.len() / factors.len();
        for (row, factor) in factors.iter().enumerate() {
            for (into, sum) in into.row_mut(row).iter_mut().zip(&sums[row * stride..]) {
                *into = sum * factor;
            }
        }
    }
}

/// Packs `length` rows of `columns` values into panels, padded with zeros: `[panel][row][column]`.
fn rows_to_panels(rows: Strided<'_>, length: usize, columns: usize, panel: usize, into: &mut [f32]) {
    let (row_stride, _) = rows.layout.strides();
    for (number, start) in (0..columns).step_by(panel).enumerate() {
        let width = panel.min(columns - start);
        let into = &mut into[number * length * panel..][..length * panel];
        for (row, into) in into.chunks_exact_mut(panel).enumerate() {
            let (values, padding) = into.split_at_mut(width);
            values.copy_from_slice(&rows.values[row * row_stride + start..][..width]);
            padding.fill(0.0);
        }
    }
}

multiversion! {
    /// Adds the bias of each distance to the scores of the query rows from `first` on, `(rows, l)`.
    fn add_bias(first: usize, length: usize, bias: &[f32], l: usize, scores: &mut [f32]) {
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
    fn sum_by_distance(first: usize, length: usize, l: usize, d_scores: &[f32], d_bias: &mut [f32]) {
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
    fn softmax(
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
    fn softmax_backward(
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
mod tests {
    use super::*;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    const HEADS: usize = 2;
    const DIM: usize = 5;
    const SCALE: f32 = 0.4;

    const BUCKETS: usize = 8;

    fn of(offsets: &[usize], dropout: Option<Dropout>) -> Attention<'_> {
        Attention {
            offsets,
            heads: HEADS,
            head_dim: DIM,
            scale: SCALE,
            position_bias: None,
            window: None,
            queries: None,
            dropout,
        }
    }

    /// The bucket of a distance: near ones each have their own, far ones share, before and after
    /// apart.
    fn bucket(distance: isize) -> u32 {
        let near = distance.unsigned_abs().min(3) as u32;
        if distance < 0 { near + 4 } else { near }
    }

    fn buckets(longest: isize) -> Vec<u32> {
        (1 - longest..longest).map(bucket).collect()
    }

    fn factors(dropout: Option<Dropout>, row: usize, length: usize) -> Vec<f32> {
        let mut factors = vec![1.0; length];
        if let Some(dropout) = dropout {
            dropout.factors(InstructionSet::active(), row as u64, &mut factors);
        }
        factors
    }

    /// `table` is the position bias, `(buckets, heads)`; an empty table means no bias.
    fn reference_attention(
        qkv: &[f64],
        table: &[f64],
        offsets: &[usize],
        window: Option<usize>,
        dropout: Option<Dropout>,
    ) -> Vec<f64> {
        let width = HEADS * DIM;
        let at = |token: usize, part: usize, head: usize, j: usize| qkv[(token * 3 + part) * width + head * DIM + j];
        let mut attended = vec![0.0; offsets[offsets.len() - 1] * width];
        for pair in offsets.windows(2) {
            for head in 0..HEADS {
                for i in pair[0]..pair[1] {
                    let score = |k: usize| (0..DIM).map(|j| at(i, 0, head, j) * at(k, 1, head, j)).sum::<f64>();
                    let bias = |k: usize| {
                        let bucket = bucket(k.cast_signed() - i.cast_signed()) as usize;
                        if table.is_empty() { 0.0 } else { table[bucket * HEADS + head] }
                    };
                    let weight = |k: usize| (f64::from(SCALE) * score(k) + bias(k)).exp();
                    let near = window.unwrap_or(usize::MAX);
                    let keys =
                        pair[0].max(i.saturating_sub(near))..pair[1].min(i.saturating_add(near).saturating_add(1));
                    let weights: Vec<f64> = keys.clone().map(weight).collect();
                    let total: f64 = weights.iter().sum();
                    let factors = factors(dropout, i * HEADS + head, weights.len());
                    for ((k, weight), factor) in keys.zip(&weights).zip(factors) {
                        for j in 0..DIM {
                            let v = at(k, 2, head, j);
                            attended[i * width + head * DIM + j] += weight / total * f64::from(factor) * v;
                        }
                    }
                }
            }
        }
        attended
    }

    fn forward(context: &Context, of: Attention<'_>, qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (tokens, width) = of.tokens_and_width();
        let (mut attended, mut lse) = (vec![9.0; tokens * width], vec![9.0; tokens * of.heads]);
        attention(context, of, qkv, &mut attended, Some(&mut lse));
        (attended, lse)
    }

    /// Adds the gradient of the position bias to `d_table`.
    #[expect(clippy::too_many_arguments, reason = "those of attention_backward")]
    fn backward(
        context: &Context,
        of: Attention<'_>,
        qkv: &[f32],
        attended: &[f32],
        lse: &[f32],
        d_attended: &[f32],
        d_qkv: &mut [f32],
        d_table: &mut [f32],
    ) {
        let mut tables = vec![9.0; (of.offsets.len() - 1) * d_table.len()];
        attention_backward(context, of, qkv, attended, lse, d_attended, d_qkv, &mut tables);
        if !d_table.is_empty() {
            sum_position_bias(&tables, of.heads, d_table);
        }
    }

    #[test]
    fn results_and_gradients_agree_with_the_formula_with_and_without_dropout_and_position_bias() {
        let offsets = [0, 1, 8, 27];
        let qkv = noise(27 * 3 * HEADS * DIM, 1);
        let d_attended = noise(27 * HEADS * DIM, 2);
        let on = Dropout { probability: 0.3, seed: 1, pass: 2, site: 3, first_row: 0 };
        let (all, buckets) = (noise(BUCKETS * HEADS, 3), buckets(40));
        for (dropout, table) in [(None, &[][..]), (Some(on), &[]), (None, &all), (Some(on), &all)] {
            let context = Context::new(2);
            let mut of = of(&offsets, dropout);
            of.position_bias = (!table.is_empty()).then_some(PositionBias { table, buckets: &buckets });
            let (attended, lse) = forward(&context, of, &qkv);
            let expected = reference_attention(&wide(&qkv), &wide(table), &offsets, None, dropout);
            assert_close(&attended, &expected, 1e-5, "attended");
            let (mut d_qkv, mut d_table) = (vec![9.0; qkv.len()], vec![0.0; table.len()]);
            backward(&context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv, &mut d_table);
            let value = |qkv: &[f64], table: &[f64]| -> f64 {
                let attended = reference_attention(qkv, table, &offsets, None, dropout);
                attended.iter().zip(&d_attended).map(|(c, d)| c * f64::from(*d)).sum()
            };
            let (qkv, table) = (wide(&qkv), wide(table));
            assert_close(&d_qkv, &finite_differences(&qkv, |qkv| value(qkv, &table)), 2e-5, "d_qkv");
            assert_close(&d_table, &finite_differences(&table, |table| value(&qkv, table)), 2e-5, "d_table");
        }
    }

    /// Sequences shorter and longer than the window, and longer than a block.
    #[test]
    fn results_and_gradients_within_a_window_agree_with_the_formula() {
        let offsets = [0, 1, 8, 35, 85];
        let (qkv, d_attended) = (noise(85 * 3 * HEADS * DIM, 1), noise(85 * HEADS * DIM, 2));
        let on = Dropout { probability: 0.3, seed: 1, pass: 2, site: 3, first_row: 0 };
        for (window, dropout) in [(0, None), (1, None), (7, None), (7, Some(on)), (33, Some(on)), (100, None)] {
            let context = Context::new(2);
            let of = Attention { window: Some(window), ..of(&offsets, dropout) };
            let (attended, lse) = forward(&context, of, &qkv);
            let expected = reference_attention(&wide(&qkv), &[], &offsets, Some(window), dropout);
            assert_close(&attended, &expected, 1e-5, &format!("attended within {window}"));
            let mut d_qkv = vec![9.0; qkv.len()];
            backward(&context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv, &mut []);
            let value = |qkv: &[f64]| -> f64 {
                let attended = reference_attention(qkv, &[], &offsets, Some(window), dropout);
                attended.iter().zip(&d_attended).map(|(c, d)| c * f64::from(*d)).sum()
            };
            // Of the last sequence, whose keys are in several blocks.
            let first = 35 * 3 * HEADS * DIM;
            let last = |last: &[f64]| value(&[&wide(&qkv[..first]), last].concat());
            let expected = finite_differences(&wide(&qkv[first..]), last);
            assert_close(&d_qkv[first..], &expected, 2e-5, &format!("d_qkv within {window}"));
        }
    }

    #[test]
    fn a_window_that_holds_the_sequence_gives_the_bits_of_no_window() {
        let offsets = [0, 1, 66, 131];
        let (qkv, d_attended) = (noise(131 * 3 * HEADS * DIM, 1), noise(131 * HEADS * DIM, 2));
        let run = |window| {
            let context = Context::new(1);
            let of = Attention { window, ..of(&offsets, None) };
            let (attended, lse) = forward(&context, of, &qkv);
            let mut d_qkv = vec![9.0; qkv.len()];
            backward(&context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv, &mut []);
            (attended, lse, d_qkv)
        };
        assert_eq!(run(Some(64)), run(None));
        assert_eq!(run(Some(usize::MAX)), run(None));
        assert_ne!(run(Some(63)), run(None));
    }

    #[test]
    fn gradients_of_the_position_bias_are_the_same_bits_however_the_batch_is_divided() {
        let offsets = [0, 5, 30, 31, 90];
        let (row, width) = (3 * HEADS * DIM, HEADS * DIM);
        let (qkv, d_attended) = (noise(90 * row, 1), noise(90 * width, 2));
        let (table, buckets) = (noise(BUCKETS * HEADS, 3), buckets(59));
        let add = |context: &Context, offsets: &[usize], tokens: Range<usize>, d_table: &mut [f32]| {
            let mut of = of(offsets, None);
            of.position_bias = Some(PositionBias { table: &table, buckets: &buckets });
            let qkv = &qkv[tokens.start * row..tokens.end * row];
            let d_attended = &d_attended[tokens.start * width..tokens.end * width];
            let (attended, lse) = forward(context, of, qkv);
            let mut d_qkv = vec![0.0; qkv.len()];
            backward(context, of, qkv, &attended, &lse, d_attended, &mut d_qkv, d_table);
        };
        let mut whole = vec![0.5; table.len()];
        let mut parts = whole.clone();
        add(&Context::new(3), &offsets, 0..90, &mut whole);
        add(&Context::new(1), &[0, 5, 30], 0..30, &mut parts);
        add(&Context::new(2), &[0, 1, 60], 30..90, &mut parts);
        assert_eq!(whole, parts);
    }

    #[test]
    #[should_panic(expected = "offsets ascend")]
    fn overlapping_sequences_are_refused() {
        forward(&Context::new(1), of(&[0, 5, 3, 8], None), &noise(8 * 3 * HEADS * DIM, 1));
    }

    #[test]
    #[should_panic(expected = "a sequence of 9 tokens, buckets for 8")]
    fn sequences_longer_than_the_buckets_panic() {
        let (table, buckets) = (noise(BUCKETS * HEADS, 3), buckets(8));
        let of =
            Attention { position_bias: Some(PositionBias { table: &table, buckets: &buckets }), ..of(&[0, 9], None) };
        forward(&Context::new(1), of, &noise(9 * 3 * HEADS * DIM, 1));
    }

    #[test]
    fn a_sequence_has_the_same_bits_in_any_batch() {
        let offsets = [0, 3, 40, 41];
        let qkv = noise(41 * 3 * HEADS * DIM, 5);
        let (together, _) = forward(&Context::new(3), of(&offsets, None), &qkv);
        let (row, width) = (3 * HEADS * DIM, HEADS * DIM);
        let (single, _) = forward(&Context::new(1), of(&[0, 37], None), &qkv[3 * row..40 * row]);
        assert_eq!(together[3 * width..40 * width], single);
    }

    #[test]
    fn the_output_for_one_query_has_the_bits_of_that_for_all_tokens() {
        let (offsets, queries) = ([0, 1, 8, 35, 85], [0, 7, 8, 60]);
        let (qkv, width) = (noise(85 * 3 * HEADS * DIM, 1), HEADS * DIM);
        let (table, buckets) = (noise(BUCKETS * HEADS, 3), buckets(50));
        let bias = Some(PositionBias { table: &table, buckets: &buckets });
        let on = Some(Dropout { probability: 0.3, seed: 1, pass: 2, site: 3, first_row: 0 });
        for (position_bias, window, dropout) in [(None, None, None), (bias, None, on), (None, Some(7), on)] {
            let all = Attention { position_bias, window, ..of(&offsets, dropout) };
            let (attended, lse) = forward(&Context::new(2), all, &qkv);
            let some = Attention { queries: Some(&queries), ..all };
            let (mut few, mut few_lse) = (vec![9.0; 4 * width], vec![9.0; 4 * HEADS]);
            attention(&Context::new(3), some, &qkv, &mut few, Some(&mut few_lse));
            for (row, token) in queries.into_iter().enumerate() {
                assert_eq!(few[row * width..][..width], attended[token * width..][..width], "token {token}");
                assert_eq!(few_lse[row * HEADS..][..HEADS], lse[token * HEADS..][..HEADS], "token {token}");
            }
        }
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
        let (attended, lse) = forward(&Context::new(1), of(&[0, 9], None), &qkv);
        assert!(attended.iter().all(|c| (c - 0.5).abs() < 1e-5), "{attended:?}");
        assert!(lse.iter().all(|x| x.is_finite()));
    }

    /// Sequences of one row, of many blocks, and of lengths next to a panel's, heads narrower and
    /// wider than a panel.
    #[test]
    fn every_instruction_set_gives_the_same_bits_for_any_number_of_threads() {
        let offsets = [0, 1, 16, 33, 33, 163, 1200];
        let tokens = offsets[offsets.len() - 1];
        for (heads, head_dim) in [(1, 64), (2, 24)] {
            let width = heads * head_dim;
            let (qkv, d_attended) = (noise(tokens * 3 * width, 6), noise(tokens * width, 7));
            let (table, buckets) = (noise(BUCKETS * heads, 8), buckets(1100));
            let dropout = Some(Dropout { probability: 0.1, seed: 3, pass: 4, site: 5, first_row: 0 });
            let bias = Some(PositionBias { table: &table, buckets: &buckets });
            for (position_bias, window) in [(None, None), (bias, None), (None, Some(64)), (None, Some(5))] {
                let run = |isa: InstructionSet, threads: usize| {
                    let context = Context::with_instruction_set(threads, isa);
                    let of = Attention { heads, head_dim, position_bias, window, ..of(&offsets, dropout) };
                    let (attended, lse) = forward(&context, of, &qkv);
                    let biases = position_bias.map_or(0, |bias| bias.table.len());
                    let (mut d_qkv, mut d_table) = (vec![9.0; qkv.len()], vec![9.0; biases]);
                    backward(&context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv, &mut d_table);
                    (attended, lse, d_qkv, d_table)
                };
                let portable = InstructionSet::available()[0];
                let expected = run(portable, 1);
                for isa in InstructionSet::available() {
                    let got = run(isa, 1);
                    assert!(got == run(isa, 3), "{}: not the same bits for three threads", isa.name());
                    assert!(got == expected, "{}: not the bits of {}", isa.name(), portable.name());
                    println!("attention: {} checked", isa.name());
                }
            }
        }
    }
}
