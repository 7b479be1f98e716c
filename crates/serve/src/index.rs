//! The store of documents, a folder or a database: opened with its model, and followed when a writer changes it.

use crate::error::ServeError;
use crate::log::Log;
use crate::models::Model;
use maana::search::{ReadStore, SearchError, StoreLocation};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// A store that is searched. Its methods may wait for a disk or a database: they are called on threads that may block.
pub(crate) struct Index {
    fingerprint: [u8; 32],
    dims: usize,
    state: Mutex<Arc<Opened>>,
    log: Log,
}

/// An open store. A connection to a database waits while it is closed, which no thread of the runtime may do.
pub(crate) struct Opened(Option<Box<dyn ReadStore>>);

/// What can be told of a store.
pub(crate) struct Described {
    pub(crate) documents: usize,
    pub(crate) fields: Vec<String>,
}

impl Index {
    /// Opens a store that this model made.
    pub(crate) fn open(place: &StoreLocation, model: &Model, log: Log) -> Result<Self, ServeError> {
        let store = place.read()?;
        let embedder = model.sentence.clone().with_dimension(store.dims());
        let embedder = embedder.map_err(|error| ServeError::Settings(format!("{place}: {error}")))?;
        let fingerprint = embedder.fingerprint();
        store.expect_fingerprint(&fingerprint, &model.folder.display().to_string())?;
        Ok(Self { fingerprint, dims: store.dims(), state: Mutex::new(Opened::new(store)), log })
    }

    /// Checks that no mapped file of the state was changed.
    pub(crate) fn check_unchanged(&self) -> Result<(), SearchError> {
        let state = Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner));
        state.check_unchanged()
    }

    /// Dims of its vectors.
    pub(crate) fn dims(&self) -> usize {
        self.dims
    }

    /// The latest whole state. If what a writer left cannot be opened, the one before goes on being searched.
    pub(crate) fn state(&self) -> Arc<Opened> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.later(&state) {
            Ok(Some(later)) => *state = later,
            Ok(None) => {}
            Err(error) => self.log.warn(&format!("the store is searched as it was: {error}")),
        }
        Arc::clone(&state)
    }

    /// What can be told of the latest state; nothing if it cannot be read.
    pub(crate) fn described(&self) -> Option<Described> {
        let state = self.state();
        let described = || Ok(Described { documents: state.documents()?, fields: state.fields()? });
        described().map_err(|error: SearchError| self.log.warn(&error.to_string())).ok()
    }

    fn later(&self, old: &Opened) -> Result<Option<Arc<Opened>>, SearchError> {
        let Some(store) = old.reopened()? else { return Ok(None) };
        store.expect_fingerprint(&self.fingerprint, "the model that is served")?;
        Ok(Some(Opened::new(store)))
    }
}

impl Opened {
    fn new(store: Box<dyn ReadStore>) -> Arc<Self> {
        Arc::new(Self(Some(store)))
    }
}

impl Deref for Opened {
    type Target = dyn ReadStore;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().expect("it is there until it is dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let store = self.0.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            // Where the system refuses a thread, the store is dropped here.
            let _ = std::thread::Builder::new().spawn(move || drop(store));
        }
    }
}
