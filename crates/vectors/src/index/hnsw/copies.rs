//! Rows with equal codes. A graph that links each of them loses most: their nearest neighbours are
//! each other, so that few links lead to them and none leads on. They are one node, named by the
//! first row, and found together.

use super::links::NONE;
use crate::search::{CodesView, Corpus};
use maana_kernels::Context;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Marks the first of the rows of a list that are equal in their full vectors.
const FIRST: u32 = 1 << 31;
/// The most rows of a graph: their numbers leave room for the mark.
pub(super) const MOST_ROWS: usize = FIRST as usize - 1;
/// Rows of a task.
const BLOCK: usize = 512;

/// Which rows are found with a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Copies {
    /// The place of a row's list in `lists`; `NONE` for a row without copies. Empty where no row
    /// has any.
    pub(super) places: Vec<u32>,
    /// A list after the other: its length, then rows. Rows of equal vectors follow each other,
    /// ascending, the first marked.
    pub(super) lists: Vec<u32>,
}

/// Copies in memory or on the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CopiesView<'a> {
    pub(super) places: &'a [u32],
    pub(super) lists: &'a [u32],
}

impl Copies {
    /// Finds the copies among rows, and the nodes that remain: the first row of each code.
    pub(super) fn of(context: &Context, corpus: &Corpus<'_>, codes: CodesView<'_>) -> (Self, Vec<u32>) {
        let (rows, columns) = (corpus.rows(), codes.columns());
        let code = |row: u32| &codes.data[row as usize * columns..][..columns];
        let mut hashed = vec![(0u64, 0u32); rows];
        context.for_each_chunk(&mut hashed, BLOCK, |task, hashed| {
            for (row, hashed) in (task * BLOCK..).zip(hashed) {
                *hashed = (xxh3_64(bytemuck::cast_slice(code(row as u32))), row as u32);
            }
        });
        hashed.sort_unstable();
        let mut is_node = vec![true; rows];
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for alike in hashed.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            // Other codes of the same hash, however rare, are other nodes.
            let mut lists: Vec<Vec<u32>> = Vec::new();
            for (_, row) in alike {
                match lists.iter_mut().find(|list| code(list[0]) == code(*row)) {
                    Some(list) => list.push(*row),
                    None => lists.push(vec![*row]),
                }
            }
            groups.extend(lists.into_iter().filter(|list| list.len() > 1));
        }
        groups.sort_unstable_by_key(|group| group[0]);
        let mut copies = Self::default();
        if !groups.is_empty() {
            copies.places = vec![NONE; rows];
        }
        for group in groups {
            group[1..].iter().for_each(|row| is_node[*row as usize] = false);
            copies.places[group[0] as usize] = copies.lists.len() as u32;
            copies.lists.push(group.len() as u32);
            copies.lists.extend(by_vector(corpus, &group));
        }
        let nodes = (0..rows as u32).filter(|row| is_node[*row as usize]).collect();
        (copies, nodes)
    }

    pub(super) fn view(&self) -> CopiesView<'_> {
        CopiesView { places: &self.places, lists: &self.lists }
    }
}

/// The rows of a group, those of equal vectors together, each first of them marked.
fn by_vector(corpus: &Corpus<'_>, group: &[u32]) -> Vec<u32> {
    let mut vector = vec![0.0; corpus.columns()];
    let mut first_of = std::collections::HashMap::new();
    let mut keyed: Vec<(u32, u32)> = Vec::with_capacity(group.len());
    for row in group {
        corpus.copy_row(*row as usize, &mut vector);
        let mut hasher = Xxh3::new();
        // Zeros of both signs are one value.
        vector.iter().for_each(|value| hasher.update(&(value + 0.0).to_le_bytes()));
        keyed.push((*first_of.entry(hasher.digest128()).or_insert(*row), *row));
    }
    keyed.sort_unstable();
    keyed.into_iter().map(|(first, row)| if first == row { row | FIRST } else { row }).collect()
}

impl<'a> CopiesView<'a> {
    /// The list of a node, empty where it is one row. Whatever a file says, it lies inside.
    fn list(self, node: u32) -> &'a [u32] {
        let start = self.places.get(node as usize).map_or(usize::MAX, |place| *place as usize);
        let Some(length) = self.lists.get(start) else { return &[] };
        self.lists.get(start + 1..).and_then(|rest| rest.get(..*length as usize)).unwrap_or_default()
    }

    /// Checks that all that a file says is inside of the graph.
    pub(super) fn check(self, rows: usize) -> Result<(), String> {
        if !self.places.is_empty() && self.places.len() != rows {
            return Err(format!("places of copies of {} rows, not of {rows}", self.places.len()));
        }
        for node in 0..self.places.len() as u32 {
            if self.places[node as usize] == NONE {
                continue;
            }
            let list = self.list(node);
            if list.is_empty() || list.iter().any(|row| (row & !FIRST) as usize >= rows) {
                return Err(format!("the copies of row {node} are outside of the graph"));
            }
        }
        Ok(())
    }

    /// Returns true if a row of the node `may` be found.
    pub(super) fn any(self, node: u32, may: impl Fn(u32) -> bool) -> bool {
        match self.list(node) {
            [] => may(node),
            list => list.iter().any(|row| may(row & !FIRST)),
        }
    }

    /// Calls `each` with the rows of a node that `may` be found; of those with equal vectors, whose
    /// scores are equal, with the first `most`.
    pub(super) fn each(self, node: u32, most: usize, may: impl Fn(u32) -> bool, mut each: impl FnMut(u32)) {
        let list = self.list(node);
        if list.is_empty() {
            if may(node) {
                each(node);
            }
            return;
        }
        let mut of_vector = 0;
        for word in list {
            let row = word & !FIRST;
            if word & FIRST != 0 {
                of_vector = 0;
            }
            if of_vector < most && may(row) {
                of_vector += 1;
                each(row);
            }
        }
    }

    /// Rows that are found with another.
    pub(super) fn count(self) -> usize {
        let lists = self.places.iter().filter(|place| **place != NONE).count();
        self.lists.len().saturating_sub(2 * lists)
    }

    /// Some of the rows that have copies, from all over the graph.
    pub(super) fn sample(self, count: usize) -> Vec<usize> {
        let nodes: Vec<usize> = (0..self.places.len()).filter(|row| self.places[*row] != NONE).collect();
        let step = nodes.len().div_ceil(count.max(1)).max(1);
        nodes.into_iter().step_by(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Codes, Metric};
    use maana_kernels::Matrix;

    #[test]
    fn rows_of_equal_codes_are_one_list_with_equal_vectors_together() {
        // Rows 0, 2 and 5 differ by less than a code tells; 0 and 5 are equal.
        let data = [0.5, 1.0, -1.0, 0.0, 0.5001, 1.0, 1.0, -1.0, -1.0, -0.0, 0.5, 1.0];
        let matrix = Matrix::from_vec(6, 2, data.to_vec());
        let corpus = Corpus::from(matrix.view());
        let codes = Codes::of(&Context::new(1), &corpus, Metric::Dot, 2).unwrap();
        let (copies, nodes) = Copies::of(&Context::new(1), &corpus, codes.view());
        assert_eq!(nodes, [0, 1, 3]);
        assert_eq!(copies.lists, [3, FIRST, 5, 2 | FIRST, 2, 1 | FIRST, 4]);
        let found = |node, most, none: u32| {
            let mut found = Vec::new();
            copies.view().each(node, most, |row| row != none, |row| found.push(row));
            found
        };
        assert_eq!(found(0, 9, 99), [0, 5, 2]);
        assert_eq!(found(0, 1, 99), [0, 2]);
        assert_eq!(found(0, 1, 0), [5, 2]);
        assert_eq!((found(3, 1, 99), found(3, 1, 3)), (vec![3], vec![]));
        assert!(copies.view().any(1, |row| row == 4) && !copies.view().any(3, |row| row == 4));
        assert_eq!((copies.view().count(), copies.view().sample(9)), (3, vec![0, 1]));
    }
}
