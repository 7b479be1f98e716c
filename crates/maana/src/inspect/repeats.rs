//! Repeated rows and texts, and how often a repeated text makes a false negative of another row in
//! its batch.

use maana_data::Source;
use serde::Serialize;
use std::collections::HashMap;

/// Repetitions in the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Repeats {
    /// Rows that equal an earlier row.
    pub rows: usize,
    /// Rows in which two columns hold the same text.
    pub same_in_row: usize,
    /// Rows that have a blank text.
    pub blank: usize,
    /// Expected share of rows that share a text of their first two columns with another row of a
    /// random batch. That row's document is then a false negative, or their own text.
    pub share_of_rows: f64,
}

/// Counts repetitions for batches of `batch_size` random rows.
pub(super) fn of(source: &dyn Source, batch_size: usize) -> Repeats {
    let (keys, columns, rows) = (source.text_keys(), source.columns().len(), source.len());
    let row = |row: usize| &keys[row * columns..][..columns];
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.sort_unstable_by_key(|&number| row(number as usize));
    let equal = order.windows(2).filter(|pair| row(pair[0] as usize) == row(pair[1] as usize)).count();
    let same_in_row = (0..rows).filter(|&number| has_repeat(row(number))).count();
    Repeats { rows: equal, same_in_row, blank: 0, share_of_rows: share(keys, columns, rows, batch_size) }
}

fn has_repeat(keys: &[u32]) -> bool {
    keys.iter().enumerate().any(|(place, key)| keys[..place].contains(key))
}

/// Returns the expected share of rows that meet a row with a text of theirs. Texts of the first two
/// columns count.
fn share(keys: &[u32], columns: usize, rows: usize, batch_size: usize) -> f64 {
    if columns < 2 || rows < 2 {
        return 0.0;
    }
    let texts = keys.iter().max().map_or(0, |last| *last as usize + 1);
    // Rows with a text, and with both of two texts.
    let mut counts = vec![0_u32; texts];
    let mut pairs: HashMap<(u32, u32), u32> = HashMap::new();
    let both = |row: &[u32]| (row[0].min(row[1]), row[0].max(row[1]));
    for row in keys.chunks_exact(columns) {
        counts[row[0] as usize] += 1;
        counts[row[1] as usize] += u32::from(row[0] != row[1]);
        *pairs.entry(both(row)).or_default() += 1;
    }
    let meets = |row: &[u32]| {
        let others = match row[0] == row[1] {
            true => counts[row[0] as usize] - 1,
            false => counts[row[0] as usize] + counts[row[1] as usize] - pairs[&both(row)] - 1,
        };
        let none = 1.0 - f64::from(others) / (rows - 1) as f64;
        // Products of f64 are the same everywhere, powers of the system's library are not.
        1.0 - (1..batch_size.min(rows)).fold(1.0, |product, _| product * none)
    };
    keys.chunks_exact(columns).map(meets).sum::<f64>() / rows as f64
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn the_share_of_rows_that_meet_their_text_is_expected() {
        // Distinct texts never meet; of two rows with one query both do in a batch of both.
        assert_eq!(share(&[0, 1, 2, 3], 2, 2, 2), 0.0);
        assert_eq!(share(&[0, 1, 0, 3], 2, 2, 2), 1.0);
        assert_eq!(share(&[0, 1, 0, 1], 2, 2, 2), 1.0);
        // The query of one row may be the document of another.
        assert_eq!(share(&[0, 1, 2, 0], 2, 2, 2), 1.0);
        assert_eq!(share(&[0, 1, 1, 0], 2, 2, 2), 1.0);
        assert_eq!(share(&[0, 0, 1, 2], 2, 2, 2), 0.0);
        // Of four rows, two share a query: half of the rows meet theirs with a probability of 1/3.
        let found = share(&[0, 1, 0, 3, 4, 5, 6, 7], 2, 4, 2);
        assert!((found - 1.0 / 6.0).abs() < 1e-12, "{found}");
    }
}
