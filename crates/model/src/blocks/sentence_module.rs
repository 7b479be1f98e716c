//! Modules behind pooling, embeddings to embeddings: dense layers, normalisation and dropout. The
//! head of a cross-encoder consists of the same modules.

use super::{Dense, EmbeddingDropout, EmbeddingNorm};
use crate::trainable::DropoutSeed;
use crate::weights::{Gradients, Tensor};
use maana_kernels::{Context, Matrix};

/// A module behind pooling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SentenceModule {
    /// `activation(x Wᵀ + b)`
    Dense(Dense),
    /// `x / ‖x‖₂`
    Normalize,
    /// `(x − mean) / √(variance + ε) · γ + β`
    LayerNorm(EmbeddingNorm),
    /// Dropout in training
    Dropout(EmbeddingDropout),
}

impl SentenceModule {
    /// Name of the class in Sentence Transformers.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_) => "Dense",
            Self::Normalize => "Normalize",
            Self::LayerNorm(_) => "LayerNorm",
            Self::Dropout(_) => "Dropout",
        }
    }

    /// Number of columns behind the module, for embeddings of `inputs` columns.
    pub(crate) fn outputs(&self, inputs: usize) -> usize {
        match self {
            Self::Dense(dense) => dense.outputs,
            Self::Normalize | Self::LayerNorm(_) | Self::Dropout(_) => inputs,
        }
    }

    /// Lists the parameters under their names in the file that holds them.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        match self {
            Self::Dense(dense) => dense.tensors(),
            Self::LayerNorm(norm) => norm.tensors(),
            Self::Normalize | Self::Dropout(_) => Vec::new(),
        }
    }

    /// Number of elements of the parameters.
    pub(crate) fn elements(&self) -> usize {
        self.tensors().iter().map(Tensor::elements).sum()
    }

    /// True if the parameters lie in the encoder's own file, as those of a cross-encoder's head do;
    /// else they lie in a folder of the module.
    pub(crate) fn is_in_encoder(&self) -> bool {
        let name = match self {
            Self::Dense(dense) => dense.name(),
            Self::LayerNorm(norm) => norm.name(),
            Self::Normalize | Self::Dropout(_) => None,
        };
        name.is_some()
    }

    /// Assigns the parameters their ranges in the arena, from `start` on; returns their end.
    pub(crate) fn place(&mut self, start: usize) -> usize {
        match self {
            Self::Dense(dense) => dense.place(start),
            Self::LayerNorm(norm) => norm.place(start),
            Self::Normalize | Self::Dropout(_) => start,
        }
    }

    /// Computes the embeddings that leave the module.
    pub(crate) fn forward(&self, context: &Context, parameters: &[f32], x: &Matrix, dropout: DropoutSeed) -> Matrix {
        match self {
            Self::Dense(dense) => dense.forward(context, parameters, x),
            Self::Normalize => maana_kernels::normalized(context, x.view()),
            Self::LayerNorm(norm) => norm.forward(context, parameters, x),
            Self::Dropout(module) => module.apply(context, x, dropout),
        }
    }

    /// Returns the gradient of `x` and adds those of the parameters.
    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        x: &Matrix,
        d_y: &Matrix,
        dropout: DropoutSeed,
        gradients: &mut Gradients<'_>,
    ) -> Matrix {
        match self {
            Self::Dense(dense) => dense.backward(context, parameters, x, d_y, gradients),
            Self::Normalize => {
                let mut d_x = Matrix::zeros(x.rows(), x.columns());
                maana_kernels::normalize_backward(context, x.view(), d_y.view(), d_x.data_mut());
                d_x
            }
            Self::LayerNorm(norm) => norm.backward(context, parameters, x, d_y, gradients),
            Self::Dropout(module) => module.apply(context, d_y, dropout),
        }
    }
}
