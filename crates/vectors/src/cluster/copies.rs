//! Rows that are equal in every value: no method can tell them apart, so none should separate them.

use maana_kernels::Rows;
use std::collections::HashMap;
use xxhash_rust::xxh3::Xxh3;

/// The first row with the same values, for each row; a row that repeats no earlier one is its own.
pub fn copies(rows: Rows<'_>) -> Vec<usize> {
    let mut seen: HashMap<u64, Vec<usize>> = HashMap::new();
    let first = |row: usize| {
        let mut hasher = Xxh3::new();
        // Zeros of both signs are one value.
        rows.row(row).iter().for_each(|value| hasher.update(&(value + 0.0).to_le_bytes()));
        let alike = seen.entry(hasher.digest()).or_default();
        if let Some(first) = alike.iter().find(|first| rows.row(**first) == rows.row(row)) {
            return *first;
        }
        alike.push(row);
        row
    };
    (0..rows.rows()).map(first).collect()
}

/// The number of different rows among them.
pub(super) fn distinct(copies: &[usize]) -> usize {
    copies.iter().enumerate().filter(|(row, first)| row == *first).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_have_one_first_row() {
        let rows = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 0.0, 1.0, -0.0, 1.0, 1.0, 2.0];
        let found = copies(Rows::new(&rows, 6, 2, 2));
        assert_eq!(found, [0, 1, 0, 3, 3, 0]);
        assert_eq!(distinct(&found), 3);
    }
}
