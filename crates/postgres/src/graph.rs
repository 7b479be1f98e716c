//! The index over vectors: pgvector's HNSW on an expression, either the first columns in f16 or the signs of the first columns.
//! It gives a shortlist; what it misses was measured when it was made.

use crate::read::operator;
use crate::store::Header;
use maana_vectors::search::{MeasuredOn, Metric};
use serde::{Deserialize, Serialize};

/// Columns of an index in f16, and in bits, that pgvector takes.
pub(crate) const MOST_HALF: usize = 4_000;
/// The longest shortlist that pgvector gives.
pub(crate) const LONGEST: usize = 1_000;

/// An index over vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Columns that it compares.
    pub prefix: usize,
    /// Whether it compares their signs alone (`bit`), instead of f16 (`halfvec`).
    pub bits: bool,
    /// Queries that it was measured on; none by an earlier version, which took the store's vectors as they are.
    #[serde(default)]
    pub on: Option<MeasuredOn>,
    /// What its shortlists hold of the true hits.
    pub measured: Vec<Measured>,
    /// The change that made it. Documents that came later are in it too, but were not measured.
    pub generation: u64,
}

/// A shortlist, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Hits that were wanted.
    pub k: usize,
    /// Documents that the index gave, to be scored with the full vectors.
    pub shortlist: usize,
    /// The share of the true hits among them.
    pub recall: f64,
    /// What is sure of it; see `maana_vectors::search::Recall`. None by an earlier version.
    #[serde(default)]
    pub at_least: Option<f64>,
}

impl Graph {
    /// The shortest shortlist that surely reached this recall, for as many hits or more; none where none did.
    pub fn shortlist(&self, k: usize, recall: f64) -> Option<Measured> {
        let enough = |measured: &&Measured| measured.k >= k && measured.at_least.unwrap_or(measured.recall) >= recall;
        self.measured.iter().filter(enough).min_by_key(|measured| measured.shortlist).copied()
    }

    /// What is indexed, in SQL.
    pub(crate) fn expression(&self, header: &Header, embedding: &str) -> String {
        self.narrowed(header, &header.prefix(embedding, self.prefix))
    }

    /// The same of a query, which is a `vector` always.
    pub(crate) fn expression_of_query(&self, header: &Header, query: &str) -> String {
        let full = Header { half: false, ..header.clone() };
        self.narrowed(header, &full.prefix(&format!("{query}::vector"), self.prefix))
    }

    fn narrowed(&self, header: &Header, prefix: &str) -> String {
        let dim = self.prefix;
        match header.metric {
            _ if self.bits => format!("(binary_quantize({prefix})::bit({dim}))"),
            // Of length 1 every value has a place in f16.
            Metric::Cosine => format!("(l2_normalize({prefix})::halfvec({dim}))"),
            _ => format!("(({prefix})::halfvec({dim}))"),
        }
    }

    /// The distance that the index is for.
    pub(crate) fn operator(&self, header: &Header) -> &'static str {
        if self.bits { "<~>" } else { operator(header.metric) }
    }

    /// The index's class of operators.
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
    fn the_shortest_list_that_is_enough_is_taken() {
        let one = |k, shortlist, recall| Measured { k, shortlist, recall: recall + 0.005, at_least: Some(recall) };
        let measured = vec![one(10, 32, 0.9), one(10, 64, 0.97), one(10, 128, 0.99), one(100, 128, 0.95)];
        let graph = Graph { prefix: 64, bits: false, on: None, measured, generation: 1 };
        assert_eq!(graph.shortlist(10, 0.95).unwrap().shortlist, 64);
        assert_eq!(graph.shortlist(3, 0.98).unwrap().shortlist, 128);
        assert_eq!(graph.shortlist(50, 0.95).unwrap().k, 100);
        assert_eq!((graph.shortlist(50, 0.96), graph.shortlist(101, 0.1)), (None, None));
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let old = r#"{"prefix": 64, "bits": true, "sample": 100, "generation": 3,
                      "measured": [{"k": 10, "shortlist": 32, "recall": 0.98}]}"#;
        let graph: Graph = serde_json::from_str(old).unwrap();
        assert_eq!((graph.on, graph.shortlist(10, 0.98).map(|measured| measured.shortlist)), (None, Some(32)));
    }
}
