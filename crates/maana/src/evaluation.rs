//! Evaluation sets of every kind, from files or from rows of training data, and the scores of a
//! model on them at several dimensions from one encoding. Recipes, `maana evaluate` and its suites
//! all measure with [`EvaluationSet`].

mod content;
mod error;
mod find;
mod fingerprint;
mod first_stage;
mod lists;
mod measure;
mod measure_pairs;
mod open;
mod set;
mod show;
mod spec;
mod tabs;

pub use error::EvaluationError;
pub use find::{find, training_part};
pub use first_stage::{FirstRanking, FirstStage};
pub use measure::{DevLoss, Measuring};
pub use measure_pairs::{PairDevLoss, PairMeasuring};
pub use set::EvaluationSet;
pub use show::{InPrecision, Measured, chart, suite_rows, suite_table, table};
pub use spec::SetSpec;
