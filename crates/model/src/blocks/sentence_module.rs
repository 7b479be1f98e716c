//! Modules behind pooling, embeddings to embeddings: dense layers and normalisation.

use super::Dense;
use crate::weights::Gradients;
use maana_kernels::{Context, Matrix, Rows};

/// A module behind pooling.
#[derive(Clone)]
pub(crate) enum SentenceModule {
    /// `activation(x Wᵀ + b)`
    Dense(Dense),
    /// `x / ‖x‖₂`
    Normalize,
}

impl SentenceModule {
    /// Computes the embeddings that leave the module.
    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: &Matrix) -> Matrix {
        match self {
            Self::Dense(dense) => dense.forward(context, parameters, x.view()),
            Self::Normalize => maana_kernels::normalized(context, x.view()),
        }
    }

    /// Returns the gradient of `x` and adds those of the parameters.
    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: &Matrix,
        d_y: Rows<'_>,
        gradients: &mut Gradients<'_>,
    ) -> Matrix {
        match self {
            Self::Dense(dense) => dense.backward(context, parameters, x.view(), d_y, gradients),
            Self::Normalize => {
                let mut d_x = Matrix::zeros(x.rows(), x.columns());
                maana_kernels::normalize_backward(context, x.view(), d_y, d_x.data_mut());
                d_x
            }
        }
    }
}
