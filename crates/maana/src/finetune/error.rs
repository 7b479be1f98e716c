//! Errors of fine-tuning.

use crate::evaluation::EvaluationError;
use crate::open::OpenError;
use crate::recipe::RecipeError;
use maana_data::DataError;
use maana_files::FileError;
use maana_model::ModelError;
use maana_train::{Failure, TrainError};

/// An error of fine-tuning.
#[derive(Debug, thiserror::Error)]
pub enum FinetuneError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The base model.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder of the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An error of one of several training sets.
    #[error("in the data set `{set}`")]
    InSet {
        /// Name of the set.
        set: String,
        /// The error.
        #[source]
        source: Box<FinetuneError>,
    },
    /// The training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The evaluation.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The evaluator of the program.
    #[error("the evaluator of the program failed: {0}")]
    Evaluator(#[source] Failure),
    /// A recipe that does not fit the model or the data.
    #[error("{0}")]
    Fit(String),
    /// A file of the run that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}
