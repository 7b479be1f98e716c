//! One command a file.

pub(crate) mod bench;
pub(crate) mod blend;
pub(crate) mod classify;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod distill_static;
pub(crate) mod encode;
pub(crate) mod evaluate;
pub(crate) mod fetch;
pub(crate) mod hard_negatives;
pub(crate) mod index;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod mine;
pub(crate) mod push;
pub(crate) mod rerank;
pub(crate) mod score;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod similarity;
pub(crate) mod store;
pub(crate) mod synthesize;
pub(crate) mod train;
