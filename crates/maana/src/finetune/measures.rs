//! Evaluations of a run: the retrieval sets, dimensions and options.

use super::error::FinetuneError;
use crate::recipe::LocatedRecipe;
use maana_data::RetrievalSet;
use maana_eval::{RetrievalOptions, Scores};
use maana_kernels::Context;
use maana_model::{Similarity, TextEncoder, TrainingModel};
use maana_train::{Evaluate, KeepBest};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Evaluations of a run.
pub(super) struct Measures {
    pub(super) sets: Vec<RetrievalSet>,
    pub(super) dims: Vec<usize>,
    pub(super) options: RetrievalOptions,
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

impl Measures {
    /// Evaluates a model.
    pub(super) fn measure(
        &self,
        model: &TrainingModel,
        context: &Context,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Scores>, FinetuneError> {
        let encoder = TextEncoder::new(model.inference(), context)?.with_dimension(model.spec().dimension())?;
        let encoder = encoder.with_stop(Arc::clone(stop));
        Ok(crate::evaluate::evaluate(&encoder, context, &self.sets, &self.dims, &self.options)?)
    }

    /// Checks that evaluations have a set, and that the metric of `keep_best` exists.
    pub(super) fn check(&self, located: &LocatedRecipe) -> Result<(), FinetuneError> {
        let training = &located.recipe.training;
        if training.evaluate != Evaluate::Never && self.sets.is_empty() {
            let reason = "[training] evaluate needs a set, but [evaluation] retrieval names none; \
                          name one, or set evaluate = \"never\"";
            return Err(FinetuneError::Fit(reason.into()));
        }
        let known = self.names();
        let mut wanted = training.keep_best.iter().flat_map(KeepBest::measures);
        match wanted.find(|name| !known.iter().any(|known| known == name)) {
            None => Ok(()),
            Some(name) => Err(FinetuneError::Fit(format!(
                "[training] keep_best = \"{name}\" is not one of the metrics of this run: {}",
                known.join(", ")
            ))),
        }
    }

    fn names(&self) -> Vec<String> {
        let function = if self.options.similarity == Some(Similarity::Dot) { "dot" } else { "cosine" };
        let keys = self.options.cutoffs.keys(function);
        let mut names = Vec::new();
        for set in &self.sets {
            for dim in &self.dims {
                let prefix = if self.sets.len() > 1 { format!("{}_dim_{dim}", set.name) } else { format!("dim_{dim}") };
                names.extend(keys.iter().map(|key| format!("{prefix}_{key}")));
            }
        }
        names
    }
}
