//! Names of files that several modules know.

/// The graph over a store's vectors, if one was made. It is no part of the state: without it all
/// rows are compared.
pub(crate) const GRAPH: &str = "graph";
