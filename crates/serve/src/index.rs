//! The store of documents: opened with its model, and followed when a writer changes it.

use crate::error::ServeError;
use crate::log::Log;
use crate::models::Model;
use maana::kernels::Pool;
use maana::model::{Embedder, Encoder};
use maana::search::store::Store;
use maana::search::{SearchError, Searcher, fields};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A store that is searched.
pub(crate) struct Index {
    fingerprint: [u8; 32],
    state: Mutex<State>,
    log: Log,
}

/// The state that was seen last.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) searcher: Arc<Searcher>,
    pub(crate) documents: usize,
    pub(crate) dims: usize,
    pub(crate) fields: Vec<String>,
}

impl Index {
    /// Opens a store that this model made.
    pub(crate) fn open(folder: &Path, model: &Model, log: Log) -> Result<Self, ServeError> {
        let searcher = Searcher::open(folder)?;
        let store = searcher.store();
        let pool = Pool::new(1);
        let embedder = Embedder::new(&model.sentence, &pool).and_then(|it| it.with_dimension(store.header().dims));
        let embedder = embedder.map_err(|error| ServeError::Settings(format!("{}: {error}", folder.display())))?;
        let fingerprint = embedder.fingerprint();
        store.expect_fingerprint(&fingerprint, &model.folder.display().to_string()).map_err(SearchError::from)?;
        Ok(Self { fingerprint, state: Mutex::new(State::of(searcher)?), log })
    }

    /// The latest whole state. If what a writer left cannot be opened, the one before goes on being searched.
    pub(crate) fn state(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.later(state.searcher.store()) {
            Ok(Some(later)) => *state = later,
            Ok(None) => {}
            Err(error) => self.log.warn(&format!("the store is searched as it was: {error}")),
        }
        state.clone()
    }

    fn later(&self, old: &Store) -> Result<Option<State>, SearchError> {
        let mut store = old.clone();
        // A store that was made anew may have come as far as the one before.
        let stamp = |store: &Store| store.cut(store.corpus().rows()).map(|cut| cut.stamp);
        let changed = store.refresh()? || stamp(&store) != stamp(old);
        if !changed {
            return Ok(None);
        }
        // Opened afresh: the files of a store that was made anew have the names of those before.
        let searcher = Searcher::open(old.folder())?;
        searcher.store().expect_fingerprint(&self.fingerprint, "the model that is served")?;
        State::of(searcher).map(Some)
    }
}

impl State {
    fn of(searcher: Searcher) -> Result<Self, SearchError> {
        let store = searcher.store();
        let (documents, dims, fields) = (store.len(), store.header().dims, fields(store)?);
        Ok(Self { searcher: Arc::new(searcher), documents, dims, fields })
    }
}
