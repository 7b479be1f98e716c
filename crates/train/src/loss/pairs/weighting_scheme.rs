//! Weights of pairs of documents in [`Lambda`](super::Lambda).
//! <https://dl.acm.org/doi/10.1145/3269206.3271784>

use libm::log2;
use serde::{Deserialize, Serialize};

/// Weight of a pair of documents by their gains and by their ranks among the scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightingScheme {
    /// 1 for each pair. The reference's `NoWeightingScheme`.
    None,
    /// `G_i / D_i`, for pairs in both orders. The reference's `NDCGLoss1Scheme`.
    #[serde(rename = "ndcg_loss1")]
    NdcgLoss1,
    /// `|G_i − G_j| · |1 / D_|i−j| − 1 / D_|i−j|+1|`. The reference's `NDCGLoss2Scheme`.
    #[serde(rename = "ndcg_loss2")]
    NdcgLoss2,
    /// `|G_i − G_j| · |1 / D_i − 1 / D_j|`. The reference's `LambdaRankScheme`.
    LambdaRank,
    /// `mu` × that of `NdcgLoss2` and that of `LambdaRank`. The reference's `NDCGLoss2PPScheme`.
    #[default]
    #[serde(rename = "ndcg_loss2pp")]
    NdcgLoss2Pp,
}

impl WeightingScheme {
    /// Returns the weight of the pair of the documents with the ranks `i` and `j` (from 0).
    pub(super) fn weight(self, gains: &[f64], i: usize, j: usize, mu: f64) -> f64 {
        let gained = (gains[i] - gains[j]).abs();
        let by_rank = || gained * (1.0 / discount(i) - 1.0 / discount(j)).abs();
        let by_distance = || match i.abs_diff(j) {
            0 => 0.0,
            distance => gained * (1.0 / discount(distance - 1) - 1.0 / discount(distance)).abs(),
        };
        match self {
            Self::None => 1.0,
            Self::NdcgLoss1 => gains[i] / discount(i),
            Self::NdcgLoss2 => by_distance(),
            Self::LambdaRank => by_rank(),
            Self::NdcgLoss2Pp => mu * by_distance() + by_rank(),
        }
    }

    /// Returns the class of the reference.
    pub(super) fn class(self) -> String {
        let name = match self {
            Self::None => "NoWeightingScheme",
            Self::NdcgLoss1 => "NDCGLoss1Scheme",
            Self::NdcgLoss2 => "NDCGLoss2Scheme",
            Self::LambdaRank => "LambdaRankScheme",
            Self::NdcgLoss2Pp => "NDCGLoss2PPScheme",
        };
        format!("sentence_transformers.cross_encoder.losses.lambda_loss.{name}")
    }
}

/// Returns the discount of a rank (from 0) in the discounted cumulative gain.
pub(super) fn discount(rank: usize) -> f64 {
    log2(rank as f64 + 2.0)
}
