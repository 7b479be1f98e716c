//! Formats of a file of embeddings.

use super::error::OutputError;
use std::path::Path;

/// Format of a file of embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NumPy's `.npy`, version 1.0: `(rows, columns)`, little-endian. `numpy.load` reads it.
    Npy,
    /// One object per line: `{"text": …, "embedding": […]}`.
    Jsonl,
    /// Columns `text` and `embedding` (a list of fixed length).
    Parquet,
    /// One tensor `embeddings`, `(rows, columns)`.
    Safetensors,
}

impl Format {
    /// Returns the format of a file's extension.
    ///
    /// # Errors
    /// If the extension is unknown.
    pub fn of(path: &Path) -> Result<Self, OutputError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("jsonl") => Ok(Self::Jsonl),
            Some("parquet") => Ok(Self::Parquet),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => Err(OutputError::Ending(path.to_owned())),
        }
    }
}
