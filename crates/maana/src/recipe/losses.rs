//! Checks of the losses of a recipe, whose errors name the line.

use super::data_table::SetTable;
use maana_train::{Inputs, LossArguments, TrainError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Checks `[loss]` and the losses of training sets. `text` is the recipe.
///
/// # Errors
/// The reason, and the line in the recipe if the setting is there.
pub(super) fn check_losses(
    loss: &LossArguments,
    sets: &[SetTable],
    inputs: Inputs,
    text: &str,
) -> Result<(), (Option<usize>, String)> {
    let of_sets = sets.iter().map(|set| set.loss.as_ref());
    for (place, loss) in [Some(loss)].into_iter().chain(of_sets).enumerate() {
        let Some(Err(error)) = loss.map(|loss| loss.check(inputs)) else { continue };
        let set = place.checked_sub(1);
        let table = set.map_or("[loss]".into(), |set| format!("[[data.sets]] `{}`: loss:", sets[set].name));
        return Err((loss_line(text, set, &error), format!("{table} {error}")));
    }
    Ok(())
}

/// Returns the line of the setting to which an error of a loss belongs: of `[loss]`, or of training
/// set `set`.
fn loss_line(text: &str, set: Option<usize>, error: &TrainError) -> Option<usize> {
    type Settings = BTreeMap<String, toml::Spanned<toml::Value>>;
    #[derive(Deserialize)]
    struct Tables {
        loss: Settings,
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        sets: Vec<Set>,
    }
    #[derive(Deserialize)]
    struct Set {
        loss: Option<Settings>,
    }
    let TrainError::Argument { field, .. } = error else { return None };
    let mut tables: Tables = toml::from_str(text).ok()?;
    let settings = match set {
        Some(set) => tables.data.sets.get_mut(set)?.loss.take()?,
        None => tables.loss,
    };
    // A field of a table has the line of the table, and a missing one that of the loss.
    let setting = settings.get(field.split('.').next().unwrap_or_default()).or_else(|| settings.get("name"));
    let start = setting?.span().start;
    Some(text[..start].matches('\n').count() + 1)
}
