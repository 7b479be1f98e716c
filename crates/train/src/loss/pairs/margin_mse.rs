//! Mean squared error of margins: `mean_ik ((s_i0 − s_ik) − m_ik)²`, where `s_i0` is the score of
//! the first document of row `i`. <https://arxiv.org/abs/2010.02666>

use super::super::margin_mse::margin;
use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::scores::{ScoreLoss, ScoredPairs};
use serde_json::json;

/// Differences between the score of the first document and those of the others, equal to a
/// teacher's. The reference's `MarginMSELoss` of cross-encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginMse;

impl ScoreLoss for MarginMse {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let numbers = pairs.labels.len() / pairs.rows();
        let share = 1.0 / (pairs.scores.len() - pairs.rows()) as f64;
        let mut sum = 0.0;
        for (row, range) in pairs.ranges().enumerate() {
            let labels = &pairs.labels[row * numbers..][..numbers];
            let first = range.start;
            let negatives = range.len() - 1;
            for negative in 0..negatives {
                let other = first + 1 + negative;
                let error = pairs.scores[first] - pairs.scores[other] - margin(labels, negatives, negative);
                sum += error * error;
                d_scores[first] += 2.0 * share * error;
                d_scores[other] -= 2.0 * share * error;
            }
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 3..=usize::MAX, labels: Labels::Margins, columns_alone: 3 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        LossSummary {
            name: "margin_mse".into(),
            class: "MarginMSELoss".into(),
            parameters: vec![("activation_fn".into(), json!(activation))],
            inner: None,
        }
    }
}
