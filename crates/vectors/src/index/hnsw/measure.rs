//! How much of the truth a graph finds: for which prefix to build it, and how wide to search it.

use super::{Graph, Hnsw};
use crate::error::VectorsError;
use crate::index::Index;
use crate::search::{Corpus, Metric, Sample, Search, Wish, recall, search};
use maana_kernels::Pool;
use std::sync::Arc;

/// What a width finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Rows that are kept in view while searching.
    pub width: usize,
    /// The share of the true 10 nearest that is found, measured on the corpus's own vectors.
    pub recall: f64,
}

/// Widths that are measured; the first that finds all but one in a thousand is the last.
const WIDTHS: [usize; 10] = [16, 32, 64, 96, 128, 192, 256, 384, 512, 1024];

/// The shortest prefix, of powers of two from 64, whose nearest `2 · HnswSettings::width` rows hold `wish.recall` of the true
/// nearest: what the walk finds is scored with all columns.
///
/// # Errors
/// Values that are not finite.
pub fn prefix_for(pool: &Pool, corpus: &Corpus<'_>, metric: Metric, wish: &Wish) -> Result<usize, VectorsError> {
    let dims = corpus.columns();
    let Some(sample) = Sample::draw(pool, corpus, metric, wish)? else { return Ok(dims) };
    let shortlist = 192;
    for prefix in std::iter::successors(Some(64), |prefix| Some(2 * prefix)).take_while(|prefix| *prefix < dims) {
        let settings = Search { k: shortlist + 1, metric, dim: Some(prefix), ..Search::default() };
        let found = search(pool, corpus, sample.queries.view(), &settings)?;
        if recall(&sample.places(&found), shortlist) >= wish.recall {
            return Ok(prefix);
        }
    }
    Ok(dims)
}

impl Hnsw<'_> {
    /// Measures what different widths find, and keeps it with the graph.
    ///
    /// # Errors
    /// Values that are not finite.
    ///
    /// # Panics
    /// If the graph is shared already.
    pub fn measure(&mut self, pool: &Pool, wish: &Wish) -> Result<(), VectorsError> {
        let mut reached = Vec::new();
        if let Some(sample) = Sample::draw(pool, &self.corpus, self.graph.metric, wish)? {
            let usual = self.width;
            for width in WIDTHS {
                self.width = width;
                // One more than is wanted, as each query finds itself.
                let found = self.search(pool, sample.queries.view(), wish.k + 1, None)?;
                let recall = recall(&sample.places(&found), wish.k);
                reached.push(Reached { width, recall });
                if recall >= 0.999 {
                    break;
                }
            }
            self.width = usual;
        }
        let graph = Arc::get_mut(&mut self.graph).expect("nobody else has the graph while it is measured");
        graph.reached = reached;
        Ok(())
    }
}

impl Graph {
    /// The least width that finds this share of the truth.
    pub fn width_for(&self, recall: f64) -> Option<Reached> {
        self.reached.iter().copied().find(|reached| reached.recall >= recall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::HnswSettings;
    use crate::testing::embeddings;

    #[test]
    fn what_is_measured_is_what_is_found() {
        let pool = Pool::new(2);
        let matrix = embeddings(3000, 96, 30, 2);
        let corpus = Corpus::from(matrix.view());
        let wish = Wish { recall: 0.95, ..Wish::default() };
        let prefix = prefix_for(&pool, &corpus, Metric::Cosine, &wish).unwrap();
        assert!([64, 96].contains(&prefix), "{prefix}");
        let settings = HnswSettings { prefix: Some(prefix), ..HnswSettings::default() };
        let mut graph = Hnsw::build(&pool, corpus, Metric::Cosine, &settings).unwrap();
        assert_eq!(graph.graph().width_for(0.5), None);
        graph.measure(&pool, &wish).unwrap();
        let reached = graph.graph().width_for(0.95).expect("some width finds nearly all");
        assert!(graph.graph().reached().windows(2).all(|pair| pair[0].recall <= pair[1].recall + 0.01));
        graph.width = reached.width;
        let queries = embeddings(100, 96, 30, 2);
        let found = graph.search(&pool, queries.view(), 10, None).unwrap();
        let truth = search(&pool, &matrix.view().into(), queries.view(), &Search::default()).unwrap();
        let right: usize = found.iter().zip(&truth).map(|(a, b)| a.iter().filter(|hit| b.contains(hit)).count()).sum();
        assert!(right >= 900, "{right} of 1000 with {reached:?}");
    }
}
