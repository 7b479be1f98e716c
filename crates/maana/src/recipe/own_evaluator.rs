//! The evaluator that a program brings, such as a function of Python.

use maana_eval::Scores;
use maana_model::{CrossEncoder, TextEncoder};
use maana_train::Failure;
use std::fmt;
use std::sync::Arc;

/// The model at a moment of its training.
pub enum Evaluated {
    /// A model that embeds texts.
    Texts(TextEncoder),
    /// A model that scores pairs of texts.
    Pairs(CrossEncoder),
}

/// An evaluator of the program that trains.
pub trait Evaluator: Send + Sync {
    /// Measures a model after `step` updates, that is, `epoch` epochs.
    ///
    /// # Errors
    /// Ends the run, which can be resumed.
    fn evaluate(&self, model: Evaluated, step: u64, epoch: f64) -> Result<Vec<Scores>, Failure>;
}

/// The evaluator of the program, if it has one.
#[derive(Clone, Default)]
pub struct OwnEvaluator(Option<Arc<dyn Evaluator>>);

impl OwnEvaluator {
    /// Holds an evaluator.
    pub fn new(evaluator: Arc<dyn Evaluator>) -> Self {
        Self(Some(evaluator))
    }

    /// Returns the evaluator.
    pub(crate) fn get(&self) -> Option<&dyn Evaluator> {
        self.0.as_deref()
    }
}

/// Equal if both are present or both are absent; recipes compare the names.
impl PartialEq for OwnEvaluator {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() == other.0.is_some()
    }
}

impl fmt::Debug for OwnEvaluator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OwnEvaluator").field(&self.0.is_some()).finish()
    }
}
