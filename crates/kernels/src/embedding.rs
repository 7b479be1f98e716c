//! Embedding tables: rows by number, and the gradients of rows, summed in ascending order of tokens.

use crate::parallel::Context;

/// Rows of a task.
const ROWS: usize = 64;
/// Columns of a task, where tasks are sums into the table.
const COLUMNS: usize = 32;

/// Row `ids[i]` of `table` (`(vocabulary, columns)`) into row `i` of `out`, or added to it if `accumulate`.
pub fn embedding_gather(
    context: &Context,
    table: &[f32],
    columns: usize,
    ids: &[u32],
    out: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(out.len(), ids.len() * columns, "{} rows of {columns}", ids.len());
    context.for_each_chunk(out, ROWS * columns, |task, out| {
        for (row, id) in out.chunks_exact_mut(columns).zip(&ids[task * ROWS..]) {
            let from = &table[*id as usize * columns..(*id as usize + 1) * columns];
            if accumulate {
                row.iter_mut().zip(from).for_each(|(row, from)| *row += from);
            } else {
                row.copy_from_slice(from);
            }
        }
    });
}

/// Adds row `i` of `d_out` to row `ids[i]` of `d_table`.
pub fn embedding_scatter(context: &Context, d_out: &[f32], columns: usize, ids: &[u32], d_table: &mut [f32]) {
    assert_eq!(d_out.len(), ids.len() * columns, "{} rows of {columns}", ids.len());
    assert!(d_table.len().is_multiple_of(columns), "a table of rows of {columns}");
    let table = crate::parallel::Disjoint::new(d_table);
    // Tasks share rows of the table but not columns, so that each sum has one order.
    context.run(columns.div_ceil(COLUMNS), |task| {
        let range = task * COLUMNS..columns.min((task + 1) * COLUMNS);
        for (from, id) in d_out.chunks_exact(columns).zip(ids) {
            let start = *id as usize * columns;
            // SAFETY: these columns belong to this task alone.
            let into = unsafe { table.slice(start + range.start..start + range.end) };
            into.iter_mut().zip(&from[range.clone()]).for_each(|(into, from)| *into += from);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn gathering_and_scattering_follow_the_ids() {
        let columns = 45;
        let ids: Vec<u32> = (0..200).map(|i| (i * i) % 17).collect();
        let table = noise(17 * columns, 1);
        let mut out = vec![0.0; ids.len() * columns];
        embedding_gather(&Context::new(2), &table, columns, &ids, &mut out, false);
        for (row, id) in ids.iter().enumerate() {
            assert_eq!(
                out[row * columns..(row + 1) * columns],
                table[*id as usize * columns..(*id as usize + 1) * columns]
            );
        }
        embedding_gather(&Context::new(2), &table, columns, &ids, &mut out, true);
        assert_eq!(out[columns + 3], 2.0 * table[ids[1] as usize * columns + 3]);

        let d_out = noise(ids.len() * columns, 2);
        let mut expected = noise(17 * columns, 3);
        let start = expected.clone();
        for (row, id) in ids.iter().enumerate() {
            for column in 0..columns {
                expected[*id as usize * columns + column] += d_out[row * columns + column];
            }
        }
        for threads in [1, 2, 3] {
            let mut d_table = start.clone();
            embedding_scatter(&Context::new(threads), &d_out, columns, &ids, &mut d_table);
            assert_eq!(d_table, expected, "the same bits with {threads} threads");
        }
    }

    #[test]
    #[should_panic(expected = "range")]
    fn an_id_beyond_the_table_is_no_silent_read() {
        embedding_gather(&Context::new(1), &[0.0; 8], 4, &[2], &mut [0.0; 4], false);
    }
}
