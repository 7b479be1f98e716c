//! Opening a model by whatever people call it: a folder, a hub name, `name@revision`.

use crate::hub::{HubError, HubOptions, News, Resolved, Tell, resolve};
use maana_kernels::{Context, Precision};
use maana_model::{ModelError, Purpose, SentenceModel};

/// A model, and where it came from.
pub struct Opened {
    /// The model.
    pub model: SentenceModel,
    /// Its folder, and its name on the hub where it has one.
    pub resolved: Resolved,
}

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be found.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Its folder is not sound.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Finds and reads a model as the environment says (`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`). `notice` is told
/// in sentences what is fetched and what had to be assumed.
///
/// # Errors
/// If the model cannot be found, fetched or read.
pub fn open(
    purpose: Purpose,
    name: &str,
    context: &Context,
    precision: Precision,
    notice: &mut dyn FnMut(&str),
) -> Result<Opened, OpenError> {
    open_with(purpose, name, context, precision, &HubOptions::from_environment(), &mut |news| {
        if let News::Notice(text) = news {
            notice(text);
        }
    })
}

/// As [`open`], with options of one's own, and told how far the fetching is.
///
/// # Errors
/// If the model cannot be found, fetched or read.
pub fn open_with(
    purpose: Purpose,
    name: &str,
    context: &Context,
    precision: Precision,
    options: &HubOptions,
    tell: &mut Tell<'_>,
) -> Result<Opened, OpenError> {
    let resolved = resolve(name, options, tell)?;
    let opened = maana_model::open_for(purpose, &resolved.folder, context, precision)?;
    for text in &opened.notices {
        tell(News::Notice(text));
    }
    Ok(Opened { model: opened.model, resolved })
}
