//! Cosine similarity: `mean_i (cos(a_i, b_i) − label_i)²`.

use super::cosine::{cosines, cosines_backward};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// The squared difference between the cosine of two columns and the label. The reference's
/// `CosineSimilarityLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineSimilarity;

impl Loss for CosineSimilarity {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns) as f64;
        let labels = single_labels(embedded);
        let ([a, b], [d_a, d_b]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let cosines = cosines(*a, *b);
        let errors: Vec<f64> =
            cosines.iter().zip(labels).map(|(cosine, &label)| cosine.value - f64::from(label)).collect();
        let weight = f64::from(weight) / rows;
        let d_cosines: Vec<f64> = errors.iter().map(|error| 2.0 * weight * error).collect();
        cosines_backward(*a, *b, &cosines, &d_cosines, d_a, d_b);
        (weight * errors.iter().map(|error| error * error).sum::<f64>()) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Cosine, columns_alone: 2 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "cosine_similarity".into(),
            class: "CosineSimilarityLoss".into(),
            parameters: vec![("loss_fct".into(), json!("torch.nn.modules.loss.MSELoss"))],
            inner: None,
        }
    }
}
