//! The workflows of Maana, one per module: fine-tuning, evaluation, encoding, search,
//! classification, clustering. The crates below are re-exported, so that one dependency is enough.
//!
//! Features: `postgres` (default) for stores on PostgreSQL, `demo` for the demo and synthetic
//! Swahili texts.
#![forbid(unsafe_code)]

mod base_model;
pub mod blend;
pub mod card;
pub mod classify;
pub mod cluster;
#[cfg(feature = "demo")]
pub mod demo;
pub mod distill_static;
pub mod encode;
pub mod evaluation;
pub mod finetune;
pub mod fingerprint;
pub mod from_card;
pub mod hardware;
pub mod hub;
pub mod inspect;
pub mod npy;
pub mod open;
pub mod recipe;
pub mod report;
pub mod rerank;
pub mod roles;
pub mod score;
pub mod search;
pub mod similarity;
#[cfg(feature = "demo")]
pub mod synthesize;
pub mod texts;

pub use open::{open_cross_encoder, open_cross_encoder_with};

pub use maana_chart as chart;
pub use maana_data as data;
pub use maana_eval as eval;
pub use maana_files as files;
pub use maana_kernels as kernels;
pub use maana_model as model;
#[cfg(feature = "demo")]
pub use maana_swahili as swahili;
pub use maana_text as text;
pub use maana_train as train;
pub use maana_vectors as vectors;
