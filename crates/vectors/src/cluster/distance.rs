//! Distance of two rows.

use crate::search::{Metric, norm, norms};
use maana_kernels::{Rows, squared_distance};

/// A distance between rows; least for what is nearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distance {
    /// ‖a − b‖₂
    #[default]
    Euclidean,
    /// 1 − cosine, at least 0.
    Cosine,
}

impl Distance {
    /// The distance of two rows.
    pub fn between(self, a: &[f32], b: &[f32]) -> f32 {
        self.with(a, b, norm(a), norm(b))
    }

    /// The distance where the lengths are known; only `Cosine` asks for them.
    pub(super) fn with(self, a: &[f32], b: &[f32], norm_a: f32, norm_b: f32) -> f32 {
        match self {
            Distance::Euclidean => squared_distance(a, b).sqrt(),
            Distance::Cosine => (1.0 - Metric::Cosine.score_with(a, b, norm_a, norm_b)).max(0.0),
        }
    }

    /// The similarity whose order is that of this distance, turned round.
    pub(super) fn metric(self) -> Metric {
        match self {
            Distance::Euclidean => Metric::Euclidean,
            Distance::Cosine => Metric::Cosine,
        }
    }

    /// The distance of a similarity by `metric`.
    pub(super) fn of_score(self, score: f32) -> f32 {
        match self {
            Distance::Euclidean => -score,
            Distance::Cosine => (1.0 - score).max(0.0),
        }
    }

    /// Lengths of rows if they are asked for.
    pub(super) fn lengths(self, rows: Rows<'_>) -> Vec<f32> {
        match self {
            Distance::Euclidean => vec![0.0; rows.rows()],
            Distance::Cosine => norms(rows),
        }
    }
}
