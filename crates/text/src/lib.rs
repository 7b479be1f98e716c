//! Strings to token ids. Reads the files of a tokenizer; knows no model and no arithmetic.
#![forbid(unsafe_code)]

mod batch;
mod boundary;
mod description;
mod error;
mod pair;
mod pair_template;
mod tokenizer;
mod vocabulary;
mod word_pieces;
mod words;

pub use batch::TokenBatch;
pub use description::Overlong;
pub use error::TextError;
pub use pair::PairText;
pub use tokenizer::{Token, Tokenizer};
pub use vocabulary::{Revised, Word};
