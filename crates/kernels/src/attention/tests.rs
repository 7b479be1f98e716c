use super::*;
use crate::dropout::Dropout;
use crate::instruction_set::InstructionSet;
use crate::testing::{assert_close, finite_differences, noise, wide};
use std::ops::Range;

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
                let keys = pair[0].max(i.saturating_sub(near))..pair[1].min(i.saturating_add(near).saturating_add(1));
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
    let of = Attention { position_bias: Some(PositionBias { table: &table, buckets: &buckets }), ..of(&[0, 9], None) };
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
