//! ListNet: `mean_i −Σ_j softmax(y_i)_j ln softmax(s_i)_j` over the documents of each query.
//! <https://dl.acm.org/doi/10.1145/1273496.1273513>

use super::super::needs::{Labels, Needs};
use super::super::objective::LossSummary;
use super::scores::{ScoreLoss, ScoredPairs};
use libm::{exp, log};
use serde_json::json;

/// Distribution over the documents of a query equal to that of the labels. The reference's
/// `ListNetLoss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListNet;

impl ScoreLoss for ListNet {
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64 {
        let share = 1.0 / pairs.rows() as f64;
        let mut sum = 0.0;
        for range in pairs.ranges() {
            let ours = log_softmax(pairs.scores[range.clone()].iter().copied());
            let theirs = log_softmax(pairs.labels[range.clone()].iter().map(|&label| f64::from(label)));
            for ((d, ours), theirs) in d_scores[range].iter_mut().zip(ours).zip(theirs) {
                let target = exp(theirs);
                sum -= target * ours;
                *d = share * (exp(ours) - target);
            }
        }
        share * sum
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Documents, columns_alone: 2 }
    }

    fn describe(&self, activation: &str) -> LossSummary {
        LossSummary {
            name: "list_net".into(),
            class: "ListNetLoss".into(),
            parameters: vec![("activation_fn".into(), json!(activation))],
            inner: None,
        }
    }
}

fn log_softmax(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let normaliser = greatest + log(values.iter().map(|value| exp(value - greatest)).sum());
    values.iter_mut().for_each(|value| *value -= normaliser);
    values
}
