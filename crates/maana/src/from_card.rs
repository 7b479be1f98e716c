//! Recipes from the model cards that Sentence Transformers writes: base model, columns, loss and
//! hyperparameters as they are, placeholders for files, and notes on everything else.

mod error;
mod hyperparameters;
mod loss;
mod notes;
mod read;
mod tables;
#[cfg(test)]
mod tests;
mod training;
mod values;

pub use error::FromCardError;

use maana_files::FileError;
use notes::Notes;
use read::SourceCard;
use serde_json::{Map, Value};
use std::path::Path;
use training::Settings;

/// Largest card.
const CARD_BYTES: u64 = 16 << 20;

/// A recipe made from a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRecipe {
    /// The recipe, with comments.
    pub toml: String,
    /// Notes on everything that the recipe does not reproduce or cannot know.
    pub notes: Vec<String>,
}

/// Reads a card and makes a recipe of it.
///
/// # Errors
/// If the file is not a card of Sentence Transformers' trainer, or is not complete.
pub fn recipe_from_card(path: &Path) -> Result<CardRecipe, FromCardError> {
    let length = maana_files::open(path).and_then(|file| file.metadata()).map_err(FileError::at(path))?.len();
    if length > CARD_BYTES {
        return Err(FromCardError::TooLarge(length));
    }
    recipe_from_text(&maana_files::read_to_string(path).map_err(FileError::at(path))?)
}

/// Makes a recipe of the text of a card.
///
/// # Errors
/// As [`recipe_from_card`].
pub fn recipe_from_text(text: &str) -> Result<CardRecipe, FromCardError> {
    let card = SourceCard::read(text)?;
    let mut notes = Notes::default();
    let settings = training::settings(&card, &mut notes);
    let (toml, notes) = tables::write(&card, settings, notes);
    crate::recipe::parse(&toml, "the recipe", &[])?;
    Ok(CardRecipe { toml, notes })
}

/// Arguments of the reference's trainer as settings of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainerSettings {
    /// Settings of `[training]` that differ from the defaults.
    pub training: Map<String, Value>,
    /// Order of the batches of several sets, if it was given.
    pub sampler: Option<String>,
    /// Arguments that are not supported, each with its remedy.
    pub notes: Vec<String>,
}

/// Converts arguments of the reference's trainer, with values as its cards print them.
pub fn trainer_settings(arguments: &[(String, String)]) -> TrainerSettings {
    let card = SourceCard { hyperparameters: arguments.to_vec(), ..SourceCard::default() };
    let mut notes = Notes::default();
    let Settings { training, sampler, .. } = training::settings(&card, &mut notes);
    TrainerSettings { training: training.into_iter().collect(), sampler, notes: notes.into_list() }
}
