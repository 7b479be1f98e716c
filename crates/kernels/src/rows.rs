//! Rows selected by number: gathered, scattered, and added to the rows of a table.

use crate::context::Context;
use crate::disjoint::Disjoint;

/// Rows of a task.
const ROWS: usize = 64;
/// Columns of a task, where tasks are sums into the table.
const COLUMNS: usize = 32;

/// The number of a row: a token id, or a position in a batch.
pub trait RowNumber: Copy + Sync {
    /// The number as an index.
    fn index(self) -> usize;
}

impl RowNumber for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

impl RowNumber for usize {
    fn index(self) -> usize {
        self
    }
}

/// Copies row `rows[i]` of `x`, `(_, columns)`, to row `i` of `out`, or adds it to that row if
/// `accumulate`. With token ids as `rows` and a table as `x` this is an embedding.
///
/// # Panics
/// If a row lies outside `x`, or `out` does not have the size of the result.
pub fn gather_rows(
    context: &Context,
    x: &[f32],
    columns: usize,
    rows: &[impl RowNumber],
    out: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(out.len(), rows.len() * columns, "{} rows of {columns}", rows.len());
    context.for_each_chunk(out, ROWS * columns, |task, out| {
        for (out, row) in out.chunks_exact_mut(columns).zip(&rows[task * ROWS..]) {
            let from = &x[row.index() * columns..(row.index() + 1) * columns];
            if accumulate {
                out.iter_mut().zip(from).for_each(|(out, from)| *out += from);
            } else {
                out.copy_from_slice(from);
            }
        }
    });
}

/// Adds row `i` of `x` to row `rows[i]` of `into`, in ascending order of `i`: the gradient of
/// [`gather_rows`] with respect to its table.
///
/// # Panics
/// If a row lies outside `into`, or `x` does not have a row for each number.
pub fn scatter_add_rows(context: &Context, x: &[f32], columns: usize, rows: &[impl RowNumber], into: &mut [f32]) {
    assert_eq!(x.len(), rows.len() * columns, "{} rows of {columns}", rows.len());
    assert!(into.len().is_multiple_of(columns), "a table with rows of {columns}");
    let table = Disjoint::new(into);
    // Tasks share rows of the table but no columns, so that each sum has one order.
    context.run(columns.div_ceil(COLUMNS), |task| {
        let range = task * COLUMNS..columns.min((task + 1) * COLUMNS);
        for (from, row) in x.chunks_exact(columns).zip(rows) {
            let start = row.index() * columns;
            // SAFETY: only this task uses these columns.
            let into = unsafe { table.slice(start + range.start..start + range.end) };
            into.iter_mut().zip(&from[range.clone()]).for_each(|(into, from)| *into += from);
        }
    });
}

/// Moves the first `rows.len()` rows of `x`, `(_, columns)`, to the rows `rows` of the same memory
/// and fills all others with zeros: the gradient of [`gather_rows`] with respect to `x` if each row
/// was taken at most once.
///
/// # Panics
/// If `rows` does not ascend, or a row lies outside `x`.
pub fn scatter_rows(x: &mut [f32], columns: usize, rows: &[usize]) {
    assert!(rows.is_sorted_by(|a, b| a < b), "rows ascend");
    x[rows.len() * columns..].fill(0.0);
    // From the last to the first, so that no row is overwritten before it is moved.
    for (from, to) in rows.iter().enumerate().rev().filter(|(from, to)| from != *to) {
        x.copy_within(from * columns..(from + 1) * columns, to * columns);
        x[from * columns..(from + 1) * columns].fill(0.0);
    }
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
        gather_rows(&Context::new(2), &table, columns, &ids, &mut out, false);
        for (row, id) in ids.iter().enumerate() {
            assert_eq!(
                out[row * columns..(row + 1) * columns],
                table[*id as usize * columns..(*id as usize + 1) * columns]
            );
        }
        gather_rows(&Context::new(2), &table, columns, &ids, &mut out, true);
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
            scatter_add_rows(&Context::new(threads), &d_out, columns, &ids, &mut d_table);
            assert_eq!(d_table, expected, "the same bits with {threads} threads");
        }
    }

    #[test]
    fn scattered_rows_are_where_they_were_gathered() {
        let (columns, rows) = (5, [0usize, 1, 4, 7]);
        let x = noise(9 * columns, 4);
        let mut moved = vec![9.0; 9 * columns];
        gather_rows(&Context::new(2), &x, columns, &rows, &mut moved[..rows.len() * columns], false);
        scatter_rows(&mut moved, columns, &rows);
        for row in 0..9 {
            let expected =
                if rows.contains(&row) { x[row * columns..][..columns].to_vec() } else { vec![0.0; columns] };
            assert_eq!(moved[row * columns..][..columns], expected, "row {row}");
        }
    }

    #[test]
    #[should_panic(expected = "range")]
    fn ids_beyond_the_table_panic() {
        gather_rows(&Context::new(1), &[0.0; 8], 4, &[2u32], &mut [0.0; 4], false);
    }
}
