//! Columns of lists from which each epoch draws some texts.

use maana_files::mix;

/// A column of lists of any length, from which each epoch draws texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnColumn {
    /// The column, which holds a list of texts in each row.
    pub column: String,
    /// Number of texts to draw, each of which becomes a column.
    pub count: usize,
    /// Seed of the run.
    pub seed: u64,
}

impl DrawnColumn {
    /// Returns which of `length` texts of row `row` epoch `epoch` has: a function of the seed,
    /// epoch and row only. A text comes again only when all others have come as often.
    pub(crate) fn drawn(&self, epoch: u64, row: usize, length: usize) -> Vec<usize> {
        let mut state = mix(self.seed ^ mix(epoch ^ mix(row as u64)));
        let (mut left, mut drawn) = (Vec::new(), Vec::with_capacity(self.count));
        for _ in 0..self.count {
            if left.is_empty() {
                left.extend(0..length);
            }
            state = mix(state);
            drawn.push(left.swap_remove((state % left.len() as u64) as usize));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn column(count: usize, seed: u64) -> DrawnColumn {
        DrawnColumn { column: "negatives".into(), count, seed }
    }

    #[test]
    fn draws_are_distinct_equally_frequent_and_a_function_of_seed_epoch_and_row() {
        let mut times = HashMap::new();
        for epoch in 0..60 {
            for row in 0..10 {
                let drawn = column(2, 42).drawn(epoch, row, 5);
                assert_ne!(drawn[0], drawn[1]);
                assert_eq!(drawn, column(2, 42).drawn(epoch, row, 5));
                drawn.into_iter().for_each(|text| *times.entry(text).or_insert(0) += 1);
            }
        }
        assert!(times.len() == 5 && times.values().all(|&times| (200..280).contains(&times)), "{times:?}");
        for (seed, epoch, row) in [(43, 0, 0), (42, 1, 0), (42, 0, 1)] {
            let same = |at: usize| column(8, seed).drawn(epoch, row + at, 30) == column(8, 42).drawn(0, at, 30);
            assert!(!(0..4).all(same), "seed {seed}, epoch {epoch}, row {row}");
        }
    }

    #[test]
    fn a_short_list_repeats_only_when_all_its_texts_have_come() {
        let mut drawn = column(5, 1).drawn(3, 7, 2);
        assert_eq!(drawn.len(), 5);
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn[2], drawn[3]);
        drawn.sort_unstable();
        assert!(drawn == [0, 0, 0, 1, 1] || drawn == [0, 0, 1, 1, 1], "{drawn:?}");
    }
}
