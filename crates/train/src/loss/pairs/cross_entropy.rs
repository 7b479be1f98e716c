//! Cross entropy of classes: `mean_i (logsumexp_k x_ik − x_i,class)`.

use super::super::needs::{Labels, Needs};
use super::super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use super::super::row_pairs::Pairs;
use super::logit_activation::LogitActivation;
use libm::{exp, log};
use maana_kernels::{Context, Matrix};

/// Class of a pair, one of as many as the model has logits. The reference's `CrossEntropyLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Number of classes.
    pub classes: usize,
    /// Function of the logits; the identity in the reference.
    pub activation: LogitActivation,
}

impl Loss for CrossEntropy {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let classes = single_labels(embedded);
        let weight = f64::from(weight) / rows as f64;
        let mut sum = 0.0;
        for (row, class) in classes.iter().enumerate() {
            let logits = embedded.columns[0].row(row);
            let values: Vec<f64> = logits.iter().map(|&logit| self.activation.of(f64::from(logit))).collect();
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = values.iter().map(|value| exp(value - greatest)).sum();
            sum += greatest + log(total) - values[*class as usize];
            for (index, (d, value)) in d_columns[0].row_mut(row).iter_mut().zip(&values).enumerate() {
                let target = if index == *class as usize { 1.0 } else { 0.0 };
                let slope = self.activation.slope(*value);
                *d += (weight * (exp(value - greatest) / total - target) * slope) as f32;
            }
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::ClassOf(self.classes), columns_alone: 2 }
    }

    fn pairs(&self) -> Option<Pairs> {
        Some(Pairs::Each)
    }

    fn describe(&self) -> LossSummary {
        // As in the reference, whose class has no description of its parameters.
        LossSummary {
            name: "cross_entropy".into(),
            class: "CrossEntropyLoss".into(),
            parameters: Vec::new(),
            inner: None,
        }
    }
}
