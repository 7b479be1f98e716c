//! Encoder and data set to scores. Knows nothing of training.
#![forbid(unsafe_code)]

mod scores;

pub use scores::Scores;
