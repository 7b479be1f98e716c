//! Batches of consecutive rows in shuffled or ascending order. Knows no texts.

use super::draw::Draw;
use super::{Mt19937, Order};

/// Batches of `batch_size` rows, each row once.
///
/// With [`Order::Shuffled`] they equal those of the reference's default sampler with the current
/// `accelerate` (`SeedableRandomSampler`): every epoch seeds the generator with `seed + epoch` and
/// divides one `randperm` into batches, the last of which may be short.
pub(crate) struct Shuffle {
    rows: usize,
    batch_size: usize,
    drop_last: bool,
    order: Order,
    /// The order of the rows, once it is drawn.
    drawn: Option<Vec<u32>>,
    at: usize,
    ended: bool,
}

impl Shuffle {
    /// Creates the batches of one epoch over `rows` rows.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub(crate) fn new(rows: usize, batch_size: usize, drop_last: bool, order: Order) -> Self {
        assert!(batch_size > 0, "batches of 0 rows");
        Self { rows, batch_size, drop_last, order, drawn: None, at: 0, ended: false }
    }
}

impl Draw for Shuffle {
    fn draw(&mut self, generator: &mut Mt19937) -> Option<Vec<u32>> {
        if self.ended {
            return None;
        }
        let rows = self.drawn.get_or_insert_with(|| self.order.rows(self.rows, generator));
        let left = &rows[self.at..];
        let batch = left[..left.len().min(self.batch_size)].to_vec();
        self.at += batch.len();
        if batch.len() < self.batch_size {
            // The sampler of 6.2 draws another permutation when it runs out of rows, which changes
            // what the samplers of other sets draw.
            if let Order::Shuffled { .. } = self.order {
                self.order.rows(self.rows, generator);
            }
            self.ended = true;
        }
        let complete = batch.len() == self.batch_size || (!self.drop_last && !batch.is_empty());
        complete.then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::drawn;
    use super::super::randperm;
    use super::*;

    fn batches(rows: usize, batch_size: usize, drop_last: bool, order: Order) -> Vec<Vec<u32>> {
        drawn(Shuffle::new(rows, batch_size, drop_last, order), order)
    }

    #[test]
    fn an_epoch_is_one_permutation_cut_into_batches() {
        let shuffled = Order::Shuffled { seed: 40, epoch: 2 };
        let all = batches(50, 8, false, shuffled);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 2]);
        assert_eq!(all.concat(), randperm(50, 42));
        assert_eq!(batches(50, 8, true, shuffled).len(), 6);
        assert_eq!(batches(48, 8, false, shuffled).len(), 6);
    }

    #[test]
    fn dataset_order_is_ascending() {
        assert_eq!(batches(5, 2, false, Order::Dataset { seed: 0 }), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn no_rows_no_batches() {
        assert!(batches(0, 4, false, Order::Dataset { seed: 0 }).is_empty());
    }
}
