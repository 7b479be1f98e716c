//! Batches with at least two rows of each of their labels, for losses that compare rows of equal
//! and of different labels. The batches of Sentence Transformers 6.2. Knows labels only.

use std::collections::{HashMap, VecDeque};

use super::draw::Draw;
use super::{Mt19937, Order};

/// Batches in which labels take turns, two rows at a time.
///
/// Rows are shuffled within each label; labels with fewer than two rows, and the last row of an odd
/// number, are left out. In each round the labels that have rows left come in a new order. The
/// epoch ends when fewer than two labels have rows left, so that a frequent label is not used to
/// its end.
pub(crate) struct GroupByLabel {
    /// Rows of each label, labels in the order of their first rows.
    groups: Vec<Vec<u32>>,
    batch_size: usize,
    drop_last: bool,
    order: Order,
    started: bool,
    /// Rows of each group that are left.
    queues: Vec<VecDeque<u32>>,
    /// Groups with rows left.
    remaining: Vec<usize>,
    /// The last group of the last round.
    last: Option<usize>,
    ready: VecDeque<Vec<u32>>,
    batch: Vec<u32>,
}

/// Rows of the smallest batch: two of each of two labels.
pub(super) const SMALLEST_BATCH: usize = 4;

impl GroupByLabel {
    /// Creates the batches of one epoch of rows with these labels.
    pub(crate) fn new(labels: &[f32], batch_size: usize, drop_last: bool, order: Order) -> Self {
        assert!(batch_size >= SMALLEST_BATCH && batch_size.is_multiple_of(2), "batches of {batch_size} rows");
        let groups = groups(labels);
        Self {
            queues: vec![VecDeque::new(); groups.len()],
            groups,
            batch_size,
            drop_last,
            order,
            started: false,
            remaining: Vec::new(),
            last: None,
            ready: VecDeque::new(),
            batch: Vec::new(),
        }
    }

    fn start(&mut self, generator: &mut Mt19937) {
        self.started = true;
        // Also where the generator is shared: the reference seeds it again.
        *generator = self.order.generator();
        for (queue, rows) in self.queues.iter_mut().zip(&self.groups) {
            let shuffled = self.order.rows(rows.len(), generator);
            queue.extend(shuffled[..rows.len() / 2 * 2].iter().map(|&place| rows[place as usize]));
        }
        self.remaining = (0..self.groups.len()).collect();
    }

    /// Takes two rows of each label that has rows left.
    fn round(&mut self, generator: &mut Mt19937) {
        let order = self.order.rows(self.remaining.len(), generator);
        let mut labels: Vec<usize> = order.iter().map(|&place| self.remaining[place as usize]).collect();
        // Keeps consecutive pairs within a batch from sharing a label.
        if !self.batch.is_empty() && Some(labels[0]) == self.last {
            labels.swap(0, 1);
        }
        for &label in &labels {
            self.batch.extend(self.queues[label].drain(..2));
            if self.batch.len() >= self.batch_size {
                self.ready.push_back(std::mem::take(&mut self.batch));
            }
        }
        self.last = labels.last().copied();
        labels.retain(|&label| !self.queues[label].is_empty());
        self.remaining = labels;
    }
}

impl Draw for GroupByLabel {
    fn draw(&mut self, generator: &mut Mt19937) -> Option<Vec<u32>> {
        if !self.started {
            self.start(generator);
        }
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(batch);
            }
            if self.remaining.len() < 2 {
                let rest = std::mem::take(&mut self.batch);
                return (!self.drop_last && rest.len() >= SMALLEST_BATCH).then_some(rest);
            }
            self.round(generator);
        }
    }
}

/// Returns the rows of each label that has at least two, labels in the order of their first rows.
pub(super) fn groups(labels: &[f32]) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<u32, usize> = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (row, label) in labels.iter().enumerate() {
        // The sum makes a negative zero positive.
        let number = *numbers.entry((label + 0.0).to_bits()).or_insert(groups.len());
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(row as u32);
    }
    groups.retain(|rows| rows.len() >= 2);
    groups
}

/// Returns the number of batches of an epoch.
pub(super) fn batches(labels: &[f32], batch_size: usize, drop_last: bool) -> usize {
    let mut pairs: Vec<usize> = groups(labels).iter().map(|rows| rows.len() / 2).collect();
    pairs.sort_unstable_by(|a, b| b.cmp(a));
    // The round after which one label is left.
    let rounds = pairs.get(1).copied().unwrap_or(0);
    let rows: usize = pairs.iter().map(|&pairs| 2 * pairs.min(rounds)).sum();
    rows / batch_size + usize::from(!drop_last && rows % batch_size >= SMALLEST_BATCH)
}
