//! Models that are open: code that those of both tasks share.

use crate::error::{of_model, of_open};
use crate::interrupt::interruptible;
use crate::of_process::OfProcess;
use crate::threads;
use maana::card::card_of_saved;
use maana::hub::{EventHandler, HubEvent, HubOptions, Token};
use maana::kernels::{Context, InstructionSet, Precision};
use maana::model::{HeadSettings, ModelError, Trainable, TrainingModel, open_for_scoring, open_for_training};
use maana::open::{OpenError, Opened};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where and how a model is looked for: a dictionary of all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Access {
    cache_folder: Option<PathBuf>,
    token: Option<String>,
    /// Uses no token, not even that of the environment.
    anonymous: bool,
    local_files_only: bool,
}

impl Access {
    /// Returns the options of the hub.
    pub(crate) fn options(self) -> HubOptions {
        let mut options = HubOptions::from_environment();
        options.cache = self.cache_folder.unwrap_or(options.cache);
        options.token = self.token.and_then(|token| Token::new(&token)).or(options.token.filter(|_| !self.anonymous));
        options.offline = self.local_files_only.then(|| "local_files_only".into()).or(options.offline);
        options
    }
}

/// The card of a model that is saved: a dictionary of all of these.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SavedCard {
    create: bool,
    /// Name of the model on the hub, for the examples of use.
    id: Option<String>,
}

/// An encoder in use, with the folder from which it was opened.
pub(crate) struct OpenModel<E> {
    encoder: Mutex<OfProcess<E>>,
    with_context: fn(E, &Context) -> E,
    /// None for a model that is being trained, whose weights lie in no folder.
    folder: Option<String>,
    notices: Vec<String>,
}

impl<E: Clone + Send> OpenModel<E> {
    /// Opens a model by `open`. `with_context` gives an encoder other threads.
    pub(crate) fn open(
        py: Python<'_>,
        precision: &str,
        access: Access,
        with_context: fn(E, &Context) -> E,
        open: impl FnOnce(&Context, Precision, &HubOptions, &mut EventHandler<'_>) -> Result<Opened<E>, OpenError> + Send,
    ) -> PyResult<Self> {
        let (precision, context, options) = (precision_named(precision)?, threads::context()?, access.options());
        let mut notices = Vec::new();
        let opened = interruptible(py, |_| {
            let notify = &mut |event: HubEvent<'_>| {
                if let HubEvent::Notice(text) = event {
                    notices.push(text.to_owned());
                }
            };
            open(&context, precision, &options, notify).map_err(of_open)
        })?;
        let folder = opened.resolved.folder.display().to_string();
        Ok(Self { encoder: Mutex::new(OfProcess::new(opened.model)), with_context, folder: Some(folder), notices })
    }

    /// Holds a model at a moment of its training.
    pub(crate) fn in_training(encoder: E, with_context: fn(E, &Context) -> E) -> Self {
        Self { encoder: Mutex::new(OfProcess::new(encoder)), with_context, folder: None, notices: Vec::new() }
    }

    /// Returns the encoder, in a forked process with threads of its own.
    pub(crate) fn encoder(&self) -> PyResult<E> {
        let renew = |encoder: &E| Ok((self.with_context)(encoder.clone(), &threads::context()?));
        self.lock().get(renew).cloned()
    }

    /// Replaces the encoder.
    pub(crate) fn set(&self, encoder: E) {
        self.lock().set(encoder);
    }

    /// Writes the model as a folder of Sentence Transformers after `change`; an older model is
    /// replaced. A model with a `new_head` leaves the card of its base behind.
    pub(crate) fn save(
        &self,
        py: Python<'_>,
        folder: &Path,
        new_head: Option<&HeadSettings>,
        card: SavedCard,
        change: impl FnOnce(&mut TrainingModel) -> Result<(), ModelError> + Send,
    ) -> PyResult<()> {
        let origin = Path::new(self.folder()?);
        self.with_training_model(py, new_head, |mut model| {
            change(&mut model).map_err(of_model)?;
            // The card of the folder describes the weights, which are the same but for a new head.
            let own = || match new_head {
                Some(_) => None,
                None => maana::files::read(origin.join("README.md")).ok().and_then(|card| String::from_utf8(card).ok()),
            };
            let card = card.create.then(|| card_of_saved(own(), card.id.as_deref(), model.summary()));
            let further: Vec<(&str, &[u8])> = card.iter().map(|card| ("README.md", card.as_bytes())).collect();
            model.save(folder, &further).map_err(of_model)
        })
    }

    /// Returns the names of the parameters that a run trains.
    pub(crate) fn parameters(&self, py: Python<'_>, new_head: Option<&HeadSettings>) -> PyResult<Vec<String>> {
        let names = |model: TrainingModel| model.tensors().iter().map(|tensor| tensor.name.clone()).collect();
        self.with_training_model(py, new_head, |model| Ok(names(model)))
    }

    /// Calls a function with the model as it is opened for training.
    fn with_training_model<T: Send>(
        &self,
        py: Python<'_>,
        new_head: Option<&HeadSettings>,
        function: impl FnOnce(TrainingModel) -> PyResult<T> + Send,
    ) -> PyResult<T> {
        let (origin, context) = (Path::new(self.folder()?), threads::context()?);
        interruptible(py, |_| {
            let opened = match new_head {
                Some(head) => open_for_scoring(origin, &context, Precision::F32, head),
                None => open_for_training(origin, &context, Precision::F32),
            };
            function(opened.map_err(of_model)?.model)
        })
    }

    /// Folder from which the model was opened.
    ///
    /// # Errors
    /// If the model is being trained.
    pub(crate) fn folder(&self) -> PyResult<&str> {
        self.folder.as_deref().ok_or_else(|| {
            let text = "the model is being trained, and its weights lie in no folder: it cannot be saved, pickled or \
                        trained here; the folder of the run has its checkpoints, and the model at the end";
            PyRuntimeError::new_err(text)
        })
    }

    /// Notices of opening the model.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }

    fn lock(&self) -> MutexGuard<'_, OfProcess<E>> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the precision with a name of PyTorch or of the command line.
fn precision_named(name: &str) -> PyResult<Precision> {
    match name {
        "float32" | "f32" => Ok(Precision::F32),
        "bfloat16" | "bf16" => Ok(Precision::Bf16),
        "int8" => Ok(Precision::Int8),
        "auto" if InstructionSet::active().has_bf16() => Ok(Precision::Bf16),
        "auto" => Ok(Precision::F32),
        other => {
            Err(PyValueError::new_err(format!("precision is {other:?}; expected float32, bfloat16, int8 or auto")))
        }
    }
}
