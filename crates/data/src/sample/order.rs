//! The order of the rows of an epoch.

use super::Mt19937;

/// The order in which an epoch visits the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The reference's `randperm` with seed `seed + epoch` (Sentence Transformers 6.2).
    Shuffled {
        /// Seed of the run.
        seed: u64,
        /// Epoch, from 0.
        epoch: u64,
    },
    /// A permutation by the generator as it is, and none at the end (Sentence Transformers 3.0.1).
    ShuffledOnce {
        /// Seed of the run.
        seed: u64,
    },
    /// Ascending in every epoch (Sentence Transformers 3.0.1, where a Python `set` undoes the
    /// shuffle).
    Dataset {
        /// Seed of the run, for the order of several sets.
        seed: u64,
    },
}

impl Order {
    /// Returns the generator of the epoch as the reference seeds it.
    pub(super) fn generator(self) -> Mt19937 {
        match self {
            Self::Shuffled { seed, epoch } => Mt19937::new(seed.wrapping_add(epoch)),
            Self::ShuffledOnce { seed } | Self::Dataset { seed } => Mt19937::new(seed),
        }
    }

    /// Returns the rows of the epoch in their order, drawn from `generator`.
    pub(super) fn rows(self, rows: usize, generator: &mut Mt19937) -> Vec<u32> {
        match self {
            Self::Shuffled { .. } | Self::ShuffledOnce { .. } => generator.permutation(rows),
            Self::Dataset { .. } => (0..rows as u32).collect(),
        }
    }
}
