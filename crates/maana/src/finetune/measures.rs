//! Evaluations of a run: the sets, dimensions and options.

use super::error::FinetuneError;
use super::sets::{OpenedSet, PreparedSet};
use crate::evaluation::{EvaluationSet, Measuring, PairMeasuring, SetSpec};
use crate::recipe::{Evaluated, LocatedRecipe, OwnEvaluator};
use maana_eval::{Kind, Primary, Scores};
use maana_files::hex;
use maana_kernels::Context;
use maana_model::{CrossEncoder, ModelSpec, TextEncoder, TrainingModel};
use maana_train::{Evaluate, KeepBest, Moment, Version};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// An evaluation of a run.
pub(super) struct Evaluation {
    pub(super) set: EvaluationSet,
    /// Number of the training set whose loss and prompts the dev loss has.
    training_set: usize,
}

impl Evaluation {
    /// Returns the evaluation of a set that takes no part of the training data.
    pub(super) fn of_files(set: EvaluationSet) -> Self {
        Self { set, training_set: 0 }
    }
}

/// Evaluations of a run.
pub(super) struct Measures {
    evaluations: Vec<Evaluation>,
    pub(super) dims: Vec<usize>,
    primary: Primary,
    batch_size: usize,
    seed: u64,
    /// Measured after the sets.
    own: OwnEvaluator,
}

/// The moment before the first update.
pub(super) const START: Moment = Moment { step: 0, epoch: 0.0 };

/// Returns the dimensions to evaluate.
pub(super) fn evaluated_dims(located: &LocatedRecipe, dimension: usize) -> Result<Vec<usize>, FinetuneError> {
    let recipe = &located.recipe;
    let dims = recipe.evaluation.dims.clone().or_else(|| recipe.loss.matryoshka_dims.clone());
    let dims = dims.unwrap_or_else(|| vec![dimension]);
    match dims.iter().find(|&&dim| dim > dimension) {
        Some(dim) => Err(FinetuneError::Fit(format!(
            "[evaluation] dims has {dim}, but the model's embeddings have {dimension} columns; use {dimension} or less"
        ))),
        None => Ok(dims),
    }
}

/// Opens the sets of a recipe: the dev losses, the retrieval sets, then the others. With several
/// training sets, those that take held-out rows or a loss belong to the training set of their name.
pub(super) fn open_sets(
    located: &LocatedRecipe,
    training_sets: &[OpenedSet],
) -> Result<Vec<Evaluation>, FinetuneError> {
    let table = &located.recipe.evaluation;
    let mut evaluations = Vec::new();
    if table.measures_loss() {
        for (training_set, opened) in training_sets.iter().enumerate() {
            let Some(rows) = &opened.held_out else { continue };
            let name = (training_sets.len() > 1).then(|| opened.name().to_owned());
            evaluations.push(Evaluation { set: EvaluationSet::of_rows(name, Kind::Loss, rows)?, training_set });
        }
    }
    for folder in &table.retrieval {
        let spec = SetSpec { kind: Some(Kind::Retrieval), ..SetSpec::of(located.path(folder)) };
        let set = EvaluationSet::open(&spec)?;
        let set = if table.retrieval.len() > 1 { set } else { set.with_name(None) };
        evaluations.push(Evaluation::of_files(set));
    }
    for spec in &table.sets {
        let takes_rows = spec.files.is_empty();
        let training_set = match takes_rows || spec.kind == Some(Kind::Loss) {
            true => number_of(training_sets, spec.name.as_deref())?,
            false => 0,
        };
        let set = match (spec.kind, &training_sets[training_set].held_out) {
            (Some(kind), Some(rows)) if takes_rows => {
                EvaluationSet::of_rows(spec.name.clone(), kind, rows)?.with_at_k(spec.at_k)
            }
            _ => {
                let classes = located.recipe.model.label_names().unwrap_or_default();
                EvaluationSet::open(&SetSpec { classes, ..spec.clone().relative_to(&located.folder) })?
            }
        };
        evaluations.push(Evaluation { set, training_set });
    }
    for Evaluation { set, training_set } in &mut evaluations {
        set.map_loss_rows(|rows| training_sets[*training_set].for_loss(rows))?;
    }
    Ok(evaluations)
}

/// Returns the number of the training set that an evaluation set belongs to.
fn number_of(training_sets: &[OpenedSet], name: Option<&str>) -> Result<usize, FinetuneError> {
    let found = training_sets.iter().position(|set| Some(set.name()) == name);
    match (training_sets, found) {
        ([_], _) => Ok(0),
        (_, Some(number)) => Ok(number),
        (_, None) => {
            let known: Vec<&str> = training_sets.iter().map(OpenedSet::name).collect();
            Err(FinetuneError::Fit(format!(
                "[[evaluation.sets]] `{}` takes held-out rows or a loss, but there are several training sets; give it \
                 the name of one of them: {}",
                name.unwrap_or_default(),
                known.join(", ")
            )))
        }
    }
}

impl Measures {
    pub(super) fn new(evaluations: Vec<Evaluation>, dims: Vec<usize>, located: &LocatedRecipe) -> Self {
        let training = &located.recipe.training;
        let primary = if training.reproduce == Some(Version::V3_0_1) { Primary::Map } else { Primary::Ndcg };
        let (batch_size, seed) = (training.batch_size, training.seed);
        Self { evaluations, dims, primary, batch_size, seed, own: OwnEvaluator::default() }
    }

    /// Measures the evaluator of the program as well.
    pub(super) fn with_own(mut self, own: &OwnEvaluator) -> Self {
        self.own = own.clone();
        self
    }

    /// Returns the evaluation sets.
    pub(super) fn sets(&self) -> impl Iterator<Item = &EvaluationSet> {
        self.evaluations.iter().map(|evaluation| &evaluation.set)
    }

    /// Returns the fingerprints of the sets by kind and name.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = (String, String)> {
        self.sets().map(|set| (format!("{} {}", set.kind().name(), set.title()), hex(&set.fingerprint())))
    }

    /// Returns the names of the retrieval sets for display.
    pub(super) fn retrieval_sets(&self) -> Vec<String> {
        let sets = self.sets().filter(|set| set.kind() == Kind::Retrieval);
        sets.map(|set| set.title().to_owned()).collect()
    }

    /// Evaluates a model.
    pub(super) fn measure(
        &self,
        model: &TrainingModel,
        sets: &[PreparedSet],
        context: &Context,
        stop: &Arc<AtomicBool>,
        moment: Moment,
    ) -> Result<Vec<Scores>, FinetuneError> {
        if model.spec().scoring().is_ok() {
            return self.measure_pairs(model, sets, context, stop, moment);
        }
        let encoder = TextEncoder::new(model.inference(), context)?.with_dimension(model.spec().dimension())?;
        let encoder = encoder.with_stop(Arc::clone(stop));
        let mut scores = Vec::new();
        for Evaluation { set, training_set } in &self.evaluations {
            let loss = Some(sets[*training_set].set_loss().dev_loss(self.batch_size));
            let measuring = Measuring { primary: self.primary, loss, ..Measuring::new(&encoder, context, &self.dims) };
            scores.extend(set.measure(&measuring)?);
        }
        scores.extend(self.measure_own(moment, || Evaluated::Texts(encoder))?);
        Ok(scores)
    }

    /// Evaluates a cross-encoder.
    fn measure_pairs(
        &self,
        model: &TrainingModel,
        sets: &[PreparedSet],
        context: &Context,
        stop: &Arc<AtomicBool>,
        moment: Moment,
    ) -> Result<Vec<Scores>, FinetuneError> {
        let encoder = CrossEncoder::new(model.inference(), context)?.with_stop(Arc::clone(stop));
        let measure = |Evaluation { set, training_set }: &Evaluation| {
            let loss = Some(sets[*training_set].set_loss().pair_dev_loss(self.batch_size, self.seed));
            Ok(set.measure_pairs(&PairMeasuring { encoder: &encoder, context, loss, first_stage: None })?)
        };
        let mut scores: Vec<Scores> = self.evaluations.iter().map(measure).collect::<Result<_, FinetuneError>>()?;
        scores.extend(self.measure_own(moment, || Evaluated::Pairs(encoder.clone()))?);
        Ok(scores)
    }

    /// Evaluates a model by the evaluator of the program.
    fn measure_own(&self, at: Moment, model: impl FnOnce() -> Evaluated) -> Result<Vec<Scores>, FinetuneError> {
        match self.own.get() {
            Some(own) => own.evaluate(model(), at.step, at.epoch).map_err(FinetuneError::Evaluator),
            None => Ok(Vec::new()),
        }
    }

    /// Checks that evaluations have a set or an evaluator, that no two measures have one name, that
    /// the loss accepts the rows of its sets, and that the measures of `keep_best` exist. Those of
    /// the evaluator of the program are known once it was called ([`Measures::check_measured`]).
    pub(super) fn check(
        &self,
        located: &LocatedRecipe,
        sets: &[PreparedSet],
        spec: &ModelSpec,
    ) -> Result<(), FinetuneError> {
        let training = &located.recipe.training;
        let own = &located.recipe.evaluation.own;
        if !own.is_empty() && self.own.get().is_none() {
            return Err(FinetuneError::Fit(format!(
                "[evaluation] own = {own:?} names evaluators of the program that started the run; continue it with that \
                 program, or remove the line"
            )));
        }
        if training.evaluate != Evaluate::Never && self.evaluations.is_empty() && own.is_empty() {
            let reason = "[training] evaluate needs a set, but [evaluation] names none; \
                          name one in retrieval or sets, set split, or set evaluate = \"never\"";
            return Err(FinetuneError::Fit(reason.into()));
        }
        for Evaluation { set, training_set } in &self.evaluations {
            if let Some(rows) = set.loss_rows() {
                let loss = sets[*training_set].loss();
                loss.needs().check_data(loss.describe().recipe_name(), rows)?;
            }
        }
        let similarity = spec.settings().similarity;
        let known: Vec<String> = match spec.scoring() {
            Ok(scoring) => {
                self.sets().try_for_each(|set| set.check_pairs(scoring.labels.len(), false))?;
                self.sets().flat_map(EvaluationSet::pair_measure_names).collect()
            }
            Err(_) => self.sets().flat_map(|set| set.measure_names(similarity, &self.dims)).collect(),
        };
        check_names(&known)?;
        match own.is_empty() {
            true => check_best(training.keep_best.as_ref(), &known),
            false => Ok(()),
        }
    }

    /// Checks that no two measures of the base model have one name, and that the measures of
    /// `keep_best` exist.
    pub(super) fn check_measured(located: &LocatedRecipe, before: &[Scores]) -> Result<(), FinetuneError> {
        let known: Vec<String> = before.iter().flat_map(Scores::prefixed).map(|(name, _)| name).collect();
        check_names(&known)?;
        check_best(located.recipe.training.keep_best.as_ref(), &known)
    }
}

/// Checks that no two measures have one name.
fn check_names(known: &[String]) -> Result<(), FinetuneError> {
    match known.iter().enumerate().find(|(index, name)| known[..*index].contains(name)) {
        None => Ok(()),
        Some((_, twice)) => Err(FinetuneError::Fit(format!(
            "[evaluation] two sets have a measure `{twice}`; give them different names in [[evaluation.sets]]"
        ))),
    }
}

/// Checks that the measures that select the best checkpoint exist.
fn check_best(best: Option<&KeepBest>, known: &[String]) -> Result<(), FinetuneError> {
    let mut wanted = best.into_iter().flat_map(KeepBest::measures);
    match wanted.find(|name| !known.iter().any(|known| known == name)) {
        None => Ok(()),
        Some(name) => Err(FinetuneError::Fit(format!(
            "[training] keep_best = \"{name}\" is not one of the metrics of this run: {}",
            known.join(", ")
        ))),
    }
}
