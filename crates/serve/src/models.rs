//! The models of a server by name: models of embeddings and rerankers. The first of each kind is
//! read at the start and stays. The others are read at their first request and released, the one
//! unused for longest first, where memory is limited.

use crate::error::ServeError;
use crate::log::Log;
use crate::model::{Model, ModelSettings, TOWERS};
use crate::request_error::{ErrorKind, RequestError};
use crate::reranker::Reranker;
use crate::settings::{Dims, Settings};
use crate::slot::{Kind, Loaded, Slot};
use crate::system::{System, blocking};
use maana::kernels::{Context, Precision};
use maana::model::ModelError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The models of a server.
pub(crate) struct Models {
    /// Models of embeddings, then rerankers.
    slots: Vec<Slot>,
    /// True if models answer only to their own names.
    strict: bool,
    /// True if a request with another name was logged.
    other_name_is_logged: AtomicBool,
    precision: Precision,
    memory: Option<u64>,
    /// Settings of the first model, and of every other.
    model_settings: [ModelSettings; 2],
    context: Arc<Context>,
    log: Log,
    system: Arc<dyn System>,
    /// Number of the last use of any model.
    uses: AtomicU64,
    /// Locked while a model is read: one at a time, so that memory is counted correctly.
    reading: tokio::sync::Mutex<()>,
}

impl Models {
    /// Creates a registry of the models that settings name; none is read yet.
    pub(crate) fn new(
        settings: &Settings,
        context: Arc<Context>,
        log: Log,
        system: Arc<dyn System>,
    ) -> Result<Self, ServeError> {
        let mut slots: Vec<Slot> = Vec::new();
        for (kind, sources) in [(Kind::Embedder, &settings.models), (Kind::Reranker, &settings.rerankers)] {
            for (place, source) in sources.iter().enumerate() {
                if slots.iter().any(|slot| slot.source.name == source.name) {
                    let name = &source.name;
                    return Err(ServeError::Settings(format!(
                        "two models are called `{name}`; give one another name, as in NAME={}",
                        source.place
                    )));
                }
                slots.push(Slot::new(source.clone(), kind, place == 0));
            }
        }
        if slots.is_empty() {
            return Err(ServeError::Settings("there is no model to serve".into()));
        }
        if settings.models.is_empty() {
            expect_no_embeddings(settings)?;
        }
        let first = ModelSettings {
            dims: settings.dims.clone(),
            classifier: settings.head.clone(),
            query_prompt: settings.query_prompt.clone(),
            document_prompt: settings.document_prompt.clone(),
        };
        Ok(Self {
            strict: settings.strict_model,
            other_name_is_logged: AtomicBool::new(false),
            slots,
            precision: settings.precision,
            memory: settings.memory,
            model_settings: [first, ModelSettings::default()],
            context,
            log,
            system,
            uses: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Names of the models of a kind, in their order.
    pub(crate) fn names(&self, kind: Kind) -> Vec<&str> {
        self.of(kind).map(|(_, slot)| slot.source.name.as_str()).collect()
    }

    /// Returns the first model of embeddings if it has been read.
    pub(crate) fn first(&self) -> Option<Arc<Model>> {
        let (_, slot) = self.of(Kind::Embedder).next()?;
        slot.get(&self.uses)?.encoder()
    }

    /// Returns the first reranker if it has been read.
    pub(crate) fn first_reranker(&self) -> Option<Arc<Reranker>> {
        let (_, slot) = self.of(Kind::Reranker).next()?;
        slot.get(&self.uses)?.reranker()
    }

    /// Reads the first model of each kind.
    pub(crate) fn read_first(&self) -> Result<(), ServeError> {
        let mut first = self.slots.iter().enumerate().filter(|(_, slot)| slot.stays);
        first.try_for_each(|(number, _)| self.read(number).map(drop))
    }

    /// The slots of a kind, with their numbers.
    fn of(&self, kind: Kind) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(move |(_, slot)| slot.kind == kind)
    }

    /// Number of models in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.slots.iter().filter(|slot| slot.lock().is_some()).count()
    }

    /// Bytes of the models in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.iter().filter_map(|slot| Some(slot.lock().as_ref()?.network().held_bytes())).sum()
    }

    /// True if the only model of a kind answers to any name.
    pub(crate) fn answers_to_any_name(&self, kind: Kind) -> bool {
        !self.strict && self.of(kind).count() == 1
    }

    /// Returns the own name and the kind of the model with a name, of any kind.
    ///
    /// # Errors
    /// If it is unknown.
    pub(crate) fn named(&self, name: &str) -> Result<(&str, Kind), RequestError> {
        let kind = if self.names(Kind::Embedder).is_empty() { Kind::Reranker } else { Kind::Embedder };
        let number = self.known(name).map_or_else(|| self.number(kind, Some(name)), Ok)?;
        Ok((&self.slots[number].source.name, self.slots[number].kind))
    }

    /// Checks that no mapped file of the models in memory was changed.
    ///
    /// # Errors
    /// Names the changed file.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        let in_memory: Vec<Loaded> = self.slots.iter().filter_map(|slot| slot.lock().clone()).collect();
        in_memory.iter().try_for_each(|model| model.network().check_unchanged())
    }

    /// Returns the number of the model with a name or a path, of any kind.
    fn known(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.source.name == name || slot.source.place == name)
    }

    /// Returns the number of the model of a kind that a request names, or of the first.
    fn number(&self, kind: Kind, name: Option<&str>) -> Result<usize, RequestError> {
        let Some((first, slot)) = self.of(kind).next() else { return Err(kind.missing()) };
        let Some(name) = name else { return Ok(first) };
        let named = |reason: String| RequestError::new(ErrorKind::NoModel, reason).in_field("model");
        match self.known(name) {
            Some(number) if self.slots[number].kind == kind => Ok(number),
            Some(_) => {
                let others = self.names(kind).join(", ");
                Err(named(format!("`model`: `{name}` {}; there are: {others}", kind.refusal())))
            }
            None if self.answers_to_any_name(kind) => {
                if !self.other_name_is_logged.swap(true, Ordering::Relaxed) {
                    let own = &slot.source.name;
                    self.log.note(&format!(
                        "a request names the model {name:?}; {own:?} answers to any name (not with --strict-model)"
                    ));
                }
                Ok(first)
            }
            None => Err(named(format!("`model`: there is no `{name}`; there are: {}", self.names(kind).join(", ")))),
        }
    }

    /// Returns a model of embeddings by name, or the first; reads it if needed.
    pub(crate) async fn get(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Model>, RequestError> {
        self.load(Kind::Embedder, name).await?.encoder().ok_or_else(RequestError::backend)
    }

    /// Returns a reranker by name, or the first; reads it if needed.
    pub(crate) async fn get_reranker(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Reranker>, RequestError> {
        self.load(Kind::Reranker, name).await?.reranker().ok_or_else(RequestError::backend)
    }

    async fn load(self: &Arc<Self>, kind: Kind, name: Option<&str>) -> Result<Loaded, RequestError> {
        let number = self.number(kind, name)?;
        if let Some(model) = self.slots[number].get(&self.uses) {
            return Ok(model);
        }
        if self.slots[number].stays {
            return Err(RequestError::new(ErrorKind::Unready, "the model is being read; try again in a moment"));
        }
        let _reading = self.reading.lock().await;
        if let Some(model) = self.slots[number].get(&self.uses) {
            return Ok(model);
        }
        let models = Arc::clone(self);
        let read = move || models.make_room(number).and_then(|()| models.read_named(number));
        blocking(&*self.system, read).await.unwrap_or_else(|| Err(RequestError::backend()))
    }

    fn read_named(&self, number: usize) -> Result<Loaded, RequestError> {
        self.read(number).map_err(|error| {
            self.log.warn(&error.to_string());
            let name = &self.slots[number].source.name;
            RequestError::new(
                ErrorKind::Backend,
                format!("the model `{name}` cannot be read; the server's log says why"),
            )
        })
    }

    fn read(&self, number: usize) -> Result<Loaded, ServeError> {
        let (slot, context) = (&self.slots[number], &self.context);
        let Slot { source, kind, stays, .. } = slot;
        let model = match kind {
            Kind::Embedder => {
                let settings = &self.model_settings[usize::from(!stays)];
                Loaded::Embedder(Model::open(number, source, context, self.precision, settings, &self.log)?.into())
            }
            Kind::Reranker => {
                Loaded::Reranker(Reranker::open(TOWERS * number, source, context, self.precision, &self.log)?.into())
            }
        };
        *slot.lock() = Some(model.clone());
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let (name, bytes) = (&source.name, model.network().held_bytes());
        self.log.note(&format!("{} `{name}`: {} MB of weights", kind.noun(), bytes >> 20));
        Ok(model)
    }

    /// Releases models that are not in use, the one unused for longest first, until there is room
    /// for one more.
    fn make_room(&self, number: usize) -> Result<(), RequestError> {
        let Some(memory) = self.memory else { return Ok(()) };
        // An estimate of the memory that the model will take.
        let needed = maana::model::weight_bytes(Path::new(&self.slots[number].source.place));
        while self.bytes() + needed > memory {
            let idle = self.slots.iter().filter(|slot| !slot.stays && slot.is_idle());
            let Some(slot) = idle.min_by_key(|slot| slot.last_use.load(Ordering::Relaxed)) else {
                let name = &self.slots[number].source.name;
                let message = format!("there is no memory for the model `{name}` next to those in use");
                return Err(RequestError::new(ErrorKind::Unready, message));
            };
            self.log.note(&format!("{} `{}` is released", slot.kind.noun(), slot.source.name));
            *slot.lock() = None;
        }
        Ok(())
    }
}

/// Checks that nothing is asked for that needs a model of embeddings.
fn expect_no_embeddings(settings: &Settings) -> Result<(), ServeError> {
    let needing = [
        ("--index", settings.index.is_some()),
        ("--head", settings.head.is_some()),
        ("--dims", settings.dims != Dims::Declared),
        ("--query-prompt", settings.query_prompt.is_some()),
        ("--document-prompt", settings.document_prompt.is_some()),
        ("--token-ids", settings.token_ids),
    ];
    match needing.iter().find(|(_, is_set)| *is_set) {
        Some((option, _)) => {
            let reason = format!("{option} needs a model of embeddings, and the server has only rerankers");
            Err(ServeError::Settings(reason))
        }
        None => Ok(()),
    }
}
