//! Files to examples, samplers, retrieval sets. Knows no model and no token.
#![forbid(unsafe_code)]

mod dataset;
mod error;
mod example;
mod read;
mod retrieval_set;
mod sample;
mod split;
mod summary;
mod write;

pub use dataset::{Dataset, ReadOptions};
pub use error::{DataError, Place};
pub use example::{ColumnSummary, DataSummary, Example, Source};
pub use read::{LABEL_COLUMNS, Record, RecordStream, TextStream, record_columns, text_column};
pub use retrieval_set::{Relevant, RetrievalSet};
pub use sample::{BatchPlan, Batches, Mt19937, NoDuplicates, Order, Sampler, Shuffle, randperm};
pub use split::{Split, Subset, split};
pub use summary::summarise;
pub use write::{write_jsonl, write_qrels};
