//! What comes behind the encoder: pooling, then dense layers and normalisation in the order of the folder.

mod dense;
mod pooling;

pub(crate) use dense::{Dense, activation_of_class, known_classes};
pub(crate) use pooling::Pooling;

use maana_kernels::{Context, Matrix, Rows};

/// A module behind pooling: embeddings to embeddings.
pub(crate) enum Module {
    /// `activation(x Wᵀ + b)`
    Dense(Dense),
    /// `x / ‖x‖₂`
    Normalize,
}

impl Module {
    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: &Matrix) -> Matrix {
        match self {
            Self::Dense(dense) => dense.forward(context, parameters, x.view()),
            Self::Normalize => {
                let mut y = Matrix::zeros(x.rows(), x.columns());
                maana_kernels::normalize(context, x.view(), y.data_mut());
                y
            }
        }
    }

    /// The gradient of `x`; those of parameters are added to `gradients`.
    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: &Matrix,
        d_y: Rows<'_>,
        gradients: &mut [f32],
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
