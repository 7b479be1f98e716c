//! The rows that `[evaluation] split` holds out of the training data.

use super::error::FinetuneError;
use crate::recipe::LocatedRecipe;
use maana_data::{Source, Split, Subset, split};
use std::sync::Arc;

/// Training rows, and those held out.
pub(super) struct HeldOut {
    pub(super) train: Arc<dyn Source>,
    pub(super) dev: Option<Arc<dyn Source>>,
    /// A note if texts are shared so widely that fewer rows than asked are held out.
    pub(super) note: Option<String>,
}

/// Divides the rows as the recipe says, by the seed of the run.
pub(super) fn hold_out(source: Arc<dyn Source>, located: &LocatedRecipe) -> Result<HeldOut, FinetuneError> {
    let Some(share) = located.recipe.evaluation.split else {
        return Ok(HeldOut { train: source, dev: None, note: None });
    };
    let rows = source.len();
    let wanted = if share < 1.0 { (rows as f64 * share).round() as usize } else { share as usize };
    let fit = |reason: String| Err(FinetuneError::Fit(format!("[evaluation] split = {share}: {reason}")));
    if wanted == 0 {
        return fit(format!("no row of {rows} is held out; use a larger fraction or a number of rows"));
    }
    if wanted >= rows {
        return fit(format!("of {rows} rows none would be left to train on; hold out fewer"));
    }
    let Split { train, dev } = split(source.as_ref(), wanted, located.recipe.training.seed);
    if dev.is_empty() {
        return fit(format!(
            "every row shares its texts with more than {wanted} others, so that none can be held out; hold out more \
             rows, or name files in [[evaluation.sets]]"
        ));
    }
    let held_out = dev.len();
    let note = (held_out < wanted).then(|| {
        format!(
            "split holds out {held_out} rows instead of {wanted}: rows that share texts stay together, and the other \
             groups are larger than the rest"
        )
    });
    let subset = |rows| -> Arc<dyn Source> { Arc::new(Subset::new(Arc::clone(&source), rows)) };
    Ok(HeldOut { train: subset(train), dev: Some(subset(dev)), note })
}
