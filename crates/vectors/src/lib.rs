//! Uses of embeddings: neighbours, pairs, clusters, labels, and the store that keeps them on
//! disk. Sees vectors, row numbers, opaque ids and payloads, and an opaque fingerprint of what made
//! the vectors; never a text or a model.
//!
//! Every result is the same for any number of threads and, where something is drawn, for a seed.
#![forbid(unsafe_code)]

pub mod bm25;
pub mod classify;
pub mod cluster;
pub mod fusion;
pub mod index;
pub mod pairs;
pub mod quantize;
pub mod random;
pub mod search;
pub mod store;

mod error;

pub use error::{VectorsError, check_finite};

#[cfg(test)]
mod testing;
