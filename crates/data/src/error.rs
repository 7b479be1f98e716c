//! What can be wrong with a data file: which file, where, and what would mend it.

/// An error in the world's data, never in the program.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}
