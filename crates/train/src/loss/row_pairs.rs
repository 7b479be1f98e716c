//! Pairs of texts that the rows of a micro-batch give to a cross-encoder.

use super::number_or_all::NumberOrAll;

/// Pairs of texts that a row gives to a cross-encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// The first text with each other one.
    Each,
    /// The first text with the second, then with this number of documents of other rows, then with
    /// each further one of its own.
    WithOthers(NumberOrAll),
}
