//! Everything that can be wrong with a recipe is found here, before a long run: files, columns, dimensions, names of measures.

use super::{Estimate, FinetuneError, estimate, notes};
use crate::hub::{HubOptions, News, Resolved, Tell};
use crate::recipe::LocatedRecipe;
use maana_data::{Dataset, ReadOptions, RetrievalSet, Source};
use maana_eval::{EvalError, Primary, RetrievalOptions, Scores};
use maana_kernels::Context;
use maana_model::{ModelError, Purpose, SentenceModel, Similarity, Trainable};
use maana_train::{Evaluate, Loss, Plan, Precision, TrainError, Version};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Updates of a run that is long enough to be told what would be faster.
const LONG_RUN: u64 = 200;

/// A recipe with everything that it names, read and checked.
pub struct Prepared {
    pub(super) located: LocatedRecipe,
    pub(super) model: SentenceModel,
    pub(super) resolved: Resolved,
    pub(super) source: Dataset,
    roles: Vec<String>,
    pub(super) loss: Box<dyn Loss>,
    pub(super) measures: Measures,
    plan: Plan,
}

/// A row of the data as the loss takes it.
pub struct FirstRow {
    /// Its texts, in the order of their roles.
    pub texts: Vec<String>,
    /// Tokens of each text that the model reads; what is behind them is cut.
    pub tokens: Vec<usize>,
    /// Its label, if the data have labels.
    pub label: Option<f32>,
}

/// What is measured, and how.
pub(super) struct Measures {
    pub(super) sets: Vec<RetrievalSet>,
    pub(super) dims: Vec<usize>,
    pub(super) options: RetrievalOptions,
}

/// Reads and checks everything that the recipe names. `tell` is told in sentences what is fetched and what had to be assumed, and
/// how far the fetching is.
///
/// # Errors
/// If a file, a column, a dimension or a measure is not there.
pub fn prepare(located: LocatedRecipe, context: &Context, tell: &mut Tell<'_>) -> Result<Prepared, FinetuneError> {
    let recipe = &located.recipe;
    let precision = match recipe.training.precision {
        Precision::F32 => maana_kernels::Precision::F32,
        Precision::Bf16 => maana_kernels::Precision::Bf16,
    };
    if recipe.training.precision == Precision::Bf16 && !maana_kernels::InstructionSet::active().has_bf16() {
        let text = "precision = \"bf16\": this processor multiplies bf16 no faster than f32, but it takes less memory";
        tell(News::Notice(text));
    }
    let inputs: Vec<PathBuf> = recipe.data.train.iter().map(|path| located.path(path)).collect();
    let options = ReadOptions { columns: recipe.data.columns.clone(), limit: recipe.data.limit, ..Default::default() };
    let source = Dataset::open(&inputs, options)?;
    let sets = recipe
        .evaluation
        .retrieval
        .iter()
        .map(|path| RetrievalSet::open(located.path(path)))
        .collect::<Result<Vec<_>, _>>()?;
    sets.iter().flat_map(RetrievalSet::notes).for_each(|note| tell(News::Notice(&note)));

    let opened = crate::open::open_with(
        Purpose::Train,
        &located.base(),
        context,
        precision,
        &HubOptions::from_environment(),
        tell,
    )?;
    let mut model = opened.model;
    if let Some(tokens) = recipe.model.max_seq_length {
        let longest = model.config().longest();
        if tokens > longest {
            let text = format!("max_seq_length {tokens} exceeds the model's {longest} positions, which are used");
            tell(News::Notice(&text));
        }
        let set = model.set_max_seq_length(tokens.min(longest));
        set.map_err(|error| FinetuneError::Fit(format!("[model] {error}")))?;
    }
    let dimension = model.dimension();
    let in_table = |error: TrainError| FinetuneError::Fit(format!("[loss] {error}"));
    let loss = recipe.loss.build(dimension, recipe.training.seed).map_err(in_table)?;
    loss.needs().check(loss.describe().recipe_name(), source.columns(), source.has_labels())?;
    let roles = crate::roles::of_loss(recipe.loss.name, source.columns().len());
    tell_roles(&roles, source.columns(), recipe.data.columns.is_some(), tell);
    let dims = measured_dims(&located, dimension)?;
    let plan = Plan::of(&source, &recipe.training)?;
    if precision == maana_kernels::Precision::F32
        && maana_kernels::InstructionSet::active().has_bf16()
        && plan.updates >= LONG_RUN
    {
        let text = "this processor trains markedly faster in bf16: [training] precision = \"bf16\" in the recipe, \
                    or --set training.precision='\"bf16\"'";
        tell(News::Notice(text));
    }
    let summary = loss.describe();
    let compares_rows = source.columns().len() < loss.needs().columns_alone;
    for text in notes::without_effect(&recipe.training, &plan, compares_rows.then(|| summary.recipe_name())) {
        tell(News::Notice(&text));
    }
    let primary = if recipe.training.reproduce == Some(Version::V3_0_1) { Primary::Map } else { Primary::Ndcg };
    let options = RetrievalOptions { primary, similarity: Some(model.settings().similarity), ..Default::default() };
    let measures = Measures { sets, dims, options };
    measures.check(&located)?;
    Ok(Prepared { model, resolved: opened.resolved, source, roles, loss, measures, plan, located })
}

/// Tells the roles of the columns, and what in their names speaks against them.
fn tell_roles(roles: &[String], columns: &[String], named: bool, tell: &mut Tell<'_>) {
    use crate::roles;
    let out_of_place = roles::out_of_place(columns);
    let mut told = format!("columns by their place: {}", roles::told(roles, columns));
    if named && out_of_place.is_some() {
        told += "; the order of [data] columns counts, not their names";
    }
    tell(News::Notice(&told));
    let doubts = [roles::ids_among(columns), out_of_place.filter(|_| !named)];
    let list: Vec<String> = roles::better_order(columns).iter().map(|name| format!("{name:?}")).collect();
    for doubt in doubts.into_iter().flatten() {
        tell(News::Notice(&format!("{doubt}; if that is not meant, set [data] columns = [{}]", list.join(", "))));
    }
}

fn measured_dims(located: &LocatedRecipe, dimension: usize) -> Result<Vec<usize>, FinetuneError> {
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
    /// Checks that there is something to measure where it is asked for, and that the measure which chooses exists.
    fn check(&self, located: &LocatedRecipe) -> Result<(), FinetuneError> {
        let training = &located.recipe.training;
        if training.evaluate != Evaluate::Never && self.sets.is_empty() {
            let reason = "[training] evaluate asks for measures, but [evaluation] retrieval names no set; \
                          name one, or set evaluate = \"never\"";
            return Err(FinetuneError::Fit(reason.into()));
        }
        let Some(metric) = &training.keep_best else { return Ok(()) };
        let known = self.names();
        let name = metric.strip_prefix("eval_").unwrap_or(metric);
        if known.iter().any(|known| known == name) {
            return Ok(());
        }
        let reason =
            format!("[training] keep_best = \"{metric}\" will not be measured; there will be: {}", known.join(", "));
        Err(FinetuneError::Fit(reason))
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

impl Prepared {
    /// What the run will do and when.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The recipe.
    pub fn located(&self) -> &LocatedRecipe {
        &self.located
    }

    /// The data to learn from.
    pub fn source(&self) -> &dyn Source {
        &self.source
    }

    /// The roles of the columns of the data, in their order.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The first rows of the data, each text with the number of its tokens as the model reads them.
    ///
    /// # Errors
    /// If a row cannot be read or tokenised.
    pub fn first_rows(&self, count: usize) -> Result<Vec<FirstRow>, FinetuneError> {
        let row = |row: usize| {
            let example = self.source.get(row)?;
            let texts: Vec<&str> = example.texts.iter().map(String::as_str).collect();
            let tokens = self.model.tokenize(&texts)?;
            let tokens = (0..tokens.sequences()).map(|text| tokens.length(text)).collect();
            Ok(FirstRow { texts: example.texts, tokens, label: example.label })
        };
        (0..count.min(self.source.len())).map(row).collect()
    }

    /// The model to start from.
    pub fn model(&self) -> &SentenceModel {
        &self.model
    }

    /// Queries and documents of the retrieval sets, by name.
    pub fn sets(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.measures.sets.iter().map(|set| (set.name.as_str(), set.queries.len(), set.corpus.len()))
    }

    /// Dimensions that are measured.
    pub fn dims(&self) -> &[usize] {
        &self.measures.dims
    }

    /// Time and memory that the run will take, from one batch and one evaluation's worth of tokens.
    ///
    /// # Errors
    /// If the first rows cannot be read.
    pub fn estimate(&self, context: &Context) -> Result<Estimate, FinetuneError> {
        estimate::estimate(self, context)
    }

    /// Measures the model; nothing if it was stopped meanwhile.
    pub(super) fn evaluate(
        &self,
        model: &SentenceModel,
        context: &Context,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Scores>>, FinetuneError> {
        match self.measures.measure(model, context, stop) {
            Err(FinetuneError::Eval(EvalError::Model(ModelError::Stopped))) => Ok(None),
            measured => measured.map(Some),
        }
    }
}
