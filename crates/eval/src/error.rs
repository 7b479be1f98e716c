//! What can go wrong while measuring: in the request, in the embeddings, or in a file that results go to.

use maana_model::{ModelError, Similarity};
use std::path::PathBuf;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The encoder could not embed a text.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A dimension that cannot be measured.
    #[error("dimension {dim}: {reason}. Embeddings of this model have {available} columns")]
    Dimension {
        /// The dimension asked for.
        dim: usize,
        /// Columns of the embeddings.
        available: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting that makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong, and what is right.
        reason: String,
    },
    /// A similarity that evaluations do not know.
    #[error("similarity {0:?} cannot be used for retrieval. Use cosine or dot")]
    Similarity(Similarity),
    /// No query has a relevant document: every mean would be over nothing.
    #[error("{set}: no query has a relevant document, so there is nothing to measure")]
    NothingRelevant {
        /// The set.
        set: String,
    },
    /// An embedding that has a number which is not finite, and so cannot be compared.
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
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of results whose columns are not those of these results.
    #[error(
        "{path}: its first line is not the header of these results; move the file away, or measure with the same cutoffs"
    )]
    OtherColumns {
        /// The file.
        path: PathBuf,
    },
}
