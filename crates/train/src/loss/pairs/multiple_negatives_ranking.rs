//! Ranking of each query's document before others of the batch and its own negatives:
//! `mean_i (logsumexp_j c s_ij − c s_i0)`. <https://arxiv.org/abs/1705.00652>

use super::super::needs::{Labels, Needs};
use super::super::number_or_all::NumberOrAll;
use super::super::objective::LossSummary;
use super::super::row_pairs::Pairs;
use super::scores::{ScoreLoss, ScoredPairs};
use libm::{exp, log};
use serde_json::json;

/// Softmax over the scores of a query's document, of documents of other rows, and of its own
/// negatives. The reference's `MultipleNegativesRankingLoss` of cross-encoders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultipleNegativesRanking {
    /// Number of documents of other rows.
    pub num_negatives: NumberOrAll,
    /// Factor of the scores; 10 in the reference.
    pub scale: f64,
}

impl ScoreLoss for MultipleNegativesRanking {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let share = 1.0 / pairs.rows() as f64;
        let mut sum = 0.0;
        for range in pairs.ranges() {
            let scores: Vec<f64> = pairs.scores[range.clone()].iter().map(|score| self.scale * score).collect();
            let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| exp(score - greatest)).sum();
            sum += greatest + log(total) - scores[0];
            for (index, (d, score)) in d_scores[range].iter_mut().zip(&scores).enumerate() {
                let target = if index == 0 { 1.0 } else { 0.0 };
                *d = share * self.scale * (exp(score - greatest) / total - target);
            }
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Unused, columns_alone: 3 }
    }

    fn pairs(&self) -> Pairs {
        Pairs::WithOthers(self.num_negatives)
    }

    fn describe(&self, activation: &str) -> LossSummary {
        let number = match self.num_negatives {
            NumberOrAll::All => json!(null),
            NumberOrAll::Number(count) => json!(count),
        };
        LossSummary {
            name: "multiple_negatives_ranking".into(),
            class: "MultipleNegativesRankingLoss".into(),
            parameters: vec![
                ("scale".into(), json!(self.scale)),
                ("num_negatives".into(), number),
                ("activation_fn".into(), json!(activation)),
            ],
            inner: None,
        }
    }
}
