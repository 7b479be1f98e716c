//! Errors of evaluation sets.

use crate::texts::TextsError;
use maana_data::{DataError, Place};
use maana_eval::EvalError;
use maana_files::FileError;
use maana_model::ModelError;
use maana_train::TrainError;
use maana_vectors::VectorsError;
use std::path::PathBuf;

/// An error of an evaluation set or of its measures.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// A file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Texts or their embeddings.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// A retrieval set.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The dev loss.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A folder that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder without data sets.
    #[error("{0}: no known data sets; `maana evaluate --help` describes the layout of a suite")]
    Empty(PathBuf),
    /// Files that do not determine the kind of the set.
    #[error(
        "{files}: {found}; name the kind: retrieval, similarity, binary, classification, triplet, reranking, translation, mining or labels"
    )]
    UnknownKind {
        /// The files.
        files: String,
        /// Their content.
        found: String,
    },
    /// Files that do not fit the kind.
    #[error("{files}: a set of the kind {kind} needs {needed}, but {found}")]
    Unfit {
        /// The files.
        files: String,
        /// The kind.
        kind: &'static str,
        /// Required files, columns or labels.
        needed: &'static str,
        /// The problem.
        found: String,
    },
    /// A label of a pair that is neither 0 nor 1.
    #[error("{place}: the label is {label}; a set of the kind binary has 1 for texts that are alike and 0 for others")]
    NotBinary {
        /// The row.
        place: Place,
        /// Its label.
        label: f32,
    },
    /// A label of a pair that does not name a class.
    #[error(
        "{place}: the label is {label}; a set of the kind classification has whole numbers from 0, or names of labels"
    )]
    NoClass {
        /// The row.
        place: Place,
        /// Its label.
        label: f32,
    },
    /// A class that the cross-encoder does not have.
    #[error("{set}: a label is the class {class}, but the model has {labels} labels, 0 to {}", labels - 1)]
    UnknownClass {
        /// The set.
        set: String,
        /// The class.
        class: usize,
        /// Labels of the model.
        labels: usize,
    },
    /// A set on which models of this kind are not measured.
    #[error("{set}: {reason}")]
    OtherModel {
        /// The set.
        set: String,
        /// The reason and the remedy.
        reason: String,
    },
    /// A first line that may be a header or an example.
    #[error("{path}: the first line looks like a header, but not of {names}; name the columns so, or remove the line")]
    Header {
        /// The file.
        path: PathBuf,
        /// The names of the columns.
        names: String,
    },
    /// A pair with an unknown id.
    #[error("{path}: the id `{id}` is not among the sentences")]
    UnknownId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// The dev loss without the loss of a run.
    #[error(
        "{0}: a set of the kind loss is measured with the loss of a recipe; give it with --recipe FILE, or name the set in \
         [evaluation] of the recipe"
    )]
    NoLoss(String),
    /// A dimension that the model does not have.
    #[error("dimension {dim}: the model's embeddings have {available} columns; use 1 to {available}")]
    Dimension {
        /// The requested dimension.
        dim: usize,
        /// Columns of the embeddings.
        available: usize,
    },
}

impl EvaluationError {
    /// Converts an error of the dev loss, in which one of the model counts as such.
    pub(super) fn of_loss(error: TrainError) -> Self {
        match error {
            TrainError::DevLoss(source) => match source.downcast::<ModelError>() {
                Ok(error) => Self::Eval((*error).into()),
                Err(source) => TrainError::DevLoss(source).into(),
            },
            error => error.into(),
        }
    }

    /// Returns true if the encoder was stopped.
    pub fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::Eval(EvalError::Model(ModelError::Stopped)) | Self::Texts(TextsError::Model(ModelError::Stopped))
        )
    }
}
