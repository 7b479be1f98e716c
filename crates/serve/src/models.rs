//! The models of a server by name. The first is read at the start. The others are read at their
//! first request and released, the one unused for longest first, where memory is limited.

use crate::error::ServeError;
use crate::log::Log;
use crate::model::{Model, ModelSettings};
use crate::request_error::{ErrorKind, RequestError};
use crate::settings::{Settings, Source};
use crate::system::{System, blocking};
use maana::kernels::{Context, Precision};
use maana::model::ModelError;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The models of a server.
pub(crate) struct Models {
    slots: Vec<Slot>,
    /// True if a single model answers to any name.
    any_name: bool,
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

/// A model, in memory or not.
struct Slot {
    source: Source,
    model: Mutex<Option<Arc<Model>>>,
    /// Number of its last use.
    last_use: AtomicU64,
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
        for source in &settings.models {
            if slots.iter().any(|slot| slot.source.name == source.name) {
                let name = &source.name;
                return Err(ServeError::Settings(format!(
                    "two models are called `{name}`; give one another name, as in NAME={}",
                    source.place
                )));
            }
            slots.push(Slot { source: source.clone(), model: Mutex::default(), last_use: AtomicU64::new(0) });
        }
        if slots.is_empty() {
            return Err(ServeError::Settings("there is no model to serve".into()));
        }
        let first = ModelSettings {
            dims: settings.dims.clone(),
            classifier: settings.head.clone(),
            query_prompt: settings.query_prompt.clone(),
            document_prompt: settings.document_prompt.clone(),
        };
        Ok(Self {
            any_name: slots.len() == 1 && !settings.strict_model,
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

    /// Names of the models, in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.slots.iter().map(|slot| slot.source.name.as_str()).collect()
    }

    /// Returns the first model if it has been read.
    pub(crate) fn first(&self) -> Option<Arc<Model>> {
        self.slots[0].get(&self.uses)
    }

    /// Reads the first model.
    pub(crate) fn read_first(&self) -> Result<Arc<Model>, ServeError> {
        self.read(0)
    }

    /// Number of models in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.slots.iter().filter(|slot| slot.lock().is_some()).count()
    }

    /// Bytes of the models in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.iter().filter_map(|slot| Some(slot.lock().as_ref()?.held_bytes())).sum()
    }

    /// True if the one model answers to any name.
    pub(crate) fn answers_to_any_name(&self) -> bool {
        self.any_name
    }

    /// Returns the own name of the model that a request names.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<&str, RequestError> {
        let number = name.map_or(Ok(0), |name| self.number(name))?;
        Ok(&self.slots[number].source.name)
    }

    /// Checks that no mapped file of the models in memory was changed.
    ///
    /// # Errors
    /// Names the changed file.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        let in_memory: Vec<Arc<Model>> = self.slots.iter().filter_map(|slot| slot.lock().clone()).collect();
        in_memory.iter().try_for_each(|model| model.check_unchanged())
    }

    /// Returns the number of the model with a name or a path.
    fn number(&self, name: &str) -> Result<usize, RequestError> {
        let known = |slot: &Slot| slot.source.name == name || slot.source.place == name;
        let number = self.slots.iter().position(known);
        if number.is_none() && self.any_name {
            if !self.other_name_is_logged.swap(true, Ordering::Relaxed) {
                let own = &self.slots[0].source.name;
                self.log.note(&format!(
                    "a request names the model {name:?}; {own:?} answers to any name (not with --strict-model)"
                ));
            }
            return Ok(0);
        }
        number.ok_or_else(|| {
            let message = format!("`model`: there is no `{name}`; there are: {}", self.names().join(", "));
            RequestError::new(ErrorKind::NoModel, message).in_field("model")
        })
    }

    /// Returns a model by name, or the first; reads it if needed.
    pub(crate) async fn get(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Model>, RequestError> {
        let number = name.map_or(Ok(0), |name| self.number(name))?;
        if let Some(model) = self.slots[number].get(&self.uses) {
            return Ok(model);
        }
        if number == 0 {
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

    fn read_named(&self, number: usize) -> Result<Arc<Model>, RequestError> {
        self.read(number).map_err(|error| {
            self.log.warn(&error.to_string());
            let name = &self.slots[number].source.name;
            RequestError::new(
                ErrorKind::Backend,
                format!("the model `{name}` cannot be read; the server's log says why"),
            )
        })
    }

    fn read(&self, number: usize) -> Result<Arc<Model>, ServeError> {
        let slot = &self.slots[number];
        let settings = &self.model_settings[number.min(1)];
        let model = Model::open(number, &slot.source, &self.context, self.precision, settings, &self.log)?;
        let model = Arc::new(model);
        *slot.lock() = Some(Arc::clone(&model));
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.log.note(&format!("model `{}`: {} MB of weights", model.name, model.held_bytes() >> 20));
        Ok(model)
    }

    /// Releases models that are not in use, the one unused for longest first, until there is room
    /// for one more.
    fn make_room(&self, number: usize) -> Result<(), RequestError> {
        let Some(memory) = self.memory else { return Ok(()) };
        let needed = weight_bytes(Path::new(&self.slots[number].source.place));
        while self.bytes() + needed > memory {
            let idle = self.slots.iter().enumerate().skip(1).filter(|(_, slot)| slot.is_idle());
            let Some((_, slot)) = idle.min_by_key(|(_, slot)| slot.last_use.load(Ordering::Relaxed)) else {
                let name = &self.slots[number].source.name;
                let message = format!("there is no memory for the model `{name}` next to those in use");
                return Err(RequestError::new(ErrorKind::Unready, message));
            };
            self.log.note(&format!("model `{}` is released", slot.source.name));
            *slot.lock() = None;
        }
        Ok(())
    }
}

impl Slot {
    /// Returns the model if it is in memory, and counts the use.
    fn get(&self, uses: &AtomicU64) -> Option<Arc<Model>> {
        let model = self.lock().clone()?;
        self.last_use.store(uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(model)
    }

    fn is_idle(&self) -> bool {
        self.lock().as_ref().is_some_and(|model| Arc::strong_count(model) == 1)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Model>>> {
        // It is set and cleared whole.
        self.model.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Returns the bytes of the weights in a folder, an estimate of the memory that the model will
/// take; 0 for a model that is elsewhere.
fn weight_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let weights = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "safetensors"));
    weights.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
