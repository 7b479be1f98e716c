//! Binary cross entropy: `mean −(w y ln σ(x) + (1 − y) ln(1 − σ(x)))`, where `w` is the weight of
//! positives.

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::logit_activation::{minus_log_sigmoid, sigmoid};
use super::scores::{ScoreLoss, ScoredPairs};
use serde_json::json;

/// Probability that a pair belongs together, given labels from 0 to 1. The reference's
/// `BinaryCrossEntropyLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryCrossEntropy {
    /// Factor of the loss of positives; none in the reference.
    pub pos_weight: Option<f64>,
}

impl ScoreLoss for BinaryCrossEntropy {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let positive = self.pos_weight.unwrap_or(1.0);
        let share = 1.0 / pairs.scores.len() as f64;
        let mut sum = 0.0;
        for ((&x, &label), d) in pairs.scores.iter().zip(pairs.labels).zip(d_scores) {
            let y = f64::from(label);
            let factor = 1.0 + (positive - 1.0) * y;
            sum += (1.0 - y) * x + factor * minus_log_sigmoid(x);
            *d = share * ((1.0 - y) - factor * sigmoid(-x));
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Share, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        LossSummary {
            name: "binary_cross_entropy".into(),
            class: "BinaryCrossEntropyLoss".into(),
            parameters: vec![
                ("activation_fn".into(), json!(activation)),
                ("pos_weight".into(), json!(self.pos_weight)),
            ],
            inner: None,
        }
    }
}
