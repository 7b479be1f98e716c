//! ADR-MSE: the mean over documents of `(r_i − r̂_i)² / log₂(r_i + 1)`, where `r` is the rank by
//! the labels, equal ones sharing their mean, and `r̂_i = 1 + Σ_{j≠i} σ(alpha (s_j − s_i))` a
//! smooth rank by the scores. <https://arxiv.org/abs/2405.07920>

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::logit_activation::sigmoid;
use super::scores::{ScoreLoss, ScoredPairs};
use libm::log2;
use serde_json::json;

/// Ranks of the documents of a query equal to those of the labels. The reference's `ADRMSELoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdrMse {
    /// Steepness of the smooth ranks; 1 in the reference.
    pub alpha: f64,
}

impl ScoreLoss for AdrMse {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let share = 1.0 / pairs.scores.len() as f64;
        let mut sum = 0.0;
        for range in pairs.ranges() {
            let (scores, labels) = (&pairs.scores[range.clone()], &pairs.labels[range.clone()]);
            let d_scores = &mut d_scores[range];
            for i in 0..scores.len() {
                let greater = labels.iter().filter(|label| **label > labels[i]).count() as f64;
                let equal = labels.iter().filter(|label| **label == labels[i]).count() as f64;
                let rank = greater + (equal + 1.0) / 2.0;
                let others = || (0..scores.len()).filter(|&j| j != i);
                let before: Vec<f64> = others().map(|j| sigmoid(self.alpha * (scores[j] - scores[i]))).collect();
                let error = rank - (1.0 + before.iter().sum::<f64>());
                let discount = 1.0 / log2(rank + 1.0);
                sum += discount * error * error;
                for (j, before) in others().zip(before) {
                    let slope = 2.0 * share * discount * error * self.alpha * before * (1.0 - before);
                    d_scores[j] -= slope;
                    d_scores[i] += slope;
                }
            }
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Documents, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        LossSummary {
            name: "adr_mse".into(),
            class: "ADRMSELoss".into(),
            parameters: vec![("alpha".into(), json!(self.alpha)), ("activation_fn".into(), json!(activation))],
            inner: None,
        }
    }
}
