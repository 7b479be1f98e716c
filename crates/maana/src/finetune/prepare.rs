//! Reads and checks everything that a recipe names before a long run: files, columns, dimensions,
//! metrics.

use super::error::FinetuneError;
use super::hold_out::{HeldOut, hold_out};
use super::measures::{Measures, evaluated_dims, open_sets};
use super::notes;
use crate::evaluation::EvaluationSet;
use crate::hub::{EventHandler, HubEvent, HubOptions, Resolved};
use crate::recipe::LocatedRecipe;
use maana_data::{Dataset, ReadOptions, Source};
use maana_eval::Scores;
use maana_kernels::Context;
use maana_model::{Trainable, TrainingModel};
use maana_train::{Loss, Plan, Precision, TrainError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Updates from which a run is long enough for advice on speed.
const LONG_RUN: u64 = 200;

/// A recipe with its model and data, read and checked.
pub struct Prepared {
    pub(super) located: LocatedRecipe,
    pub(super) model: TrainingModel,
    pub(super) resolved: Resolved,
    pub(super) source: Arc<dyn Source>,
    roles: Vec<String>,
    pub(super) loss: Box<dyn Loss>,
    pub(super) measures: Measures,
    pub(super) plan: Plan,
}

/// A row of the data as the loss receives it.
pub struct FirstRow {
    /// Texts in the order of their roles.
    pub texts: Vec<String>,
    /// Number of tokens of each text that the model reads after truncation.
    pub tokens: Vec<usize>,
    /// Numbers of the label, if the data have labels.
    pub label: Option<Vec<f32>>,
}

/// Reads and checks everything that the recipe names. `notify` receives notices and the progress of
/// downloads.
///
/// # Errors
/// If a file, a column, a dimension or a metric does not exist.
pub fn prepare(
    located: LocatedRecipe,
    context: &Context,
    notify: &mut EventHandler<'_>,
) -> Result<Prepared, FinetuneError> {
    let recipe = &located.recipe;
    let precision = match recipe.training.precision {
        Precision::F32 => maana_kernels::Precision::F32,
        Precision::Bf16 => maana_kernels::Precision::Bf16,
    };
    if recipe.training.precision == Precision::Bf16 && !maana_kernels::InstructionSet::active().has_bf16() {
        let text =
            "precision = \"bf16\": this processor multiplies bf16 no faster than f32, but bf16 takes less memory";
        notify(HubEvent::Notice(text));
    }
    let inputs: Vec<PathBuf> = recipe.data.train.iter().map(|path| located.path(path)).collect();
    let options = ReadOptions { columns: recipe.data.columns.clone(), limit: recipe.data.limit, ..Default::default() };
    let source = Dataset::open(&inputs, options)?;
    let HeldOut { train: source, dev, note } = hold_out(Arc::new(source), &located)?;
    let sets = open_sets(&located, dev.as_ref())?;
    let notes = note.iter().chain(sets.iter().flat_map(|set| set.notes()));
    notes.for_each(|note| notify(HubEvent::Notice(note)));

    let opened =
        crate::open::open_for_training(&located.base(), context, precision, &HubOptions::from_environment(), notify)?;
    let mut model = opened.model;
    model.set_gradient_checkpointing(recipe.training.gradient_checkpointing);
    if let Some(tokens) = recipe.model.max_seq_length {
        let longest = model.spec().config().longest();
        if tokens > longest {
            let text = format!("max_seq_length {tokens} exceeds the model's {longest} positions; using {longest}");
            notify(HubEvent::Notice(&text));
        }
        let set = model.set_max_seq_length(tokens.min(longest));
        set.map_err(|error| FinetuneError::Fit(format!("[model] {error}")))?;
    }
    let dimension = model.dimension();
    let in_table = |error: TrainError| FinetuneError::Fit(format!("[loss] {error}"));
    let loss = recipe.loss.build(dimension, recipe.training.seed).map_err(in_table)?;
    loss.needs().check_data(loss.describe().recipe_name(), source.as_ref())?;
    let roles = crate::roles::of_loss(recipe.loss.name, source.columns().len());
    announce_roles(&roles, source.columns(), recipe.data.columns.is_some(), notify);
    let dims = evaluated_dims(&located, dimension)?;
    let plan = Plan::of(source.as_ref(), &recipe.training)?;
    if precision == maana_kernels::Precision::F32
        && maana_kernels::InstructionSet::active().has_bf16()
        && plan.updates >= LONG_RUN
    {
        let text = "this processor trains markedly faster in bf16: [training] precision = \"bf16\" in the recipe, \
                    or --set training.precision='\"bf16\"'";
        notify(HubEvent::Notice(text));
    }
    let summary = loss.describe();
    let compares_rows = source.columns().len() < loss.needs().columns_alone;
    for text in notes::without_effect(&recipe.training, &plan, compares_rows.then(|| summary.recipe_name())) {
        notify(HubEvent::Notice(&text));
    }
    let measures = Measures::new(sets, dims, &located);
    measures.check(&located, loss.as_ref(), model.spec().settings().similarity)?;
    Ok(Prepared { model, resolved: opened.resolved, source, roles, loss, measures, plan, located })
}

/// Announces the roles of the columns, and any contradiction with their names.
fn announce_roles(roles: &[String], columns: &[String], named: bool, notify: &mut EventHandler<'_>) {
    use crate::roles;
    let out_of_place = roles::out_of_place(columns);
    let mut message = format!("columns by position: {}", roles::assignments(roles, columns));
    if named && out_of_place.is_some() {
        message += "; the order of [data] columns matters, not their names";
    }
    notify(HubEvent::Notice(&message));
    let doubts = [roles::ids_among(columns), out_of_place.filter(|_| !named)];
    let list: Vec<String> = roles::better_order(columns).iter().map(|name| format!("{name:?}")).collect();
    for doubt in doubts.into_iter().flatten() {
        notify(HubEvent::Notice(&format!("{doubt}; if this is wrong, set [data] columns = [{}]", list.join(", "))));
    }
}

impl Prepared {
    /// Returns the plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the recipe.
    pub fn located(&self) -> &LocatedRecipe {
        &self.located
    }

    /// Returns the training data.
    pub fn source(&self) -> &dyn Source {
        self.source.as_ref()
    }

    /// Returns the roles of the columns of the data.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Returns the first rows of the data, with the number of tokens of each text.
    ///
    /// # Errors
    /// If a row cannot be read or tokenised.
    pub fn first_rows(&self, count: usize) -> Result<Vec<FirstRow>, FinetuneError> {
        let row = |row: usize| {
            let example = self.source.get(row)?;
            let texts: Vec<&str> = example.texts.iter().map(String::as_str).collect();
            let tokens = self.model.spec().tokenize(&texts)?;
            let tokens = (0..tokens.sequences()).map(|text| tokens.length(text)).collect();
            Ok(FirstRow { texts: example.texts, tokens, label: example.label })
        };
        (0..count.min(self.source.len())).map(row).collect()
    }

    /// Returns the base model.
    pub fn model(&self) -> &TrainingModel {
        &self.model
    }

    /// Returns the evaluation sets.
    pub fn sets(&self) -> &[EvaluationSet] {
        &self.measures.sets
    }

    /// Returns the evaluated dimensions.
    pub fn dims(&self) -> &[usize] {
        &self.measures.dims
    }

    /// Evaluates the model; returns `None` if it was stopped.
    pub(super) fn evaluate(
        &self,
        model: &TrainingModel,
        context: &Context,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Vec<Scores>>, FinetuneError> {
        match self.measures.measure(model, self.loss.as_ref(), context, stop) {
            Err(FinetuneError::Evaluation(error)) if error.is_stop() => Ok(None),
            measured => measured.map(Some),
        }
    }
}
