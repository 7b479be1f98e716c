//! Search requests and their answers: plain data, the same for every kind of store.

use maana_vectors::VectorsError;
use maana_vectors::index::Reached;
use maana_vectors::search::{Choice, MeasuredOn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Text and fields of a document, stored with its vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The text.
    pub text: String,
    /// Other fields, to show and to filter by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Options of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// Hits per query.
    pub k: usize,
    /// Number of leading columns to compare; `None` compares all.
    pub dim: Option<usize>,
    /// Fields and the values that they must have.
    pub filters: Vec<(String, String)>,
    /// Fuse the ranking by vectors with BM25 over the texts.
    pub hybrid: bool,
    /// Target recall, from 0 to 1. Without a graph, a shortlist by fewer columns and bits is scored
    /// in full; with a graph, the default is 0.99.
    pub recall: Option<f64>,
    /// Choose the shortlist by the queries of this request instead of the store's own vectors.
    pub measure_on_queries: bool,
    /// Compare every vector even if there is a graph.
    pub exact: bool,
    /// Dimensions at which hits are scored in addition.
    pub also_at: Vec<usize>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            k: 10,
            dim: None,
            filters: Vec::new(),
            hybrid: false,
            recall: None,
            measure_on_queries: false,
            exact: false,
            also_at: Vec::new(),
        }
    }
}

impl SearchOptions {
    /// Returns the target recall, unless the options require an exact search.
    ///
    /// # Errors
    /// If the recall is not from 0 to 1.
    pub(super) fn target_recall(&self) -> Result<Option<f64>, VectorsError> {
        let Some(recall) = self.recall.filter(|_| self.dim.is_none() && !self.exact) else { return Ok(None) };
        if !(0.0..=1.0).contains(&recall) {
            let message = format!("{recall} is not a number from 0 to 1");
            return Err(VectorsError::Setting { setting: "recall", message });
        }
        Ok(Some(recall))
    }
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Id of the document.
    pub id: String,
    /// Score; greater is nearer. With `hybrid` the sum of reciprocal ranks.
    pub score: f32,
    /// Text and fields.
    #[serde(flatten)]
    pub content: Content,
    /// Scores by the leading columns, for each dimension of `also_at`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<usize, f32>,
}

/// Search strategy that was used.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchStrategy {
    /// Every vector was compared.
    Exact,
    /// The measurements of shortlists, and the chosen one; `None` if no shortlist would have been
    /// cheaper.
    Shortlist(Choice),
    /// A walk along the graph.
    Graph {
        /// Width of the walk, and its recall.
        reached: Reached,
        /// Queries of the measurement; `None` for a graph of an earlier version, which may miss
        /// duplicates.
        on: Option<MeasuredOn>,
        /// Rows that were added after the graph was built, and compared one by one.
        later: usize,
    },
    /// A description by a store that chooses its strategy itself.
    Described(String),
}

/// Hits, and the strategy that found them.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Hits of each query, nearest first.
    pub hits: Vec<Vec<Found>>,
    /// The strategy.
    pub strategy: SearchStrategy,
}
