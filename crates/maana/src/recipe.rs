//! The recipe of a training run: a TOML file with the tables `[model]`, `[data]`, `[loss]`,
//! `[training]`, `[evaluation]`, `[blend]` and `[card]`. An unknown key is an error that suggests
//! the nearest known one. Defaults are those of Sentence Transformers.

mod blend_table;
mod data_table;
mod losses;
mod model_table;
mod own_evaluator;
mod own_losses;

pub use blend_table::{BlendTable, Tolerance};
pub use data_table::{DataTable, Negatives, Prompts, Route, Routes, SetTable};
pub use model_table::{LoraTable, ModelActivation, ModelKind, ModelTable};
pub use own_evaluator::{Evaluated, Evaluator, OwnEvaluator};
pub use own_losses::OwnLosses;

use crate::evaluation::SetSpec;
use losses::check_losses;
use maana_eval::Kind;
use maana_files::{FileError, edit_distance};
use maana_train::{Arguments, LossArguments};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The base model.
    pub model: ModelTable,
    /// The training data.
    pub data: DataTable,
    /// The loss.
    pub loss: LossArguments,
    /// Hyperparameters.
    #[serde(default)]
    pub training: Arguments,
    /// Evaluations.
    #[serde(default)]
    pub evaluation: EvaluationTable,
    /// Blends of the base and the trained model. Default: the trained model is saved.
    pub blend: Option<BlendTable>,
    /// Additional content of the model card.
    #[serde(default)]
    pub card: CardTable,
}

/// `[evaluation]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationTable {
    /// Folders in the layout of BEIR, relative to the recipe.
    pub retrieval: Vec<String>,
    /// Dimensions to measure. Default: the dims of the loss, else the model's own.
    pub dims: Option<Vec<usize>>,
    /// Rows to hold out of the training data, a fraction below 1 or a number. No text of theirs is
    /// trained on.
    pub split: Option<f64>,
    /// Computes the loss of the run on the rows of `split`. Default: if there is a `split` that no
    /// set uses.
    pub loss: Option<bool>,
    /// Evaluation sets of any kind.
    pub sets: Vec<SetSpec>,
    /// Names of evaluators of the program that trains, which measures them after the sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
}

impl EvaluationTable {
    /// Returns true if the dev loss on the rows of `split` is measured.
    pub(crate) fn measures_loss(&self) -> bool {
        let is_used = self.sets.iter().any(|set| set.files.is_empty());
        self.loss.unwrap_or(self.split.is_some() && !is_used)
    }
}

/// `[card]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardTable {
    /// The title. Default: from the base model and the data.
    pub name: Option<String>,
    /// The name on the hub, `organisation/model`, for the examples of use.
    pub hub_id: Option<String>,
    /// Language codes such as `sw`.
    pub language: Vec<String>,
    /// Licence identifier such as `apache-2.0`.
    pub license: Option<String>,
}

/// An error of a recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// An invalid recipe.
    #[error("{location}: {reason}")]
    Invalid {
        /// File and line, or the setting of the command line.
        location: String,
        /// The problem and its remedy.
        reason: String,
    },
}

/// A recipe and the folder of its relative paths.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedRecipe {
    /// The recipe.
    pub recipe: Recipe,
    /// The folder of its file.
    pub folder: PathBuf,
    /// Losses of the program, which `[loss] name = "own"` names.
    pub losses: OwnLosses,
    /// The evaluator of the program, if `[evaluation] own` names any.
    pub evaluator: OwnEvaluator,
}

impl LocatedRecipe {
    /// Reads a recipe and applies settings such as `training.epochs=1` to it.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or has an unknown key or an invalid value.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self, RecipeError> {
        let text = maana_files::read_to_string(path).map_err(FileError::at(path))?;
        let recipe = parse(&text, &path.display().to_string(), settings)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { recipe, folder, losses: OwnLosses::default(), evaluator: OwnEvaluator::default() })
    }

    /// Creates a recipe from JSON with the same tables and keys, for programs.
    ///
    /// # Errors
    /// If the text is malformed, or has an unknown key or an invalid value.
    pub fn from_json(text: &str, folder: PathBuf) -> Result<Self, RecipeError> {
        let table: toml::Table = serde_json::from_str(text).map_err(|error| RecipeError::Invalid {
            location: "the recipe".into(),
            reason: with_suggestion(&error.to_string()),
        })?;
        let recipe = parse(&table.to_string(), "the recipe", &[])?;
        Ok(Self { recipe, folder, losses: OwnLosses::default(), evaluator: OwnEvaluator::default() })
    }

    /// Resolves a path of the recipe.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// Returns the base model: a folder relative to the recipe, or else the name itself.
    pub fn base(&self) -> String {
        self.model(&self.recipe.model.base)
    }

    /// Returns a model that the recipe names: a folder relative to the recipe, or else the name
    /// itself.
    pub fn model(&self, name: &str) -> String {
        let relative = self.path(name);
        if relative.is_dir() { relative.display().to_string() } else { name.to_owned() }
    }

    /// Formats the recipe as TOML with all defaults.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&self.recipe).expect("a recipe consists of tables and plain values")
    }
}

/// Reads a recipe of this name and applies settings to it.
pub(crate) fn parse(text: &str, name: &str, settings: &[String]) -> Result<Recipe, RecipeError> {
    // Without settings first, so that an error in the file has its line.
    let recipe: Recipe = toml::from_str(text).map_err(|error| in_file(&error, text, name))?;
    let recipe = if settings.is_empty() { recipe } else { with_settings(text, settings)? };
    let check = recipe.training.check().map_err(|error| error.to_string()).and_then(|()| check_tables(&recipe));
    check.map_err(|reason| RecipeError::Invalid { location: name.into(), reason })?;
    check_losses(&recipe.loss, &recipe.data.sets, recipe.model.inputs(), text).map_err(|(line, reason)| {
        let line = line.map_or(String::new(), |line| format!(", line {line}"));
        RecipeError::Invalid { location: format!("{name}{line}"), reason }
    })?;
    Ok(recipe)
}

fn check_tables(recipe: &Recipe) -> Result<(), String> {
    recipe.model.check()?;
    recipe.data.check()?;
    if recipe.model.kind == ModelKind::CrossEncoder {
        check_cross_encoder(recipe)?;
    }
    check_evaluation(&recipe.evaluation)?;
    for (name, dims) in
        [("[loss] matryoshka_dims", &recipe.loss.matryoshka_dims), ("[evaluation] dims", &recipe.evaluation.dims)]
    {
        let Some(dims) = dims else { continue };
        if dims.is_empty() || dims.contains(&0) {
            return Err(format!("{name} is {dims:?}; expected at least one dimension, each above 0"));
        }
        if dims.windows(2).any(|pair| pair[0] <= pair[1]) {
            return Err(format!("{name} is {dims:?}; dimensions must decrease, for example {:?}", falling(dims)));
        }
    }
    Ok(())
}

/// Refuses settings that have no meaning for a cross-encoder.
fn check_cross_encoder(recipe: &Recipe) -> Result<(), String> {
    if recipe.evaluation.dims.is_some() {
        return Err("[evaluation] dims belongs to embeddings; a cross-encoder has none; omit it".into());
    }
    if !recipe.evaluation.retrieval.is_empty() {
        return Err(
            "[evaluation] retrieval belongs to embeddings; a cross-encoder is measured on lists of candidates, \
                    with kind = \"reranking\" in [[evaluation.sets]]"
                .into(),
        );
    }
    if recipe.model.lora.as_ref().is_some_and(|lora| !lora.merge) {
        return Err("[model.lora] of a cross-encoder needs merge = true, which saves the whole model".into());
    }
    let by_column = |set: &SetTable| matches!(set.prompts, Some(Prompts::ByColumn(ref prompts)) if !prompts.is_empty());
    match recipe.data.all_sets().iter().any(by_column) {
        true => {
            Err("[data] prompts: a cross-encoder has one prompt, in front of the first text of each pair; give one \
                     text, as in prompts = \"query: \""
                .into())
        }
        false => Ok(()),
    }
}

fn check_evaluation(table: &EvaluationTable) -> Result<(), String> {
    if let Some(split) = table.split
        && !(split > 0.0 && split.is_finite() && (split < 1.0 || split.fract() == 0.0))
    {
        return Err(format!(
            "[evaluation] split is {split}; expected a fraction of the rows above 0 and below 1, or a whole number of rows"
        ));
    }
    if table.loss == Some(true) && table.split.is_none() {
        let remedy = "set split, for example split = 0.02, or name files in [[evaluation.sets]] with kind = \"loss\"";
        return Err(format!("[evaluation] loss = true needs held-out rows; {remedy}"));
    }
    let mut names: Vec<&str> = Vec::new();
    for (number, set) in table.sets.iter().enumerate() {
        let place = format!("[[evaluation.sets]] number {}", number + 1);
        if set.at_k == Some(0) {
            return Err(format!("{place} has at_k = 0; expected at least 1"));
        }
        if set.at_k.is_some() && set.kind.is_some_and(|kind| kind != Kind::Reranking) {
            return Err(format!("{place} has at_k, which belongs to the kind reranking; omit it"));
        }
        if set.files.is_empty() && (table.split.is_none() || set.kind.is_none() || set.name.is_none()) {
            return Err(format!(
                "{place} has no files; name them, or set name, kind and [evaluation] split to measure the held-out rows"
            ));
        }
        if let Some(name) = &set.name {
            // The measure of an unnamed dev loss is `loss` itself.
            let is_unnamed_loss = name.is_empty() && set.kind == Some(Kind::Loss);
            if name.trim().is_empty() && !is_unnamed_loss {
                return Err(format!("{place} has an empty name; omit it for the name of the file"));
            }
            if names.contains(&name.as_str()) {
                return Err(format!("{place}: the name `{name}` occurs twice; each set needs its own"));
            }
            names.push(name);
        }
    }
    let is_used = table.measures_loss() || table.sets.iter().any(|set| set.files.is_empty());
    if table.split.is_some() && !is_used {
        return Err("[evaluation] split holds rows out that nothing measures; omit loss = false, or omit split".into());
    }
    Ok(())
}

fn falling(dims: &[usize]) -> Vec<usize> {
    let mut dims = dims.to_vec();
    dims.sort_unstable_by(|a, b| b.cmp(a));
    dims.dedup();
    dims
}

fn with_settings(text: &str, settings: &[String]) -> Result<Recipe, RecipeError> {
    let mut table: toml::Table = text.parse().expect("the text was parsed before");
    for setting in settings {
        apply(&mut table, setting)
            .map_err(|reason| RecipeError::Invalid { location: format!("--set {setting}"), reason })?;
        // After each setting, so that an error names the setting.
        Recipe::deserialize(table.clone()).map_err(|error| RecipeError::Invalid {
            location: format!("--set {setting}"),
            reason: with_suggestion(error.message()),
        })?;
    }
    Ok(Recipe::deserialize(table).expect("it was read after the last setting"))
}

fn apply(table: &mut toml::Table, setting: &str) -> Result<(), String> {
    let (key, value) = setting.split_once('=').ok_or("expected table.key=value, for example training.epochs=1")?;
    let (tables, key) = key.trim().rsplit_once('.').ok_or("expected table.key=value, for example training.epochs=1")?;
    let value = value.trim();
    // A value that is not TOML is a string without quotes.
    let parsed = format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.into()));
    let mut inner = table;
    for name in tables.split('.') {
        let entry = inner.entry(name.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        inner = entry.as_table_mut().ok_or_else(|| format!("`{name}` is not a table"))?;
    }
    inner.insert(key.to_owned(), value);
    Ok(())
}

fn in_file(error: &toml::de::Error, text: &str, name: &str) -> RecipeError {
    let location = match error.span() {
        Some(span) => {
            let before = &text[..span.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
            format!("{name}, line {line}, column {column}")
        }
        None => name.to_owned(),
    };
    let reason = missing_table(error.message()).unwrap_or_else(|| with_suggestion(error.message()));
    RecipeError::Invalid { location, reason }
}

/// Returns the reason of an error about a table that each recipe has.
fn missing_table(message: &str) -> Option<String> {
    let (table, example) = match message {
        "missing field `model`" => ("model", "base = \"sentence-transformers/all-MiniLM-L6-v2\""),
        "missing field `data`" => ("data", "train = [\"pairs.jsonl\"]"),
        "missing field `loss`" => {
            ("loss", "name = \"multiple_negatives_ranking\", for the sets without a loss of their own")
        }
        _ => return None,
    };
    Some(format!("the table [{table}] is missing; add it, such as {example}"))
}

/// Adds "did you mean" to a message that lists the known names in backquotes.
fn with_suggestion(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let nearest = match quoted.split_first() {
        Some((wrong, known)) if unknown => {
            let by_distance = known.iter().map(|name| (edit_distance(wrong, name), *name)).min();
            by_distance.filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 2).map(|(_, name)| name)
        }
        _ => None,
    };
    match nearest {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maana_train::{BatchSampler, Evaluate, Precision, Version};

    const SEED: &str = include_str!("../../../recipes/bge-base-swahili-matryoshka.toml");

    fn fails(text: &str, settings: &[&str]) -> String {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        parse(text, "recipe.toml", &settings).unwrap_err().to_string()
    }

    #[test]
    fn the_documentation_names_every_setting() {
        let page = include_str!("../../../docs/recipe.md");
        let start = "[model]\nbase = \"x\"\n[data]\ntrain = [\"y\"]\n[loss]\nname = \"cosent\"\n";
        let mut settings = 0;
        for table in ["model", "data", "loss", "training", "evaluation", "blend", "card"] {
            let section = page.split(&format!("## `[{table}]`")).nth(1).expect(table);
            let section = section.split("\n## ").next().expect("a part before the next title");
            let mut recipe: toml::Table = start.parse().unwrap();
            let entry = recipe.entry(table).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            entry.as_table_mut().unwrap().insert("qqq".into(), 1.into());
            // The message for an unknown key lists the known ones.
            let error = Recipe::deserialize(recipe).unwrap_err().message().to_owned();
            for key in error.split('`').skip(3).step_by(2) {
                assert!(section.contains(&format!("`{key}`")), "[{table}] {key} is not in docs/recipe.md");
                settings += 1;
            }
        }
        assert!(settings > 40, "{settings}");
    }

    #[test]
    fn the_recipe_of_the_seed_is_read() {
        let recipe = parse(SEED, "recipe.toml", &[]).unwrap();
        assert_eq!(recipe.model.base, "BAAI/bge-base-en-v1.5");
        assert_eq!(recipe.data.columns.unwrap(), ["positive", "anchor"]);
        assert_eq!(recipe.loss.matryoshka_dims.unwrap(), [768, 512, 256, 128, 64]);
        assert_eq!(recipe.training.batch_sampler, BatchSampler::NoDuplicates);
        assert_eq!(recipe.training.precision, Precision::Bf16);
        assert_eq!(recipe.training.evaluate, Evaluate::Epoch);
        assert_eq!(recipe.training.reproduce, Some(Version::V3_0_1));
        assert_eq!(recipe.training.weight_decay, 0.0);
    }

    #[test]
    fn settings_of_the_command_line_override_the_file() {
        let settings = ["training.epochs=1", "training.evaluate=50", "card.language=[\"sw\"]", "model.base=some/where"];
        let recipe = parse(SEED, "recipe.toml", &settings.map(String::from)).unwrap();
        assert_eq!(recipe.training.epochs, 1.0);
        assert_eq!(recipe.training.evaluate, Evaluate::Steps(50.into()));
        assert_eq!(recipe.card.language, ["sw"]);
        assert_eq!(recipe.model.base, "some/where");
    }

    #[test]
    fn errors_name_the_line_and_suggest_the_nearest_key() {
        let error = fails(&SEED.replace("batch_size", "batchsize"), &[]);
        assert!(error.contains("recipe.toml, line"), "{error}");
        assert!(error.contains("`batchsize`") && error.contains("did you mean `batch_size`?"), "{error}");
        let error = fails(&SEED.replace("\"cosine\"", "\"cosin\""), &[]);
        assert!(error.contains("did you mean `cosine`?"), "{error}");
        let error = fails(&SEED.replace("epochs = 4", "epochs = \"four\""), &[]);
        assert!(error.contains("line") && error.contains("four"), "{error}");
        let error = fails("[model]\nbase = \"x\"\n[data]\ntrain = [\"y\"]\n", &[]);
        assert!(error.contains("[loss] is missing; add it, such as name = \"multiple_negatives_ranking\""), "{error}");
        let error = fails(&SEED.replace("[loss]", "[los]"), &[]);
        assert!(error.contains("did you mean `loss`?"), "{error}");
        assert!(fails("[model", &[]).contains("line 1"));
        let error = fails(SEED, &["training.epoch=1"]);
        assert!(error.contains("--set training.epoch=1") && error.contains("did you mean `epochs`?"), "{error}");
        assert!(fails(SEED, &["epochs=1"]).contains("expected table.key=value"));
        assert!(fails(SEED, &["training.epochs=0"]).contains("`epochs`"));
        let error = fails(SEED, &["loss.matryoshka_dims=[64, 128]"]);
        assert!(error.contains("must decrease, for example [128, 64]"), "{error}");
        let blended = format!("{SEED}\n[blend]\nguard = [\"dev\"]\nalphas = [0.5, 1.5]\n");
        let line = format!("recipe.toml, line {}", SEED.lines().count() + 4);
        assert!(fails(&blended, &[]).contains(&line), "{}", fails(&blended, &[]));
        assert!(fails(SEED, &["blend.tolerance=-1"]).contains("--set blend.tolerance=-1"));
        assert!(fails(SEED, &["data.train=[]"]).contains("train is empty"));
        assert!(fails(SEED, &["data.limit=0"]).contains("[data] limit is 0"));
        let error = fails(&SEED.replace("[loss]\n", "[loss]\nmargin = 5.0\n"), &[]);
        let line = SEED[..SEED.find("[loss]\n").unwrap()].matches('\n').count() + 2;
        let expected = format!("recipe.toml, line {line}: [loss] `margin` is 5.0, but has to be left out: the loss");
        assert!(error.starts_with(&expected), "{error}");
        for (setting, expected) in [
            ("evaluation.split=1.5", "split is 1.5"),
            ("evaluation.split=0", "split is 0"),
            ("evaluation.loss=true", "needs held-out rows"),
            ("evaluation.sets=[{kind = \"triplet\"}]", "number 1 has no files"),
            ("evaluation.sets=[{name = \"a\", files = [\"x\"]}, {name = \"a\", files = [\"y\"]}]", "`a` occurs twice"),
            ("evaluation.sets=[{files = [\"x\"], kind = \"triplets\"}]", "did you mean `triplet`?"),
            ("evaluation.sets=[{file = [\"x\"]}]", "did you mean `files`?"),
        ] {
            let error = fails(SEED, &[setting]);
            assert!(error.contains(expected), "{setting}: {error}");
        }
        let unused = ["evaluation.split=0.02", "evaluation.loss=false"];
        assert!(fails(SEED, &unused).contains("nothing measures"));
    }

    #[test]
    fn recipes_round_trip() {
        let recipe = parse(SEED, "recipe.toml", &[]).unwrap();
        let located = LocatedRecipe {
            recipe: recipe.clone(),
            folder: PathBuf::new(),
            losses: OwnLosses::default(),
            evaluator: OwnEvaluator::default(),
        };
        assert_eq!(parse(&located.to_toml(), "again", &[]).unwrap(), recipe);
    }
}
