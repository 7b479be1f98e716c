//! LambdaLoss: the mean over pairs of documents of a query of `−w_ij log σ(sigma (s_i − s_j))`,
//! where document `i` has a greater label than `j` and the weights approximate the change of nDCG.
//! <https://dl.acm.org/doi/10.1145/3269206.3271784>

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::logit_activation::{minus_log_sigmoid, sigmoid};
use super::scores::{ScoreLoss, ScoredPairs};
use super::weighting_scheme::{WeightingScheme, discount};
use libm::exp2;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Order of the documents of a query by their labels. The reference's `LambdaLoss`; with
/// [`WeightingScheme::None`] its `RankNetLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lambda {
    /// Weights of pairs; `NdcgLoss2Pp` in the reference.
    pub scheme: WeightingScheme,
    /// Factor of the weights of `NdcgLoss2` in `NdcgLoss2Pp`; 10 in the reference.
    pub mu: f64,
    /// Only pairs with a document among the `k` greatest scores count, and gains are divided by
    /// the greatest DCG at `k`. All in the reference.
    pub k: Option<usize>,
    /// Factor of the differences of scores; 1 in the reference.
    pub sigma: f64,
    /// Least value of the greatest DCG; 1e-10 in the reference.
    pub eps: f64,
    /// Base of the logarithm; binary in the reference.
    pub reduction_log: LogBase,
    /// True if the loss is RankNet, which has a name of its own.
    pub is_rank_net: bool,
}

/// Base of a logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogBase {
    /// e
    Natural,
    /// 2
    #[default]
    Binary,
}

impl Lambda {
    /// Adds the loss of one list and its gradient, both without the division by the number of
    /// pairs. Returns the loss and that number.
    fn of_list(&self, scores: &[f64], labels: &[f32], d_scores: &mut [f64]) -> (f64, usize) {
        let count = scores.len();
        let k = self.k.unwrap_or(count);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let gain = |label: f32| exp2(f64::from(label.max(0.0))) - 1.0;
        let mut ideal: Vec<f64> = labels.iter().map(|&label| gain(label)).collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let greatest: f64 = ideal.iter().take(k).enumerate().map(|(rank, gain)| gain / discount(rank)).sum();
        let greatest = greatest.max(self.eps);
        let gains: Vec<f64> = order.iter().map(|&document| gain(labels[document]) / greatest).collect();
        let in_both_orders = self.scheme == WeightingScheme::NdcgLoss1;
        let (mut sum, mut pairs) = (0.0, 0);
        for i in 0..count {
            for j in 0..count {
                let (first, second) = (order[i], order[j]);
                let counts = in_both_orders || labels[first] > labels[second];
                if !counts || (i >= k && j >= k) {
                    continue;
                }
                pairs += 1;
                let weight = self.scheme.weight(&gains, i, j, self.mu);
                let x = self.sigma * (scores[first] - scores[second]);
                sum += weight * minus_log_sigmoid(x);
                let slope = weight * self.sigma * sigmoid(-x);
                d_scores[first] -= slope;
                d_scores[second] += slope;
            }
        }
        (sum, pairs)
    }
}

impl ScoreLoss for Lambda {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for range in pairs.ranges() {
            let (scores, labels) = (&pairs.scores[range.clone()], &pairs.labels[range.clone()]);
            let (of_list, pairs) = self.of_list(scores, labels, &mut d_scores[range]);
            sum += of_list;
            count += pairs;
        }
        let base = match self.reduction_log {
            LogBase::Natural => 1.0,
            LogBase::Binary => std::f64::consts::LN_2,
        };
        let share = 1.0 / (base * count.max(1) as f64);
        d_scores.iter_mut().for_each(|d| *d *= share);
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Documents, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        let (name, class) = if self.is_rank_net { ("rank_net", "RankNetLoss") } else { ("lambda", "LambdaLoss") };
        let scheme = (!self.is_rank_net).then(|| ("weighting_scheme".to_owned(), json!(self.scheme.class())));
        let mu = (self.scheme == WeightingScheme::NdcgLoss2Pp).then(|| ("mu".to_owned(), json!(self.mu)));
        let settings = [
            ("k".to_owned(), json!(self.k)),
            ("sigma".to_owned(), json!(self.sigma)),
            ("eps".to_owned(), json!(self.eps)),
            ("reduction_log".to_owned(), json!(self.reduction_log)),
            ("activation_fn".to_owned(), json!(activation)),
        ];
        let parameters = scheme.into_iter().chain(mu).chain(settings).collect();
        LossSummary { name: name.into(), class: class.into(), parameters, inner: None }
    }
}
