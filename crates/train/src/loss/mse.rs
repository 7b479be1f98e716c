//! Distillation of embeddings: the mean over columns of `mean_ij (x_ij − t_ij)²`, where `t` are the
//! embeddings of a teacher. <https://arxiv.org/abs/2004.09813>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Embeddings equal to those of a teacher, which are the labels. Under Matryoshka the teacher's
/// are truncated, not normalised. The reference's `MSELoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mse {
    /// Columns of the teacher's embeddings, and of the model's before truncation.
    pub dimension: usize,
}

impl Loss for Mse {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = embedded.labels.expect("needs() asks for labels");
        let dim = embedded.columns[0].columns();
        let weight = f64::from(weight) / (embedded.columns.len() * rows * dim) as f64;
        let mut sum = 0.0;
        for (index, (column, d_column)) in embedded.columns.iter().zip(d_columns).enumerate() {
            let start = if labels.columns() == self.dimension { 0 } else { index * self.dimension };
            for row in 0..rows {
                let target = &labels.row(row)[start..start + dim];
                for ((d, &x), &target) in d_column.row_mut(row).iter_mut().zip(column.row(row)).zip(target) {
                    let error = f64::from(x) - f64::from(target);
                    sum += error * error;
                    *d += (2.0 * weight * error) as f32;
                }
            }
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 1..=usize::MAX, labels: Labels::Embeddings(self.dimension), columns_alone: 1 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "mse".into(),
            class: "MSELoss".into(),
            parameters: vec![("projection_dim".into(), json!(null))],
            inner: None,
        }
    }
}
