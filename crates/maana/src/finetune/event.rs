//! Events of a run, for its display.

use maana_eval::Scores;
use maana_train::Event;

/// An event of a run.
pub enum RunEvent<'a> {
    /// Scores of the base model.
    BaseEvaluated(&'a [Scores]),
    /// A teacher or guide embeds the texts of the data.
    Teaching {
        /// The model, as the recipe names it.
        model: &'a str,
        /// Embedded texts.
        done: usize,
        /// All distinct texts.
        texts: usize,
    },
    /// An event of training.
    Training(&'a Event<'a>),
    /// A blend of the base and the trained model was measured.
    Blended {
        /// Share of the trained model.
        alpha: f64,
        /// The deciding metric.
        metric: &'a str,
        /// Its value.
        value: f64,
    },
}
