//! Corpus: parts of rows, in memory or in mapped files, f32 or bf16, some of them dead.

use super::Bits;
use maana_kernels::{Rows, from_bf16};
use std::ops::Range;

/// The values of a part.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// As they are computed with.
    F32(Rows<'a>),
    /// The upper half of each f32, rows without gaps. `(rows, columns)`
    Bf16 {
        /// Values in the order of rows.
        data: &'a [u16],
        /// Columns of a row.
        columns: usize,
    },
}

impl Values<'_> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Values::F32(rows) => rows.rows(),
            Values::Bf16 { data, columns } => data.len() / (*columns).max(1),
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Values::F32(rows) => rows.columns(),
            Values::Bf16 { columns, .. } => *columns,
        }
    }
}

/// Rows that lie together.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The values.
    pub values: Values<'a>,
    /// Rows that are deleted and never found.
    pub dead: Option<&'a Bits>,
}

/// Parts one behind the other; row numbers count through all of them, dead rows too.
#[derive(Clone, Debug)]
pub struct Corpus<'a> {
    parts: Vec<Part<'a>>,
    /// The first row number of each part, and the number of all rows.
    starts: Vec<usize>,
    columns: usize,
}

impl<'a> Corpus<'a> {
    /// Parts of vectors with `columns` dims. There may be none.
    pub fn new(columns: usize, parts: Vec<Part<'a>>) -> Self {
        let mut starts = vec![0];
        for part in &parts {
            let (rows, found) = (part.values.rows(), part.values.columns());
            assert!(found == columns || rows == 0, "a part of {found} columns among {columns}");
            assert!(part.dead.is_none_or(|dead| dead.len() == rows), "a bit for each of {rows} rows");
            starts.push(starts[starts.len() - 1] + rows);
        }
        let rows = starts[parts.len()];
        assert!(u32::try_from(rows).is_ok(), "{rows} rows; a corpus has fewer than 2³²");
        Self { parts, starts, columns }
    }

    /// Number of rows, the dead ones too.
    pub fn rows(&self) -> usize {
        self.starts[self.parts.len()]
    }

    /// Dims of a vector.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows that can be found.
    pub fn live(&self) -> usize {
        self.rows() - self.parts.iter().filter_map(|part| part.dead).map(Bits::count).sum::<usize>()
    }

    /// Returns whether `row` can be found.
    pub fn is_live(&self, row: usize) -> bool {
        let (part, row) = self.place(row);
        self.parts[part].dead.is_none_or(|dead| !dead.contains(row))
    }

    /// The part of a row, and its number there.
    pub fn place(&self, row: usize) -> (usize, usize) {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        let part = self.starts.partition_point(|start| *start <= row) - 1;
        (part, row - self.starts[part])
    }

    /// Calls `f` with the first row number and the values of every block of at most `block` rows in
    /// `range`.
    pub(crate) fn for_blocks(&self, range: Range<usize>, block: usize, mut f: impl FnMut(usize, Rows<'_>)) {
        let mut decoded = Vec::new();
        for (part, start) in self.parts.iter().zip(&self.starts) {
            let end = start + part.values.rows();
            let mut from = range.start.max(*start);
            while from < range.end.min(end) {
                let to = range.end.min(end).min(from + block);
                let local = from - start..to - start;
                match part.values {
                    Values::F32(rows) => f(from, rows.range(local)),
                    Values::Bf16 { data, columns } => {
                        decoded.clear();
                        decoded.extend(data[local.start * columns..local.end * columns].iter().map(|v| from_bf16(*v)));
                        f(from, Rows::new(&decoded, local.len(), columns, columns));
                    }
                }
                from = to;
            }
        }
    }

    /// Copies a row.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        self.for_blocks(row..row + 1, 1, |_, rows| out.copy_from_slice(rows.row(0)));
    }
}

impl<'a> From<Rows<'a>> for Corpus<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Self::new(rows.columns(), vec![Part { values: Values::F32(rows), dead: None }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maana_kernels::to_bf16;

    #[test]
    fn parts_are_counted_through() {
        let a = [1.0f32, 2.0, 3.0, 4.0];
        let b: Vec<u16> = [5.0f32, 6.0].iter().map(|v| to_bf16(*v)).collect();
        let mut dead = Bits::none(2);
        dead.insert(1);
        let parts = vec![
            Part { values: Values::F32(Rows::new(&a, 2, 2, 2)), dead: Some(&dead) },
            Part { values: Values::F32(Rows::new(&a, 0, 2, 2)), dead: None },
            Part { values: Values::Bf16 { data: &b, columns: 2 }, dead: None },
        ];
        let corpus = Corpus::new(2, parts);
        assert_eq!((corpus.rows(), corpus.live(), corpus.columns()), (3, 2, 2));
        assert_eq!((corpus.place(1), corpus.place(2)), ((0, 1), (2, 0)));
        assert!(corpus.is_live(0) && !corpus.is_live(1) && corpus.is_live(2));
        let mut out = [0.0; 2];
        corpus.copy_row(2, &mut out);
        assert_eq!(out, [5.0, 6.0]);
        let mut seen = Vec::new();
        corpus.for_blocks(0..3, 1, |first, rows| seen.push((first, rows.row(0)[0])));
        assert_eq!(seen, [(0, 1.0), (1, 3.0), (2, 5.0)]);
    }
}
