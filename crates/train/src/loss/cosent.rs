//! CoSENT: `log(1 + Σ exp(s_i − s_j))` over all `i`, `j` with `label_i < label_j`, where `s` is the
//! scaled cosine of a pair: pairs with higher labels should have higher cosines.
//! <https://kexue.fm/archives/8847>

use super::cosine::{cosines, cosines_backward};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use libm::{exp, log};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Ranking of the cosines of two columns by their labels. The reference's `CoSENTLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoSent {
    /// Factor of the cosines; 20 in the reference.
    pub scale: f64,
}

impl Loss for CoSent {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        rows_of(embedded, d_columns);
        let labels = single_labels(embedded);
        let ([a, b], [d_a, d_b]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let cosines = cosines(*a, *b);
        let values: Vec<f64> = cosines.iter().map(|cosine| cosine.value).collect();
        let (value, d_cosines) = ordered_by_labels(&values, labels, self.scale, f64::from(weight));
        cosines_backward(*a, *b, &cosines, &d_cosines, d_a, d_b);
        value as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Score, columns_alone: usize::MAX }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "cosent".into(),
            class: "CoSENTLoss".into(),
            parameters: vec![("scale".into(), json!(self.scale)), ("similarity_fct".into(), json!("pairwise_cos_sim"))],
            inner: None,
        }
    }
}

/// Returns `weight` × `log(1 + Σ exp(scale (v_i − v_j)))` over all `i`, `j` with `label_i <
/// label_j`, and its gradient.
pub(super) fn ordered_by_labels(values: &[f64], labels: &[f32], scale: f64, weight: f64) -> (f64, Vec<f64>) {
    let rows = values.len();
    let differences = || {
        let pairs = (0..rows).flat_map(|low| (0..rows).map(move |high| (low, high)));
        let ordered = pairs.filter(|&(low, high)| labels[low] < labels[high]);
        ordered.map(|(low, high)| (low, high, scale * (values[low] - values[high])))
    };
    let greatest = differences().map(|(_, _, difference)| difference).fold(0.0, f64::max);
    let sum = exp(-greatest) + differences().map(|(_, _, difference)| exp(difference - greatest)).sum::<f64>();
    let mut d_values = vec![0.0; rows];
    for (low, high, difference) in differences() {
        let d = weight * scale * exp(difference - greatest) / sum;
        d_values[low] += d;
        d_values[high] -= d;
    }
    (weight * (greatest + log(sum)), d_values)
}
