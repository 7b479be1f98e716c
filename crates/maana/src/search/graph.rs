//! Graphs over the vectors of a folder's store.

use super::error::SearchError;
use maana_kernels::{Context, Rows};
use maana_vectors::index::{Graph, Hnsw, HnswSettings, prefix_for};
use maana_vectors::search::RecallTarget;
use maana_vectors::store::Writer;

/// Number of documents from which a store is given a graph; with fewer, comparing every vector
/// takes a fraction of a second.
pub const GRAPH_FROM: usize = 1_000_000;

/// Builds a graph over the vectors of a store and adds it to the store. Searches then walk along
/// it, and compare only later rows one by one. The prefix and the recall of each width are measured
/// by these queries, or by some of the store's own vectors, perturbed. The store is compacted
/// first, so that no later change moves the rows.
///
/// # Errors
/// If a file is damaged or cannot be written; an earlier graph then remains.
pub(super) fn build(writer: &mut Writer, context: &Context, queries: Option<Rows<'_>>) -> Result<Graph, SearchError> {
    writer.compact()?;
    let (corpus, metric) = (writer.store().corpus(), writer.store().header().metric);
    let target = RecallTarget { queries, ..RecallTarget::default() };
    let settings =
        HnswSettings { prefix: Some(prefix_for(context, &corpus, metric, &target)?), ..HnswSettings::default() };
    let mut built = Hnsw::build(context, corpus, metric, &settings)?;
    built.measure(context, &target)?;
    let graph = built.into_graph();
    graph.keep(writer)?;
    Ok(graph)
}

/// Measures again the recall of a graph over all rows of a store.
///
/// # Errors
/// As [`build`].
pub(super) fn measure(
    writer: &Writer,
    context: &Context,
    graph: Graph,
    queries: Option<Rows<'_>>,
) -> Result<Graph, SearchError> {
    let mut walked = Hnsw::over(writer.store().corpus(), graph.into(), &HnswSettings::default());
    walked.measure(context, &RecallTarget { queries, ..RecallTarget::default() })?;
    let graph = walked.into_graph();
    graph.keep(writer)?;
    Ok(graph)
}
