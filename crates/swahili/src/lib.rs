//! Swahili sentence pairs from a grammar and a lexicon: a longer scene, and something that follows
//! from it. Facts first (`scene`), then words (`wording`): grammar is in `noun_class` and `verb`,
//! vocabulary in `lexicon`. Knows no model, no file and no other crate.
#![forbid(unsafe_code)]

mod lexicon;
mod noun_class;
mod random;
mod scene;
mod synthesis;
mod verb;
mod wording;

pub use synthesis::{Document, Pair, Retrieval, Synthesis};
