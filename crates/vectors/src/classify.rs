//! Labels of rows, learnt from rows with labels: logistic regression, and the nearest neighbours;
//! how sure they are, and how often they are right. Labels are numbers below `classes`; their names
//! are the caller's.

mod confusion;
mod cross_validate;
mod lbfgs;
mod logistic;
mod nearest;
mod probabilities;

pub use confusion::{ClassScores, Confusion};
pub use cross_validate::{Calibration, CrossValidated, Fit, Fitted, fit, stratified_folds};
pub use logistic::{Logistic, LogisticSettings};
pub use nearest::{Nearest, Vote};
pub use probabilities::{Probabilities, calibration_error, log_loss, temperature};
