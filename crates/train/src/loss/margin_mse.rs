//! Distillation of margins: `mean_ik ((s(q_i, p_i) − s(q_i, n_ik)) − m_ik)²`, where `m` are the
//! margins of a teacher. <https://arxiv.org/abs/2010.02666>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use super::similarity::{LossSimilarity, documents_backward, of_documents};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Differences between the similarity of the first document (second column) and those of the
/// others, equal to a teacher's. The reference's `MarginMSELoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarginMse {
    /// Similarity; the dot product in the reference.
    pub similarity: LossSimilarity,
}

impl Loss for MarginMse {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = embedded.labels.expect("needs() asks for labels");
        let (queries, documents) = embedded.columns.split_first().expect("needs() asks for columns");
        let negatives = documents.len() - 1;
        let scores = of_documents(self.similarity, *queries, documents);
        let weight = f64::from(weight) / (rows * negatives) as f64;
        let mut d_scores = vec![vec![0.0; rows]; documents.len()];
        let mut sum = 0.0;
        for negative in 0..negatives {
            for row in 0..rows {
                let error = scores[0][row] - scores[negative + 1][row] - margin(labels.row(row), negatives, negative);
                sum += error * error;
                d_scores[0][row] += 2.0 * weight * error;
                d_scores[negative + 1][row] -= 2.0 * weight * error;
            }
        }
        documents_backward(self.similarity, *queries, documents, &d_scores, d_columns);
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 3..=usize::MAX, labels: Labels::Margins, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "margin_mse".into(),
            class: "MarginMSELoss".into(),
            parameters: vec![("similarity_fct".into(), json!(self.similarity.pairwise_name()))],
            inner: None,
        }
    }
}

/// Returns the margin of the first document to a negative by the numbers of a label: one for each
/// negative, or the scores of all documents.
pub(super) fn margin(numbers: &[f32], negatives: usize, negative: usize) -> f64 {
    if numbers.len() == negatives {
        f64::from(numbers[negative])
    } else {
        f64::from(numbers[0]) - f64::from(numbers[negative + 1])
    }
}
