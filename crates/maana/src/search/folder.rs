//! The store in a folder, behind the seam.

use super::place::{Compacted, Damaged, Deleted, Info, ReadStore, Verified, WriteStore};
use super::{Added, Answers, Kept, Question, SearchError, Searcher, build_graph, measure_graph};
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::index::Graph;
use maana_vectors::store::{Document, Store, Writer};
use std::collections::HashSet;
use std::path::Path;

/// What has a folder's state: one that is asked, or the writer, which is read as what it wrote last.
trait InFolder {
    fn state(&self) -> &Store;

    /// Asks a searcher of the state.
    fn ask<T>(&self, question: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError>;

    /// The state after this one, if there is one.
    fn later(&self) -> Result<Option<Searcher>, SearchError>;
}

impl InFolder for Searcher {
    fn state(&self) -> &Store {
        self.store()
    }

    fn ask<T>(&self, question: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError> {
        question(self)
    }

    fn later(&self) -> Result<Option<Searcher>, SearchError> {
        let old = self.store();
        let mut store = old.clone();
        // A store that was made anew may have come as far as the one before.
        let stamp = |store: &Store| store.cut(store.corpus().rows()).map(|cut| cut.stamp);
        let changed = store.refresh()? || stamp(&store) != stamp(old);
        // Opened afresh: the files of a store that was made anew have the names of those before.
        if changed { Searcher::open(old.folder()).map(Some) } else { Ok(None) }
    }
}

impl InFolder for Writer {
    fn state(&self) -> &Store {
        self.store()
    }

    fn ask<T>(&self, question: impl FnOnce(&Searcher) -> Result<T, SearchError>) -> Result<T, SearchError> {
        question(&Searcher::of(self.store().clone())?)
    }

    fn later(&self) -> Result<Option<Searcher>, SearchError> {
        // Nobody else writes while it does.
        Ok(None)
    }
}

impl<F: InFolder + Send + Sync> ReadStore for F {
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
        super::fields(self.state())
    }

    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError> {
        Ok(self.later()?.map(|searcher| Box::new(searcher) as Box<dyn ReadStore>))
    }

    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError> {
        super::check_filters(self.state(), filters)
    }

    fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError> {
        self.ask(|searcher| searcher.nearest(context, queries, vectors, question))
    }

    fn info(&self) -> Result<Info, SearchError> {
        self.ask(|searcher| Ok(Info::Folder { store: searcher.store().info(), graph: searcher.graph().cloned() }))
    }
}

impl WriteStore for Writer {
    fn add(&mut self, documents: &[(String, Kept)], vectors: Rows<'_>) -> Result<Added, SearchError> {
        let payloads: Vec<Vec<u8>> =
            documents.iter().map(|(_, kept)| serde_json::to_vec(kept).expect("texts are JSON")).collect();
        let documents: Vec<Document<'_>> =
            documents.iter().zip(&payloads).map(|((id, _), payload)| Document { id, payload }).collect();
        let added = Writer::add(self, &documents, vectors)?;
        Ok(Added { new: added.new, replaced: added.replaced, ..Added::default() })
    }

    fn holds(&self, documents: &[(String, Kept)]) -> Result<Vec<bool>, SearchError> {
        let store = self.store();
        let one = |(id, kept): &(String, Kept)| match store.find(id)? {
            Some(row) => Ok(super::kept(store, row)? == *kept),
            None => Ok(false),
        };
        documents.iter().map(one).collect()
    }

    fn ids(&self) -> Result<Vec<String>, SearchError> {
        let store = self.store();
        store.rows().map(|row| Ok(store.document(row)?.id.to_owned())).collect()
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
        Ok(Compacted {
            before,
            after,
            changed,
            #[cfg(feature = "postgres")]
            graph: None,
        })
    }

    fn make_graph(&mut self, context: &Context, queries: Option<Rows<'_>>) -> Result<Option<Graph>, SearchError> {
        let rows = self.store().corpus().rows();
        match Graph::of(self.store()) {
            Ok(Some(graph)) if graph.rows() == rows && !graph.is_old() => match queries {
                None => Ok(None),
                Some(_) => measure_graph(self, context, graph, queries).map(Some),
            },
            // A damaged one is made anew like an old one.
            _ => build_graph(self, context, queries).map(Some),
        }
    }
}

pub(super) fn verify(folder: &Path) -> Result<Verified, SearchError> {
    let verified = maana_vectors::store::verify(folder)?;
    let damages = verified.damages.into_iter().map(|damage| Damaged { part: damage.file, what: damage.what });
    Ok(Verified { parts: verified.files, named: "files", bytes: Some(verified.bytes), damages: damages.collect() })
}
