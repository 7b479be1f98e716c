//! Terms of in-batch negatives: directions in which texts are compared, and hardness.

use super::ranking::Layout;
use libm::{exp, log};
use maana_kernels::Matrix;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Comparison of the texts of a batch. Queries are the first column; documents all others, of which
/// the second has the positives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Each query with all documents.
    QueryToDoc,
    /// Each query with all other queries.
    QueryToQuery,
    /// Each positive with all queries.
    DocToQuery,
    /// Each positive with all documents of other queries.
    DocToDoc,
}

/// Normalisation over several directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionMode {
    /// One softmax over all.
    Joint,
    /// A softmax for each, and the mean of the losses.
    PerDirection,
}

/// Negatives whose logits are raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardnessMode {
    /// Documents of other queries.
    InBatchNegatives,
    /// The query's own negatives.
    HardNegatives,
    /// Both.
    AllNegatives,
}

/// Additional weight of hard negatives: `strength` × the similarity, without a gradient of its own,
/// is added to the logits of a query's negatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hardness {
    /// Negatives whose logits are raised.
    pub mode: HardnessMode,
    /// Factor of the similarity.
    pub strength: f64,
}

/// The terms of the loss of one matrix of scores.
pub(super) struct Terms<'a> {
    pub(super) layout: Layout,
    pub(super) directions: &'a [Direction],
    pub(super) partition: PartitionMode,
    pub(super) hardness: Option<Hardness>,
    pub(super) scale: f64,
}

impl Terms<'_> {
    /// Returns `weight` × `mean_i (log Z_i − S_ii)`, and adds its gradient to `d_scores`.
    pub(super) fn loss(&self, scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
        let (queries, documents) = match self.layout {
            Layout::Documents => (scores.rows(), 0),
            Layout::Everything => (scores.rows() / 2, scores.rows() / 2),
        };
        let weight = weight / queries as f64;
        let mut sum = 0.0;
        for query in 0..queries {
            let positive = documents + query;
            sum -= f64::from(scores.row(query)[positive]);
            d_scores.row_mut(query)[positive] -= weight as f32;
            let parts: Vec<Part> = self
                .directions
                .iter()
                .map(|direction| self.part(*direction, query, queries, documents, scores.columns()))
                .collect();
            match self.partition {
                PartitionMode::Joint => sum += self.normaliser(&parts, scores, weight, d_scores),
                PartitionMode::PerDirection => {
                    let share = 1.0 / parts.len() as f64;
                    for part in &parts {
                        let part = std::slice::from_ref(part);
                        sum += share * self.normaliser(part, scores, weight * share, d_scores);
                    }
                }
            }
        }
        weight * sum
    }

    fn part(&self, direction: Direction, query: usize, queries: usize, documents: usize, candidates: usize) -> Part {
        let row = match direction {
            Direction::QueryToDoc | Direction::QueryToQuery => query,
            Direction::DocToQuery | Direction::DocToDoc => queries + query,
        };
        let columns = match direction {
            Direction::QueryToDoc | Direction::DocToDoc => documents..candidates,
            Direction::QueryToQuery | Direction::DocToQuery => 0..queries,
        };
        Part { direction, row, columns, query, queries }
    }

    /// Returns the logarithm of the sum of the exponentials of all logits of the parts, and adds
    /// `weight` × its gradient to `d_scores`.
    fn normaliser(&self, parts: &[Part], scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
        let logits = || {
            parts.iter().flat_map(move |part| {
                let of_row = scores.row(part.row);
                part.candidates().map(move |column| (part.row, column, self.logit(part, column, of_row[column])))
            })
        };
        let greatest = logits().map(|(_, _, logit)| logit).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits().map(|(_, _, logit)| exp(logit - greatest)).sum();
        for (row, column, logit) in logits() {
            d_scores.row_mut(row)[column] += (weight * exp(logit - greatest) / total) as f32;
        }
        greatest + log(total)
    }

    fn logit(&self, part: &Part, column: usize, score: f32) -> f64 {
        let score = f64::from(score);
        match self.hardness {
            Some(Hardness { mode, strength }) if part.is_raised(mode, column) => score + strength * score / self.scale,
            _ => score,
        }
    }
}

/// The scores of one direction for one query: a range of a row.
struct Part {
    direction: Direction,
    row: usize,
    columns: Range<usize>,
    query: usize,
    queries: usize,
}

impl Part {
    /// Returns the columns of the compared texts.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        let is_compared = move |column: &usize| match self.direction {
            Direction::QueryToDoc | Direction::DocToQuery => true,
            // A text is not compared with itself, nor with other documents of its query.
            Direction::QueryToQuery | Direction::DocToDoc => !self.is_own(*column),
        };
        self.columns.clone().filter(is_compared)
    }

    /// Returns true if the text of a column belongs to the query.
    fn is_own(&self, column: usize) -> bool {
        (column - self.columns.start) % self.queries == self.query
    }

    fn is_raised(&self, mode: HardnessMode, column: usize) -> bool {
        let own = self.is_own(column);
        let is_positive = own && column - self.columns.start < self.queries;
        self.direction == Direction::QueryToDoc
            && match mode {
                HardnessMode::InBatchNegatives => !own,
                HardnessMode::HardNegatives => own && !is_positive,
                HardnessMode::AllNegatives => !is_positive,
            }
    }
}
