//! Strings to token ids. Knows `tokenizer.json` and nothing of models or arithmetic.
#![forbid(unsafe_code)]

mod batch;

pub use batch::TokenBatch;
