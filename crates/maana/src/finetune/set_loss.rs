//! Loss, roles and prompts of a training set, from the recipe and the model's folder.

use super::error::FinetuneError;
use super::text_twice::TextTwice;
use crate::evaluation::{DevLoss, EvaluationSet, PairDevLoss};
use crate::recipe::{LocatedRecipe, Prompts, SetTable};
use crate::roles;
use maana_model::{ModelSpec, Prompt, Role, RoleSpecs};
use maana_train::{Loss, LossName};
use std::sync::Arc;

/// The loss of a set, with the roles and prompts of its columns.
pub struct SetLoss {
    pub(super) roles: Vec<String>,
    pub(super) loss: Arc<dyn Loss>,
    pub(super) prompts: Vec<Prompt>,
    /// Role of each column, if the model has towers by role.
    pub(super) routes: Vec<Option<Role>>,
}

impl SetLoss {
    /// Creates the loss of the training set with the name of an evaluation set, or of the first set
    /// if the name is unknown, and prepares the rows of the evaluation set for it. Returns `None`
    /// for a set of another kind than loss.
    ///
    /// # Errors
    /// If the loss or the prompts of the recipe do not fit the model or the rows, or the labels
    /// would be those of a teacher or guide.
    pub fn named(
        located: &LocatedRecipe,
        set: &mut EvaluationSet,
        specs: RoleSpecs<'_>,
    ) -> Result<Option<Self>, FinetuneError> {
        let tables = located.recipe.data.all_sets();
        let table = tables.iter().find(|table| table.name == set.title()).unwrap_or(&tables[0]);
        let settings = table.loss.as_ref().unwrap_or(&located.recipe.loss);
        if settings.name == LossName::Simcse {
            set.map_loss_rows(|rows| TextTwice::pairs(rows).map_err(FinetuneError::Fit))?;
        }
        let Some(rows) = set.loss_rows() else { return Ok(None) };
        if (settings.teacher.is_some() || settings.guide.is_some()) && !rows.has_labels() {
            return Err(FinetuneError::Fit(format!(
                "{}: the loss of the recipe has labels from a teacher or guide; name the set in [evaluation] of the \
                 recipe",
                set.title()
            )));
        }
        let set_loss = Self::of(located, table, rows.columns(), rows.columns(), specs, &mut None)?;
        if set_loss.loss.trained_layer().is_some() {
            return Err(FinetuneError::Fit(format!(
                "{}: the loss of the recipe trains a layer of its own, which the model's folder does not have; measure \
                 the set in [evaluation] of the recipe",
                set.title()
            )));
        }
        Ok(Some(set_loss))
    }

    /// Creates the loss of a set with these columns; the prompts of `[data]` may name the columns
    /// of all sets. Sets without a loss of their own have one loss, `common`, whose layer trains
    /// with the batches of all of them.
    pub(super) fn of(
        located: &LocatedRecipe,
        table: &SetTable,
        columns: &[String],
        all_columns: &[String],
        specs: RoleSpecs<'_>,
        common: &mut Option<Arc<dyn Loss>>,
    ) -> Result<Self, FinetuneError> {
        let spec = specs.any;
        let several = !located.recipe.data.sets.is_empty();
        let place = |field: &str| match several {
            true => format!("[[data.sets]] `{}`: {field}", table.name),
            false => format!("[data] {field}"),
        };
        let settings = table.loss.as_ref().unwrap_or(&located.recipe.loss);
        let in_loss = if table.loss.is_some() { place("loss:") } else { "[loss]".into() };
        let (dimension, seed) = (spec.dimension(), located.recipe.training.seed);
        // Only a model with one tower gives embeddings of lower layers.
        let layers = if specs.routed { 0 } else { spec.config().layers };
        let scoring = spec.scoring().ok();
        let build = || match (scoring, located.losses.of(settings)) {
            (Some(_), Some(loss)) => Ok(Box::new(loss) as Box<dyn Loss>),
            (Some(scoring), None) => settings.build_on_pairs(scoring.labels.len()),
            (None, Some(loss)) => settings.modify(Box::new(loss), dimension, layers, seed),
            (None, None) => settings.build_on_layers(dimension, layers, seed),
        };
        let built = || build().map(Arc::from).map_err(|error| FinetuneError::Fit(format!("{in_loss} {error}")));
        let loss: Arc<dyn Loss> = match (&table.loss, &*common) {
            (Some(_), _) => built()?,
            (None, Some(loss)) => Arc::clone(loss),
            (None, None) => Arc::clone(common.insert(built()?)),
        };
        let roles = match scoring {
            Some(_) => roles::of_pairs(settings.name, columns.len()),
            None => roles::of_loss(settings.name, columns.len()),
        };
        let shared = several && located.recipe.data.routes == table.routes;
        let known = if shared { all_columns } else { columns };
        let routes = routes(table, columns, known, specs).map_err(|reason| FinetuneError::Fit(place(&reason)))?;
        let prompts = match &table.prompts {
            None => vec![Prompt::default(); columns.len()],
            Some(prompts) => {
                let shared = several && located.recipe.data.prompts.as_ref() == Some(prompts);
                let known = if shared { all_columns } else { columns };
                let texts = match (scoring, prompts) {
                    // Only the prompt of the first text counts, and is the one that scoring uses.
                    (Some(_), Prompts::OfModel) => Ok(vec![spec.default_prompt().to_owned(); columns.len()]),
                    _ => prompt_texts(prompts, &roles, columns, known, spec),
                };
                let texts = texts.map_err(|reason| FinetuneError::Fit(format!("{} {reason}", place("prompts:"))))?;
                let of_column = |(text, route): (&String, &Option<Role>)| specs.of(*route).prompt(text);
                texts.iter().zip(&routes).map(of_column).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { roles, loss, prompts, routes })
    }

    /// Returns the dev loss in batches of `batch_size` rows.
    pub fn dev_loss(&self, batch_size: usize) -> DevLoss<'_> {
        DevLoss { loss: &*self.loss, batch_size, prompts: &self.prompts, routes: &self.routes }
    }

    /// As [`SetLoss::dev_loss`], of a loss of pairs, which draws documents of other rows by `seed`.
    pub fn pair_dev_loss(&self, batch_size: usize, seed: u64) -> PairDevLoss<'_> {
        let prompt = self.prompts.first().map_or("", Prompt::text);
        PairDevLoss { loss: &*self.loss, batch_size, seed, prompt }
    }
}

/// Returns the role of each column by which a model with a router chooses its tower.
fn routes(
    table: &SetTable,
    columns: &[String],
    known: &[String],
    specs: RoleSpecs<'_>,
) -> Result<Vec<Option<Role>>, String> {
    let Some(routes) = &table.routes else {
        let by_place = |index: usize| if index == 0 { Role::Query } else { Role::Document };
        return Ok((0..columns.len()).map(|index| specs.routed.then(|| by_place(index))).collect());
    };
    if !specs.routed {
        return Err("routes: the model has no towers by role (no Router); leave the field out".into());
    }
    if let Some(column) = routes.keys().find(|column| !known.contains(column)) {
        return Err(format!("routes: there is no column `{column}`; the columns are {}", known.join(", ")));
    }
    columns
        .iter()
        .map(|column| match routes.get(column) {
            Some(route) => Ok(Some(route.role())),
            None => Err(format!("routes: column `{column}` has none; give it \"query\" or \"document\"")),
        })
        .collect()
}

/// Returns the text of each column's prompt; `known` are the columns that may be named.
fn prompt_texts(
    prompts: &Prompts,
    roles: &[String],
    columns: &[String],
    known: &[String],
    spec: &ModelSpec,
) -> Result<Vec<String>, String> {
    match prompts {
        Prompts::OfModel => {
            let of_role = |role: &String| match role.as_str() {
                "query" => spec.role_prompt(Role::Query),
                role if role.starts_with("text") => spec.default_prompt(),
                _ => spec.role_prompt(Role::Document),
            };
            match spec.has_prompts() {
                true => Ok(roles.iter().map(|role| of_role(role).to_owned()).collect()),
                false => Err("\"model\" asks for the prompts of the model's folder, which has none".into()),
            }
        }
        Prompts::All(prompt) => {
            let text = spec.prompt_or_text(prompt).map_err(|error| error.to_string())?;
            Ok(vec![text; columns.len()])
        }
        Prompts::ByColumn(prompts) => {
            if let Some(column) = prompts.keys().find(|column| !known.contains(column)) {
                return Err(format!("there is no column `{column}`; the columns are {}", known.join(", ")));
            }
            let of_column = |column: &String| {
                let prompt = prompts.get(column).map_or("", String::as_str);
                spec.prompt_or_text(prompt).map_err(|error| format!("{column}: {error}"))
            };
            columns.iter().map(of_column).collect()
        }
    }
}

/// Returns the warning for a model with prompts that is trained without them.
pub(super) fn without_prompts(spec: &ModelSpec, columns: &[String]) -> String {
    let prompts = spec.settings().prompts.iter().filter(|(_, text)| !text.is_empty());
    let known: Vec<String> = prompts.map(|(name, text)| format!("{name} {text:?}")).collect();
    let by_role = columns.iter().zip([Role::Query, Role::Document]);
    let table: Vec<String> = by_role.map(|(column, role)| format!("{column} = {:?}", spec.role_prompt(role))).collect();
    format!(
        "the model's folder has prompts ({}), which evaluations and searches put before texts, but this recipe trains \
         without them. Set [data] prompts = \"model\", or name them, as in prompts = {{ {} }}; prompts = {{}} trains without",
        known.join(", "),
        table.join(", ")
    )
}
