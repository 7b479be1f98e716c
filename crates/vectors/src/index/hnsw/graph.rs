//! A graph and the corpus over which it was built, as one index.

use super::copies::{Copies, CopiesView};
use super::graph_file::GraphFile;
use super::links::{Links, NONE};
use super::walk::{Near, Net, Scratch, give, take};
use crate::error::VectorsError;
use crate::index::Index;
use crate::search::{Best, Codes, Corpus, Filter, Hit, MeasuredOn, Metric, Recall, check_queries, norm};
use maana_kernels::{Context, Rows};
use std::sync::{Arc, Mutex};

/// Settings of building and searching a graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HnswSettings {
    /// Columns that are compared on the walk; `None` for all.
    pub prefix: Option<usize>,
    /// Links of a row, twice as many on the ground.
    pub links: usize,
    /// Rows that are kept in view while building.
    pub build_width: usize,
    /// Rows that are kept in view while searching, k at the least; more find more and take longer.
    pub width: usize,
    /// Rows in view that are scored with the full vectors, for each that is wanted.
    pub scored: usize,
    /// Which rows stand on higher levels.
    pub seed: u64,
}

impl Default for HnswSettings {
    fn default() -> Self {
        Self { prefix: None, links: 16, build_width: 128, width: 96, scored: 4, seed: 0 }
    }
}

/// Recall that a width of the search reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Number of hits.
    pub k: usize,
    /// Rows in view during the search.
    pub width: usize,
    /// Rows in view that are scored with the full vectors, for each hit: the fewest that lose
    /// almost no hit.
    pub scored: usize,
    /// Share of the true k nearest rows that is found.
    pub recall: Recall,
}

/// A graph without its corpus, to be shared by all who search.
pub struct Graph {
    pub(super) metric: Metric,
    pub(super) kept: Kept,
    /// Recall of each width, measured when the graph was built.
    pub(super) reached: Vec<Reached>,
    pub(super) measured_on: Option<MeasuredOn>,
    /// An earlier version built it, which linked copies and measured with unperturbed vectors.
    pub(super) is_old: bool,
    pub(super) scratches: Mutex<Vec<Scratch>>,
}

/// Where the graph is.
pub(super) enum Kept {
    Memory { links: Links, codes: Codes, copies: Copies },
    File(GraphFile),
}

impl Graph {
    /// Which rows are found with a node.
    pub(super) fn copies(&self) -> CopiesView<'_> {
        match &self.kept {
            Kept::Memory { copies, .. } => copies.view(),
            Kept::File(file) => file.copies(),
        }
    }

    pub(super) fn net(&self) -> Net<'_> {
        let (links, codes) = match &self.kept {
            Kept::Memory { links, codes, .. } => (links.view(), codes.view()),
            Kept::File(file) => (file.links(), file.codes()),
        };
        Net { links, codes }
    }

    /// Rows of the corpus.
    pub fn rows(&self) -> usize {
        self.net().links.levels.len()
    }

    /// Columns that are compared on the walk.
    pub fn prefix(&self) -> usize {
        self.net().codes.columns()
    }

    /// Returns the bytes of the graph, without the corpus.
    pub fn bytes(&self) -> usize {
        let Net { links, codes } = self.net();
        let numbers = links.ground.len() + links.higher.len() + links.places.len() + codes.halves.len();
        let copies = self.copies();
        4 * (numbers + copies.places.len() + copies.lists.len()) + codes.data.len() + links.levels.len()
    }

    /// Rows that are not walked to, as their codes equal another's, with which they are found.
    pub fn copied(&self) -> usize {
        self.copies().count()
    }

    /// Returns the recall of each width; empty if it was not measured.
    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// Queries that this was measured on; none where it was not, or by an earlier version.
    pub fn measured_on(&self) -> Option<MeasuredOn> {
        self.measured_on
    }

    /// Returns true for a graph that an earlier version made: it may miss copies, and queries find
    /// less than it says.
    pub fn is_old(&self) -> bool {
        self.is_old
    }
}

/// Which rows are taken from the nodes in view.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    /// Hits that are wanted.
    pub(super) k: usize,
    /// Rows, after which no further node is taken.
    pub(super) most: usize,
    pub(super) filter: Option<Filter<'a>>,
}

/// A corpus with its graph.
pub struct Hnsw<'a> {
    pub(super) corpus: Corpus<'a>,
    pub(super) graph: Arc<Graph>,
    /// See `HnswSettings::width`; may be changed at any time.
    pub width: usize,
    /// See `HnswSettings::scored`; may be changed at any time.
    pub scored: usize,
}

impl<'a> Hnsw<'a> {
    /// A corpus with a graph that was made of it.
    ///
    /// # Panics
    /// If the graph is of another number of rows.
    pub fn over(corpus: Corpus<'a>, graph: Arc<Graph>, settings: &HnswSettings) -> Self {
        assert_eq!(corpus.rows(), graph.rows(), "a graph of the corpus's own rows");
        Self { corpus, graph, width: settings.width, scored: settings.scored }
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The graph, without the corpus.
    ///
    /// # Panics
    /// If others have it too.
    pub fn into_graph(self) -> Graph {
        Arc::into_inner(self.graph).expect("nobody else has the graph")
    }

    /// Rows in view at the end of a walk, by their codes, nearest first: `width` nodes, or those of
    /// them that come before more than `most` rows. Of rows that are equal in full the first `k`
    /// are among them.
    pub(super) fn in_view(&self, query: &[f32], width: usize, reach: Reach<'_>, scratch: &mut Scratch) -> Vec<Near> {
        let (net, copies) = (self.graph.net(), self.graph.copies());
        if net.links.entry == NONE || width == 0 {
            return Vec::new();
        }
        let query = net.codes.query(query);
        let mut here = net.near(&query, net.links.entry);
        for level in (1..=usize::from(net.links.levels[net.links.entry as usize])).rev() {
            here = net.descend(&query, here, level, scratch);
        }
        let Reach { k, most, filter } = reach;
        let may = |row: u32| self.corpus.is_live(row as usize) && filter.is_none_or(|filter| filter(row as usize));
        let nodes = net.walk(&query, &[here], 0, width, scratch, |node| copies.any(node, may));
        let mut found = Vec::with_capacity(nodes.len());
        for Near { score, row: node } in nodes {
            if found.len() >= most {
                break;
            }
            // Whole, as nothing but the full vectors tells its rows apart.
            copies.each(node, k, may, |row| found.push(Near { score, row }));
        }
        found
    }

    fn search_one(&self, query: &[f32], k: usize, filter: Option<Filter<'_>>, scratch: &mut Scratch) -> Vec<Hit> {
        if k == 0 {
            return Vec::new();
        }
        let reach = Reach { k, most: k.saturating_mul(self.scored.max(1)), filter };
        let found = self.in_view(query, self.width.max(k), reach, scratch);
        let mut best = Best::new(k);
        let length = norm(query);
        for near in found {
            let row = near.row as usize;
            self.corpus.for_blocks(row..row + 1, 1, |_, rows| {
                let x = rows.row(0);
                best.offer(self.graph.metric.score_with(query, x, length, norm(x)), near.row);
            });
        }
        best.into_sorted().into_iter().map(|(score, row)| Hit { row: row as usize, score }).collect()
    }
}

impl Index for Hnsw<'_> {
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
        check_queries(&self.corpus, queries, None)?;
        let mut found = vec![Vec::new(); queries.rows()];
        context.for_each_chunk(&mut found, 4, |task, found| {
            let mut scratch = take(&self.graph.scratches);
            for (place, found) in found.iter_mut().enumerate() {
                *found = self.search_one(queries.row(task * 4 + place), k, filter, &mut scratch);
            }
            give(&self.graph.scratches, scratch);
        });
        Ok(found)
    }
}
