//! How much of the truth a graph finds: for which prefix to build it, and how wide to search it.

use super::{Graph, Hnsw, give, take};
use crate::error::VectorsError;
use crate::search::{Corpus, Hit, Metric, Plane, PlanePrecision, Sample, Wish, recall};
use maana_kernels::{Pool, Rows};
use std::sync::Arc;

/// What a width finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Rows that are kept in view while searching.
    pub width: usize,
    /// Of these the rows that are scored with the full vectors, for each that is wanted: so few that hardly one is missed.
    pub scored: usize,
    /// The share of the true 10 nearest that is found so, measured on the corpus's own vectors.
    pub recall: f64,
}

/// Widths that are measured; the first that finds all but one in a thousand is the last.
const WIDTHS: [usize; 13] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// What leaving a row in view without a score may cost of the recall.
const MISSED: f64 = 0.0005;

/// The prefix whose codes are cheapest to walk by, of powers of two from 64: the one of which a search for `wish.recall` reads
/// the fewest bytes. A short one is quickly compared, and many rows must be in view before the truly nearest are among them.
///
/// # Errors
/// Values that are not finite.
pub fn prefix_for(pool: &Pool, corpus: &Corpus<'_>, metric: Metric, wish: &Wish) -> Result<usize, VectorsError> {
    let dims = corpus.columns();
    let Some(sample) = Sample::draw(pool, corpus, metric, wish)? else { return Ok(dims) };
    // The walk misses some of what the codes would find.
    let needed = (1.0 + wish.recall) / 2.0;
    let shorter = std::iter::successors(Some(64), |prefix| Some(2 * prefix)).take_while(|prefix| *prefix < dims);
    let mut cheapest = (usize::MAX, dims);
    for prefix in shorter.chain([dims]) {
        let plane = Plane::build(pool, corpus, metric, prefix, PlanePrecision::Int8)?;
        let places = sample.places(&plane.scan(pool, corpus, sample.queries.view(), LONGEST + 1, None)?);
        let Some(scored) = (wish.k..=LONGEST).find(|scored| recall(&places, *scored) >= needed) else { continue };
        // A row that is looked at costs its codes and a wait; one that is scored, lies apart.
        let cost = (scored + USUAL_VIEW) * LOOKED_AT * (prefix + 128) + scored * 8 * dims;
        cheapest = cheapest.min((cost, prefix));
    }
    Ok(cheapest.1)
}

/// Rows to be scored, at most, for a prefix to be worth its walk.
const LONGEST: usize = 256;
/// Rows in view beside those that are scored, and rows that are looked at for each.
const USUAL_VIEW: usize = 64;
const LOOKED_AT: usize = 12;

impl Hnsw<'_> {
    /// Measures what different widths find, and keeps it with the graph.
    ///
    /// # Errors
    /// Values that are not finite.
    ///
    /// # Panics
    /// If the graph is shared already.
    pub fn measure(&mut self, pool: &Pool, wish: &Wish) -> Result<(), VectorsError> {
        let mut reached: Vec<Reached> = Vec::new();
        if let Some(sample) = Sample::draw(pool, &self.corpus, self.graph.metric, wish)? {
            for width in WIDTHS {
                // One more than is wanted, as each query finds itself.
                let places = sample.places(&self.views(pool, sample.queries.view(), width.max(wish.k + 1)));
                let all = recall(&places, width);
                let scored = (1..width / wish.k).find(|scored| recall(&places, scored * wish.k) >= all - MISSED);
                let scored = scored.unwrap_or(width.div_ceil(wish.k));
                let recall = recall(&places, scored * wish.k);
                reached.push(Reached { width, scored, recall });
                if recall >= 0.999 {
                    break;
                }
            }
        }
        let graph = Arc::get_mut(&mut self.graph).expect("nobody else has the graph while it is measured");
        graph.reached = reached;
        Ok(())
    }

    /// For each query the rows in view, nearest by their codes first.
    fn views(&self, pool: &Pool, queries: Rows<'_>, width: usize) -> Vec<Vec<Hit>> {
        let mut views = vec![Vec::new(); queries.rows()];
        pool.for_each_chunk(&mut views, 1, |query, view| {
            let mut scratch = take(&self.graph.scratches);
            let found = self.in_view(queries.row(query), width, None, &mut scratch);
            view[0] = found.into_iter().map(|near| Hit { row: near.row as usize, score: near.score }).collect();
            give(&self.graph.scratches, scratch);
        });
        views
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
    use crate::index::{HnswSettings, Index};
    use crate::search::{Search, search};
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
        (graph.width, graph.scored) = (reached.width, reached.scored);
        let queries = embeddings(100, 96, 30, 2);
        let found = graph.search(&pool, queries.view(), 10, None).unwrap();
        let truth = search(&pool, &matrix.view().into(), queries.view(), &Search::default()).unwrap();
        let right: usize = found.iter().zip(&truth).map(|(a, b)| a.iter().filter(|hit| b.contains(hit)).count()).sum();
        assert!(right >= 900, "{right} of 1000 with {reached:?}");
    }
}
