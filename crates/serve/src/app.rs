//! State that all requests share.

use crate::body::BodyReader;
use crate::connections::Connections;
use crate::log::Log;
use crate::metrics::{Gauges, Metrics};
use crate::models::Models;
use crate::offload::Offload;
use crate::pipeline::Pipeline;
use crate::request_error::RequestError;
use crate::settings::Settings;
use crate::store::Store;
use crate::system::System;
use maana::kernels::Context;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// State that all requests share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) system: Arc<dyn System>,
    pub(crate) models: Arc<Models>,
    pub(crate) bodies: BodyReader,
    pub(crate) pipeline: Pipeline,
    pub(crate) offload: Arc<Offload>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    /// The context of the compute thread.
    pub(crate) context: Arc<Context>,
    /// A context of one thread, for what is computed outside the queue.
    pub(crate) single: Arc<Context>,
    pub(crate) store: OnceLock<Arc<Store>>,
    /// True from the time when the first models have been read.
    pub(crate) started: AtomicBool,
    /// True from the time when the server begins to end.
    pub(crate) ending: AtomicBool,
}

impl App {
    /// True while the server takes requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.started.load(Ordering::Acquire) && !self.is_ending()
    }

    /// True from the time when the server begins to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Checks that no mapped file of a model in memory or of the store was changed, which makes all
    /// later answers errors.
    ///
    /// # Errors
    /// If a file was changed.
    pub(crate) fn check_files(&self) -> Result<(), RequestError> {
        self.models.check_unchanged().map_err(|_| RequestError::changed("the weights of a model"))?;
        let store = self.store.get().map_or(Ok(()), |store| store.check_unchanged());
        store.map_err(|_| RequestError::changed("the store of documents"))
    }

    /// Returns the current values for the metrics.
    pub(crate) fn gauges(&self) -> Gauges {
        let held = self.pipeline.admission.held();
        Gauges {
            waiting: self.pipeline.queue.waiting(),
            held_tokens: held.tokens,
            held_requests: held.requests,
            tokens_per_second: held.speed,
            connections: self.connections.open(),
            models: self.models.in_memory(),
            model_bytes: self.models.bytes(),
            ready: self.is_ready(),
        }
    }
}
