//! Strings to token ids. Reads the files of a tokenizer; knows no model and no arithmetic.
#![forbid(unsafe_code)]

mod batch;
mod boundary;
mod description;
mod error;
mod tokenizer;
mod vocabulary;
mod words;

pub use batch::TokenBatch;
pub use description::Overlong;
pub use error::TextError;
pub use tokenizer::{PairText, Token, Tokenizer};
pub use vocabulary::{Revised, Word};
