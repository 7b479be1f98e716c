//! Recipes from the model cards that Sentence Transformers writes: base model, columns, loss and
//! hyperparameters as they are, placeholders for files, and notes on everything else.

mod hyperparameters;
mod loss;
mod notes;
mod read;
#[cfg(test)]
mod tests;
mod training;

use crate::recipe::{self, RecipeError};
use maana_files::FileError;
use notes::Notes;
use read::{CardDataset, SourceCard};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use training::Settings;

/// Largest card.
const CARD_BYTES: u64 = 16 << 20;

/// Files of the training data until somebody names them.
const TRAIN_PLACEHOLDER: &str = "train.jsonl";

/// A recipe made from a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRecipe {
    /// The recipe, with comments.
    pub toml: String,
    /// What the recipe does not reproduce, or cannot know.
    pub notes: Vec<String>,
}

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
    #[error("the card is of {0}; recipes train sentence encoders")]
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
    let (toml, notes) = write(&card, settings, notes);
    recipe::parse(&toml, "the recipe", &[])?;
    Ok(CardRecipe { toml, notes })
}

/// Arguments of the reference's trainer as settings of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainerSettings {
    /// Settings of `[training]` that differ from the defaults.
    pub training: serde_json::Map<String, Value>,
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

/// Formats the recipe.
fn write(card: &SourceCard, mut settings: Settings, mut notes: Notes) -> (String, Vec<String>) {
    let mut losses: Vec<Option<loss::Loss>> = Vec::new();
    for dataset in &card.datasets {
        let found = dataset.loss.as_ref().and_then(|(class, parameters)| loss::loss(class, parameters, &mut notes));
        for (key, value) in found.iter().flat_map(|loss| &loss.training) {
            settings.set(key, value.clone());
        }
        losses.push(found);
    }
    match card.version.as_deref() {
        Some(version) if version.starts_with("3.0.") => settings.set("reproduce", json!("3.0.1")),
        Some(version) if !version.starts_with("6.2") => {
            notes.add(format!("the order of the rows is that of version 6.2, not of {version}"));
        }
        _ => {}
    }
    let data = data_table(card, &settings, &losses);
    let model = model_table(card, &mut notes);
    let first = losses.iter().flatten().next();
    let mut loss_table = String::from("\n[loss]\n");
    match first {
        Some(loss) => settings_lines(&loss.settings, &mut loss_table),
        None => loss_table += "name = \"multiple_negatives_ranking\"  # the card's is not supported\n",
    }
    let mut training_table = String::from("\n[training]\n");
    settings_lines(&settings.training, &mut training_table);
    let evaluation = evaluation_table(card, first, &mut notes);
    let notes = notes.into_list();
    let mut toml = String::from("# Made by `maana train --from-card`. Name the files of the data before you run it.\n");
    for note in &notes {
        let _ = writeln!(toml, "# - {}", one_line(note));
    }
    toml += &[model, data, loss_table, training_table, evaluation, card_table(card)].concat();
    (toml, notes)
}

fn model_table(card: &SourceCard, notes: &mut Notes) -> String {
    let base = card.base.clone().unwrap_or_else(|| {
        notes.add("the card does not name the base model; set [model] base".into());
        "path/to/base".into()
    });
    let revision = card.base_revision.as_ref().map(|revision| format!("  # at revision {}", one_line(revision)));
    let mut table = format!("\n[model]\nbase = {}{}\n", toml_value(&json!(base)), revision.unwrap_or_default());
    if let Some(length) = card.max_seq_length {
        let _ = writeln!(table, "max_seq_length = {length}");
    }
    table
}

fn data_table(card: &SourceCard, settings: &Settings, losses: &[Option<loss::Loss>]) -> String {
    let mut table = String::from("\n[data]\n");
    let prompts = |prompts: &Value| format!("prompts = {}\n", toml_value(prompts));
    let [_, _, ..] = &card.datasets[..] else {
        card.datasets.iter().for_each(|dataset| dataset_lines(dataset, TRAIN_PLACEHOLDER, &mut table));
        return table + &settings.prompts.as_ref().map(prompts).unwrap_or_default();
    };
    if let Some(sampler) = settings.sampler.as_ref().filter(|sampler| *sampler != "proportional") {
        let _ = writeln!(table, "sampler = {}", toml_value(&json!(sampler)));
    }
    let named = |dataset: &CardDataset| settings.prompts.as_ref()?.get(dataset.name.as_ref()?).cloned();
    if card.datasets.iter().all(|dataset| named(dataset).is_none()) {
        table += &settings.prompts.as_ref().map(prompts).unwrap_or_default();
    }
    let mut names: Vec<String> = Vec::new();
    for (number, (dataset, loss)) in card.datasets.iter().zip(losses).enumerate() {
        let free = dataset.name.clone().filter(|name| !names.contains(name));
        names.push(free.unwrap_or_else(|| format!("set-{}", number + 1)));
        let _ = writeln!(table, "\n[[data.sets]]\nname = {}", toml_value(&json!(names[number])));
        dataset_lines(dataset, &format!("train-{}.jsonl", number + 1), &mut table);
        table += &named(dataset).as_ref().map(prompts).unwrap_or_default();
        let shared = losses.iter().flatten().next();
        if let Some(loss) = loss.as_ref().filter(|loss| Some(&loss.settings) != shared.map(|first| &first.settings)) {
            let _ = writeln!(table, "loss = {}", loss.inline());
        }
    }
    table
}

fn dataset_lines(dataset: &CardDataset, placeholder: &str, table: &mut String) {
    let rows = dataset.rows.as_ref().map(|rows| format!("  # files with the {} rows of the card", one_line(rows)));
    let _ = writeln!(table, "train = [\"{placeholder}\"]{}", rows.unwrap_or_default());
    if !dataset.columns.is_empty() {
        let _ = writeln!(table, "columns = {}", toml_value(&json!(dataset.columns)));
    }
}

/// Kinds of evaluation sets by the reference's evaluators.
const KINDS: [(&str, &str); 7] = [
    ("BinaryClassificationEvaluator", "binary"),
    ("EmbeddingSimilarityEvaluator", "similarity"),
    ("LabelAccuracyEvaluator", "labels"),
    ("ParaphraseMiningEvaluator", "mining"),
    ("RerankingEvaluator", "reranking"),
    ("TranslationEvaluator", "translation"),
    ("TripletEvaluator", "triplet"),
];

fn evaluation_table(card: &SourceCard, loss: Option<&loss::Loss>, notes: &mut Notes) -> String {
    let mut table = String::from("\n[evaluation]\n");
    let mut sets = String::new();
    let retrieval = card.evaluators.iter().filter(|evaluator| evaluator.class == "InformationRetrievalEvaluator");
    let of_name = |name: &String| name.rsplit('_').next().and_then(|dim| dim.parse().ok());
    let mut dims: Vec<usize> = retrieval
        .clone()
        .flat_map(|evaluator| {
            evaluator.truncate_dim.map_or_else(|| evaluator.names.iter().filter_map(of_name).collect(), |dim| vec![dim])
        })
        .collect();
    dims.sort_unstable_by(|one, other| other.cmp(one));
    dims.dedup();
    if retrieval.count() > 0 {
        table += "retrieval = [\"dev\"]  # a folder with queries.jsonl, corpus.jsonl and qrels.tsv\n";
        let trained = loss.and_then(|loss| loss.settings.iter().find(|(key, _)| key == "matryoshka_dims"));
        if !dims.is_empty() && trained.is_none_or(|(_, trained)| *trained != json!(dims)) {
            let _ = writeln!(table, "dims = {}", toml_value(&json!(dims)));
        }
    }
    if card.has_dev_loss {
        table += "split = 0.02  # the card had an evaluation set of its own for the loss\nloss = true\n";
    }
    for evaluator in card.evaluators.iter().filter(|evaluator| evaluator.class != "InformationRetrievalEvaluator") {
        let kind = KINDS.iter().find(|(class, _)| *class == evaluator.class).map(|(_, kind)| *kind);
        let Some(kind) = kind else {
            notes
                .add(format!("the evaluator {} is not supported; see [evaluation] in docs/recipe.md", evaluator.class));
            continue;
        };
        for name in evaluator.names.iter().map(Some).chain(evaluator.names.is_empty().then_some(None)) {
            sets += "\n[[evaluation.sets]]\n";
            if let Some(name) = name {
                let _ = writeln!(sets, "name = {}", toml_value(&json!(name)));
            }
            let file = format!("{}.jsonl", name.map_or(kind, |name| name));
            let _ = writeln!(sets, "kind = \"{kind}\"\nfiles = {}", toml_value(&json!([file])));
        }
    }
    table + &sets
}

fn card_table(card: &SourceCard) -> String {
    let mut table = String::from("\n[card]\n");
    let generated =
        |title: &&String| title.starts_with("SentenceTransformer") || title.starts_with("Sentence Transformer");
    if let Some(title) = card.title.as_ref().filter(|title| !generated(title)) {
        let _ = writeln!(table, "name = {}", toml_value(&json!(title)));
    }
    if !card.languages.is_empty() {
        let _ = writeln!(table, "language = {}", toml_value(&json!(card.languages)));
    }
    if let Some(license) = &card.license {
        let _ = writeln!(table, "license = {}", toml_value(&json!(license)));
    }
    table
}

fn settings_lines(settings: &[(String, Value)], table: &mut String) {
    for (key, value) in settings {
        let _ = writeln!(table, "{key} = {}", toml_value(value));
    }
}

/// Formats a value as TOML.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries = table.iter().map(|(key, value)| format!("{} = {}", toml_key(key), toml_value(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        other => other.to_string(),
    }
}

fn toml_key(key: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { toml::Value::String(key.into()).to_string() }
}

/// Returns a text without line breaks and other control characters, for a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
