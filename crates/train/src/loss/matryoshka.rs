//! Matryoshka: any loss, summed over several dimensions to which embeddings are truncated and
//! normalised, so that each prefix of an embedding is a good embedding.
//! <https://arxiv.org/abs/2205.13147>
//!
//! The reference truncates the next larger normalised prefix, which gives the same vector as
//! truncating the whole embedding.

use super::needs::Needs;
use super::objective::{Embedded, Loss, LossSummary};
use crate::linear_layer::LinearLayer;
use maana_files::mix;
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// A loss over several dimensions. The reference's `MatryoshkaLoss`.
pub struct Matryoshka {
    /// The loss at each dimension.
    pub inner: Box<dyn Loss>,
    /// (dimension, weight), with dimensions in descending order.
    pub dims: Vec<(usize, f64)>,
    /// Number of dimensions that are drawn for each micro-batch; `None` uses all.
    pub dims_per_step: Option<usize>,
    /// Seed of the run, which determines the drawn dimensions.
    pub seed: u64,
}

impl Matryoshka {
    /// Returns the dimensions of micro-batch `pass` in descending order: a function of the seed and
    /// `pass` only.
    fn drawn(&self, pass: u64) -> Vec<(usize, f32)> {
        let mut left: Vec<usize> = (0..self.dims.len()).collect();
        let mut state = mix(self.seed ^ mix(pass));
        let mut drawn = Vec::new();
        for _ in 0..self.dims_per_step.unwrap_or(self.dims.len()).min(left.len()) {
            state = mix(state);
            drawn.push(left.swap_remove((state % left.len() as u64) as usize));
        }
        drawn.sort_unstable();
        drawn.into_iter().map(|index| (self.dims[index].0, self.dims[index].1 as f32)).collect()
    }
}

impl Loss for Matryoshka {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.inner.nested(context, embedded, &self.drawn(embedded.pass), weight, d_columns)
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn trained_layer(&self) -> Option<&LinearLayer> {
        self.inner.trained_layer()
    }

    fn describe(&self) -> LossSummary {
        let inner = self.inner.describe();
        let (dims, weights): (Vec<usize>, Vec<f64>) = self.dims.iter().copied().unzip();
        let per_step = self.dims_per_step.map_or(json!(-1), |number| json!(number));
        LossSummary {
            name: "matryoshka".into(),
            class: "MatryoshkaLoss".into(),
            parameters: vec![
                ("loss".into(), json!(inner.class)),
                ("matryoshka_dims".into(), json!(dims)),
                ("matryoshka_weights".into(), json!(weights)),
                ("n_dims_per_step".into(), per_step),
            ],
            inner: Some(Box::new(inner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::InBatchNegatives;

    fn drawing(dims_per_step: Option<usize>, seed: u64) -> Matryoshka {
        let dims = [64, 32, 16, 8].map(|dim| (dim, 1.0)).to_vec();
        Matryoshka { inner: Box::new(InBatchNegatives::new(20.0)), dims, dims_per_step, seed }
    }

    #[test]
    fn draws_are_distinct_and_descending_and_depend_on_seed_and_pass_only() {
        let mut seen = std::collections::HashMap::new();
        for pass in 0..600 {
            let drawn = drawing(Some(2), 42).drawn(pass);
            assert!(drawn.len() == 2 && drawn[0].0 > drawn[1].0, "{drawn:?}");
            assert_eq!(drawn, drawing(Some(2), 42).drawn(pass));
            *seen.entry((drawn[0].0, drawn[1].0)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6, "all pairs of four come");
        assert!(seen.values().all(|&times| (60..140).contains(&times)), "about equally often: {seen:?}");
        let other = drawing(Some(2), 43);
        assert!((0..20).any(|pass| other.drawn(pass) != drawing(Some(2), 42).drawn(pass)), "another seed, other draws");
        assert_eq!(drawing(None, 42).drawn(7).iter().map(|dim| dim.0).collect::<Vec<_>>(), [64, 32, 16, 8]);
    }
}
