//! Strings to token ids. Reads the files of a tokenizer; knows no model and no arithmetic.
#![forbid(unsafe_code)]

mod batch;
mod boundary;
mod companions;
mod convert;
mod description;
mod error;
mod overlong;
mod pair;
mod pair_template;
mod tokenizer;
mod vocabulary;
mod word_pieces;
mod words;

pub use batch::TokenBatch;
pub use error::TextError;
pub use overlong::Overlong;
pub use pair::PairText;
pub use pair_template::PairTemplate;
pub use tokenizer::{Token, Tokenizer};
pub use vocabulary::{Revised, Word};
