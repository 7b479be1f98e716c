//! Classes of pairs (NLI): the cross entropy of a linear classifier, trained with the model, of
//! `[u; v; |u − v|; u · v]`, where `u` and `v` are the embeddings of a pair.
//! <https://arxiv.org/abs/1908.10084>

use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of};
use crate::linear_layer::LinearLayer;
use libm::{exp, log};
use maana_kernels::{Context, Matrix, Rows};
use serde_json::json;

/// The class of each pair, or the probabilities of all classes. The reference's `SoftmaxLoss`.
#[derive(Debug)]
pub struct Softmax {
    /// The parts of what the classifier sees.
    pub features: SoftmaxFeatures,
    classifier: LinearLayer,
}

/// The parts of what the classifier of [`Softmax`] sees, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxFeatures {
    /// `u` and `v`; true in the reference.
    pub embeddings: bool,
    /// `|u − v|`; true in the reference.
    pub difference: bool,
    /// `u · v`, element by element; false in the reference.
    pub product: bool,
}

impl SoftmaxFeatures {
    /// Number of embeddings' widths.
    fn widths(self) -> usize {
        2 * usize::from(self.embeddings) + usize::from(self.difference) + usize::from(self.product)
    }

    /// Returns the features of a pair.
    fn of(self, u: &[f32], v: &[f32]) -> Vec<f32> {
        let mut features = Vec::with_capacity(self.widths() * u.len());
        let pairs = || u.iter().zip(v);
        if self.embeddings {
            features.extend(u.iter().chain(v));
        }
        if self.difference {
            features.extend(pairs().map(|(u, v)| (u - v).abs()));
        }
        if self.product {
            features.extend(pairs().map(|(u, v)| u * v));
        }
        features
    }

    /// Adds the gradients of a pair, given those of its features.
    fn backward(self, [u, v]: [&[f32]; 2], d_features: &[f32], [d_u, d_v]: [&mut [f32]; 2]) {
        let width = u.len();
        let mut parts = d_features.chunks_exact(width);
        let mut next = || parts.next().expect("a part for each feature");
        if self.embeddings {
            for d_embedding in [&mut *d_u, &mut *d_v] {
                d_embedding.iter_mut().zip(next()).for_each(|(d, d_feature)| *d += d_feature);
            }
        }
        if self.difference {
            for (index, d) in next().iter().enumerate() {
                let difference = u[index] - v[index];
                let slope = if difference == 0.0 { 0.0 } else { d * difference.signum() };
                d_u[index] += slope;
                d_v[index] -= slope;
            }
        }
        if self.product {
            for (index, d) in next().iter().enumerate() {
                d_u[index] += d * v[index];
                d_v[index] += d * u[index];
            }
        }
    }
}

impl Softmax {
    /// Creates the loss for embeddings of `dimension` columns, with a classifier drawn by `seed`.
    pub fn new(classes: usize, features: SoftmaxFeatures, dimension: usize, seed: u64) -> Self {
        let classifier = LinearLayer::new("classifier", [features.widths() * dimension, classes], seed);
        Self { features, classifier }
    }
}

impl Loss for Softmax {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = embedded.labels.expect("needs() asks for labels");
        let ([u, v], [d_u, d_v]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let features: Vec<f32> = (0..rows).flat_map(|row| self.features.of(u.row(row), v.row(row))).collect();
        let features = Rows::new(&features, rows, self.classifier.inputs, self.classifier.inputs);
        let logits = self.classifier.forward(context, features);
        let weight = f64::from(weight) / rows as f64;
        let mut d_logits = Matrix::zeros(rows, logits.columns());
        let mut sum = 0.0;
        for row in 0..rows {
            let targets = targets(labels.row(row), logits.columns());
            let logits = logits.row(row).iter().map(|logit| f64::from(*logit));
            let greatest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.clone().map(|logit| exp(logit - greatest)).sum();
            let all: f64 = targets.iter().sum();
            for ((logit, target), d) in logits.zip(&targets).zip(d_logits.row_mut(row)) {
                if *target != 0.0 {
                    sum += target * (greatest + log(total) - logit);
                }
                *d = (weight * (all * exp(logit - greatest) / total - target)) as f32;
            }
        }
        let d_features = self.classifier.backward(context, features, &d_logits, embedded.trains);
        for row in 0..rows {
            let d_pair = [d_u.row_mut(row), d_v.row_mut(row)];
            self.features.backward([u.row(row), v.row(row)], d_features.row(row), d_pair);
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::ClassOrShares(self.classifier.outputs), columns_alone: 2 }
    }

    fn trained_layer(&self) -> Option<&LinearLayer> {
        Some(&self.classifier)
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "softmax".into(),
            class: "SoftmaxLoss".into(),
            parameters: vec![
                ("num_labels".into(), json!(self.classifier.outputs)),
                ("concatenation_sent_rep".into(), json!(self.features.embeddings)),
                ("concatenation_sent_difference".into(), json!(self.features.difference)),
                ("concatenation_sent_multiplication".into(), json!(self.features.product)),
            ],
            inner: None,
        }
    }
}

/// Returns the probability of each class that a label asks for: a class, or probabilities.
fn targets(label: &[f32], classes: usize) -> Vec<f64> {
    match label {
        [class] => (0..classes).map(|index| if index == *class as usize { 1.0 } else { 0.0 }).collect(),
        shares => shares.iter().map(|share| f64::from(*share)).collect(),
    }
}
