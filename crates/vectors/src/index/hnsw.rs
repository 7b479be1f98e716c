//! The graph: HNSW (Malkov & Yashunin 2018) over codes of a prefix of the rows, re-normalised with `Cosine`. A query walks
//! from neighbour to neighbour towards what is nearest, and the best of what it finds are scored with the full vectors. Rows of
//! equal codes are one node of the graph. Built for a seed, the same for any number of threads.

mod build;
mod copies;
mod file;
mod measure;

pub use measure::{Reached, prefix_for};

use super::Index;
use crate::error::VectorsError;
use crate::search::{Best, Codes, CodesQuery, CodesView, Corpus, Filter, Hit, MeasuredOn, Metric, check_queries, norm};
use copies::{Copies, CopiesView};
use maana_kernels::{Context, Rows, prefetch};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};

/// How a graph is built and searched.
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

/// No link.
pub(super) const NONE: u32 = u32::MAX;

/// Links between rows while they are made, on the ground and on higher levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) links: usize,
    /// The highest level of each row.
    pub(super) levels: Vec<u8>,
    /// `(rows, 2 · links)`, filled up with `NONE`.
    pub(super) ground: Vec<u32>,
    /// Where the higher links of a row begin in `higher`, in units of `links`; `NONE` for a row of the ground.
    pub(super) places: Vec<u32>,
    /// `(…, links)`: of each row with higher levels, level 1 first.
    pub(super) higher: Vec<u32>,
    /// Where every walk begins; `NONE` of no rows.
    pub(super) entry: u32,
}

impl Links {
    pub(super) fn view(&self) -> LinksView<'_> {
        LinksView {
            links: self.links,
            levels: &self.levels,
            ground: &self.ground,
            places: &self.places,
            higher: &self.higher,
            entry: self.entry,
        }
    }

    pub(super) fn set(&mut self, row: u32, level: usize, new: &[u32]) {
        let range = self.view().range(row, level);
        let links = if level == 0 { &mut self.ground[range] } else { &mut self.higher[range] };
        links.fill(NONE);
        links[..new.len()].copy_from_slice(new);
    }
}

/// Links as they are followed, in memory or on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinksView<'a> {
    pub(super) links: usize,
    pub(super) levels: &'a [u8],
    pub(super) ground: &'a [u32],
    pub(super) places: &'a [u32],
    pub(super) higher: &'a [u32],
    pub(super) entry: u32,
}

impl<'a> LinksView<'a> {
    /// The places of a row's links on a level.
    fn range(self, row: u32, level: usize) -> std::ops::Range<usize> {
        let start = match level {
            0 => row as usize * 2 * self.links,
            _ => (self.places[row as usize] as usize + level - 1) * self.links,
        };
        start..start + if level == 0 { 2 * self.links } else { self.links }
    }

    /// Checks that the links are those of a graph: the higher links of the rows lie one behind the other, walks begin on the
    /// highest level, and every link leads to a row of its level, with no gaps between them.
    pub(super) fn check(self) -> Result<(), &'static str> {
        let mut units = 0;
        for (level, place) in self.levels.iter().zip(self.places) {
            let expected = if *level == 0 { NONE } else { units };
            if *place != expected {
                return Err("the places of higher links do not fit the levels");
            }
            units += u32::from(*level);
        }
        if Some(self.higher.len()) != (units as usize).checked_mul(self.links) {
            return Err("there are more or fewer higher links than the levels say");
        }
        let highest = self.levels.iter().max().copied().unwrap_or(0);
        if self.levels.get(self.entry as usize).is_some_and(|level| *level != highest) {
            return Err("its walks do not begin on the highest level");
        }
        let rows = self.levels.len() as u32;
        if !self.ground.chunks(2 * self.links.max(1)).all(|links| are_rows(links, rows)) {
            return Err("a link leads to no row");
        }
        for (level, place) in self.levels.iter().zip(self.places).filter(|(level, _)| **level > 0) {
            for on in 1..=usize::from(*level) {
                let start = (*place as usize + on - 1) * self.links;
                let links = &self.higher[start..start + self.links];
                let is_on_level =
                    |link: &u32| self.levels.get(*link as usize).is_some_and(|level| usize::from(*level) >= on);
                if !are_rows(links, rows) || !links.iter().take_while(|link| **link != NONE).all(is_on_level) {
                    return Err("a link leads to no row of its level");
                }
            }
        }
        Ok(())
    }

    /// Where the links of a row are, to be fetched.
    fn places_of(self, row: u32, level: usize) -> &'a [u32] {
        let links = if level == 0 { self.ground } else { self.higher };
        links.get(self.range(row, level)).unwrap_or_default()
    }

    /// The rows that a row is linked to. Whatever a file says, they are rows: a walk never leaves the graph.
    pub(super) fn of(self, row: u32, level: usize) -> &'a [u32] {
        let (links, rows) = (self.places_of(row, level), self.levels.len());
        &links[..links.iter().position(|link| *link as usize >= rows).unwrap_or(links.len())]
    }
}

/// Returns whether links are rows, then nothing. Without branches, so that it runs at the speed of memory.
fn are_rows(links: &[u32], rows: u32) -> bool {
    let (mut wrong, mut ended) = (false, false);
    for link in links {
        let none = *link == NONE;
        wrong |= !none & (ended | (*link >= rows));
        ended |= none;
    }
    !wrong
}

/// A row and how near it is; what is nearer is greater, of equal ones the lower row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    pub(super) score: f32,
    pub(super) row: u32,
}

/// Equal in the order below, in which NaN equals itself: a walk that seeks what is greater always ends.
impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a walk marks and holds, kept from walk to walk.
#[derive(Default)]
pub(super) struct Scratch {
    /// A bit for each row that was seen on this walk.
    seen: Vec<u64>,
    /// The words of `seen` that are not 0.
    marked: Vec<u32>,
    open: BinaryHeap<Near>,
    /// Rows that are seen for the first time, and their sums.
    fresh: Vec<u32>,
    sums: Vec<i32>,
    /// A row that is the query, while the graph is built.
    own: CodesQuery,
}

impl Scratch {
    fn begin(&mut self, rows: usize) {
        self.open.clear();
        self.marked.drain(..).for_each(|word| self.seen[word as usize] = 0);
        self.seen.resize(rows.div_ceil(64), 0);
    }

    fn first_visit(&mut self, row: u32) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        let seen = &mut self.seen[word as usize];
        if *seen & bit != 0 {
            return false;
        }
        if *seen == 0 {
            self.marked.push(word);
        }
        *seen |= bit;
        true
    }
}

/// The nearest rows of a walk so far.
struct View {
    width: usize,
    found: BinaryHeap<Reverse<Near>>,
}

impl View {
    /// Whether a row is further than all in a full view.
    fn is_beyond(&self, near: Near) -> bool {
        self.found.len() >= self.width && self.found.peek().is_some_and(|worst| near < worst.0)
    }

    fn push(&mut self, near: Near) {
        self.found.push(Reverse(near));
        if self.found.len() > self.width {
            self.found.pop();
        }
    }
}

/// Links, and what they are walked by.
#[derive(Clone, Copy)]
pub(super) struct Net<'a> {
    pub(super) links: LinksView<'a>,
    pub(super) codes: CodesView<'a>,
}

impl Net<'_> {
    /// How near one row is.
    pub(super) fn near(self, query: &CodesQuery, row: u32) -> Near {
        let mut near = Near { score: 0.0, row };
        self.codes.near(query, &[row], &mut Vec::new(), |score, _| near.score = score);
        near
    }

    /// The nearest row that going from neighbour to nearer neighbour leads to.
    pub(super) fn descend(self, query: &CodesQuery, from: Near, level: usize, scratch: &mut Scratch) -> Near {
        let mut here = from;
        loop {
            let mut nearest = here;
            let links = self.links.of(here.row, level);
            self.codes.near(query, links, &mut scratch.sums, |score, row| nearest = nearest.max(Near { score, row }));
            if nearest == here {
                return here;
            }
            here = nearest;
        }
    }

    /// Up to `width` of the nearest rows on a level that `may` be found, nearest first. Others are walked through.
    pub(super) fn walk(
        self,
        query: &CodesQuery,
        from: &[Near],
        level: usize,
        width: usize,
        scratch: &mut Scratch,
        may: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        scratch.begin(self.links.levels.len());
        let mut view = View { width, found: BinaryHeap::with_capacity(width + 1) };
        let visit = |near: Near, open: &mut BinaryHeap<Near>, view: &mut View| {
            if !view.is_beyond(near) {
                open.push(near);
                if may(near.row) {
                    view.push(near);
                }
            }
        };
        for near in from {
            if scratch.first_visit(near.row) {
                visit(*near, &mut scratch.open, &mut view);
            }
        }
        while let Some(here) = scratch.open.pop() {
            if view.is_beyond(here) {
                break;
            }
            // Most often the next to be looked at.
            if let Some(next) = scratch.open.peek() {
                prefetch(self.links.places_of(next.row, level));
            }
            scratch.fresh.clear();
            for row in self.links.of(here.row, level) {
                if scratch.first_visit(*row) {
                    scratch.fresh.push(*row);
                }
            }
            let Scratch { open, fresh, sums, .. } = scratch;
            self.codes.near(query, fresh, sums, |score, row| visit(Near { score, row }, open, &mut view));
        }
        let mut found: Vec<Near> = view.found.into_iter().map(|Reverse(near)| near).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }
}

/// A graph without its corpus, to be shared by all who search.
pub struct Graph {
    metric: Metric,
    kept: Kept,
    /// How much of the truth is found with which width, as measured when the graph was made.
    reached: Vec<Reached>,
    measured_on: Option<MeasuredOn>,
    /// Whether an earlier version made it, which linked copies and measured by unperturbed vectors.
    is_old: bool,
    scratches: Mutex<Vec<Scratch>>,
}

/// Where the graph is.
enum Kept {
    Memory { links: Links, codes: Codes, copies: Copies },
    File(file::GraphFile),
}

impl Graph {
    /// Which rows are found with a node.
    fn copies(&self) -> CopiesView<'_> {
        match &self.kept {
            Kept::Memory { copies, .. } => copies.view(),
            Kept::File(file) => file.copies(),
        }
    }

    fn net(&self) -> Net<'_> {
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

    /// Bytes that the graph takes beside the corpus.
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

    /// How much of the truth is found with which width; empty where that was not measured.
    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// Queries that this was measured on; none where it was not, or by an earlier version.
    pub fn measured_on(&self) -> Option<MeasuredOn> {
        self.measured_on
    }

    /// Returns true for a graph that an earlier version made: it may miss copies, and queries find less than it says.
    pub fn is_old(&self) -> bool {
        self.is_old
    }
}

/// Which rows are taken from the nodes in view.
#[derive(Clone, Copy)]
struct Reach<'a> {
    /// Hits that are wanted.
    k: usize,
    /// Rows, after which no further node is taken.
    most: usize,
    filter: Option<Filter<'a>>,
}

/// A corpus with its graph.
pub struct Hnsw<'a> {
    corpus: Corpus<'a>,
    graph: Arc<Graph>,
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

    /// Rows in view at the end of a walk, by their codes, nearest first: `width` nodes, or those of them that come before more
    /// than `most` rows. Of rows that are equal in full the first `k` are among them.
    fn in_view(&self, query: &[f32], width: usize, reach: Reach<'_>, scratch: &mut Scratch) -> Vec<Near> {
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

pub(super) fn take(scratches: &Mutex<Vec<Scratch>>) -> Scratch {
    scratches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop().unwrap_or_default()
}

pub(super) fn give(scratches: &Mutex<Vec<Scratch>>, scratch: Scratch) {
    scratches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(scratch);
}
