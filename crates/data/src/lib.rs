//! Files to examples, samplers, retrieval sets. Knows no model and no token.
#![forbid(unsafe_code)]

mod error;
mod example;

pub use error::DataError;
pub use example::{ColumnSummary, DataSummary, Example, Source};
