//! In-batch negatives: `mean_i (logsumexp_j S_ij − S_ii)`, where `S_ij` is the scaled similarity of
//! row `i` of the first column and candidate `j`. All rows of all other columns are candidates, and
//! further directions add texts to the sum. <https://arxiv.org/abs/1705.00652>

use super::directions::{Direction, Hardness, PartitionMode, Terms};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary};
use super::ranking::{Layout, RankingLoss, cross_entropy};
use super::similarity::LossSimilarity;
use maana_kernels::{Context, Matrix};
use serde_json::json;

/// Ranking of the positive of each first text (second column) above all other texts of the other
/// columns. Further columns are hard negatives. The reference's `MultipleNegativesRankingLoss`.
#[derive(Clone, Debug, PartialEq)]
pub struct InBatchNegatives {
    /// Factor of the similarities; 20 in the reference.
    pub scale: f64,
    /// Similarity; cosine in the reference.
    pub similarity: LossSimilarity,
    /// Compared texts, the query's documents among them.
    pub directions: Vec<Direction>,
    /// Normalisation over the directions.
    pub partition: PartitionMode,
    /// Additional weight of hard negatives.
    pub hardness: Option<Hardness>,
}

impl InBatchNegatives {
    /// Creates the loss with the reference's other settings.
    pub fn new(scale: f64) -> Self {
        Self {
            scale,
            similarity: LossSimilarity::Cosine,
            directions: vec![Direction::QueryToDoc],
            partition: PartitionMode::Joint,
            hardness: None,
        }
    }

    /// Returns true if queries are compared only with documents.
    fn is_plain(&self) -> bool {
        self.directions.iter().all(|direction| *direction == Direction::QueryToDoc)
    }
}

impl RankingLoss for InBatchNegatives {
    fn scale(&self) -> f64 {
        self.scale
    }

    fn similarity(&self) -> LossSimilarity {
        self.similarity
    }

    fn layout(&self) -> Layout {
        if self.is_plain() { Layout::Documents } else { Layout::Everything }
    }

    fn of_scores(&self, scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
        if self.is_plain() && self.hardness.is_none() {
            return cross_entropy(scores, weight, d_scores);
        }
        let terms = Terms {
            layout: self.layout(),
            directions: &self.directions,
            partition: self.partition,
            hardness: self.hardness,
            scale: self.scale,
        };
        terms.loss(scores, weight, d_scores)
    }
}

impl Loss for InBatchNegatives {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.whole(context, embedded, weight, d_columns)
    }

    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        self.ranked(context, embedded, dims, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::Unused, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        let similarity = match self.similarity {
            LossSimilarity::Cosine => "cos_sim",
            LossSimilarity::Dot => "dot_score",
        };
        let mut parameters = vec![("scale".into(), json!(self.scale)), ("similarity_fct".into(), json!(similarity))];
        // The reference's defaults are not named, so that runs of earlier versions can be resumed.
        if !self.is_plain() {
            parameters.push(("directions".into(), json!(self.directions)));
            parameters.push(("partition_mode".into(), json!(self.partition)));
        }
        if let Some(Hardness { mode, strength }) = self.hardness {
            parameters.push(("hardness_mode".into(), json!(mode)));
            parameters.push(("hardness_strength".into(), json!(strength)));
        }
        LossSummary {
            name: "multiple_negatives_ranking".into(),
            class: "MultipleNegativesRankingLoss".into(),
            parameters,
            inner: None,
        }
    }
}
