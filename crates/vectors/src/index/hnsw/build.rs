//! Builds the graph in batches. The rows of a batch look for their neighbours in the graph
//! before it, side by side, and among each other; then they are linked. A batch is cut by row
//! numbers only, so threads change nothing. Rows whose codes equal those of an earlier row are
//! left out, and found with it.

use super::copies::{Copies, MOST_ROWS};
use super::graph::{Graph, Hnsw, HnswSettings, Kept};
use super::links::{Links, NONE};
use super::walk::{Near, Net, Scratch, give, take};
use crate::error::VectorsError;
use crate::random::Random;
use crate::search::{Codes, CodesQuery, Corpus, Metric, RowQueries};
use maana_kernels::Context;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The most rows of a batch.
const BATCH: usize = 512;
/// The highest level.
const TOP: usize = 24;

impl<'a> Hnsw<'a> {
    /// Builds the graph.
    ///
    /// # Errors
    /// A prefix of 0 or more than all columns, fewer than two links, or more than 2³¹ − 1 rows.
    pub fn build(
        context: &Context,
        corpus: Corpus<'a>,
        metric: Metric,
        settings: &HnswSettings,
    ) -> Result<Self, VectorsError> {
        let prefix = settings.prefix.unwrap_or(corpus.columns());
        if settings.links < 2 {
            return Err(VectorsError::setting("links", "a row needs two links or more; 16 are usual"));
        }
        let codes = Codes::of(context, &corpus, metric, prefix)?;
        if corpus.rows() > MOST_ROWS {
            let message = format!("{} rows; a graph has at most {MOST_ROWS}", corpus.rows());
            return Err(VectorsError::setting("graph", message));
        }
        let (copies, nodes) = Copies::of(context, &corpus, codes.view());
        let queries = RowQueries::new(context, codes.view());
        let mut links = empty(corpus.rows(), &nodes, settings);
        let scratches = Mutex::new(Vec::new());
        let mut start = 0;
        while start < nodes.len() {
            // Small at first: a batch should be small against the graph that it looks into.
            let end = nodes.len().min(start + (start / 16).clamp(1, BATCH));
            grow(context, &queries, &mut links, &nodes[start..end], settings, &scratches);
            start = end;
        }
        let kept = Kept::Memory { links, codes, copies };
        let graph = Graph { metric, kept, reached: Vec::new(), measured_on: None, is_old: false, scratches };
        Ok(Self::over(corpus, Arc::new(graph), settings))
    }
}

/// Nodes with levels and no links.
fn empty(rows: usize, nodes: &[u32], settings: &HnswSettings) -> Links {
    let scale = 1.0 / (settings.links as f64).ln();
    let level = |row: usize| {
        let draw = 1.0 - Random::new(settings.seed ^ (row as u64).wrapping_mul(0xA24B_AED4_963E_E407)).unit();
        ((-draw.ln() * scale) as usize).min(TOP) as u8
    };
    let mut levels = vec![0u8; rows];
    nodes.iter().for_each(|node| levels[*node as usize] = level(*node as usize));
    let mut units = 0;
    let place = |level: &u8| {
        if *level == 0 {
            return NONE;
        }
        units += u32::from(*level);
        units - u32::from(*level)
    };
    let places: Vec<u32> = levels.iter().map(place).collect();
    Links {
        links: settings.links,
        ground: vec![NONE; rows * 2 * settings.links],
        higher: vec![NONE; units as usize * settings.links],
        levels,
        places,
        entry: NONE,
    }
}

fn grow(
    context: &Context,
    queries: &RowQueries<'_>,
    links: &mut Links,
    batch: &[u32],
    settings: &HnswSettings,
    scratches: &Mutex<Vec<Scratch>>,
) {
    // For each row of the batch, the neighbours on each of its levels, the ground first.
    let mut chosen: Vec<Vec<Vec<u32>>> = vec![Vec::new(); batch.len()];
    let net = Net { links: links.view(), codes: queries.codes() };
    context.for_each_chunk(&mut chosen, 4, |task, chosen| {
        let mut scratch = take(scratches);
        for (place, chosen) in chosen.iter_mut().enumerate() {
            *chosen = neighbours(net, queries, &batch[..task * 4 + place + 1], settings, &mut scratch);
        }
        give(scratches, scratch);
    });
    // Links back, gathered by who gets them.
    let mut back: BTreeMap<(u32, usize), Vec<u32>> = BTreeMap::new();
    for (place, levels) in chosen.iter().enumerate() {
        let row = batch[place];
        for (level, neighbours) in levels.iter().enumerate() {
            links.set(row, level, neighbours);
            neighbours.iter().for_each(|other| back.entry((*other, level)).or_default().push(row));
        }
    }
    let mut back: Vec<((u32, usize), Vec<u32>)> = back.into_iter().collect();
    let frozen = links.view();
    context.for_each_chunk(&mut back, 16, |_, back| {
        let mut scratch = take(scratches);
        for ((row, level), new) in back {
            let most = if *level == 0 { 2 * frozen.links } else { frozen.links };
            let mut all = frozen.of(*row, *level).to_vec();
            let known = all.len();
            new.retain(|row| !all[..known].contains(row));
            all.append(new);
            if all.len() > most {
                let mut near = Vec::with_capacity(all.len());
                let Scratch { own, sums, .. } = &mut scratch;
                queries.take(*row, own);
                queries.codes().near(own, &all, sums, |score, row| near.push(Near { score, row }));
                near.sort_unstable_by(|a, b| b.cmp(a));
                // The farthest stays: once a group has more rows than a walk sees, no new row finds
                // another group, and such links of its first rows are the only way there.
                let farthest = near.pop().expect("more links than there is room for").row;
                all = spread(queries, &near, most - 1, &mut scratch);
                all.push(farthest);
            }
            *new = all;
        }
        give(scratches, scratch);
    });
    for ((row, level), new) in back {
        links.set(row, level, &new);
    }
    // The first row of the highest level so far is where walks begin.
    for row in batch {
        if links.entry == NONE || links.levels[*row as usize] > links.levels[links.entry as usize] {
            links.entry = *row;
        }
    }
}

/// The neighbours of a new row, the last of its batch so far, on each of its levels: found in the
/// graph, and among the rows of the batch before it.
fn neighbours(
    net: Net<'_>,
    queries: &RowQueries<'_>,
    batch: &[u32],
    settings: &HnswSettings,
    scratch: &mut Scratch,
) -> Vec<Vec<u32>> {
    let Net { links, codes } = net;
    let (row, before) = batch.split_last().expect("the row itself");
    let mut query = CodesQuery::default();
    queries.take(*row, &mut query);
    let own = usize::from(links.levels[*row as usize]);
    let mut mates = Vec::with_capacity(before.len());
    let first = batch[0] as usize;
    if before.len() == *row as usize - first {
        codes.near_all(&query, first..*row as usize, |score, mate| mates.push(Near { score, row: mate as u32 }));
    } else {
        codes.near(&query, before, &mut scratch.sums, |score, row| mates.push(Near { score, row }));
    }
    let mut levels = vec![Vec::new(); own + 1];
    let mut from: Vec<Near> = Vec::new();
    let mut top = 0;
    if links.entry != NONE {
        top = usize::from(links.levels[links.entry as usize]);
        let mut here = net.near(&query, links.entry);
        for level in (own + 1..=top).rev() {
            here = net.descend(&query, here, level, scratch);
        }
        from.push(here);
    }
    for level in (0..=own).rev() {
        let mut found = Vec::new();
        if level <= top && !from.is_empty() {
            found = net.walk(&query, &from, level, settings.build_width, scratch, |_| true);
            from.clone_from(&found);
        }
        found.extend(mates.iter().filter(|mate| usize::from(links.levels[mate.row as usize]) >= level));
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(settings.build_width);
        levels[level] = spread(queries, &found, settings.links, scratch);
    }
    levels
}

/// Up to `most` of the candidates, nearest first: those that are nearer to the row than to one
/// already taken, so that links lead into all directions; then the nearest of the others, as long
/// as there is room.
fn spread(queries: &RowQueries<'_>, candidates: &[Near], most: usize, scratch: &mut Scratch) -> Vec<u32> {
    let mut taken: Vec<u32> = Vec::with_capacity(most);
    let mut others: Vec<u32> = Vec::new();
    let Scratch { own, sums, .. } = scratch;
    for candidate in candidates {
        if taken.len() == most {
            break;
        }
        let mut leads_elsewhere = true;
        queries.take(candidate.row, own);
        queries.codes().near(own, &taken, sums, |score, _| {
            leads_elsewhere &= score < candidate.score;
        });
        if leads_elsewhere {
            taken.push(candidate.row);
        } else {
            others.push(candidate.row);
        }
    }
    let room = most - taken.len();
    taken.extend(others.into_iter().take(room));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use crate::search::{RecallTarget, Search, search};
    use crate::testing::{embeddings, grid};
    use maana_kernels::Matrix;
    use proptest::prelude::*;

    fn recall(matrix: &Matrix, queries: &Matrix, metric: Metric, settings: &HnswSettings) -> f64 {
        let context = Context::new(2);
        let corpus = Corpus::from(matrix.view());
        let graph = Hnsw::build(&context, corpus.clone(), metric, settings).unwrap();
        let asked = Search { k: 10, metric, ..Search::default() };
        let truth = search(&context, &corpus, queries.view(), &asked).unwrap();
        let found = graph.search(&context, queries.view(), 10, None).unwrap();
        // A row as near as the tenth is as good as the tenth.
        let good = |(found, truth): (&Vec<crate::search::Hit>, &Vec<crate::search::Hit>)| {
            let last = truth[truth.len() - 1].score;
            found.iter().filter(|hit| hit.score >= last).count() as f64 / truth.len() as f64
        };
        found.iter().zip(&truth).map(good).sum::<f64>() / found.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Nearly all of the true neighbours, whatever the rows: in groups, without any, or many of
        /// them equal.
        #[test]
        fn finds_nearly_all(rows in 20usize..900, dims in 4usize..40, groups in 1usize..30, seed in 0u64..1000, equal in any::<bool>()) {
            let matrix = if equal {
                Matrix::from_vec(rows, dims, grid(rows * dims, seed))
            } else {
                embeddings(rows, dims, groups, seed)
            };
            let queries = embeddings(25, dims, groups, seed + 77);
            for metric in [Metric::Cosine, Metric::Euclidean] {
                let found = recall(&matrix, &queries, metric, &HnswSettings::default());
                prop_assert!(found >= 0.9, "{found} by {metric:?}");
            }
        }
    }

    /// Two or three groups far apart, each with more rows than a walk sees.
    #[test]
    fn walks_lead_from_one_group_to_another() {
        for (rows, dims, groups, seed) in [(685, 23, 2, 962), (804, 26, 2, 990), (692, 31, 2, 331), (895, 32, 3, 148)] {
            let (matrix, queries) = (embeddings(rows, dims, groups, seed), embeddings(25, dims, groups, seed + 77));
            for metric in [Metric::Cosine, Metric::Euclidean] {
                let found = recall(&matrix, &queries, metric, &HnswSettings::default());
                assert!(found >= 0.95, "{rows} rows: {found} by {metric:?}");
            }
        }
    }

    #[test]
    fn the_same_graph_for_any_threads_and_every_row_is_reached() {
        let matrix = embeddings(2000, 24, 9, 3);
        let build = |threads| {
            let settings = HnswSettings { prefix: Some(16), ..HnswSettings::default() };
            let built = Hnsw::build(&Context::new(threads), matrix.view().into(), Metric::Cosine, &settings).unwrap();
            match &built.graph.kept {
                Kept::Memory { links, .. } => links.clone(),
                Kept::File(_) => unreachable!("it was built in memory"),
            }
        };
        let built = build(1);
        assert_eq!(built, build(3));
        let links = built.view();
        let mut reached = vec![false; 2000];
        let mut open = vec![links.entry];
        while let Some(row) = open.pop() {
            if !std::mem::replace(&mut reached[row as usize], true) {
                open.extend(links.of(row, 0));
            }
        }
        assert!(reached.iter().filter(|reached| **reached).count() > 1990);
        for row in 0..2000u32 {
            for level in 0..=usize::from(links.levels[row as usize]) {
                let of = links.of(row, level);
                assert!(of.iter().all(|other| usize::from(links.levels[*other as usize]) >= level && *other != row));
                let mut sorted = of.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), of.len());
            }
        }
    }

    /// Rows of which many are copies: of one text, of a few texts, or all of each other.
    fn with_copies(rows: usize, dims: usize, of: &[(std::ops::Range<usize>, usize)], seed: u64) -> Matrix {
        let mut matrix = embeddings(rows, dims, 9, seed);
        for (range, from) in of {
            let copied = matrix.row(*from).to_vec();
            range.clone().for_each(|row| matrix.row_mut(row).copy_from_slice(&copied));
        }
        matrix
    }

    #[test]
    fn no_copy_is_lost() {
        let context = Context::new(2);
        let cases = [
            (34, vec![(0..34, 0)], vec![34]),
            (4000, vec![(500..3500, 3)], vec![1, 10, 100, 1000, 3001]),
            (900, (0..9).map(|text| (text * 100..text * 100 + 100, text)).collect(), vec![10, 100, 130]),
        ];
        for (rows, copied, ks) in cases {
            let matrix = with_copies(rows, 24, &copied, 3);
            let corpus = Corpus::from(matrix.view());
            for metric in [Metric::Cosine, Metric::Euclidean] {
                let settings = HnswSettings { prefix: Some(16), ..HnswSettings::default() };
                let graph = Hnsw::build(&context, corpus.clone(), metric, &settings).unwrap();
                assert!(graph.graph().copied() > rows / 2);
                let queries = matrix.view().range(0..rows.min(12));
                for k in &ks {
                    let settings = Search { k: *k, metric, ..Search::default() };
                    let truth = search(&context, &corpus, queries, &settings).unwrap();
                    let found = graph.search(&context, queries, *k, None).unwrap();
                    for (found, truth) in found.iter().zip(&truth) {
                        let copies = truth.iter().filter(|hit| hit.score == truth[0].score).count();
                        assert_eq!(found.len(), truth.len(), "{rows} rows, k {k}");
                        assert_eq!(found[..copies], truth[..copies], "{rows} rows, k {k}");
                    }
                }
                // Where the first of them may not be found, others are.
                let filter = |row: usize| row % 50 == 7;
                let settings = Search { k: 5, metric, filter: Some(&filter), ..Search::default() };
                let truth = search(&context, &corpus, queries, &settings).unwrap();
                let found = graph.search(&context, queries, 5, Some(&filter)).unwrap();
                assert!(found.iter().zip(&truth).all(|(found, truth)| found[0] == truth[0]));
            }
        }
    }

    #[test]
    fn a_measure_of_copies_is_part_of_the_recall() {
        let context = Context::new(2);
        let matrix = with_copies(2000, 24, &[(100..140, 3), (300..340, 4)], 3);
        let mut graph = Hnsw::build(&context, matrix.view().into(), Metric::Cosine, &HnswSettings::default()).unwrap();
        graph.measure(&context, &RecallTarget::default()).unwrap();
        let whole = graph.graph().width_for(10, 0.99).expect("copies are found");
        // With the copies of a node forgotten, what is measured says so.
        let inner = Arc::get_mut(&mut graph.graph).unwrap();
        let Kept::Memory { copies, .. } = &mut inner.kept else { unreachable!("it was built in memory") };
        copies.lists.iter_mut().for_each(|row| *row = if *row == 41 { 41 } else { 3 });
        graph.measure(&context, &RecallTarget::default()).unwrap();
        assert!(graph.graph().reached_for(10).all(|reached| reached.recall.mean < whole.recall.mean - 0.3));
    }

    #[test]
    fn a_prefix_is_enough_with_the_full_vectors_at_the_end() {
        let matrix = embeddings(3000, 64, 20, 5);
        let queries = embeddings(50, 64, 20, 5);
        let short = HnswSettings { prefix: Some(32), width: 200, ..HnswSettings::default() };
        let found = recall(&matrix, &queries, Metric::Cosine, &short);
        assert!(found > 0.9, "{found}");
    }

    #[test]
    fn wrong_settings_are_refused() {
        let matrix = embeddings(5, 4, 1, 1);
        let build =
            |settings| Hnsw::build(&Context::new(1), matrix.view().into(), Metric::Cosine, &settings).map(|_| ());
        assert!(build(HnswSettings { prefix: Some(5), ..HnswSettings::default() }).is_err());
        assert!(build(HnswSettings { prefix: Some(0), ..HnswSettings::default() }).is_err());
        assert!(build(HnswSettings { links: 1, ..HnswSettings::default() }).is_err());
    }
}
