//! Why a server cannot start: what is wrong with its settings, files or address.

use std::path::PathBuf;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not to be had.
    #[error("cannot listen at {address}: {source}; choose another with --host and --port")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no thread or no signal.
    #[error("the system refuses what a server needs: {0}")]
    System(std::io::Error),
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of the file of keys.
    #[error("{path}, line {line}: {reason}; a line is NAME:KEY or NAME:KEY:REQUESTS-PER-SECOND")]
    Key {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Settings that contradict each other or the model.
    #[error("{0}")]
    Settings(String),
    /// A model.
    #[error("model `{name}`: {source}")]
    Model {
        /// What requests call it.
        name: String,
        /// What is wrong.
        source: Box<maana::open::OpenError>,
    },
    /// The classifier.
    #[error(transparent)]
    Head(#[from] maana::classify::ClassifyError),
    /// The store of documents.
    #[error(transparent)]
    Index(#[from] maana::search::SearchError),
}
