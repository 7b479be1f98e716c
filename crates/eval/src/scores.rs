//! `Scores`: named measures in the order in which the reference emits them. Plain data.

use serde::{Deserialize, Serialize};

/// The measures of one evaluation at one dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The evaluation's name, for example `dim_128`.
    pub name: String,
    /// Columns of the embeddings that were compared.
    pub dimension: usize,
    /// Pairs such as (`cosine_ndcg@10`, 0.3191), without the name.
    pub values: Vec<(String, f64)>,
    /// The measure that stands for the whole, for example `cosine_ndcg@10`.
    pub primary: String,
}

impl Scores {
    /// The measure called `key` (`cosine_ndcg@10`).
    pub fn get(&self, key: &str) -> Option<f64> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The evaluation set that the name tells of: `news` of `news_dim_128`, none of `dim_128`.
    pub fn set(&self) -> Option<&str> {
        let set = self.name.strip_suffix(&format!("dim_{}", self.dimension)).unwrap_or(&self.name);
        Some(set.strip_suffix('_').unwrap_or(set)).filter(|set| !set.is_empty())
    }

    /// Keys with the evaluation's name before them: `dim_128_cosine_ndcg@10`.
    pub fn prefixed(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.values.iter().map(|(key, value)| (format!("{}_{key}", self.name), *value))
    }
}
