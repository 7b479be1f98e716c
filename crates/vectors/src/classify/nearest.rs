//! The label of the nearest: no learning, every example counts at once.

use super::Probabilities;
use crate::error::VectorsError;
use crate::search::{Corpus, Metric, Search, search};
use maana_kernels::{Context, Rows};

/// Weight of a neighbour's vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vote {
    /// One.
    #[default]
    Equal,
    /// Its cosine, if positive; 1 / (1 + distance) by the other metrics but `Dot`, whose score
    /// counts if positive.
    Similarity,
}

/// Settings of the vote.
#[derive(Clone, Copy, Debug)]
pub struct Nearest {
    /// Neighbours.
    pub k: usize,
    /// Metric of the neighbours.
    pub metric: Metric,
    /// Weight of a vote.
    pub vote: Vote,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { k: 5, metric: Metric::Cosine, vote: Vote::Equal }
    }
}

impl Nearest {
    /// The share of each class among the votes of the nearest examples. If none has weight, all
    /// count alike.
    ///
    /// # Errors
    /// Values that are not finite, other dims, no examples, no neighbours, or a label that is not a
    /// class.
    ///
    /// # Panics
    /// If there is not a label for each example.
    pub fn probabilities(
        &self,
        context: &Context,
        examples: Rows<'_>,
        labels: &[usize],
        classes: usize,
        rows: Rows<'_>,
    ) -> Result<Probabilities, VectorsError> {
        assert_eq!(examples.rows(), labels.len(), "a label for each example");
        if examples.rows() == 0 {
            return Err(VectorsError::TooFew { needed: 1, found: 0 });
        }
        if self.k == 0 {
            return Err(VectorsError::setting("k", "at least one neighbour is needed"));
        }
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            return Err(VectorsError::setting("labels", format!("label {label} of {classes} classes")));
        }
        let settings = Search { k: self.k, metric: self.metric, ..Search::default() };
        let found = search(context, &Corpus::from(examples), rows, &settings)?;
        let mut data = vec![0.0; rows.rows() * classes];
        for (hits, out) in found.iter().zip(data.chunks_exact_mut(classes)) {
            for hit in hits {
                out[labels[hit.row]] += self.weight(hit.score);
            }
            if out.iter().all(|votes| *votes == 0.0) {
                hits.iter().for_each(|hit| out[labels[hit.row]] += 1.0);
            }
            let sum: f64 = out.iter().sum();
            out.iter_mut().for_each(|votes| *votes /= sum);
        }
        Ok(Probabilities::from_vec(classes, data))
    }

    fn weight(&self, score: f32) -> f64 {
        let score = f64::from(score);
        match (self.vote, self.metric) {
            (Vote::Equal, _) => 1.0,
            (Vote::Similarity, Metric::Cosine | Metric::Dot) => score.max(0.0),
            (Vote::Similarity, _) => 1.0 / (1.0 - score),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_counted() {
        let examples = Rows::new(&[0.0, 0.1, 1.0, 1.1, 1.2], 5, 1, 1);
        let labels = [0, 0, 1, 1, 2];
        let rows = Rows::new(&[0.05, 1.1], 2, 1, 1);
        let nearest = Nearest { k: 3, metric: Metric::Euclidean, vote: Vote::Equal };
        let found = nearest.probabilities(&Context::new(1), examples, &labels, 4, rows).unwrap();
        assert_eq!(found.labels(), [0, 1]);
        assert_eq!(found.row(1), [0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
        let nearest = Nearest { vote: Vote::Similarity, ..nearest };
        let found = nearest.probabilities(&Context::new(1), examples, &labels, 4, rows).unwrap();
        assert!(found.row(0)[0] > 2.0 / 3.0);
        let opposite = Nearest { k: 2, vote: Vote::Similarity, ..Nearest::default() };
        let found = opposite
            .probabilities(&Context::new(1), Rows::new(&[1.0, 1.0], 2, 1, 1), &[0, 1], 2, Rows::new(&[-1.0], 1, 1, 1))
            .unwrap();
        assert_eq!(found.row(0), [0.5, 0.5]);
        let none = nearest.probabilities(&Context::new(1), examples.range(0..0), &[], 4, rows);
        assert_eq!(none, Err(VectorsError::TooFew { needed: 1, found: 0 }));
    }
}
