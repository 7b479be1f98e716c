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
        let rows = rows_of(embedded, d_columns);
        let labels = single_labels(embedded);
        let ([a, b], [d_a, d_b]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let (weight, scale) = (f64::from(weight), self.scale);
        let cosines = cosines(*a, *b);
        let differences = || {
            let pairs = (0..rows).flat_map(|low| (0..rows).map(move |high| (low, high)));
            let ordered = pairs.filter(|&(low, high)| labels[low] < labels[high]);
            ordered.map(|(low, high)| (low, high, scale * (cosines[low].value - cosines[high].value)))
        };
        let greatest = differences().map(|(_, _, difference)| difference).fold(0.0, f64::max);
        let sum = exp(-greatest) + differences().map(|(_, _, difference)| exp(difference - greatest)).sum::<f64>();
        let mut d_cosines = vec![0.0; rows];
        for (low, high, difference) in differences() {
            let d = weight * scale * exp(difference - greatest) / sum;
            d_cosines[low] += d;
            d_cosines[high] -= d;
        }
        cosines_backward(*a, *b, &cosines, &d_cosines, d_a, d_b);
        (weight * (greatest + log(sum))) as f32
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
