//! Files to examples, samplers, retrieval sets. Knows no model and no token.
#![forbid(unsafe_code)]

mod dataset;
mod error;
mod example;
mod negatives;
mod options;
mod read;
mod retrieval_set;
mod sample;
mod selection;
mod split;
mod summary;
mod write;

pub use dataset::Dataset;
pub use error::{DataError, Place};
pub use example::{ColumnSummary, DataSummary, Example, LabelSummary, Source};
pub use negatives::DrawnColumn;
pub use options::ReadOptions;
pub use read::{Blanks, Column, Record, RecordStream, Table, TextStream, Value};
pub use retrieval_set::{Relevant, RetrievalSet};
pub use sample::{BatchPlan, Batches, Mt19937, Sampler, SetSampler, labels_to_group, randperm};
pub use selection::LABEL_COLUMNS;
pub use split::{Split, Subset, split};
pub use summary::summarise;
pub use write::{write_jsonl, write_qrels};
