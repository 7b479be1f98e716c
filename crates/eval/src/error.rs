//! Errors of evaluations.

use maana_files::FileError;
use maana_model::{ModelError, Similarity};
use std::path::PathBuf;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The encoder could not embed a text.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A dimension that cannot be evaluated.
    #[error("dimension {dim}: {reason}. Embeddings of this model have {available} columns")]
    Dimension {
        /// The requested dimension.
        dim: usize,
        /// Columns of the embeddings.
        available: usize,
        /// The problem.
        reason: &'static str,
    },
    /// An invalid setting.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// The problem and its remedy.
        reason: String,
    },
    /// An unsupported similarity.
    #[error("similarity {0:?} cannot be used for retrieval. Use cosine or dot")]
    Similarity(Similarity),
    /// A set without relevant documents, so that every mean would be empty.
    #[error("{set}: no query has a relevant document, so there is nothing to evaluate")]
    NothingRelevant {
        /// The set.
        set: String,
    },
    /// An embedding with a value that is NaN or infinite.
    #[error("the embedding of {kind} {id:?} ({text:?}) is not finite; the model is broken or its training diverged")]
    NotFinite {
        /// `query` or `document`.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The beginning of its text.
        text: String,
    },
    /// A file of results that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of results with other columns.
    #[error(
        "{path}: its first line is not the header of these results; move the file, or evaluate with the same cutoffs"
    )]
    OtherColumns {
        /// The file.
        path: PathBuf,
    },
}
