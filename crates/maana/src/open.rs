//! Opens a model by its folder, its name on the hub, or `name@revision`.

use crate::hub::{EventHandler, HubError, HubEvent, HubOptions, Resolved, resolve};
use maana_kernels::{Context, Precision};
use maana_model::{CrossEncoder, HeadSettings, InferenceModel, ModelError, TextEncoder, TrainingModel, WeightStorage};
use std::path::PathBuf;

/// A model and its origin.
pub struct Opened<M> {
    /// The model: a [`TextEncoder`], a [`CrossEncoder`], an [`InferenceModel`] of any task or a
    /// [`TrainingModel`].
    pub model: M,
    /// Its folder, and its name on the hub if it has one.
    pub resolved: Resolved,
}

impl<M> Opened<M> {
    /// Adds the origin of an opened model, and passes its notices on.
    fn new(opened: maana_model::Opened<M>, resolved: Resolved, notify: &mut EventHandler<'_>) -> Self {
        opened.notices.iter().for_each(|text| notify(HubEvent::Notice(text)));
        Self { model: opened.model, resolved }
    }

    /// Makes something else of the model.
    ///
    /// # Errors
    /// As `make`.
    pub fn and_then<N>(self, make: impl FnOnce(M) -> Result<N, ModelError>) -> Result<Opened<N>, OpenError> {
        Ok(Opened { model: make(self.model)?, resolved: self.resolved })
    }
}

/// An error of opening a model.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The model cannot be located.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Its folder is malformed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Locates a model and opens it to encode, with the options of the environment (`HF_HOME`,
/// `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`). `notice` receives sentences on downloads and
/// assumptions.
///
/// # Errors
/// If the model cannot be located, fetched or opened.
pub fn open(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    precision: Precision,
    notice: &mut dyn FnMut(&str),
) -> Result<Opened<TextEncoder>, OpenError> {
    open_with(storage, name, context, precision, &HubOptions::from_environment(), &mut notices(notice))
}

/// As [`open`], with explicit options and all events.
///
/// # Errors
/// If the model cannot be located, fetched or opened.
pub fn open_with(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<TextEncoder>, OpenError> {
    let opened = open_for_inference(storage, name, context, precision, options, notify)?;
    opened.and_then(|model| TextEncoder::new(model, context))
}

/// Locates a cross-encoder and opens it to score pairs of texts, with the options of the
/// environment. `notice` receives sentences on downloads and assumptions.
///
/// # Errors
/// If the model cannot be located, fetched or opened, or if it embeds single texts.
pub fn open_cross_encoder(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    precision: Precision,
    notice: &mut dyn FnMut(&str),
) -> Result<Opened<CrossEncoder>, OpenError> {
    open_cross_encoder_with(storage, name, context, precision, &HubOptions::from_environment(), &mut notices(notice))
}

/// As [`open_cross_encoder`], with explicit options and all events.
///
/// # Errors
/// As [`open_cross_encoder`].
pub fn open_cross_encoder_with(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<CrossEncoder>, OpenError> {
    let opened = open_for_inference(storage, name, context, precision, options, notify)?;
    opened.and_then(|model| CrossEncoder::new(model, context))
}

/// Locates a model of any task and opens it for use.
///
/// # Errors
/// If the model cannot be located, fetched or opened.
pub fn open_for_inference(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<InferenceModel>, OpenError> {
    let resolved = resolve(name, options, notify)?;
    let opened = match &adapter_bases(&resolved, options, notify)?[..] {
        [] => maana_model::open_for_inference(&resolved.folder, context, precision, storage)?,
        bases => {
            let maana_model::Opened { model, notices } =
                maana_model::open_adapter(&resolved.folder, bases, context, precision)?;
            maana_model::Opened { model: model.inference(), notices }
        }
    };
    Ok(Opened::new(opened, resolved, notify))
}

/// Locates a model and opens it to train.
///
/// # Errors
/// If the model cannot be located, fetched or opened.
pub fn open_for_training(
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<TrainingModel>, OpenError> {
    let resolved = resolve(name, options, notify)?;
    let opened = match &adapter_bases(&resolved, options, notify)?[..] {
        [] => maana_model::open_for_training(&resolved.folder, context, precision)?,
        bases => maana_model::open_adapter(&resolved.folder, bases, context, precision)?,
    };
    Ok(Opened::new(opened, resolved, notify))
}

/// Locates a model and opens it to train as a cross-encoder: one keeps its head, any other encoder
/// gets a new head with random weights.
///
/// # Errors
/// If the model cannot be located, fetched or opened, has a head of another number of labels, or
/// consists of adapters.
pub fn open_for_scoring(
    name: &str,
    context: &Context,
    precision: Precision,
    head: &HeadSettings,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<TrainingModel>, OpenError> {
    let resolved = resolve(name, options, notify)?;
    if !adapter_bases(&resolved, options, notify)?.is_empty() {
        let reason = "the model consists of adapters, which cannot become a cross-encoder; merge them into their base \
                      first ([model.lora] merge = true)";
        return Err(ModelError::Request(reason.into()).into());
    }
    let opened = maana_model::open_for_scoring(&resolved.folder, context, precision, head)?;
    Ok(Opened::new(opened, resolved, notify))
}

/// Locates a model and makes a static model with its tokenizer and a random table of `dimension`
/// columns.
///
/// # Errors
/// If the model cannot be located or fetched, or has no tokenizer.
pub fn new_static(
    name: &str,
    dimension: usize,
    seed: u64,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<TrainingModel>, OpenError> {
    let resolved = resolve(name, options, notify)?;
    let model = maana_model::new_static(&resolved.folder, dimension, seed)?;
    Ok(Opened { model, resolved })
}

/// Returns a handler of events that passes the sentences among them on.
fn notices(notice: &mut dyn FnMut(&str)) -> impl FnMut(HubEvent<'_>) {
    |event| {
        if let HubEvent::Notice(text) = event {
            notice(text);
        }
    }
}

/// Locates the base models if a folder holds low-rank adapters: paths, relative to the folder of
/// the adapters or to the current one, or names on the hub.
fn adapter_bases(
    resolved: &Resolved,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Vec<PathBuf>, OpenError> {
    let mut folders = Vec::new();
    for base in maana_model::adapter_bases(&resolved.folder)? {
        let relative = resolved.folder.join(&base);
        if relative.is_dir() {
            folders.push(relative);
            continue;
        }
        notify(HubEvent::Notice(&format!("{}: an adapter of {base}", resolved.folder.display())));
        folders.push(resolve(&base, options, notify)?.folder);
    }
    Ok(folders)
}
