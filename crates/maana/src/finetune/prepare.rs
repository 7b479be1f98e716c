//! Reads and checks everything that a recipe names before a long run: files, columns, dimensions,
//! metrics.

use super::blending::Guards;
use super::error::FinetuneError;
use super::measures::{Measures, START, evaluated_dims, open_sets};
use super::notes;
use super::sets::{self, PreparedSet};
use crate::evaluation::EvaluationSet;
use crate::hub::{EventHandler, HubEvent, HubOptions, Resolved};
use crate::open::Opened;
use crate::recipe::{LocatedRecipe, LoraTable};
use maana_data::Source;
use maana_eval::Scores;
use maana_kernels::Context;
use maana_model::{LoraSettings, Trainable, TrainingModel};
use maana_train::{GroupSummary, LossSummary, Moment, Plan, Precision, ResolvedGroups};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Updates from which a run is long enough for advice on speed.
const LONG_RUN: u64 = 200;

/// A recipe with its model and data, read and checked.
pub struct Prepared {
    pub(super) located: LocatedRecipe,
    pub(super) model: TrainingModel,
    pub(super) resolved: Resolved,
    pub(super) sets: Vec<PreparedSet>,
    pub(super) measures: Measures,
    /// The guards of `[blend]`, if the recipe has it.
    pub(super) guards: Option<Guards>,
    pub(super) plan: Plan,
    groups: Vec<GroupSummary>,
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
    let opened_sets = sets::open(&located, context, notify)?;
    let evaluations = open_sets(&located, &opened_sets)?;
    let notes = evaluations.iter().flat_map(|evaluation| evaluation.set.notes());
    notes.for_each(|note| notify(HubEvent::Notice(note)));

    let opened = open_base(&located, context, precision, notify)?;
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
    if let Some(lora) = &recipe.model.lora {
        add_lora(&mut model, lora, &opened.resolved, recipe.training.seed)?;
    }
    let dimension = model.dimension();
    let sets = sets::prepare(opened_sets, &located, &model, notify)?;
    let dims = if model.spec().scoring().is_ok() { Vec::new() } else { evaluated_dims(&located, dimension)? };
    let sources: Vec<&dyn Source> = sets.iter().map(PreparedSet::source).collect();
    let plan = Plan::of(&sources, recipe.data.sampler, &recipe.training)?;
    let ResolvedGroups { plan: update_plan, groups } = ResolvedGroups::new(&recipe.training, model.tensors())?;
    model.set_update_plan(update_plan);
    if precision == maana_kernels::Precision::F32
        && maana_kernels::InstructionSet::active().has_bf16()
        && plan.updates >= LONG_RUN
    {
        let text = "this processor trains markedly faster in bf16: [training] precision = \"bf16\" in the recipe, \
                    or --set training.precision='\"bf16\"'";
        notify(HubEvent::Notice(text));
    }
    let compares_rows = |set: &&PreparedSet| set.source().columns().len() < set.loss().needs().columns_alone;
    let in_batch = sets.iter().find(compares_rows).map(|set| set.loss().describe());
    let in_batch_loss = in_batch.as_ref().map(LossSummary::recipe_name);
    let all_sets = recipe.data.all_sets();
    let mut losses = all_sets.iter().map(|set| set.loss.as_ref().unwrap_or(&recipe.loss).name);
    if let Some(text) = losses.find_map(|loss| notes::labels_by_chance(loss, &recipe.training)) {
        notify(HubEvent::Notice(&text));
    }
    for text in notes::without_effect(&recipe.training, &plan, in_batch_loss) {
        notify(HubEvent::Notice(&text));
    }
    let guards = match &recipe.blend {
        Some(table) if model.spec().has_new_head() && table.alphas.contains(&0.0) => {
            let reason = "[blend] alphas has the share 0, the base itself, which has no head and cannot score pairs; omit 0, \
                          or start from a cross-encoder";
            return Err(FinetuneError::Fit(reason.into()));
        }
        Some(_) if evaluations.is_empty() && recipe.evaluation.own.is_empty() => {
            let reason = "[blend] needs a set to choose by, but [evaluation] names none; name one in retrieval or sets";
            return Err(FinetuneError::Fit(reason.into()));
        }
        Some(_) => Some(Guards::open(&located, &evaluations, &dims)?),
        None => None,
    };
    let notes = guards.iter().flat_map(|guards| guards.own.sets().flat_map(EvaluationSet::notes));
    notes.for_each(|note| notify(HubEvent::Notice(note)));
    let measures = Measures::new(evaluations, dims, &located).with_own(&located.evaluator);
    measures.check(&located, &sets, model.spec())?;
    Ok(Prepared { model, resolved: opened.resolved, sets, measures, guards, plan, groups, located })
}

/// Opens the base model as the recipe asks: to embed texts, or to score pairs.
pub(super) fn open_base(
    located: &LocatedRecipe,
    context: &Context,
    precision: maana_kernels::Precision,
    notify: &mut EventHandler<'_>,
) -> Result<Opened<TrainingModel>, FinetuneError> {
    let (name, options) = (located.base(), HubOptions::from_environment());
    if let Some(head) = located.recipe.model.head(located.recipe.training.seed) {
        return Ok(crate::open::open_for_scoring(&name, context, precision, &head, &options, notify)?);
    }
    let opened = match located.recipe.model.dimension {
        Some(dimension) => crate::open::new_static(&name, dimension, located.recipe.training.seed, &options, notify)?,
        None => crate::open::open_for_training(&name, context, precision, &options, notify)?,
    };
    match opened.model.spec().scoring() {
        Err(_) => Ok(opened),
        Ok(_) => Err(FinetuneError::Fit(format!(
            "[model] base = {:?} is a cross-encoder; set kind = \"cross_encoder\" to train it, or name a bi-encoder",
            located.recipe.model.base
        ))),
    }
}

fn add_lora(model: &mut TrainingModel, lora: &LoraTable, base: &Resolved, seed: u64) -> Result<(), FinetuneError> {
    let fit = |reason: String| FinetuneError::Fit(format!("[model.lora] {reason}"));
    let base_is_adapter = maana_model::adapter_bases(&base.folder).is_ok_and(|bases| !bases.is_empty());
    if base_is_adapter && !lora.merge {
        return Err(fit("the base model consists of adapters itself; save the whole model with merge = true".into()));
    }
    // A path is found again from any folder if it is absolute.
    let folder = std::fs::canonicalize(&base.folder).unwrap_or_else(|_| base.folder.clone());
    let settings = LoraSettings {
        rank: lora.rank,
        alpha: lora.alpha,
        dropout: lora.dropout,
        targets: lora.targets.clone(),
        routes: lora.routes.clone(),
        base: base.name.clone().unwrap_or_else(|| folder.display().to_string()),
        merge: lora.merge,
    };
    model.add_lora(settings, seed).map_err(|error| fit(error.to_string()))
}

impl Prepared {
    /// Returns the plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the groups of parameters; one if the recipe has none.
    pub fn groups(&self) -> &[GroupSummary] {
        &self.groups
    }

    /// Returns the recipe.
    pub fn located(&self) -> &LocatedRecipe {
        &self.located
    }

    /// Returns the training sets.
    pub fn training_sets(&self) -> &[PreparedSet] {
        &self.sets
    }

    /// Returns the base model.
    pub fn model(&self) -> &TrainingModel {
        &self.model
    }

    /// Returns the evaluation sets.
    pub fn sets(&self) -> impl Iterator<Item = &EvaluationSet> {
        self.measures.sets()
    }

    /// Returns the names of the guards of `[blend]`.
    pub fn guards(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().flat_map(Guards::titles)
    }

    /// Returns the evaluated dimensions.
    pub fn dims(&self) -> &[usize] {
        &self.measures.dims
    }

    /// Evaluates the model at a moment of the run; returns `None` if it was stopped.
    pub(super) fn evaluate(
        &self,
        model: &TrainingModel,
        context: &Context,
        stop: &Arc<AtomicBool>,
        moment: Moment,
    ) -> Result<Option<Vec<Scores>>, FinetuneError> {
        self.measure(&self.measures, model, context, stop, moment)
    }

    /// Evaluates the model on the guards that are not sets of `[evaluation]`; returns `None` if it
    /// was stopped.
    pub(super) fn evaluate_guards(
        &self,
        model: &TrainingModel,
        context: &Context,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Vec<Scores>>, FinetuneError> {
        match &self.guards {
            Some(guards) => self.measure(&guards.own, model, context, stop, START),
            None => Ok(Some(Vec::new())),
        }
    }

    fn measure(
        &self,
        measures: &Measures,
        model: &TrainingModel,
        context: &Context,
        stop: &Arc<AtomicBool>,
        moment: Moment,
    ) -> Result<Option<Vec<Scores>>, FinetuneError> {
        match measures.measure(model, &self.sets, context, stop, moment) {
            Err(FinetuneError::Evaluation(error)) if error.is_stop() => Ok(None),
            measured => measured.map(Some),
        }
    }
}
