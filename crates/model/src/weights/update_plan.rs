//! An optimizer with its settings for each tensor.

use super::Tensor;
use std::ops::Range;

/// An optimizer with its settings for each tensor, resolved once for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatePlan {
    /// The optimizer.
    pub algorithm: Algorithm,
    /// Settings of each tensor, in the order of [`crate::Trainable::tensors`].
    pub tensors: Vec<TensorSettings>,
}

/// An optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// AdamW (arXiv:1711.05101) as PyTorch computes it.
    AdamW {
        /// Decay rate of the first moment.
        beta1: f64,
        /// Decay rate of the second moment.
        beta2: f64,
        /// Term added to the root of the second moment.
        epsilon: f64,
        /// Updates only those rows of the table of word embeddings that have a gradient.
        lazy_embeddings: bool,
    },
    /// Adafactor (arXiv:1804.04235) as Hugging Face transformers computes it, with the learning
    /// rate of the schedule and without a first moment.
    Adafactor {
        /// Maximum root mean square of a tensor's update, before the learning rate.
        clip_threshold: f64,
        /// Power of the number of updates in the decay rate of the moments.
        decay_rate: f64,
        /// Multiplies the learning rate by the root mean square of the tensor.
        scale_parameter: bool,
    },
}

/// Settings of a tensor's updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorSettings {
    /// False if the tensor is frozen: it has no gradient, no moments and no updates.
    pub trains: bool,
    /// Factor of the learning rate of the run.
    pub learning_rate_factor: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl UpdatePlan {
    /// Returns AdamW with the defaults of PyTorch and without weight decay, for a number of
    /// tensors.
    pub fn adamw(tensors: usize) -> Self {
        let settings = TensorSettings { trains: true, learning_rate_factor: 1.0, weight_decay: 0.0 };
        let algorithm = Algorithm::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, lazy_embeddings: false };
        Self { algorithm, tensors: vec![settings; tensors] }
    }

    /// Returns the number of bytes of the gradients of these tensors.
    pub fn gradient_bytes(&self, tensors: &[Tensor]) -> usize {
        size_of::<f32>() * self.trained(tensors).map(|(tensor, _)| tensor.range.len()).sum::<usize>()
    }

    /// Returns the number of bytes of the moments of these tensors, if all rows are updated.
    pub fn moment_bytes(&self, tensors: &[Tensor]) -> usize {
        match self.algorithm {
            Algorithm::AdamW { .. } => 2 * self.gradient_bytes(tensors),
            Algorithm::Adafactor { .. } => size_of::<f32>() * self.factored_elements(tensors),
        }
    }

    /// The tensors that train, with their settings.
    pub(super) fn trained<'a>(
        &'a self,
        tensors: &'a [Tensor],
    ) -> impl Iterator<Item = (&'a Tensor, &'a TensorSettings)> {
        tensors.iter().zip(&self.tensors).filter(|(_, settings)| settings.trains)
    }

    /// The ranges of frozen tensors, adjacent ones as one.
    pub(super) fn frozen(&self, tensors: &[Tensor]) -> Vec<Range<usize>> {
        let frozen = tensors.iter().zip(&self.tensors).filter(|(_, settings)| !settings.trains);
        merged(frozen.map(|(tensor, _)| tensor.range.clone()))
    }

    /// Names, shapes and places of the second moments of Adafactor: `….rows` and `….columns` of a
    /// matrix, one for each element of a vector.
    pub(super) fn factored(&self, tensors: &[Tensor]) -> Vec<Tensor> {
        let mut moments: Vec<Tensor> = Vec::new();
        let mut add = |name: String, length: usize| {
            let start = moments.last().map_or(0, |last| last.range.end);
            moments.push(Tensor { name, shape: vec![length], range: start..start + length });
        };
        for (tensor, _) in self.trained(tensors) {
            match tensor.matrix() {
                Some([rows, columns]) => {
                    add(format!("{}.rows", tensor.name), rows);
                    add(format!("{}.columns", tensor.name), columns);
                }
                None => add(tensor.name.clone(), tensor.range.len()),
            }
        }
        moments
    }

    /// Number of second moments of Adafactor.
    pub(super) fn factored_elements(&self, tensors: &[Tensor]) -> usize {
        self.trained(tensors).map(|(tensor, _)| factored_len(tensor)).sum()
    }
}

/// Number of second moments of Adafactor for a tensor: one for each row and column of a matrix, or
/// for each element of a vector.
pub(super) fn factored_len(tensor: &Tensor) -> usize {
    tensor.matrix().map_or(tensor.range.len(), |[rows, columns]| rows + columns)
}

/// Joins adjacent ranges; they ascend.
pub(super) fn merged(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges.filter(|range| !range.is_empty()) {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range),
        }
    }
    merged
}
