//! Distillation of embeddings: the mean over columns of `mean_ij (x_ij − t_ij)²`, where `t` are the
//! embeddings of a teacher. <https://arxiv.org/abs/2004.09813>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use crate::linear_layer::LinearLayer;
use maana_kernels::{Context, Matrix, Rows};
use serde_json::json;

/// Embeddings equal to those of a teacher, which are the labels. Under Matryoshka the teacher's
/// are truncated, not normalised. The reference's `MSELoss`.
#[derive(Debug)]
pub struct Mse {
    /// Columns of the teacher's embeddings.
    dimension: usize,
    /// From the model's embeddings to the columns of the teacher's.
    projection: Option<LinearLayer>,
}

impl Mse {
    /// Creates the loss for embeddings of `dimension` columns, as many as the teacher's have.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, projection: None }
    }

    /// Creates the loss with a projection, drawn by `seed`, from `inputs` columns to the `outputs`
    /// columns of the teacher's embeddings.
    pub fn projected([inputs, outputs]: [usize; 2], seed: u64) -> Self {
        Self { dimension: outputs, projection: Some(LinearLayer::new("projection", [inputs, outputs], seed)) }
    }

    /// Adds to `sum` the squared errors of column `index`, and `weight` × their gradients to `d`.
    fn errors(&self, x: Rows<'_>, labels: Rows<'_>, index: usize, weight: f64, d: &mut Matrix) -> f64 {
        let start = if labels.columns() == self.dimension { 0 } else { index * self.dimension };
        let mut sum = 0.0;
        for row in 0..x.rows() {
            let target = &labels.row(row)[start..start + x.columns()];
            for ((d, &x), &target) in d.row_mut(row).iter_mut().zip(x.row(row)).zip(target) {
                let error = f64::from(x) - f64::from(target);
                sum += error * error;
                *d += (2.0 * weight * error) as f32;
            }
        }
        sum
    }
}

impl Loss for Mse {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = embedded.labels.expect("needs() asks for labels");
        let dim = self.projection.as_ref().map_or(embedded.columns[0].columns(), |projection| projection.outputs);
        let weight = f64::from(weight) / (embedded.columns.len() * rows * dim) as f64;
        let mut sum = 0.0;
        for (index, (column, d_column)) in embedded.columns.iter().zip(d_columns).enumerate() {
            sum += match &self.projection {
                None => self.errors(*column, labels, index, weight, d_column),
                Some(projection) => {
                    let projected = projection.forward(context, *column);
                    let mut d_projected = Matrix::zeros(rows, dim);
                    let sum = self.errors(projected.view(), labels, index, weight, &mut d_projected);
                    let d_x = projection.backward(context, *column, &d_projected, embedded.trains);
                    maana_kernels::add(context, d_column.data_mut(), d_x.data());
                    sum
                }
            };
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 1..=usize::MAX, labels: Labels::Embeddings(self.dimension), columns_alone: 1 }
    }

    fn trained_layer(&self) -> Option<&LinearLayer> {
        self.projection.as_ref()
    }

    fn describe(&self) -> LossSummary {
        let projected = self.projection.as_ref().map(|projection| projection.outputs);
        LossSummary {
            name: "mse".into(),
            class: "MSELoss".into(),
            parameters: vec![("projection_dim".into(), json!(projected))],
            inner: None,
        }
    }
}
