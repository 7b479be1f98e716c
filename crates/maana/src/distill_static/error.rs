//! Errors of distillation.

use maana_model::ModelError;
use maana_text::TextError;

/// An error of distilling a static model.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// The encoder or the folder of the result.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A text or the tokenizer.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An invalid setting.
    #[error("{0}")]
    Setting(String),
}
