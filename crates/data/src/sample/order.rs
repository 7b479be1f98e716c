//! The order of the rows of an epoch.

/// The order in which an epoch visits the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The reference's `randperm` with seed `seed + epoch` (Sentence Transformers 6.2).
    Shuffled {
        /// Seed of the run.
        seed: u64,
        /// Epoch, from 0.
        epoch: u64,
    },
    /// Ascending in every epoch (Sentence Transformers 3.0.1, where a Python `set` undoes the
    /// shuffle).
    Dataset,
}
