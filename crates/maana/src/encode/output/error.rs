//! Errors of a file of embeddings.

use std::path::{Path, PathBuf};

/// An error of a file of embeddings.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// An unknown extension.
    #[error("{0}: the extension must be .npy, .jsonl, .parquet or .safetensors")]
    Ending(PathBuf),
    /// A file that cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A Parquet file that cannot be written.
    #[error("{path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The error of the library.
        source: parquet::errors::ParquetError,
    },
    /// A single embedding, which has no ranges.
    #[error(
        "{path}: a single embedding has no ranges for rounding; pass more texts, or the ranges of others with --ranges"
    )]
    OneRow {
        /// The file.
        path: PathBuf,
    },
    /// A value beyond the range of f16.
    #[error("{path}: an embedding has the value {value}, which f16 cannot represent; write f32")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The value.
        value: f32,
    },
}

impl OutputError {
    /// Wraps an error of the Parquet library; an error of the system inside it is unwrapped.
    pub(super) fn parquet(path: &Path, source: parquet::errors::ParquetError) -> Self {
        let path = path.to_owned();
        match source {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) => Self::Io { path, source: *source },
                Err(inner) => Self::Parquet { path, source: parquet::errors::ParquetError::External(inner) },
            },
            source => Self::Parquet { path, source },
        }
    }
}
