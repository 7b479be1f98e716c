//! Indexes over a corpus: exact, funnel and graph. One interface, one set of
//! tests for all.

mod hnsw;

pub use hnsw::{Graph, Hnsw, HnswSettings, Reached, prefix_for};

use crate::error::VectorsError;
use crate::search::{Corpus, Filter, Funnel, Hit, Metric, Search, search};
use maana_kernels::{Context, Rows};

/// Finds the nearest rows of a corpus. Scores are those of the full vectors by the index's metric,
/// to the bit those of the exact search; an index that is not exact may miss rows.
pub trait Index {
    /// Rows of the corpus, dead ones too.
    fn rows(&self) -> usize;

    /// The k nearest living rows of each query that `filter` lets through, nearest first, of equal
    /// ones the lower first; fewer where there are fewer.
    ///
    /// # Errors
    /// Queries of other dims than the corpus or with values that are not finite.
    fn search(
        &self,
        context: &Context,
        queries: Rows<'_>,
        k: usize,
        filter: Option<Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError>;
}

/// The index without an index: all rows are compared.
#[derive(Clone, Debug)]
pub struct Exact<'a> {
    /// The corpus.
    pub corpus: Corpus<'a>,
    /// Metric of the scores.
    pub metric: Metric,
    /// Compare the first `dim` columns only; scores are then those of the prefix.
    pub dim: Option<usize>,
}

impl Index for Exact<'_> {
    fn rows(&self) -> usize {
        self.corpus.rows()
    }

    fn search(
        &self,
        context: &Context,
        queries: Rows<'_>,
        k: usize,
        filter: Option<Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        let settings = Search { k, metric: self.metric, dim: self.dim, filter, ..Search::default() };
        search(context, &self.corpus, queries, &settings)
    }
}

impl Index for Funnel<'_> {
    fn rows(&self) -> usize {
        self.corpus().rows()
    }

    fn search(
        &self,
        context: &Context,
        queries: Rows<'_>,
        k: usize,
        filter: Option<Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        Funnel::search(self, context, queries, k, filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Bits, FunnelSettings, Part, PlanePrecision, Values};
    use crate::testing::{bytes_of, embeddings};

    /// Every index over a corpus, each with the least recall@10 that it must reach.
    fn all<'a>(
        context: &Context,
        corpus: &Corpus<'a>,
        metric: Metric,
    ) -> Vec<(&'static str, f64, Box<dyn Index + Sync + 'a>)> {
        let mut indexes: Vec<(&'static str, f64, Box<dyn Index + Sync + 'a>)> =
            vec![("exact", 1.0, Box::new(Exact { corpus: corpus.clone(), metric, dim: None }))];
        for (name, precision, recall) in
            [("funnel of bytes", PlanePrecision::Int8, 0.95), ("funnel of bits", PlanePrecision::Binary, 0.6)]
        {
            let settings = FunnelSettings { prefix: 32, precision, shortlist: 200 };
            let funnel = Funnel::build(context, corpus.clone(), metric, settings).unwrap();
            indexes.push((name, recall, Box::new(funnel)));
        }
        let graph = Hnsw::build(context, corpus.clone(), metric, &HnswSettings::default()).unwrap();
        indexes.push(("graph", 0.95, Box::new(graph)));
        indexes
    }

    #[test]
    fn every_index_keeps_the_contract() {
        let matrix = embeddings(1500, 48, 12, 1);
        let queries = embeddings(20, 48, 5, 8);
        let mut dead = Bits::none(1500);
        (0..1500).step_by(7).for_each(|row| assert!(dead.insert(row)));
        let part = Part { values: Values::F32(matrix.view()), dead: Some(&dead) };
        let corpus = Corpus::new(48, vec![part]);
        let even = |row: usize| row.is_multiple_of(2);
        for metric in [Metric::Cosine, Metric::Dot] {
            for (name, least, index) in all(&Context::new(2), &corpus, metric) {
                assert_eq!(index.rows(), 1500);
                for filter in [None, Some(&even as Filter<'_>)] {
                    let settings = Search { k: 10, metric, filter, ..Search::default() };
                    let truth = search(&Context::new(1), &corpus, queries.view(), &settings).unwrap();
                    let found = index.search(&Context::new(1), queries.view(), 10, filter).unwrap();
                    let threads = index.search(&Context::new(3), queries.view(), 10, filter).unwrap();
                    assert_eq!(bytes_of(&found), bytes_of(&threads), "{name}");
                    let mut right = 0;
                    for (query, (hits, truth)) in found.iter().zip(&truth).enumerate() {
                        assert_eq!(hits.len(), 10, "{name}");
                        let order = |a: &Hit, b: &Hit| a.score > b.score || (a.score == b.score && a.row < b.row);
                        assert!(hits.windows(2).all(|pair| order(&pair[0], &pair[1])), "{name}");
                        for hit in hits {
                            assert!(hit.row % 7 != 0 && filter.is_none_or(|filter| filter(hit.row)), "{name}");
                            assert_eq!(hit.score, metric.score(queries.row(query), matrix.row(hit.row)), "{name}");
                        }
                        right += hits.iter().filter(|hit| truth.contains(hit)).count();
                        // A single query has the same hits as in a batch.
                        let alone = index.search(&Context::new(1), queries.view().range(query..query + 1), 10, filter);
                        assert_eq!(bytes_of(&alone.unwrap()), bytes_of(std::slice::from_ref(hits)), "{name}");
                    }
                    let recall = right as f64 / 200.0;
                    assert!(recall >= least, "{name}, {metric:?}: {recall}");
                }
                let bad = maana_kernels::Matrix::from_vec(1, 48, vec![f32::NAN; 48]);
                assert!(index.search(&Context::new(1), bad.view(), 3, None).is_err(), "{name}");
                assert!(index.search(&Context::new(1), queries.view().prefix(7), 3, None).is_err(), "{name}");
                let few = index.search(&Context::new(1), queries.view(), 0, None).unwrap();
                assert!(few.iter().all(Vec::is_empty), "{name}");
            }
        }
    }

    #[test]
    fn empty_and_tiny_corpora() {
        let matrix = embeddings(3, 48, 2, 1);
        for rows in [0, 1, 3] {
            let corpus = Corpus::from(matrix.view().range(0..rows));
            for (name, _, index) in all(&Context::new(1), &corpus, Metric::Cosine) {
                let found = index.search(&Context::new(1), matrix.view(), 10, None).unwrap();
                assert!(found.iter().all(|hits| hits.len() == rows), "{name} of {rows}");
            }
        }
    }
}
