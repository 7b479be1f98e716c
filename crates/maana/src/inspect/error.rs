//! Errors of inspections.

use crate::evaluation::EvaluationError;
use crate::texts::TextsError;
use maana_data::DataError;
use maana_model::ModelError;
use maana_text::TextError;

/// An error of an inspection.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An evaluation set.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A text that cannot be tokenised.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An embedding.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// A batch without rows to compare.
    #[error("--batch-size {0}: a batch needs at least 2 rows to have negatives")]
    BatchSize(usize),
}
