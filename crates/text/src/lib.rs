//! Strings to token ids. Knows `tokenizer.json` and nothing of models or arithmetic.
#![forbid(unsafe_code)]

mod batch;
mod tokenizer;

pub use batch::TokenBatch;
pub use tokenizer::{Overlong, TextError, Token, Tokenizer};
