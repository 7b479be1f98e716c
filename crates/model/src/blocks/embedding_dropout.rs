//! Dropout on embeddings, in training only.

use crate::pass::DropoutSite;
use crate::trainable::DropoutSeed;
use maana_kernels::{Context, Matrix};

/// A dropout behind pooling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmbeddingDropout {
    site: DropoutSite,
}

impl EmbeddingDropout {
    /// Returns the dropout that is module number `index` behind pooling.
    pub(crate) fn new(probability: f32, index: usize) -> Self {
        Self { site: DropoutSite::behind_pooling(probability, index) }
    }

    /// Probability that an element is dropped.
    pub(crate) fn probability(&self) -> f32 {
        self.site.probability
    }

    /// Multiplies embeddings, or gradients in backward, by the mask of their places in the whole
    /// batch.
    pub(crate) fn apply(&self, context: &Context, x: &Matrix, seed: DropoutSeed) -> Matrix {
        let mut y = x.clone();
        if let Some(dropout) = self.site.of_sequences(seed) {
            let columns = y.columns();
            maana_kernels::dropout(context, y.data_mut(), columns, &dropout);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_belongs_to_the_place_in_the_whole_batch() {
        let (context, dropout) = (Context::new(2), EmbeddingDropout::new(0.4, 1));
        let x = Matrix::from_vec(6, 40, vec![1.0; 240]);
        let seed = |first_sequence| DropoutSeed::On { seed: 3, pass: 7, first_token: 0, first_sequence };
        let whole = dropout.apply(&context, &x, seed(0));
        let part = dropout.apply(&context, &x.view().range(2..6).to_matrix(), seed(2));
        assert_eq!(whole.view().range(2..6).to_matrix(), part);
        let dropped = whole.data().iter().filter(|value| **value == 0.0).count();
        assert!((60..130).contains(&dropped), "{dropped} of 240");
        assert!(whole.data().iter().all(|value| *value == 0.0 || (value - 1.0 / 0.6).abs() < 1e-6));
        assert_ne!(whole, EmbeddingDropout::new(0.4, 2).apply(&context, &x, seed(0)), "another module");
        assert_eq!(dropout.apply(&context, &x, DropoutSeed::Off), x);
    }
}
