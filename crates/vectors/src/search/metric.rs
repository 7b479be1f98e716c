//! Similarity of two vectors: the four similarities of Sentence Transformers, each greater for what
//! is nearer.

use maana_kernels::{Rows, dot, manhattan, squared_distance};
use serde::{Deserialize, Serialize};

/// A similarity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// a·b / (‖a‖ ‖b‖), lengths below 1e-12 taken as 1e-12. Of a prefix: the prefix re-normalised.
    #[default]
    Cosine,
    /// a·b
    Dot,
    /// −‖a − b‖₂
    Euclidean,
    /// −‖a − b‖₁
    Manhattan,
}

impl Metric {
    /// The score of two vectors; the same bits when they change places.
    ///
    /// ```
    /// use maana_vectors::search::Metric;
    /// assert_eq!(Metric::Cosine.score(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
    /// assert_eq!(Metric::Euclidean.score(&[0.0, 0.0], &[3.0, 4.0]), -5.0);
    /// ```
    pub fn score(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Metric::Cosine => self.score_with(a, b, norm(a), norm(b)),
            _ => self.score_with(a, b, 0.0, 0.0),
        }
    }

    /// The score where the lengths are known; only `Cosine` asks for them.
    pub(crate) fn score_with(self, a: &[f32], b: &[f32], norm_a: f32, norm_b: f32) -> f32 {
        match self {
            Metric::Cosine => dot(a, b) / (norm_a * norm_b),
            Metric::Dot => dot(a, b),
            Metric::Euclidean => -squared_distance(a, b).sqrt(),
            Metric::Manhattan => -manhattan(a, b),
        }
    }

    /// The name in settings and files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::Euclidean => "euclidean",
            Metric::Manhattan => "manhattan",
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan];
        let found = all.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| format!("`{name}` is no metric; it is one of cosine, dot, euclidean, manhattan"))
    }
}

/// ‖a‖₂, at least 1e-12.
pub(crate) fn norm(a: &[f32]) -> f32 {
    dot(a, a).sqrt().max(1e-12)
}

/// The length of every row.
pub(crate) fn norms(rows: Rows<'_>) -> Vec<f32> {
    (0..rows.rows()).map(|row| norm(rows.row(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["cosine", "dot", "euclidean", "manhattan"] {
            assert_eq!(name.parse::<Metric>().unwrap().name(), name);
        }
        assert!("cosinus".parse::<Metric>().unwrap_err().contains("one of cosine"));
    }

    #[test]
    fn zeros_have_a_score() {
        assert_eq!(Metric::Cosine.score(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
    }
}
