//! Batches of consecutive rows in shuffled or ascending order. Knows no texts.

use super::{Order, randperm};

/// Batches of `batch_size` rows, each row once.
///
/// With [`Order::Shuffled`] they equal those of the reference's default sampler with the current
/// `accelerate` (`SeedableRandomSampler`): every epoch seeds the generator with `seed + epoch` and
/// divides one `randperm` into batches, the last of which may be short.
pub struct Shuffle {
    order: Vec<u32>,
    batch_size: usize,
    drop_last: bool,
    at: usize,
}

impl Shuffle {
    /// Creates the batches of one epoch over `rows` rows.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn new(rows: usize, batch_size: usize, drop_last: bool, order: Order) -> Self {
        assert!(batch_size > 0, "batches of 0 rows");
        let order = match order {
            Order::Shuffled { seed, epoch } => randperm(rows, seed.wrapping_add(epoch)),
            Order::Dataset => (0..rows as u32).collect(),
        };
        Self { order, batch_size, drop_last, at: 0 }
    }
}

impl Iterator for Shuffle {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        let left = &self.order[self.at..];
        let size = left.len().min(self.batch_size);
        if size == 0 || (size < self.batch_size && self.drop_last) {
            return None;
        }
        self.at += size;
        Some(left[..size].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_one_permutation_cut_into_batches() {
        let shuffled = Order::Shuffled { seed: 40, epoch: 2 };
        let batches: Vec<_> = Shuffle::new(50, 8, false, shuffled).collect();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 2]);
        assert_eq!(batches.concat(), randperm(50, 42));
        assert_eq!(Shuffle::new(50, 8, true, shuffled).count(), 6);
    }

    #[test]
    fn dataset_order_is_ascending() {
        let batches: Vec<_> = Shuffle::new(5, 2, false, Order::Dataset).collect();
        assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn no_rows_no_batches() {
        assert_eq!(Shuffle::new(0, 4, false, Order::Dataset).next(), None);
    }
}
