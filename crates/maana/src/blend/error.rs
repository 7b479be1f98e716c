//! Errors of blending.

use crate::open::OpenError;
use maana_files::FileError;
use maana_model::ModelError;
use std::path::PathBuf;

/// An error of blending.
#[derive(Debug, thiserror::Error)]
pub enum BlendError {
    /// A model that cannot be opened.
    #[error("model `{name}`: {source}")]
    Open {
        /// The model.
        name: String,
        /// The error.
        source: Box<OpenError>,
    },
    /// The folder of the result.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A folder that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// An invalid setting.
    #[error("{0}")]
    Setting(String),
    /// Models that do not fit together.
    #[error("`{other}` cannot be blended with `{first}`: {difference}; blend models that were trained from one base")]
    Different {
        /// The first model.
        first: String,
        /// The other model.
        other: String,
        /// The first difference.
        difference: String,
    },
    /// Too few checkpoints.
    #[error("{folder}: has {found} checkpoints of evaluations or ends of epochs, not {wanted}; {remedy}")]
    TooFewCheckpoints {
        /// The folder of the run.
        folder: PathBuf,
        /// Their number.
        found: usize,
        /// The requested number.
        wanted: usize,
        /// Remedy.
        remedy: &'static str,
    },
}
