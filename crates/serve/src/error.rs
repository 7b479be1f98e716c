//! Errors of starting a server.

use std::path::PathBuf;

/// An error of starting a server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not available.
    #[error("cannot listen on {address}: {source}; choose another with --host and --port")]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The operating system refuses a thread or a signal handler.
    #[error("the operating system refuses {what}: {source}{remedy}")]
    System {
        /// The refused resource.
        what: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
        /// A way out, or nothing.
        remedy: &'static str,
    },
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line of the file of keys.
    #[error("{path}, line {line}: {reason}; a line is NAME:KEY or NAME:KEY:REQUESTS-PER-SECOND")]
    Key {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error.
        reason: String,
    },
    /// Settings that contradict each other or the model.
    #[error("{0}")]
    Settings(String),
    /// A model that cannot be read.
    #[error("model `{name}`: {source}")]
    Model {
        /// Its name.
        name: String,
        /// The error.
        source: Box<maana::open::OpenError>,
    },
    /// The classifier.
    #[error(transparent)]
    Head(#[from] maana::classify::ClassifyError),
    /// The store of documents.
    #[error(transparent)]
    Index(#[from] maana::search::SearchError),
}
