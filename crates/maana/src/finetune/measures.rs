//! Evaluations of a run: the sets, dimensions and options.

use super::error::FinetuneError;
use crate::evaluation::{DevLoss, EvaluationError, EvaluationSet, Measuring, SetSpec};
use crate::recipe::LocatedRecipe;
use maana_data::Source;
use maana_eval::{Kind, Primary, Scores};
use maana_kernels::Context;
use maana_model::{Similarity, TextEncoder, TrainingModel};
use maana_train::{Evaluate, KeepBest, Loss, Version};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Evaluations of a run.
pub(super) struct Measures {
    pub(super) sets: Vec<EvaluationSet>,
    pub(super) dims: Vec<usize>,
    primary: Primary,
    batch_size: usize,
}

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

/// Opens the sets of a recipe: the dev loss, the retrieval sets, then the others.
pub(super) fn open_sets(
    located: &LocatedRecipe,
    held_out: Option<&Arc<dyn Source>>,
) -> Result<Vec<EvaluationSet>, EvaluationError> {
    let table = &located.recipe.evaluation;
    let mut sets = Vec::new();
    if let Some(rows) = held_out.filter(|_| table.measures_loss()) {
        sets.push(EvaluationSet::of_rows(None, Kind::Loss, rows)?);
    }
    for folder in &table.retrieval {
        let spec = SetSpec { kind: Some(Kind::Retrieval), ..SetSpec::of(located.path(folder)) };
        let set = EvaluationSet::open(&spec)?;
        sets.push(if table.retrieval.len() > 1 { set } else { set.with_name(None) });
    }
    for spec in &table.sets {
        let set = match (spec.kind, held_out) {
            (Some(kind), Some(rows)) if spec.files.is_empty() => EvaluationSet::of_rows(spec.name.clone(), kind, rows)?,
            _ => EvaluationSet::open(&spec.clone().relative_to(&located.folder))?,
        };
        sets.push(set);
    }
    Ok(sets)
}

impl Measures {
    pub(super) fn new(sets: Vec<EvaluationSet>, dims: Vec<usize>, located: &LocatedRecipe) -> Self {
        let training = &located.recipe.training;
        let primary = if training.reproduce == Some(Version::V3_0_1) { Primary::Map } else { Primary::Ndcg };
        Self { sets, dims, primary, batch_size: training.batch_size }
    }

    /// Returns the names of the retrieval sets for display.
    pub(super) fn retrieval_sets(&self) -> Vec<String> {
        let sets = self.sets.iter().filter(|set| set.kind() == Kind::Retrieval);
        sets.map(|set| set.title().to_owned()).collect()
    }

    /// Evaluates a model.
    pub(super) fn measure(
        &self,
        model: &TrainingModel,
        loss: &dyn Loss,
        context: &Context,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Scores>, FinetuneError> {
        let encoder = TextEncoder::new(model.inference(), context)?.with_dimension(model.spec().dimension())?;
        let encoder = encoder.with_stop(Arc::clone(stop));
        let loss = Some(DevLoss { loss, batch_size: self.batch_size });
        let measuring = Measuring { primary: self.primary, loss, ..Measuring::new(&encoder, context, &self.dims) };
        let mut scores = Vec::new();
        for set in &self.sets {
            scores.extend(set.measure(&measuring)?);
        }
        Ok(scores)
    }

    /// Checks that evaluations have a set, that no two measures have one name, that the loss accepts
    /// the rows of its sets, and that the measures of `keep_best` exist.
    pub(super) fn check(
        &self,
        located: &LocatedRecipe,
        loss: &dyn Loss,
        similarity: Similarity,
    ) -> Result<(), FinetuneError> {
        let training = &located.recipe.training;
        if training.evaluate != Evaluate::Never && self.sets.is_empty() {
            let reason = "[training] evaluate needs a set, but [evaluation] names none; \
                          name one in retrieval or sets, set split, or set evaluate = \"never\"";
            return Err(FinetuneError::Fit(reason.into()));
        }
        for rows in self.sets.iter().filter_map(EvaluationSet::loss_rows) {
            loss.needs().check_data(loss.describe().recipe_name(), rows)?;
        }
        let known: Vec<String> = self.sets.iter().flat_map(|set| set.measure_names(similarity, &self.dims)).collect();
        if let Some((_, twice)) = known.iter().enumerate().find(|(index, name)| known[..*index].contains(name)) {
            return Err(FinetuneError::Fit(format!(
                "[evaluation] two sets have a measure `{twice}`; give them different names in [[evaluation.sets]]"
            )));
        }
        let mut wanted = training.keep_best.iter().flat_map(KeepBest::measures);
        match wanted.find(|name| !known.iter().any(|known| known == name)) {
            None => Ok(()),
            Some(name) => Err(FinetuneError::Fit(format!(
                "[training] keep_best = \"{name}\" is not one of the metrics of this run: {}",
                known.join(", ")
            ))),
        }
    }
}
