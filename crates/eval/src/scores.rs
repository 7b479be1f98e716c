//! `Scores`: named metrics in the order of Sentence Transformers. Plain data.

use crate::Kind;
use serde::{Deserialize, Serialize};

/// Start of the keys of measures before reranking.
const BEFORE: &str = "base_";

/// Metrics of one evaluation at one dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Kind of the evaluation. Files of earlier versions, which have none, are of retrieval.
    #[serde(default)]
    pub kind: Kind,
    /// Name of the evaluation, for example `dim_128`. The dev loss of the run has none.
    pub name: String,
    /// Leading columns that were compared; 0 for the scores of a cross-encoder.
    pub dimension: usize,
    /// Pairs such as (`cosine_ndcg@10`, 0.3191), without the name.
    pub values: Vec<(String, f64)>,
    /// Primary metric, for example `cosine_ndcg@10`.
    pub primary: String,
    /// Precision of the products that made the embeddings, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Primary metric of each query or text, of which it is the mean. Empty for other metrics, and
    /// for scores that were read from a file.
    #[serde(skip)]
    pub items: Vec<f64>,
}

impl Scores {
    /// Returns the metric called `key` (`cosine_ndcg@10`).
    pub fn get(&self, key: &str) -> Option<f64> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// Returns the key of a measure of the order in which a reranker receives the documents.
    pub fn key_before(key: &str) -> String {
        format!("{BEFORE}{key}")
    }

    /// Returns the metrics without those of the order in which a reranker receives the documents.
    pub fn own_values(&self) -> impl Iterator<Item = &(String, f64)> {
        self.values.iter().filter(|(key, _)| !key.starts_with(BEFORE))
    }

    /// Returns true if a cross-encoder was measured, whose scores have no dimensions.
    pub fn is_of_cross_encoder(&self) -> bool {
        self.dimension == 0
    }

    /// Returns the title of the evaluation in model cards, and the reference's class of the same
    /// measures.
    pub fn evaluator(&self) -> (&'static str, Option<&'static str>) {
        match self.kind.of_cross_encoders().filter(|_| self.is_of_cross_encoder()) {
            Some((title, class)) => (title, Some(class)),
            None => (self.kind.title(), self.kind.evaluator()),
        }
    }

    /// Returns the evaluation set in the name: `news` for `news_dim_128`, `None` for `dim_128`.
    pub fn set(&self) -> Option<&str> {
        let set = self.name.strip_suffix(&format!("dim_{}", self.dimension)).unwrap_or(&self.name);
        Some(set.strip_suffix('_').unwrap_or(set)).filter(|set| !set.is_empty())
    }

    /// Returns the metrics with the evaluation's name as a prefix: `dim_128_cosine_ndcg@10`.
    pub fn prefixed(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.values.iter().map(|(key, value)| (self.prefixed_key(key), *value))
    }

    /// Returns the name of the metric `key` with the evaluation's name as a prefix.
    pub fn prefixed_key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}_{key}", self.name) }
    }
}

/// Returns all metrics as one JSON object with prefixed keys (`dim_128_cosine_ndcg@10`); with
/// several evaluations also `sequential_score`, as in the reference's `SequentialEvaluator`; then
/// the `precision` of the embeddings.
pub fn to_json(scores: &[Scores]) -> serde_json::Map<String, serde_json::Value> {
    let mut object: serde_json::Map<_, _> =
        scores.iter().flat_map(Scores::prefixed).map(|(key, value)| (key, value.into())).collect();
    if let Some(score) = sequential_score(scores).filter(|_| scores.len() > 1) {
        object.insert("sequential_score".into(), score.into());
    }
    if let Some(precision) = scores.last().and_then(|last| last.precision.as_deref()) {
        object.insert("precision".into(), precision.into());
    }
    object
}

/// Returns the score of several evaluations: the primary metric of the last one, as in the
/// reference.
pub fn sequential_score(scores: &[Scores]) -> Option<f64> {
    scores.last().and_then(|last| last.get(&last.primary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(name: &str, dimension: usize, value: f64) -> Scores {
        let values = vec![("cosine_ndcg@10".into(), value), ("cosine_map@100".into(), 1.0)];
        Scores {
            kind: Kind::Retrieval,
            name: name.into(),
            dimension,
            values,
            primary: "cosine_ndcg@10".into(),
            precision: Some("bf16".into()),
            items: Vec::new(),
        }
    }

    #[test]
    fn json_has_the_keys_of_the_reference() {
        let all = [scores("dim_8", 8, 0.25), scores("dim_4", 4, 0.125)];
        let json = serde_json::to_string(&to_json(&all)).unwrap();
        let expected = r#"{"dim_8_cosine_ndcg@10":0.25,"dim_8_cosine_map@100":1.0,"dim_4_cosine_ndcg@10":0.125,"dim_4_cosine_map@100":1.0,"sequential_score":0.125,"precision":"bf16"}"#;
        assert_eq!(json, expected);
        assert_eq!(to_json(&all[..1]).len(), 3, "one evaluation has no sequential score");
        assert_eq!(sequential_score(&[]), None);
    }

    #[test]
    fn the_set_is_read_from_the_name() {
        assert_eq!(scores("dim_64", 64, 0.0).set(), None);
        assert_eq!(scores("habari_dim_64", 64, 0.0).set(), Some("habari"));
        assert_eq!(scores("habari", 64, 0.0).set(), Some("habari"));
        assert_eq!(scores("", 64, 0.0).set(), None);
    }
}
