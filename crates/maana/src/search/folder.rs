//! Stores in folders.

use super::contents::{check_filters, content, fields, payload};
use super::error::SearchError;
use super::graph;
use super::request::{Answers, Content, SearchOptions};
use super::searcher::Searcher;
use super::store_trait::{
    Added, Compacted, Damaged, Deleted, Description, GraphReport, ReadStore, Verified, WriteStore,
};
use maana_eval::metric;
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{Role, TextEncoder};
use maana_vectors::index::Graph;
use maana_vectors::store::{Document, Store, StoreHeader, Stored, Writer};
use std::collections::HashSet;
use std::path::Path;

/// Creates a store for the encoder's vectors in a folder;
/// [`StoreLocation::begin`](super::StoreLocation::begin) creates one anywhere.
///
/// # Errors
/// If there is a store already, or the folder cannot be written.
pub fn create(folder: &Path, encoder: &TextEncoder, made_by: &str, stored: Stored) -> Result<Writer, SearchError> {
    Ok(Writer::create(folder, header(encoder, made_by, stored))?)
}

/// Begins a store, or continues one that was begun.
pub(super) fn begin(folder: &Path, encoder: &TextEncoder, made_by: &str, half: bool) -> Result<Writer, SearchError> {
    let stored = if half { Stored::Bf16 } else { Stored::F32 };
    Ok(Writer::begin(folder, header(encoder, made_by, stored))?)
}

/// Returns the header of a store for the encoder's vectors.
fn header(encoder: &TextEncoder, made_by: &str, stored: Stored) -> StoreHeader {
    let metric = metric(encoder.similarity());
    let header = StoreHeader::new(encoder.dimension(), metric, stored, &encoder.fingerprint(), made_by);
    let header = header.with_precision(encoder.precision().name());
    header.with_document_prompt(encoder.role_prompt(Role::Document))
}

/// A view of a folder's state: a reader of one state, or the writer, which reads its own latest
/// state.
trait FolderState {
    fn state(&self) -> &Store;

    /// Calls `work` with a searcher of the state.
    fn search<T>(&self, work: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError>;

    /// Opens the state after this one, if there is one.
    fn later(&self) -> Result<Option<Searcher>, SearchError>;
}

impl FolderState for Searcher {
    fn state(&self) -> &Store {
        self.store()
    }

    fn search<T>(&self, work: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError> {
        work(self)
    }

    fn later(&self) -> Result<Option<Searcher>, SearchError> {
        let old = self.store();
        let mut store = old.clone();
        // A store that was created again may have the same generation as the one before.
        let stamp = |store: &Store| store.cut(store.corpus().rows()).map(|cut| cut.stamp);
        let changed = store.refresh()? || stamp(&store) != stamp(old);
        // The files of a store that was created again have the old names: open them instead of
        // keeping the maps.
        if changed { Searcher::open(old.folder()).map(Some) } else { Ok(None) }
    }
}

impl FolderState for Writer {
    fn state(&self) -> &Store {
        self.store()
    }

    fn search<T>(&self, work: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError> {
        work(&Searcher::of(self.store().clone())?)
    }

    fn later(&self) -> Result<Option<Searcher>, SearchError> {
        // A folder has one writer.
        Ok(None)
    }
}

impl<F: FolderState + Send + Sync> ReadStore for F {
    fn dims(&self) -> usize {
        self.state().header().dims
    }

    fn made_by(&self) -> &str {
        &self.state().header().made_by
    }

    fn precision(&self) -> Option<&str> {
        self.state().header().precision.as_deref()
    }

    fn document_prompt(&self) -> Option<&str> {
        self.state().header().document_prompt.as_deref()
    }

    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError> {
        Ok(self.state().expect_fingerprint(fingerprint, made_by)?)
    }

    fn documents(&self) -> Result<usize, SearchError> {
        Ok(self.state().len())
    }

    fn fields(&self) -> Result<Vec<String>, SearchError> {
        fields(self.state())
    }

    fn check_unchanged(&self) -> Result<(), SearchError> {
        Ok(self.state().check_unchanged()?)
    }

    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError> {
        Ok(self.later()?.map(|searcher| Box::new(searcher) as Box<dyn ReadStore>))
    }

    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError> {
        check_filters(self.state(), filters)
    }

    fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        options: &SearchOptions,
    ) -> Result<Answers, SearchError> {
        self.search(|searcher| searcher.nearest(context, queries, vectors, options))
    }

    fn describe(&self) -> Result<Description, SearchError> {
        self.search(|searcher| Ok(description(searcher)))
    }
}

fn description(searcher: &Searcher) -> Description {
    let info = searcher.store().info();
    let (header, graph) = (&info.header, searcher.graph());
    let mut lines = vec![
        ("documents", info.documents.to_string()),
        ("dimensions", header.dims.to_string()),
        ("metric", header.metric.name().to_owned()),
        ("stored as", format!("{:?}", header.stored)),
        ("made by", header.made_by.clone()),
        ("precision", header.precision.clone().unwrap_or_else(|| "not recorded".to_owned())),
        ("fingerprint", header.fingerprint.clone()),
        ("on disk", format!("{} bytes in {} segments, {} deleted documents", info.bytes, info.segments, info.dead)),
    ];
    match graph {
        Some(graph) => {
            let size = format!("over {} rows, by {} columns, {} bytes", graph.rows(), graph.prefix(), graph.bytes());
            lines.push(("graph", size));
            if graph.is_old() {
                let old = "of an earlier version, may miss duplicates; `maana compact --graph always` rebuilds it";
                lines.push(("", old.to_owned()));
            }
        }
        None => lines.push(("graph", "none: every vector is compared".to_owned())),
    }
    let json = serde_json::json!({
        "documents": info.documents, "dead": info.dead, "segments": info.segments, "bytes": info.bytes,
        "generation": info.generation, "header": header, "graph": graph.map(|graph| {
            serde_json::json!({"rows": graph.rows(), "columns": graph.prefix(), "bytes": graph.bytes()})
        }),
    });
    Description { lines, json }
}

impl WriteStore for Writer {
    fn add(&mut self, documents: &[(String, Content)], vectors: Rows<'_>) -> Result<Added, SearchError> {
        let payloads: Vec<Vec<u8>> = documents.iter().map(|(_, content)| payload(content)).collect();
        let documents: Vec<Document<'_>> =
            documents.iter().zip(&payloads).map(|((id, _), payload)| Document { id, payload }).collect();
        let added = Writer::add(self, &documents, vectors)?;
        Ok(Added { new: added.new, replaced: added.replaced })
    }

    fn holds(&self, documents: &[(String, Content)]) -> Result<Vec<bool>, SearchError> {
        let store = self.store();
        let one = |(id, expected): &(String, Content)| match store.find(id)? {
            Some(row) => Ok(content(store, row)? == *expected),
            None => Ok(false),
        };
        documents.iter().map(one).collect()
    }

    fn ids(&self) -> Result<Vec<String>, SearchError> {
        let store = self.store();
        let ids = store.rows().map(|row| Ok(store.document(row)?.id.to_owned())).collect::<Result<_, SearchError>>()?;
        store.check_unchanged()?;
        Ok(ids)
    }

    fn finish(&mut self) -> Result<(), SearchError> {
        Ok(Writer::finish(self)?)
    }

    fn delete(&mut self, ids: &[&str]) -> Result<Deleted, SearchError> {
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            if self.store().find(id)?.is_none() {
                missing.push(id.to_string());
            }
        }
        Ok(Deleted { documents: Writer::delete(self, ids)?, missing })
    }

    fn compact(&mut self, _: &Context, _: Option<Rows<'_>>) -> Result<Compacted, SearchError> {
        let before = self.store().info().bytes;
        let changed = Writer::compact(self)?;
        let after = self.store().info().bytes;
        Ok(Compacted { before, after, changed, index: None })
    }

    fn build_graph(
        &mut self,
        context: &Context,
        queries: Option<Rows<'_>>,
    ) -> Result<Option<GraphReport>, SearchError> {
        let rows = self.store().corpus().rows();
        let graph = match Graph::of(self.store()) {
            Ok(Some(graph)) if graph.rows() == rows && !graph.is_old() => match queries {
                None => return Ok(None),
                Some(_) => graph::measure(self, context, graph, queries)?,
            },
            // A damaged graph is rebuilt like an old one.
            _ => graph::build(self, context, queries)?,
        };
        Ok(Some(GraphReport {
            rows: graph.rows(),
            columns: graph.prefix(),
            reached: graph.reached().to_vec(),
            measured_on: graph.measured_on(),
        }))
    }
}

/// Reads all files of a store and returns the damaged ones.
pub(super) fn verify(folder: &Path) -> Result<Verified, SearchError> {
    let verified = maana_vectors::store::verify(folder)?;
    let damages = verified.damages.into_iter().map(|damage| Damaged { part: damage.file, what: damage.what });
    Ok(Verified { parts: verified.files, unit: "files", bytes: Some(verified.bytes), damages: damages.collect() })
}
