//! The graph: HNSW (Malkov & Yashunin 2018) over codes of a prefix of the rows, re-normalised with
//! `Cosine`. A query walks from neighbour to neighbour towards what is nearest, and the best of
//! what it finds are scored with the full vectors. Rows of equal codes are one node of the graph.
//! Built for a seed, the same for any number of threads.

mod build;
mod copies;
mod file;
mod graph;
mod graph_file;
mod links;
mod measure;
mod walk;

pub use graph::{Graph, Hnsw, HnswSettings, Reached};
pub use measure::prefix_for;
