//! Errors of making a recipe from a card.

use crate::recipe::RecipeError;
use maana_files::FileError;

/// An error of making a recipe from a card.
#[derive(Debug, thiserror::Error)]
pub enum FromCardError {
    /// A card that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is too large for a card.
    #[error("{0} bytes are too many for a card; name the README.md of a model")]
    TooLarge(u64),
    /// Something that every card of Sentence Transformers' trainer has.
    #[error(
        "the card lacks {0}, which Sentence Transformers 3.0 and later write; is it complete, and of a model that was trained?"
    )]
    Missing(&'static str),
    /// A card of an earlier version.
    #[error(
        "the card is of Sentence Transformers 2, which did not record the hyperparameters; write a recipe by hand (docs/recipe.md)"
    )]
    OldCard,
    /// A card of another kind of model.
    #[error(
        "the card is of {0}, and recipes are made of cards of sentence encoders and cross-encoders; write one by hand (docs/recipe.md)"
    )]
    OtherModel(&'static str),
    /// A card that ends too early.
    #[error("line {line}: {what} begins here and does not end; the card is cut")]
    Cut {
        /// Line, from 1.
        line: usize,
        /// The incomplete part.
        what: &'static str,
    },
    /// Parameters that are not JSON.
    #[error("line {line}: the parameters are not JSON: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// The problem.
        reason: String,
    },
    /// A card with values that a recipe cannot have.
    #[error("the card gives a recipe that is not valid: {0}; write it by hand (docs/recipe.md)")]
    Recipe(#[from] RecipeError),
}
