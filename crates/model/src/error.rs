//! Errors of model folders: file, field or tensor, and remedy.

use std::path::PathBuf;

/// An error in a model folder or in what is asked of a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that the folder must have.
    #[error("{path}: no such file. {remedy}")]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// Remedy.
        remedy: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A file whose content is not what its name promises.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Fault, its place, and a remedy.
        reason: String,
    },
    /// Something that other software supports and this does not.
    #[error("{path}: {what} is not supported. Supported: {supported}")]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// The unsupported setting.
        what: String,
        /// Supported alternatives.
        supported: String,
    },
    /// A text or a tokenizer that does not work.
    #[error(transparent)]
    Text(#[from] maana_text::TextError),
    /// Work that the caller stopped ([`crate::TextEncoder::with_stop`]).
    #[error("stopped")]
    Stopped,
    /// A dimension, prompt or length that the model does not have.
    #[error("{0}")]
    Request(String),
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Returns the error of a part of several texts as that of all of them, with `before` texts
    /// before the part.
    pub fn after_texts(self, before: usize) -> Self {
        match self {
            Self::Text(error) => Self::Text(error.after_texts(before)),
            other => other,
        }
    }

    pub(crate) fn invalid(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), reason: reason.into() }
    }
}
