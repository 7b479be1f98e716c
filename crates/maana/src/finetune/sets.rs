//! The training sets of a recipe: files, roles, prompts and loss of each, read and checked.

use super::error::FinetuneError;
use super::hold_out::{HeldOut, hold_out};
use super::notes;
use super::set_loss::{self, SetLoss};
use super::teacher::{Teacher, TeacherModels};
use super::text_twice::TextTwice;
use crate::hub::{EventHandler, HubEvent};
use crate::recipe::{LocatedRecipe, SetTable};
use crate::roles;
use maana_data::{Dataset, DrawnColumn, ReadOptions, Source};
use maana_kernels::Context;
use maana_model::{ModelError, ModelSpec, Prompt, Role, RoleSpecs, Trainable, TrainingModel};
use maana_text::TokenBatch;
use maana_train::{ColumnTower, Inputs, Loss, LossName, LossSummary, TrainingSet};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// A training set, read and checked.
pub struct PreparedSet {
    name: String,
    source: Arc<dyn Source>,
    loss: SetLoss,
    weight: f64,
    /// Tower of each column, if the model has towers by role.
    towers: Vec<ColumnTower>,
    /// The model whose numbers are the labels, until training begins.
    pub(super) teacher: Option<Teacher>,
    /// Parameter of the loss that names this model.
    model_parameter: Option<(String, Value)>,
}

/// A row of a set as the loss receives it.
pub struct FirstRow {
    /// Texts with their prompts, in the order of their roles.
    pub texts: Vec<String>,
    /// Number of tokens of each text that the model reads after truncation; for a cross-encoder
    /// those of the query, and of each of its pairs.
    pub tokens: Vec<usize>,
    /// Numbers of the label, if the data have labels.
    pub label: Option<Vec<f32>>,
}

impl PreparedSet {
    /// The name; empty if the recipe gives none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rows.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Roles of the columns.
    pub fn roles(&self) -> &[String] {
        &self.loss.roles
    }

    /// The loss.
    pub fn loss(&self) -> &dyn Loss {
        &*self.loss.loss
    }

    /// Returns the description of the loss, with the name of its teacher or guide.
    pub(super) fn describe_loss(&self) -> LossSummary {
        let mut summary = self.loss().describe();
        summary.innermost_mut().parameters.extend(self.model_parameter.clone());
        summary
    }

    /// Factor of the loss.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Returns the set for training.
    pub(super) fn to_train(&self) -> TrainingSet<'_> {
        let Self { name, weight, towers, .. } = self;
        TrainingSet { name, source: self.source(), loss: self.loss(), weight: *weight, prompts: self.prompts(), towers }
    }

    /// The loss with the roles and prompts of its columns.
    pub(super) fn set_loss(&self) -> &SetLoss {
        &self.loss
    }

    fn prompts(&self) -> &[Prompt] {
        &self.loss.prompts
    }

    /// Tokenises pairs of texts, the first ones behind their prompt.
    pub(super) fn tokenize_pairs(&self, spec: &ModelSpec, pairs: &[(&str, &str)]) -> Result<TokenBatch, ModelError> {
        let no_prompt = Prompt::default();
        let prompt = self.prompts().first().unwrap_or(&no_prompt);
        let prompted: Vec<_> = pairs.iter().map(|(first, second)| (prompt.prepend(first), *second)).collect();
        spec.tokenize_pairs(&prompted.iter().map(|(first, second)| (&**first, *second)).collect::<Vec<_>>())
    }

    /// Tokenises the texts of a row behind the prompts of their columns.
    pub(super) fn tokenize(&self, spec: &ModelSpec, texts: &[String]) -> Result<TokenBatch, ModelError> {
        let mut row = TokenBatch::new();
        for (index, (text, prompt)) in texts.iter().zip(self.prompts()).enumerate() {
            row.extend(&prompt.tokenize(&[text], |texts| match self.towers.get(index) {
                Some(tower) => Ok(tower.tokenizer.encode(texts, tower.max_length)?),
                None => spec.tokenize(texts),
            })?);
        }
        Ok(row)
    }

    /// Number of the tower of a column.
    pub(super) fn tower(&self, column: usize) -> usize {
        self.towers.get(column).map_or(0, |tower| tower.number)
    }

    /// Returns the first rows, with the number of tokens of each text.
    ///
    /// # Errors
    /// If a row cannot be read or tokenised.
    pub fn first_rows(&self, spec: &ModelSpec, count: usize) -> Result<Vec<FirstRow>, FinetuneError> {
        let row = |row: usize| {
            let example = self.source.get(row)?;
            let tokens = match self.loss().pairs() {
                None => self.tokenize(spec, &example.texts)?,
                Some(_) => {
                    // The query by itself, then each pair.
                    let mut tokens = self.tokenize(spec, &example.texts[..1])?;
                    let pairs: Vec<_> = example.texts[1..].iter().map(|text| (&*example.texts[0], &**text)).collect();
                    tokens.extend(&self.tokenize_pairs(spec, &pairs)?);
                    tokens
                }
            };
            let tokens = (0..tokens.sequences()).map(|text| tokens.length(text)).collect();
            let no_prompt = Prompt::default();
            let prompt = |column: usize| match self.loss().pairs() {
                Some(_) if column > 0 => &no_prompt,
                _ => self.prompts().get(column).unwrap_or(&no_prompt),
            };
            let prompted = example.texts.iter().enumerate().map(|(column, text)| prompt(column).prepend(text).into());
            Ok(FirstRow { texts: prompted.collect(), tokens, label: example.label })
        };
        (0..count.min(self.source.len())).map(row).collect()
    }
}

/// Rows whose pairs are measured for a note.
const SAMPLED_ROWS: usize = 500;

impl PreparedSet {
    /// Notes pairs that are longer than the model.
    fn note_long_pairs(&self, spec: &ModelSpec, notify: &mut EventHandler<'_>) -> Result<(), FinetuneError> {
        let longest = spec.settings().max_seq_length;
        let (mut pairs, mut cut) = (0, 0);
        for row in 0..SAMPLED_ROWS.min(self.source.len()) {
            let texts = self.source.get(row)?.texts;
            let of_row: Vec<(&str, &str)> = texts[1..].iter().map(|text| (&*texts[0], &**text)).collect();
            let tokens = self.tokenize_pairs(spec, &of_row)?;
            pairs += of_row.len();
            cut += (0..tokens.sequences()).filter(|pair| tokens.length(*pair) >= longest).count();
        }
        if cut > 0 {
            let remedy = match longest < spec.config().longest() {
                true => "[model] max_seq_length changes this",
                false => "the model has no positions for more",
            };
            notify(HubEvent::Notice(&format!(
                "{cut} of the first {pairs} pairs have {longest} tokens or more, to which pairs are cut, the longer text \
                 first; {remedy}"
            )));
        }
        Ok(())
    }
}

/// A set whose files are open, before the model is fetched.
pub(super) struct OpenedSet {
    table: SetTable,
    source: Arc<dyn Source>,
    /// Rows that are not trained on.
    pub(super) held_out: Option<Arc<dyn Source>>,
    loss_name: LossName,
    teacher: Option<Teacher>,
}

impl OpenedSet {
    /// The name; empty if the recipe gives none.
    pub(super) fn name(&self) -> &str {
        &self.table.name
    }

    /// Returns rows for the loss of the set: with the labels of its teacher, if it has one, and for
    /// SimCSE with each text twice.
    pub(super) fn for_loss(&self, rows: Arc<dyn Source>) -> Result<Arc<dyn Source>, FinetuneError> {
        match &self.teacher {
            Some(teacher) => Ok(teacher.label(rows)),
            None if self.loss_name == LossName::Simcse => TextTwice::pairs(rows).map_err(FinetuneError::Fit),
            None => Ok(rows),
        }
    }
}

/// Opens the files of all sets, and their teachers and guides.
pub(super) fn open(
    located: &LocatedRecipe,
    context: &Context,
    notify: &mut EventHandler<'_>,
) -> Result<Vec<OpenedSet>, FinetuneError> {
    let mut models = TeacherModels::new();
    let open = |table: SetTable| {
        let inputs: Vec<PathBuf> = table.train.iter().map(|path| located.path(path)).collect();
        let seed = located.recipe.training.seed;
        let drawn = table.negatives.as_ref().map(|negatives| DrawnColumn {
            column: negatives.column.clone(),
            count: negatives.count,
            seed,
        });
        let settings = table.loss.as_ref().unwrap_or(&located.recipe.loss);
        let options = ReadOptions {
            columns: table.columns.clone(),
            limit: table.limit,
            drawn,
            lists: settings.name.takes_lists()
                || (settings.name == LossName::Own && located.recipe.model.inputs() == Inputs::Pairs),
            classes: located.recipe.model.label_names().unwrap_or_default(),
            ..ReadOptions::default()
        };
        let source = Dataset::open(&inputs, options).map_err(|error| in_set(&table, located, error.into()))?;
        if let (Some(negatives), rows @ 1..) = (&table.negatives, source.rows_with_repeated_texts()) {
            notify(HubEvent::Notice(&format!(
                "{rows} of {} rows have fewer than {} texts in `{}`, some of which come twice in the same row",
                source.len(),
                negatives.count,
                negatives.column
            )));
        }
        let HeldOut { train: source, dev: held_out, note } =
            hold_out(Arc::new(source), located).map_err(|error| in_set(&table, located, error))?;
        note.iter().for_each(|note| notify(HubEvent::Notice(note)));
        let teacher = Teacher::open(settings, located, source.columns().len(), context, &mut models, notify)
            .map_err(|error| in_set(&table, located, error))?;
        if teacher.is_some() && source.has_labels() {
            let text = "the labels of the data have no effect, as those of the loss come from its teacher or guide";
            notify(HubEvent::Notice(text));
        }
        let loss_name = settings.name;
        let set = OpenedSet { table, source, held_out, loss_name, teacher };
        let rows = set.for_loss(Arc::clone(&set.source)).map_err(|error| in_set(&set.table, located, error))?;
        Ok(OpenedSet { source: rows, ..set })
    };
    located.recipe.data.all_sets().into_iter().map(open).collect()
}

/// Adds the name of the set to an error, if there are several.
fn in_set(table: &SetTable, located: &LocatedRecipe, error: FinetuneError) -> FinetuneError {
    match located.recipe.data.sets.is_empty() {
        true => error,
        false => FinetuneError::InSet { set: table.name.clone(), source: Box::new(error) },
    }
}

/// Checks the sets against the model and their losses. `notify` receives the roles of the columns
/// and doubts about them.
pub(super) fn prepare(
    opened: Vec<OpenedSet>,
    located: &LocatedRecipe,
    model: &TrainingModel,
    notify: &mut EventHandler<'_>,
) -> Result<Vec<PreparedSet>, FinetuneError> {
    let several = !located.recipe.data.sets.is_empty();
    let columns: Vec<String> = opened.iter().flat_map(|set| set.source.columns().to_vec()).collect();
    let (mut sets, mut common) = (Vec::with_capacity(opened.len()), None);
    for OpenedSet { table, source, loss_name, teacher, .. } in opened {
        let specs = model.role_specs();
        let loss = SetLoss::of(located, &table, source.columns(), &columns, specs, &mut common)?;
        let towers = match specs.routed {
            true => loss.routes.iter().map(|role| tower(specs, *role)).collect(),
            false => Vec::new(),
        };
        if let Some(teacher) = &teacher {
            let settings = table.loss.as_ref().unwrap_or(&located.recipe.loss);
            teacher.check(settings, model.dimension()).map_err(|error| in_set(&table, located, error))?;
        }
        if loss_name == LossName::Simcse && !model.has_dropout() {
            let text = notes::without_dropout(model.spec().config().architecture);
            notify(HubEvent::Notice(&match several {
                true => format!("{}: {text}", table.name),
                false => text,
            }));
        }
        let set = PreparedSet {
            name: table.name.clone(),
            source,
            loss,
            weight: table.weight,
            towers,
            model_parameter: teacher.as_ref().map(Teacher::parameter),
            teacher,
        };
        set.to_train().check().map_err(|error| in_set(&table, located, error.into()))?;
        if !several {
            set.to_train().check_differences()?;
        }
        if set.loss().pairs().is_some() {
            set.note_long_pairs(model.spec(), notify)?;
        }
        announce(&set, table.columns.is_some(), several, notify);
        sets.push(set);
    }
    let unprompted = located.recipe.data.all_sets().iter().all(|table| table.prompts.is_none());
    let default_prompt = model.spec().default_prompt();
    if model.spec().scoring().is_ok() {
        if unprompted && !default_prompt.is_empty() {
            notify(HubEvent::Notice(&format!(
                "the model's folder has the prompt {default_prompt:?}, which scoring puts before the first text of each \
                 pair, but this recipe trains without it. Set [data] prompts = \"model\"; prompts = {{}} trains without"
            )));
        }
    } else if model.spec().has_prompts() && unprompted {
        notify(HubEvent::Notice(&set_loss::without_prompts(model.spec(), sets[0].source.columns())));
    }
    Ok(sets)
}

/// Returns the tower of a column with a role.
fn tower(specs: RoleSpecs<'_>, role: Option<Role>) -> ColumnTower {
    let spec = specs.of(role);
    let route = match role {
        Some(Role::Query) => "query",
        Some(Role::Document) => "document",
        None => "",
    };
    ColumnTower {
        number: specs.number(role),
        route: route.into(),
        tokenizer: spec.tokenizer(),
        max_length: spec.settings().max_seq_length,
    }
}

/// Announces the roles of the columns, and any contradiction with their names.
fn announce(set: &PreparedSet, named: bool, several: bool, notify: &mut EventHandler<'_>) {
    let columns = set.source.columns();
    let (prefix, table) = match several {
        true => (format!("{}: ", set.name), "[[data.sets]]"),
        false => (String::new(), "[data]"),
    };
    let out_of_place = roles::out_of_place(columns);
    let mut message = format!("{prefix}columns by position: {}", roles::assignments(set.roles(), columns));
    if named && out_of_place.is_some() {
        message += &format!("; the order of {table} columns matters, not their names");
    }
    notify(HubEvent::Notice(&message));
    let doubts = [roles::ids_among(columns), out_of_place.filter(|_| !named)];
    let list: Vec<String> = roles::better_order(columns).iter().map(|name| format!("{name:?}")).collect();
    for doubt in doubts.into_iter().flatten() {
        let remedy = format!("if this is wrong, set {table} columns = [{}]", list.join(", "));
        notify(HubEvent::Notice(&format!("{prefix}{doubt}; {remedy}")));
    }
}
