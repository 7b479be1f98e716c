//! The interface of losses that see one score for each pair.

use super::super::needs::Needs;
use super::super::objective::{Embedded, Loss, LossSummary};
use super::super::row_pairs::Pairs;
use super::logit_activation::LogitActivation;
use maana_kernels::{Context, Matrix};
use std::ops::Range;

/// The scores and labels of the pairs of a micro-batch. Letters: `P` pairs, `B` rows.
#[derive(Clone, Copy, Debug)]
pub struct ScoredPairs<'a> {
    /// Score of each pair, row by row. `(P)`
    pub scores: &'a [f64],
    /// Start of each row's pairs, followed by their number. `(B + 1)`
    pub offsets: &'a [usize],
    /// Numbers of the labels, row by row; empty without labels.
    pub labels: &'a [f32],
}

impl ScoredPairs<'_> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the range of the pairs of each row.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|ends| ends[0]..ends[1])
    }
}

/// A function of the scores of pairs that training minimises.
pub trait ScoreLoss: Send + Sync {
    /// Returns the loss, and sets `d_scores`, which are zero, to its gradient. `(P)`
    fn of_scores(&self, pairs: &ScoredPairs<'_>, d_scores: &mut [f64]) -> f64;

    /// Returns the columns and labels that the loss requires.
    fn needs(&self) -> Needs;

    /// Returns the pairs of each row.
    fn pairs(&self) -> Pairs {
        Pairs::Each
    }

    /// Returns the description for a model card, given the reference's name of the activation.
    fn describe(&self, activation: &str) -> LossSummary;
}

/// A [`ScoreLoss`] of an activation of the only logit of each pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfScores<L> {
    /// The loss of the scores.
    pub loss: L,
    /// Function from logits to scores.
    pub activation: LogitActivation,
}

impl<L: ScoreLoss> Loss for OfScores<L> {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let ([logits], [d_logits]) = (embedded.columns, d_columns) else { panic!("pairs are one column") };
        assert_eq!(logits.columns(), 1, "one logit for each pair");
        let scores: Vec<f64> =
            (0..logits.rows()).map(|pair| self.activation.of(f64::from(logits.row(pair)[0]))).collect();
        let labels = embedded.labels.map_or(&[][..], |labels| &labels.data()[..labels.rows() * labels.columns()]);
        let mut d_scores = vec![0.0; scores.len()];
        let pairs = ScoredPairs { scores: &scores, offsets: embedded.pairs, labels };
        let value = self.loss.of_scores(&pairs, &mut d_scores);
        for (pair, (score, d_score)) in scores.iter().zip(d_scores).enumerate() {
            d_logits.row_mut(pair)[0] += (f64::from(weight) * d_score * self.activation.slope(*score)) as f32;
        }
        (f64::from(weight) * value) as f32
    }

    fn needs(&self) -> Needs {
        self.loss.needs()
    }

    fn pairs(&self) -> Option<Pairs> {
        Some(self.loss.pairs())
    }

    fn describe(&self) -> LossSummary {
        self.loss.describe(self.activation.class())
    }
}
