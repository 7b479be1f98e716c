//! The graph: HNSW (Malkov & Yashunin 2018) over a prefix of the rows, re-normalised with `Cosine`. A query walks from
//! neighbour to neighbour towards what is nearest, and what it finds is scored with the full vectors. Built for a seed,
//! the same for any number of threads.

mod build;
mod file;
mod measure;

pub use measure::{Reached, prefix_for};

use super::Index;
use crate::error::VectorsError;
use crate::search::{Best, Corpus, Filter, Hit, Metric, check_queries, norm};
use maana_kernels::{Matrix, Pool, Rows, dot, squared_distance};
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
    /// Which rows stand on higher levels.
    pub seed: u64,
}

impl Default for HnswSettings {
    fn default() -> Self {
        Self { prefix: None, links: 16, build_width: 128, width: 96, seed: 0 }
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

    /// The rows that a row is linked to. Whatever a file says, they are rows: a walk never leaves the graph.
    pub(super) fn of(self, row: u32, level: usize) -> &'a [u32] {
        let links = if level == 0 { self.ground } else { self.higher };
        let links = links.get(self.range(row, level)).unwrap_or_default();
        let rows = self.levels.len();
        &links[..links.iter().position(|link| *link as usize >= rows).unwrap_or(links.len())]
    }
}

/// A row and how near it is; what is nearer is greater, of equal ones the lower row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub(super) score: f32,
    pub(super) row: u32,
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

/// The prefixes that are compared on the walk, ready to be compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefixes<'a> {
    pub(super) metric: Metric,
    /// `(rows, prefix)`
    pub(super) rows: Rows<'a>,
}

impl Prefixes<'_> {
    /// The first columns of all rows, of length 1 for `Cosine`.
    pub(super) fn gather(pool: &Pool, corpus: &Corpus<'_>, metric: Metric, prefix: usize) -> Matrix {
        const BLOCK: usize = 512;
        let mut rows = Matrix::zeros(corpus.rows(), prefix);
        let count = corpus.rows();
        pool.for_each_chunk(rows.data_mut(), BLOCK * prefix, |task, out| {
            let start = task * BLOCK;
            corpus.for_blocks(start..count.min(start + BLOCK), BLOCK, |first, rows| {
                for row in 0..rows.rows() {
                    let place = (first + row - start) * prefix;
                    let x = &rows.row(row)[..prefix];
                    let length = if metric == Metric::Cosine { norm(x) } else { 1.0 };
                    out[place..place + prefix].iter_mut().zip(x).for_each(|(out, x)| *out = x / length);
                }
            });
        });
        rows
    }

    /// How near a prefix is to a row. Of `Cosine` both have length 1, so that the product says it.
    pub(super) fn near(self, query: &[f32], row: u32) -> Near {
        let x = self.rows.row(row as usize);
        let score = match self.metric {
            Metric::Cosine | Metric::Dot => dot(query, x),
            // The order of the distance, without its root.
            Metric::Euclidean => -squared_distance(query, x),
            Metric::Manhattan => self.metric.score(query, x),
        };
        Near { score, row }
    }
}

/// What a walk marks and holds, kept from walk to walk.
#[derive(Default)]
pub(super) struct Scratch {
    /// The walk in which a row was last seen.
    seen: Vec<u32>,
    walk: u32,
    open: BinaryHeap<Near>,
}

impl Scratch {
    fn begin(&mut self, rows: usize) {
        self.open.clear();
        if self.seen.len() != rows || self.walk == u32::MAX {
            self.seen.clear();
            self.seen.resize(rows, 0);
            self.walk = 0;
        }
        self.walk += 1;
    }

    fn first_visit(&mut self, row: u32) -> bool {
        std::mem::replace(&mut self.seen[row as usize], self.walk) != self.walk
    }
}

/// Links, and what they are walked by.
#[derive(Clone, Copy)]
pub(super) struct Net<'a> {
    pub(super) links: LinksView<'a>,
    pub(super) prefixes: Prefixes<'a>,
}

impl Net<'_> {
    /// The nearest row that going from neighbour to nearer neighbour leads to.
    pub(super) fn descend(self, query: &[f32], from: Near, level: usize) -> Near {
        let mut here = from;
        loop {
            let nearest = self.links.of(here.row, level).iter().map(|row| self.prefixes.near(query, *row)).max();
            match nearest {
                Some(nearest) if nearest > here => here = nearest,
                _ => return here,
            }
        }
    }

    /// Up to `width` of the nearest rows on a level that `may` be found, nearest first. Others are walked through.
    pub(super) fn walk(
        self,
        query: &[f32],
        from: &[Near],
        level: usize,
        width: usize,
        scratch: &mut Scratch,
        may: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        scratch.begin(self.links.levels.len());
        let mut found: BinaryHeap<Reverse<Near>> = BinaryHeap::with_capacity(width + 1);
        let visit = |near: Near, found: &mut BinaryHeap<Reverse<Near>>, open: &mut BinaryHeap<Near>| {
            let full = found.len() >= width;
            if full && found.peek().is_some_and(|worst| near < worst.0) {
                return;
            }
            open.push(near);
            if may(near.row) {
                found.push(Reverse(near));
                if full {
                    found.pop();
                }
            }
        };
        for near in from {
            if scratch.first_visit(near.row) {
                visit(*near, &mut found, &mut scratch.open);
            }
        }
        while let Some(here) = scratch.open.pop() {
            if found.len() >= width && found.peek().is_some_and(|worst| here < worst.0) {
                break;
            }
            for row in self.links.of(here.row, level) {
                if scratch.first_visit(*row) {
                    visit(self.prefixes.near(query, *row), &mut found, &mut scratch.open);
                }
            }
        }
        let mut found: Vec<Near> = found.into_iter().map(|Reverse(near)| near).collect();
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
    scratches: Mutex<Vec<Scratch>>,
}

/// Where the graph is.
enum Kept {
    Memory { links: Links, rows: Matrix },
    File(file::GraphFile),
}

impl Graph {
    fn net(&self) -> Net<'_> {
        let (links, rows) = match &self.kept {
            Kept::Memory { links, rows } => (links.view(), rows.view()),
            Kept::File(file) => (file.links(), file.prefixes()),
        };
        Net { links, prefixes: Prefixes { metric: self.metric, rows } }
    }

    /// Rows of the corpus.
    pub fn rows(&self) -> usize {
        self.net().links.levels.len()
    }

    /// Columns that are compared on the walk.
    pub fn prefix(&self) -> usize {
        self.net().prefixes.rows.columns()
    }

    /// Bytes that the graph takes beside the corpus.
    pub fn bytes(&self) -> usize {
        let Net { links, prefixes } = self.net();
        let numbers = links.ground.len() + links.higher.len() + links.places.len();
        4 * (numbers + prefixes.rows.rows() * prefixes.rows.columns()) + links.levels.len()
    }

    /// How much of the truth is found with which width; empty where that was not measured.
    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }
}

/// A corpus with its graph.
pub struct Hnsw<'a> {
    corpus: Corpus<'a>,
    graph: Arc<Graph>,
    /// See `HnswSettings::width`; may be changed at any time.
    pub width: usize,
}

impl<'a> Hnsw<'a> {
    /// A corpus with a graph that was made of it.
    ///
    /// # Panics
    /// If the graph is of another number of rows.
    pub fn over(corpus: Corpus<'a>, graph: Arc<Graph>, width: usize) -> Self {
        assert_eq!(corpus.rows(), graph.rows(), "a graph of the corpus's own rows");
        Self { corpus, graph, width }
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

    fn search_one(&self, query: &[f32], k: usize, filter: Option<Filter<'_>>, scratch: &mut Scratch) -> Vec<Hit> {
        let net = self.graph.net();
        let Net { links, prefixes } = net;
        if links.entry == NONE || k == 0 {
            return Vec::new();
        }
        let metric = prefixes.metric;
        let mut prefix = query[..prefixes.rows.columns()].to_vec();
        if metric == Metric::Cosine {
            let length = norm(&prefix);
            prefix.iter_mut().for_each(|value| *value /= length);
        }
        let mut here = prefixes.near(&prefix, links.entry);
        for level in (1..=usize::from(links.levels[links.entry as usize])).rev() {
            here = net.descend(&prefix, here, level);
        }
        let may = |row: u32| self.corpus.is_live(row as usize) && filter.is_none_or(|filter| filter(row as usize));
        let width = self.width.max(k);
        let found = net.walk(&prefix, &[here], 0, width, scratch, may);
        let mut best = Best::new(k);
        let length = norm(query);
        for near in found {
            let row = near.row as usize;
            self.corpus.for_blocks(row..row + 1, 1, |_, rows| {
                let x = rows.row(0);
                best.offer(metric.score_with(query, x, length, norm(x)), near.row);
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
        pool: &Pool,
        queries: Rows<'_>,
        k: usize,
        filter: Option<Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        check_queries(&self.corpus, queries, None)?;
        let mut found = vec![Vec::new(); queries.rows()];
        pool.for_each_chunk(&mut found, 4, |task, found| {
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
