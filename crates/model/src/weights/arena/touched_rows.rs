//! The rows of the table of word embeddings that backward passes have added to since the last
//! update. All others have the gradient zero.

use std::ops::Range;

/// Rows of a table that may have a gradient.
#[derive(Clone, Debug)]
pub(super) struct TouchedRows {
    /// The place of the table in the arena.
    pub(super) range: Range<usize>,
    /// Number of elements in a row.
    pub(super) columns: usize,
    touched: Vec<bool>,
    /// The touched rows in the order of their first touch.
    rows: Vec<u32>,
}

impl TouchedRows {
    pub(super) fn new(range: Range<usize>, columns: usize) -> Self {
        let rows = range.len() / columns;
        // With room for all rows, so that no pass allocates.
        Self { range, columns, touched: vec![false; rows], rows: Vec::with_capacity(rows) }
    }

    /// Marks rows.
    pub(super) fn touch(&mut self, rows: impl Iterator<Item = u32>) {
        for row in rows {
            if !std::mem::replace(&mut self.touched[row as usize], true) {
                self.rows.push(row);
            }
        }
    }

    /// Marks the rows of nonzero gradients, whose place in the arena begins at `first`.
    pub(super) fn touch_nonzero(&mut self, first: usize, values: &[f32]) {
        let (start, end) = (first.max(self.range.start), (first + values.len()).min(self.range.end));
        if start >= end {
            return;
        }
        let (table, columns) = (self.range.start, self.columns);
        let nonzero = values[start - first..end - first].iter().enumerate().filter(|(_, value)| **value != 0.0);
        self.touch(nonzero.map(|(index, _)| ((start + index - table) / columns) as u32));
    }

    /// The touched rows in ascending order.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows
    }

    /// The places of rows in the arena.
    pub(super) fn places(&self, rows: &[u32]) -> impl Iterator<Item = Range<usize>> {
        let (start, columns) = (self.range.start, self.columns);
        rows.iter().map(move |row| {
            let start = start + *row as usize * columns;
            start..start + columns
        })
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        for row in self.rows.drain(..) {
            self.touched[row as usize] = false;
        }
    }
}
