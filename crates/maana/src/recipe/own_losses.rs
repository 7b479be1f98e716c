//! Losses that a program brings, such as functions of Python.

use maana_train::{Loss, LossArguments, LossName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Losses of the program by the name that the field `class` of `[loss]` gives.
#[derive(Clone, Default)]
pub struct OwnLosses(BTreeMap<String, Arc<dyn Loss>>);

impl OwnLosses {
    /// Adds a loss. A loss of the same name is replaced.
    pub fn add(&mut self, class: String, loss: Arc<dyn Loss>) {
        self.0.insert(class, loss);
    }

    /// Returns the loss that settings name, if they name one of these.
    pub(crate) fn of(&self, settings: &LossArguments) -> Option<Arc<dyn Loss>> {
        match (settings.name, &settings.class) {
            (LossName::Own, Some(class)) => self.0.get(class).cloned(),
            _ => None,
        }
    }
}

/// Equal if the names and descriptions of the losses are equal.
impl PartialEq for OwnLosses {
    fn eq(&self, other: &Self) -> bool {
        let described = |losses: &Self| -> Vec<_> {
            losses.0.iter().map(|(class, loss)| (class.clone(), loss.describe())).collect()
        };
        described(self) == described(other)
    }
}

impl fmt::Debug for OwnLosses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.keys()).finish()
    }
}
