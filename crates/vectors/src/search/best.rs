//! The k best of what is offered one by one, with the score that the next must reach.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A bounded list of (score, row): greater scores first, of equal ones the lower row. What is not a
/// number is refused.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    k: usize,
    heap: BinaryHeap<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    score: f32,
    row: u32,
}

impl Best {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    /// Returns the score that a row must exceed: −∞ while there is room.
    pub(crate) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.k => worst.score,
            None if self.k == 0 => f32::INFINITY,
            _ => f32::NEG_INFINITY,
        }
    }

    pub(crate) fn offer(&mut self, score: f32, row: u32) {
        if score.is_nan() || self.k == 0 {
            return;
        }
        let entry = Entry { score, row };
        if self.heap.len() < self.k {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    pub(crate) fn merge(&mut self, other: Best) {
        other.heap.into_iter().for_each(|entry| self.offer(entry.score, entry.row));
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<(f32, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|entry| (entry.score, entry.row)).collect()
    }
}

/// The worse hit is greater, so that the heap's root is the worst.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        scores.then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_kernel_that_sorts(values in prop::collection::vec(-4i8..5, 0..60), k in 0usize..20, cut in 0usize..60) {
            let scores: Vec<f32> = values.iter().map(|v| if *v == -4 { f32::NAN } else { f32::from(*v) }).collect();
            let cut = cut.min(scores.len());
            let (mut first, mut second) = (Best::new(k), Best::new(k));
            for (row, score) in scores.iter().enumerate().rev() {
                if row < cut { first.offer(*score, row as u32) } else { second.offer(*score, row as u32) }
            }
            second.merge(first);
            prop_assert_eq!(second.into_sorted(), maana_kernels::top_k(&scores, k));
        }
    }
}
