//! Walks along the links by codes.

use super::links::LinksView;
use crate::search::{CodesQuery, CodesView};
use maana_kernels::prefetch;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Mutex;

/// A row and how near it is; what is nearer is greater, of equal ones the lower row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    pub(super) score: f32,
    pub(super) row: u32,
}

/// Equal in the order below, in which NaN equals itself: a walk that seeks what is greater always
/// ends.
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

/// Scratch memory of a walk, reused by the next one.
#[derive(Default)]
pub(super) struct Scratch {
    /// A bit for each row that was seen on this walk.
    seen: Vec<u64>,
    /// The words of `seen` that are not 0.
    marked: Vec<u32>,
    open: BinaryHeap<Near>,
    /// Rows that are seen for the first time, and their sums.
    fresh: Vec<u32>,
    pub(super) sums: Vec<i32>,
    /// A row that is the query, while the graph is built.
    pub(super) own: CodesQuery,
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
    /// Returns whether the view is full and a row is further than all in it.
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
    /// Returns the nearness of one row.
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

    /// Up to `width` of the nearest rows on a level that `may` be found, nearest first. Others are
    /// walked through.
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

pub(super) fn take(scratches: &Mutex<Vec<Scratch>>) -> Scratch {
    scratches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop().unwrap_or_default()
}

pub(super) fn give(scratches: &Mutex<Vec<Scratch>>, scratch: Scratch) {
    scratches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(scratch);
}
