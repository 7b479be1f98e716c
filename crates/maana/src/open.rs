//! Opens a model by its folder, its name on the hub, or `name@revision`.

use crate::hub::{EventHandler, HubError, HubEvent, HubOptions, Resolved, resolve};
use maana_kernels::{Context, Precision};
use maana_model::{ModelError, TextEncoder, TrainingModel, WeightStorage};

/// A model and its origin.
pub struct Opened<M> {
    /// The model: a [`TextEncoder`] or a [`TrainingModel`].
    pub model: M,
    /// Its folder, and its name on the hub if it has one.
    pub resolved: Resolved,
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
    open_with(storage, name, context, precision, &HubOptions::from_environment(), &mut |event| {
        if let HubEvent::Notice(text) = event {
            notice(text);
        }
    })
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
    let resolved = resolve(name, options, notify)?;
    let opened = maana_model::open_for_inference(&resolved.folder, context, precision, storage)?;
    opened.notices.iter().for_each(|text| notify(HubEvent::Notice(text)));
    Ok(Opened { model: TextEncoder::new(opened.model, context)?, resolved })
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
    let opened = maana_model::open_for_training(&resolved.folder, context, precision)?;
    opened.notices.iter().for_each(|text| notify(HubEvent::Notice(text)));
    Ok(Opened { model: opened.model, resolved })
}
