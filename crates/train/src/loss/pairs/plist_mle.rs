//! ListMLE and its position-aware form: `mean_i −Σ_r w_r (s_r − logsumexp_{t ≥ r} s_t)`, where the
//! documents of a query are in the order of their relevance. `w` is 1 in ListMLE; in PListMLE it is
//! `2^(n − r) − 1` for rank `r` of `n`, divided by the sum.
//! <https://dl.acm.org/doi/10.1145/1390156.1390306>, <https://auai.org/uai2014/proceedings/individuals/164.pdf>

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::scores::{ScoreLoss, ScoredPairs};
use libm::{exp, exp2, log};
use serde_json::json;

/// Likelihood of the order of a query's documents. The reference's `PListMLELoss`; without
/// `is_weighted` its `ListMLELoss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlistMle {
    /// Weights the first ranks more.
    pub is_weighted: bool,
    /// Takes the order of the data as that of relevance, as the reference does; otherwise that of
    /// the labels.
    pub respect_input_order: bool,
}

impl PlistMle {
    /// Returns the weight of each rank.
    fn weights(&self, count: usize) -> Vec<f64> {
        if !self.is_weighted {
            return vec![1.0; count];
        }
        // The largest weight is at most 2^127, as in the reference.
        let shift = count.saturating_sub(127) as f64;
        let weight = |rank: usize| exp2((count - rank) as f64 - shift) - exp2(-shift);
        let weights: Vec<f64> = (1..=count).map(weight).collect();
        let total = weights.iter().sum::<f64>() + 1e-10;
        weights.into_iter().map(|weight| weight / total).collect()
    }
}

impl ScoreLoss for PlistMle {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let share = 1.0 / pairs.rows() as f64;
        let mut sum = 0.0;
        for range in pairs.ranges() {
            let mut order: Vec<usize> = range.clone().collect();
            if !self.respect_input_order {
                order.sort_by(|a, b| pairs.labels[*b].total_cmp(&pairs.labels[*a]));
            }
            let weights = self.weights(order.len());
            // Logarithms of the sums over each document and those behind it.
            let mut normalisers = vec![0.0; order.len()];
            let mut behind = f64::NEG_INFINITY;
            for (rank, &document) in order.iter().enumerate().rev() {
                let score = pairs.scores[document];
                let greatest = behind.max(score);
                behind = greatest + log(exp(behind - greatest) + exp(score - greatest));
                normalisers[rank] = behind;
            }
            for (rank, (&document, weight)) in order.iter().zip(&weights).enumerate() {
                sum -= weight * (pairs.scores[document] - normalisers[rank]);
                d_scores[document] -= share * weight;
                for &other in &order[rank..] {
                    d_scores[other] += share * weight * exp(pairs.scores[other] - normalisers[rank]);
                }
            }
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Documents, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        let (name, class) = if self.is_weighted { ("plist_mle", "PListMLELoss") } else { ("list_mle", "ListMLELoss") };
        let mut parameters = Vec::new();
        if self.is_weighted {
            let weight = "sentence_transformers.cross_encoder.losses.plist_mle.PListMLELambdaWeight";
            parameters.push(("lambda_weight".to_owned(), json!(weight)));
        }
        parameters.push(("activation_fn".to_owned(), json!(activation)));
        parameters.push(("respect_input_order".to_owned(), json!(self.respect_input_order)));
        LossSummary { name: name.into(), class: class.into(), parameters, inner: None }
    }
}
