//! Means of table rows: the embedding of a sequence as the mean of those of its tokens, and its
//! gradient. Sums ascend token by token.

use crate::context::Context;
use crate::disjoint::Disjoint;
use crate::instruction_set::multiversion;

/// Sequences of a task.
const SEQUENCES: usize = 16;
/// Columns that are summed at once: few enough for registers.
const COLUMNS: usize = 32;

/// Fills row `i` of `out`, `(sequences, columns)`, with the mean of the rows
/// `rows[offsets[i]..offsets[i + 1]]` of `table`, `(_, columns)`; with zeros if it names no
/// row.
///
/// # Panics
/// If a row lies outside `table`, or `out` does not have a row for each sequence.
pub fn mean_rows(context: &Context, table: &[f32], columns: usize, rows: &[u32], offsets: &[usize], out: &mut [f32]) {
    assert_eq!(out.len(), (offsets.len() - 1) * columns, "{} sequences of {columns}", offsets.len() - 1);
    let isa = context.isa();
    context.for_each_chunk(out, SEQUENCES * columns, |task, out| {
        for (sequence, out) in out.chunks_exact_mut(columns).enumerate() {
            let sequence = task * SEQUENCES + sequence;
            mean(isa, table, columns, &rows[offsets[sequence]..offsets[sequence + 1]], out);
        }
    });
}

multiversion! {
    fn mean(table: &[f32], columns: usize, rows: &[u32], out: &mut [f32]) {
        let count = rows.len().max(1) as f32;
        let (blocks, rest) = out.as_chunks_mut::<COLUMNS>();
        let rest_starts = blocks.len() * COLUMNS;
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut sum = [0.0; COLUMNS];
            for row in rows {
                let start = *row as usize * columns + block * COLUMNS;
                let from: &[f32; COLUMNS] = table[start..start + COLUMNS].try_into().expect("a whole block");
                for (sum, from) in sum.iter_mut().zip(from) {
                    *sum += from;
                }
            }
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = sum / count;
            }
        }
        rest.fill(0.0);
        for row in rows {
            let from = &table[*row as usize * columns + rest_starts..][..rest.len()];
            rest.iter_mut().zip(from).for_each(|(sum, from)| *sum += from);
        }
        rest.iter_mut().for_each(|sum| *sum /= count);
    }
}

/// Adds to the rows of `into`, `(_, columns)`, the gradient of [`mean_rows`] with respect to its
/// table, given that of its result, `(sequences, columns)`.
///
/// # Panics
/// If a row lies outside `into`, or `d_out` does not have a row for each sequence.
pub fn mean_rows_backward(
    context: &Context,
    d_out: &[f32],
    columns: usize,
    rows: &[u32],
    offsets: &[usize],
    into: &mut [f32],
) {
    assert_eq!(d_out.len(), (offsets.len() - 1) * columns, "{} sequences of {columns}", offsets.len() - 1);
    assert!(into.len().is_multiple_of(columns), "a table with rows of {columns}");
    let table = Disjoint::new(into);
    // Tasks share rows of the table but no columns, so that each sum has one order.
    context.run(columns.div_ceil(COLUMNS), |task| {
        let range = task * COLUMNS..columns.min((task + 1) * COLUMNS);
        let mut share = [0.0; COLUMNS];
        let share = &mut share[..range.len()];
        for (d_row, ends) in d_out.chunks_exact(columns).zip(offsets.windows(2)) {
            let count = (ends[1] - ends[0]).max(1) as f32;
            share.iter_mut().zip(&d_row[range.clone()]).for_each(|(share, d)| *share = d / count);
            for row in &rows[ends[0]..ends[1]] {
                let start = *row as usize * columns;
                // SAFETY: only this task uses these columns.
                let into = unsafe { table.slice(start + range.start..start + range.end) };
                into.iter_mut().zip(&*share).for_each(|(into, share)| *into += share);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::noise;

    const ROWS: usize = 17;
    const COLUMNS: usize = 75;

    fn batch() -> (Vec<u32>, Vec<usize>) {
        let rows = (0..200u32).map(|i| (i * i) % ROWS as u32).collect();
        let mut offsets: Vec<usize> = (0..20).map(|i| i * i / 2).collect();
        offsets.extend([200, 200]);
        (rows, offsets)
    }

    #[test]
    fn means_agree_with_plain_sums_on_every_instruction_set() {
        let ((rows, offsets), table) = (batch(), noise(ROWS * COLUMNS, 1));
        let mut expected = vec![0.0f32; (offsets.len() - 1) * COLUMNS];
        for (out, ends) in expected.chunks_exact_mut(COLUMNS).zip(offsets.windows(2)) {
            for row in &rows[ends[0]..ends[1]] {
                out.iter_mut().zip(&table[*row as usize * COLUMNS..]).for_each(|(out, value)| *out += value);
            }
            out.iter_mut().for_each(|out| *out /= (ends[1] - ends[0]).max(1) as f32);
        }
        assert!(expected[20 * COLUMNS..].iter().all(|value| *value == 0.0), "the last sequence is empty");
        for isa in InstructionSet::available() {
            for threads in [1, 3] {
                let mut out = vec![9.0; expected.len()];
                mean_rows(&Context::with_instruction_set(threads, isa), &table, COLUMNS, &rows, &offsets, &mut out);
                assert_eq!(out, expected, "{} with {threads} threads", isa.name());
            }
        }
    }

    #[test]
    fn gradients_are_shares_of_those_of_the_means() {
        let (rows, offsets) = batch();
        let d_out = noise((offsets.len() - 1) * COLUMNS, 2);
        let start = noise(ROWS * COLUMNS, 3);
        let mut expected = start.clone();
        for (d_row, ends) in d_out.chunks_exact(COLUMNS).zip(offsets.windows(2)) {
            for row in &rows[ends[0]..ends[1]] {
                let into = &mut expected[*row as usize * COLUMNS..][..COLUMNS];
                into.iter_mut().zip(d_row).for_each(|(into, d)| *into += d / (ends[1] - ends[0]) as f32);
            }
        }
        for threads in [1, 2, 3] {
            let mut d_table = start.clone();
            mean_rows_backward(&Context::new(threads), &d_out, COLUMNS, &rows, &offsets, &mut d_table);
            assert_eq!(d_table, expected, "the same bits with {threads} threads");
        }
    }

    #[test]
    #[should_panic(expected = "range")]
    fn rows_beyond_the_table_panic() {
        mean_rows(&Context::new(1), &[0.0; 8], 4, &[2], &[0, 1], &mut [0.0; 4]);
    }
}
