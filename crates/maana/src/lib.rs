//! The library people call: one workflow a file, and what is told to people. The crates below are re-exported, so that one
//! dependency is enough.
#![forbid(unsafe_code)]

pub mod bench;
pub mod card;
pub mod classify;
pub mod cluster;
pub mod demo;
pub mod encode;
pub mod evaluate;
pub mod finetune;
pub mod fingerprint;
pub mod hub;
pub mod npy;
pub mod open;
pub mod recipe;
pub mod report;
pub mod roles;
pub mod search;
pub mod similarity;
pub mod suite;
pub mod synthesize;
pub mod texts;

pub use maana_data as data;
pub use maana_eval as eval;
pub use maana_files as files;
pub use maana_kernels as kernels;
pub use maana_model as model;
pub use maana_swahili as swahili;
pub use maana_text as text;
pub use maana_train as train;
pub use maana_vectors as vectors;
