//! A model of a server, in memory or not.

use crate::model::Model;
use crate::network::Network;
use crate::request_error::{ErrorKind, RequestError};
use crate::reranker::Reranker;
use crate::settings::Source;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Kind of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Makes embeddings of texts.
    Embedder,
    /// Scores pairs of texts.
    Reranker,
}

/// A model in memory.
#[derive(Clone)]
pub(crate) enum Loaded {
    Embedder(Arc<Model>),
    Reranker(Arc<Reranker>),
}

/// A model, in memory or not.
pub(crate) struct Slot {
    pub(crate) source: Source,
    pub(crate) kind: Kind,
    /// True for the first of its kind, which is never released.
    pub(crate) stays: bool,
    model: Mutex<Option<Loaded>>,
    /// Number of its last use.
    pub(crate) last_use: AtomicU64,
}

impl Kind {
    /// Returns its name in the log.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Embedder => "model",
            Self::Reranker => "reranker",
        }
    }

    /// Explains why a model of the other kind is refused.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Self::Embedder => "is a reranker and makes no embeddings",
            Self::Reranker => "makes embeddings and is no reranker",
        }
    }

    /// Returns the error of a server without models of the kind.
    pub(crate) fn missing(self) -> RequestError {
        let message = match self {
            Self::Embedder => "the server has no model of embeddings; start it with one: `maana serve MODEL`",
            Self::Reranker => "the server has no reranker; start it with `--reranker NAME=PATH`",
        };
        RequestError::new(ErrorKind::NoRoute, message)
    }
}

impl Loaded {
    /// Returns what the kinds have in common.
    pub(crate) fn network(&self) -> &dyn Network {
        match self {
            Self::Embedder(model) => &**model,
            Self::Reranker(reranker) => &**reranker,
        }
    }

    /// Returns true if no request uses it.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Embedder(model) => Arc::strong_count(model) == 1,
            Self::Reranker(reranker) => Arc::strong_count(reranker) == 1,
        }
    }

    /// Returns the model of embeddings, if it is one.
    pub(crate) fn encoder(self) -> Option<Arc<Model>> {
        match self {
            Self::Embedder(model) => Some(model),
            Self::Reranker(_) => None,
        }
    }

    /// Returns the reranker, if it is one.
    pub(crate) fn reranker(self) -> Option<Arc<Reranker>> {
        match self {
            Self::Reranker(reranker) => Some(reranker),
            Self::Embedder(_) => None,
        }
    }
}

impl Slot {
    /// Creates a slot of a model that is not read yet.
    pub(crate) fn new(source: Source, kind: Kind, stays: bool) -> Self {
        Self { source, kind, stays, model: Mutex::default(), last_use: AtomicU64::new(0) }
    }

    /// Returns the model if it is in memory, and counts the use.
    pub(crate) fn get(&self, uses: &AtomicU64) -> Option<Loaded> {
        let model = self.lock().clone()?;
        self.last_use.store(uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(model)
    }

    /// Returns true if it is in memory and no request uses it.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().as_ref().is_some_and(Loaded::is_idle)
    }

    /// Locks the model, or its absence.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Loaded>> {
        // It is set and cleared whole.
        self.model.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
