//! The store of documents, a folder or a database: opened with its model, and reopened when a
//! writer has changed it.

use crate::error::ServeError;
use crate::log::Log;
use crate::model::Model;
use crate::system::System;
use maana::search::{ReadStore, SearchError};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// A store that is searched. Its methods may wait for a disk or a database: they are called on
/// threads for blocking work.
pub(crate) struct Store {
    fingerprint: [u8; 32],
    dims: usize,
    state: Mutex<Arc<OpenStore>>,
    log: Log,
    system: Arc<dyn System>,
}

/// One state of a store. Dropping it may wait for a database, which happens on a thread for
/// blocking work.
pub(crate) struct OpenStore {
    store: Option<Box<dyn ReadStore>>,
    system: Arc<dyn System>,
}

/// Summary of a store.
pub(crate) struct Summary {
    pub(crate) documents: usize,
    pub(crate) fields: Vec<String>,
}

impl Store {
    /// Wraps an open store, named `name` in errors, that `model` has made.
    pub(crate) fn new(
        store: Box<dyn ReadStore>,
        name: &str,
        model: &Model,
        log: Log,
        system: Arc<dyn System>,
    ) -> Result<Self, ServeError> {
        let fingerprint =
            model.fingerprint(store.dims()).map_err(|error| ServeError::Settings(format!("{name}: {error}")))?;
        store.expect_fingerprint(&fingerprint, &model.folder.display().to_string())?;
        let dims = store.dims();
        let state = Mutex::new(OpenStore::new(store, &system));
        Ok(Self { fingerprint, dims, state, log, system })
    }

    /// Checks that no mapped file of the state was changed.
    ///
    /// # Errors
    /// Names the changed file.
    pub(crate) fn check_unchanged(&self) -> Result<(), SearchError> {
        let state = Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner));
        state.check_unchanged()
    }

    /// Columns of its vectors.
    pub(crate) fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the latest complete state. If that cannot be opened, the previous one stays in use.
    pub(crate) fn state(&self) -> Arc<OpenStore> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.later(&state) {
            Ok(Some(later)) => *state = later,
            Ok(None) => {}
            Err(error) => self.log.warn(&format!("the store is searched in its previous state: {error}")),
        }
        Arc::clone(&state)
    }

    /// Returns a summary of the latest state; `None` if it cannot be read.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let state = self.state();
        let summary = || Ok(Summary { documents: state.documents()?, fields: state.fields()? });
        summary().map_err(|error: SearchError| self.log.warn(&error.to_string())).ok()
    }

    fn later(&self, old: &OpenStore) -> Result<Option<Arc<OpenStore>>, SearchError> {
        let Some(store) = old.reopened()? else { return Ok(None) };
        store.expect_fingerprint(&self.fingerprint, "the model that is served")?;
        Ok(Some(OpenStore::new(store, &self.system)))
    }
}

impl OpenStore {
    fn new(store: Box<dyn ReadStore>, system: &Arc<dyn System>) -> Arc<Self> {
        Arc::new(Self { store: Some(store), system: Arc::clone(system) })
    }
}

impl Deref for OpenStore {
    type Target = dyn ReadStore;

    fn deref(&self) -> &Self::Target {
        self.store.as_deref().expect("it is there until it is dropped")
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        let store = self.store.take();
        self.system.spawn_blocking(Box::new(move || drop(store)));
    }
}
