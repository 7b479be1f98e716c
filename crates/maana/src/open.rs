//! Opens a model by its folder, its name on the hub, or `name@revision`.

use crate::hub::{EventHandler, HubError, HubEvent, HubOptions, Resolved, resolve};
use maana_kernels::{Context, Precision};
use maana_model::{ModelError, Purpose, SentenceModel};

/// A model and its origin.
pub struct Opened {
    /// The model.
    pub model: SentenceModel,
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

/// Locates and opens a model with the options of the environment (`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`).
/// `notice` receives sentences on downloads and assumptions.
///
/// # Errors
/// If the model cannot be located, fetched or opened.
pub fn open(
    purpose: Purpose,
    name: &str,
    context: &Context,
    precision: Precision,
    notice: &mut dyn FnMut(&str),
) -> Result<Opened, OpenError> {
    open_with(purpose, name, context, precision, &HubOptions::from_environment(), &mut |event| {
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
    purpose: Purpose,
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Opened, OpenError> {
    let resolved = resolve(name, options, notify)?;
    let opened = maana_model::open_for(purpose, &resolved.folder, context, precision)?;
    for text in &opened.notices {
        notify(HubEvent::Notice(text));
    }
    Ok(Opened { model: opened.model, resolved })
}
