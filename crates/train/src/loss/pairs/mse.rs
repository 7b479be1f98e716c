//! Mean squared error of scores: `mean (s − y)²`.

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::scores::{ScoreLoss, ScoredPairs};
use serde_json::json;

/// Scores equal to the labels, for instance those of a teacher. The reference's `MSELoss` of
/// cross-encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mse;

impl ScoreLoss for Mse {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let share = 1.0 / pairs.scores.len() as f64;
        let mut sum = 0.0;
        for ((&score, &label), d) in pairs.scores.iter().zip(pairs.labels).zip(d_scores) {
            let error = score - f64::from(label);
            sum += error * error;
            *d = 2.0 * share * error;
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::DifferentScores, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        LossSummary {
            name: "mse".into(),
            class: "MSELoss".into(),
            parameters: vec![("activation_fn".into(), json!(activation))],
            inner: None,
        }
    }
}
