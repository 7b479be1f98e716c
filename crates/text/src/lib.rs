//! Strings to token ids. Knows the files of a tokenizer and nothing of models or arithmetic.
#![forbid(unsafe_code)]

mod batch;
mod bound;
mod description;
mod tokenizer;

pub use batch::TokenBatch;
pub use tokenizer::{Overlong, TextError, Token, Tokenizer};
