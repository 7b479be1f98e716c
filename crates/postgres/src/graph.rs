//! The index over vectors: pgvector's HNSW on an expression, either the leading columns in f16 or
//! their signs. It gives a shortlist, whose recall is measured when the index is built.

use crate::schema::{Header, operator};
use maana_vectors::search::{MeasuredOn, Metric};
use serde::{Deserialize, Serialize};

/// Largest number of columns of an index in pgvector, in f16 and in bits.
pub(crate) const MOST_HALF: usize = 4_000;
/// Longest shortlist in pgvector.
pub(crate) const LONGEST: usize = 1_000;

/// An index over vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Leading columns that it compares.
    pub prefix: usize,
    /// `true` if it compares only their signs (`bit`) instead of f16 (`halfvec`).
    pub bits: bool,
    /// Queries of the measurement; `None` for an earlier version, which took the store's vectors
    /// unperturbed.
    #[serde(default)]
    pub on: Option<MeasuredOn>,
    /// Recall of its shortlists.
    pub measured: Vec<Measured>,
    /// The change that built it. Later documents are in it too, but were not measured.
    pub generation: u64,
}

/// A shortlist and its recall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Number of hits.
    pub k: usize,
    /// Length of the shortlist, whose documents are scored with the full vectors.
    pub shortlist: usize,
    /// Share of the true hits in the shortlist.
    pub recall: f64,
    /// Lower confidence bound of the recall; see `maana_vectors::search::Recall`. `None` for an
    /// earlier version.
    #[serde(default)]
    pub at_least: Option<f64>,
}

impl Graph {
    /// Returns the shortest shortlist whose lower bound reached this recall for at least `k` hits.
    pub fn shortlist(&self, k: usize, recall: f64) -> Option<Measured> {
        let enough = |measured: &&Measured| measured.k >= k && measured.at_least.unwrap_or(measured.recall) >= recall;
        self.measured.iter().filter(enough).min_by_key(|measured| measured.shortlist).copied()
    }

    /// Returns the indexed expression in SQL.
    pub(crate) fn expression(&self, header: &Header, embedding: &str) -> String {
        self.narrowed(header, &header.prefix(embedding, self.prefix))
    }

    /// Returns the same expression of a query, which is always a `vector`.
    pub(crate) fn expression_of_query(&self, header: &Header, query: &str) -> String {
        let full = Header { half: false, ..header.clone() };
        self.narrowed(header, &full.prefix(&format!("{query}::vector"), self.prefix))
    }

    fn narrowed(&self, header: &Header, prefix: &str) -> String {
        let dim = self.prefix;
        match header.metric {
            _ if self.bits => format!("(binary_quantize({prefix})::bit({dim}))"),
            // After normalisation every value is in the range of f16.
            Metric::Cosine => format!("(l2_normalize({prefix})::halfvec({dim}))"),
            _ => format!("(({prefix})::halfvec({dim}))"),
        }
    }

    /// Returns the operator of the index's distance.
    pub(crate) fn operator(&self, header: &Header) -> &'static str {
        if self.bits { "<~>" } else { operator(header.metric) }
    }

    /// Returns the operator class of the index.
    pub(crate) fn class(&self, header: &Header) -> &'static str {
        match header.metric {
            _ if self.bits => "bit_hamming_ops",
            Metric::Cosine => "halfvec_cosine_ops",
            Metric::Dot => "halfvec_ip_ops",
            Metric::Euclidean => "halfvec_l2_ops",
            Metric::Manhattan => "halfvec_l1_ops",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_sufficient_shortlist_is_chosen() {
        let one = |k, shortlist, recall| Measured { k, shortlist, recall: recall + 0.005, at_least: Some(recall) };
        let measured = vec![one(10, 32, 0.9), one(10, 64, 0.97), one(10, 128, 0.99), one(100, 128, 0.95)];
        let graph = Graph { prefix: 64, bits: false, on: None, measured, generation: 1 };
        assert_eq!(graph.shortlist(10, 0.95).unwrap().shortlist, 64);
        assert_eq!(graph.shortlist(3, 0.98).unwrap().shortlist, 128);
        assert_eq!(graph.shortlist(50, 0.95).unwrap().k, 100);
        assert_eq!((graph.shortlist(50, 0.96), graph.shortlist(101, 0.1)), (None, None));
    }

    #[test]
    fn descriptions_of_earlier_versions_are_read() {
        let old = r#"{"prefix": 64, "bits": true, "sample": 100, "generation": 3,
                      "measured": [{"k": 10, "shortlist": 32, "recall": 0.98}]}"#;
        let graph: Graph = serde_json::from_str(old).unwrap();
        assert_eq!((graph.on, graph.shortlist(10, 0.98).map(|measured| measured.shortlist)), (None, Some(32)));
    }
}
