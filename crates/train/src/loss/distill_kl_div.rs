//! Distillation of rankings: `T² · mean_i Σ_k q_ik (ln q_ik − ln p_ik)`, where `p` is the softmax
//! of the similarities of a query to its documents divided by the temperature `T`, and `q` that of
//! a teacher's scores. <https://arxiv.org/abs/2010.11386>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use super::similarity::{LossSimilarity, documents_backward, of_documents};
use libm::{exp, log};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Distribution over the documents of a query equal to a teacher's. The reference's
/// `DistillKLDivLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistillKlDiv {
    /// Similarity; the dot product in the reference.
    pub similarity: LossSimilarity,
    /// Divides all scores; 1 in the reference.
    pub temperature: f64,
    /// Replaces the temperature of the model's scores.
    pub student_temperature: Option<f64>,
    /// Replaces the temperature of the teacher's scores.
    pub teacher_temperature: Option<f64>,
}

impl Loss for DistillKlDiv {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = embedded.labels.expect("needs() asks for labels");
        let (queries, documents) = embedded.columns.split_first().expect("needs() asks for columns");
        let scores = of_documents(self.similarity, *queries, documents);
        let student_temperature = self.student_temperature.unwrap_or(self.temperature);
        let teacher_temperature = self.teacher_temperature.unwrap_or(self.temperature);
        let weight = f64::from(weight) / rows as f64;
        let mut d_scores = vec![vec![0.0; rows]; documents.len()];
        let mut sum = 0.0;
        for row in 0..rows {
            let ours = log_softmax(scores.iter().map(|column| column[row] / student_temperature).collect());
            let theirs =
                log_softmax(labels.row(row).iter().map(|&score| f64::from(score) / teacher_temperature).collect());
            for ((ours, theirs), d) in ours.iter().zip(&theirs).zip(&mut d_scores) {
                let share = exp(*theirs);
                if share > 0.0 {
                    sum += share * (theirs - ours);
                }
                d[row] = weight * student_temperature * (exp(*ours) - share);
            }
        }
        documents_backward(self.similarity, *queries, documents, &d_scores, d_columns);
        (weight * student_temperature * student_temperature * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 3..=usize::MAX, labels: Labels::CandidateScores, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        let mut parameters = vec![
            ("similarity_fct".into(), json!(self.similarity.pairwise_name())),
            ("temperature".into(), json!(self.temperature)),
        ];
        for (name, value) in
            [("student_temperature", self.student_temperature), ("teacher_temperature", self.teacher_temperature)]
        {
            if let Some(value) = value.filter(|value| *value != self.temperature) {
                parameters.push((name.into(), json!(value)));
            }
        }
        LossSummary { name: "distill_kl_div".into(), class: "DistillKLDivLoss".into(), parameters, inner: None }
    }
}

fn log_softmax(mut values: Vec<f64>) -> Vec<f64> {
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = values.iter().map(|value| exp(value - greatest)).sum();
    let normaliser = greatest + log(total);
    values.iter_mut().for_each(|value| *value -= normaliser);
    values
}
