//! All pairs of rows whose cosine reaches a threshold, a block of rows at a time.

use crate::search::{Metric, norms};
use maana_kernels::{Context, Rows, matmul_transposed};

/// Rows of a block, and rows that it is compared with at once.
const BLOCK: usize = 256;
const ACROSS: usize = 2048;

/// Calls `f` with each row in turn, and the rows whose cosine with it is at least `threshold`, with
/// their cosines, in ascending order; only later rows if `later`. A row is its own neighbour
/// otherwise.
pub(crate) fn for_each_above(
    context: &Context,
    rows: Rows<'_>,
    threshold: f32,
    later: bool,
    mut f: impl FnMut(usize, &[(u32, f32)]),
) {
    let lengths = norms(rows);
    // As in exact search: the product decides what is worth the sum in the fixed order.
    let gamma = (rows.columns() as f32 + 8.0) * 2f32.powi(-21);
    let mut products = Vec::new();
    for start in (0..rows.rows()).step_by(BLOCK) {
        let block = rows.range(start..rows.rows().min(start + BLOCK));
        let mut found: Vec<Vec<(u32, f32)>> = vec![Vec::new(); block.rows()];
        for first in (if later { start } else { 0 }..rows.rows()).step_by(ACROSS) {
            let across = rows.range(first..rows.rows().min(first + ACROSS));
            products.resize(block.rows() * across.rows(), 0.0);
            matmul_transposed(context, block, across, &mut products, false);
            context.for_each_chunk(&mut found, 1, |row, found| {
                let length = lengths[start + row];
                let products = &products[row * across.rows()..(row + 1) * across.rows()];
                for (other, product) in products.iter().enumerate() {
                    let other_length = lengths[first + other];
                    let near = *product >= (threshold - gamma) * (length * other_length);
                    if near && !(later && first + other <= start + row) {
                        let score = Metric::Cosine.score_with(block.row(row), across.row(other), length, other_length);
                        if score >= threshold {
                            found[0].push(((first + other) as u32, score));
                        }
                    }
                }
            });
        }
        found.iter().enumerate().for_each(|(row, found)| f(start + row, found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::embeddings;

    #[test]
    fn agrees_with_comparing_all_pairs() {
        for (n, threshold) in [(0, 0.5), (1, 0.5), (300, 0.7), (600, -1.0), (2100, 0.97)] {
            let matrix = embeddings(n, 16, 9, 1);
            let rows = matrix.view();
            for later in [false, true] {
                let mut visited = 0;
                for_each_above(&Context::new(2), rows, threshold, later, |row, found| {
                    assert_eq!(row, visited);
                    visited += 1;
                    let others = if later { row + 1..n } else { 0..n };
                    let scored =
                        others.map(|other| (other as u32, Metric::Cosine.score(rows.row(row), rows.row(other))));
                    assert!(found.iter().copied().eq(scored.filter(|(_, score)| *score >= threshold)), "row {row}");
                });
                assert_eq!(visited, n);
            }
        }
    }
}
