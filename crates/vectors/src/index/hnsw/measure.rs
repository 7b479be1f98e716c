//! Recall of a graph: chooses the prefix to build it with and the width to search it with.

use super::graph::{Graph, Hnsw, Reach, Reached};
use super::walk::{give, take};
use crate::error::VectorsError;
use crate::search::{Corpus, Hit, Metric, Places, Plane, PlanePrecision, Recall, RecallTarget, Sample};
use maana_kernels::{Context, Rows};
use std::sync::Arc;

/// Numbers of hits that are measured.
const HITS: [usize; 2] = [10, 100];
/// Copies that are searched for in addition to the sample, which rarely contains any.
const COPIES: usize = 20;
/// Widths that are measured; the first that finds all but one in a thousand is the last.
const WIDTHS: [usize; 13] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// Loss of recall that scoring fewer rows in view may cost.
const MISSED: f64 = 0.0005;

/// The prefix whose codes are cheapest to walk by, of powers of two from 64: the one of which a
/// search for `target.recall` reads the fewest bytes. A short one is quickly compared, and many
/// rows must be in view before the truly nearest are among them.
///
/// # Errors
/// Values that are not finite.
pub fn prefix_for(
    context: &Context,
    corpus: &Corpus<'_>,
    metric: Metric,
    target: &RecallTarget<'_>,
) -> Result<usize, VectorsError> {
    let dims = corpus.columns();
    let Some(sample) = Sample::draw(context, corpus, metric, target)? else { return Ok(dims) };
    // The walk misses some of what the codes would find.
    let needed = (1.0 + target.recall) / 2.0;
    let shorter = std::iter::successors(Some(64), |prefix| Some(2 * prefix)).take_while(|prefix| *prefix < dims);
    let mut cheapest = (usize::MAX, dims);
    for prefix in shorter.chain([dims]) {
        let plane = Plane::build(context, corpus, metric, prefix, PlanePrecision::Int8)?;
        let places = sample.places(&plane.scan(context, corpus, sample.queries.view(), LONGEST + 1, None)?);
        let Some(scored) = (target.k..=LONGEST).find(|scored| places.recall(*scored).mean >= needed) else { continue };
        // A row that is looked at costs its codes and a wait; one that is scored, lies apart.
        let cost = (scored + USUAL_VIEW) * LOOKED_AT * (prefix + 128) + scored * 8 * dims;
        cheapest = cheapest.min((cost, prefix));
    }
    Ok(cheapest.1)
}

/// Rows to be scored, at most, for a prefix to be worth its walk.
const LONGEST: usize = 256;
/// Rows in view without a score, and rows that are visited for each row in view.
const USUAL_VIEW: usize = 64;
const LOOKED_AT: usize = 12;

impl Hnsw<'_> {
    /// Measures what different widths find of 10 and of 100 neighbours, and keeps it with the
    /// graph: the least of what queries find and what copies find.
    ///
    /// # Errors
    /// Values that are not finite.
    ///
    /// # Panics
    /// If the graph is shared already.
    pub fn measure(&mut self, context: &Context, target: &RecallTarget<'_>) -> Result<(), VectorsError> {
        let metric = self.graph.metric;
        let mut reached: Vec<Reached> = Vec::new();
        // What finds the most hits is measured by the same walks as what finds the fewest.
        let most = HITS.into_iter().rfind(|k| self.corpus.live() > k + 1).unwrap_or(HITS[0]);
        let target = RecallTarget { k: most, ..*target };
        let sample = Sample::draw(context, &self.corpus, metric, &target)?;
        let copied = self.graph.copies().sample(COPIES);
        let copies = Sample::of_rows(context, &self.corpus, metric, &target, &copied)?;
        let mut open: Vec<usize> = HITS.into_iter().filter(|k| *k <= most && sample.is_some()).collect();
        for width in WIDTHS {
            let samples = [&sample, &copies].into_iter().flatten();
            let view = |sample: &Sample| sample.places(&self.views(context, sample.queries.view(), most, width));
            let places: Vec<Places> = if open.is_empty() { break } else { samples.map(view).collect() };
            open.retain(|k| {
                // A query may find the row that it was made of besides.
                if width <= *k {
                    return true;
                }
                let places: Vec<Places> = places.iter().map(|places| places.nearest(*k)).collect();
                let all = places[0].recall(width).mean;
                let enough = |scored: &usize| places[0].recall(scored * k).mean >= all - MISSED;
                let scored = (1..width / k).find(enough).unwrap_or(width.div_ceil(*k));
                let mut recall = places[0].recall(scored * k);
                if let Some(copies) = places.get(1).map(|places| places.recall(scored * k).mean) {
                    // Too few for a confidence bound, so that the mean is used.
                    recall = recall.and(Recall { mean: copies, at_least: copies });
                }
                reached.push(Reached { k: *k, width, scored, recall });
                recall.mean < 0.999
            });
        }
        reached.sort_by_key(|reached| reached.k);
        let measured_on = sample.map(|sample| sample.on);
        let graph = Arc::get_mut(&mut self.graph).expect("nobody else has the graph while it is measured");
        (graph.reached, graph.measured_on) = (reached, measured_on);
        Ok(())
    }

    /// For each query the rows in view, nearest by their codes first.
    fn views(&self, context: &Context, queries: Rows<'_>, k: usize, width: usize) -> Vec<Vec<Hit>> {
        let mut views = vec![Vec::new(); queries.rows()];
        context.for_each_chunk(&mut views, 1, |query, view| {
            let mut scratch = take(&self.graph.scratches);
            // One more, as a query may find the row that it was made of.
            let reach = Reach { k: k + 1, most: usize::MAX, filter: None };
            let found = self.in_view(queries.row(query), width, reach, &mut scratch);
            view[0] = found.into_iter().map(|near| Hit { row: near.row as usize, score: near.score }).collect();
            give(&self.graph.scratches, scratch);
        });
        views
    }
}

impl Graph {
    /// Returns the recall of each width for k hits, measured for k or more; for more than 100, that
    /// of 100.
    pub fn reached_for(&self, k: usize) -> impl Iterator<Item = Reached> {
        let measured = HITS.into_iter().find(|hits| *hits >= k).unwrap_or(HITS[HITS.len() - 1]);
        self.reached.iter().copied().filter(move |reached| reached.k == measured)
    }

    /// The least width that surely finds this share of the k nearest.
    pub fn width_for(&self, k: usize, recall: f64) -> Option<Reached> {
        self.reached_for(k).find(|reached| reached.recall.at_least >= recall)
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
        let context = Context::new(2);
        let matrix = embeddings(3000, 96, 30, 2);
        let corpus = Corpus::from(matrix.view());
        let target = RecallTarget { recall: 0.95, ..RecallTarget::default() };
        let prefix = prefix_for(&context, &corpus, Metric::Cosine, &target).unwrap();
        assert!([64, 96].contains(&prefix), "{prefix}");
        let settings = HnswSettings { prefix: Some(prefix), ..HnswSettings::default() };
        let mut graph = Hnsw::build(&context, corpus, Metric::Cosine, &settings).unwrap();
        assert_eq!(graph.graph().width_for(10, 0.5), None);
        graph.measure(&context, &target).unwrap();
        let reached = graph.graph().width_for(10, 0.95).expect("some width finds nearly all");
        let all: Vec<Reached> = graph.graph().reached_for(10).collect();
        assert!(all.windows(2).all(|pair| pair[0].recall.mean <= pair[1].recall.mean + 0.01));
        assert_eq!(graph.graph().measured_on().unwrap().perturbed, 200);
        assert!(graph.graph().reached_for(11).all(|reached| reached.k == 100));
        (graph.width, graph.scored) = (reached.width, reached.scored);
        let queries = embeddings(100, 96, 30, 2);
        let found = graph.search(&context, queries.view(), 10, None).unwrap();
        let truth = search(&context, &matrix.view().into(), queries.view(), &Search::default()).unwrap();
        let right: usize = found.iter().zip(&truth).map(|(a, b)| a.iter().filter(|hit| b.contains(hit)).count()).sum();
        assert!(right >= 950, "{right} of 1000 with {reached:?}");
    }
}
