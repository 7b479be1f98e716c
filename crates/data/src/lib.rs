//! Files to examples, samplers, retrieval sets. Knows no model and no token.
#![forbid(unsafe_code)]

mod error;
mod example;
mod sample;

pub use error::DataError;
pub use example::{ColumnSummary, DataSummary, Example, Source};
pub use sample::{BatchPlan, Batches, Mt19937, NoDuplicates, Order, Sampler, Shuffle, randperm};
