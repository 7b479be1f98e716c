//! Examples and a model to a better model. Does not know what is measured, nor that a model has a folder.
#![forbid(unsafe_code)]

mod record;

pub use record::{LogRow, TrainingRecord};
