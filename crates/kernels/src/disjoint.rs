//! Slices and matrices whose disjoint parts are written by several threads.

use std::marker::PhantomData;
use std::ops::Range;

/// An exclusively borrowed slice that hands out parts from several threads.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out parts of a slice of `Send` values, each to one thread, as `slice` and
// `block` require.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), length: data.len(), borrow: PhantomData }
    }

    /// Returns a part of the slice.
    ///
    /// # Safety
    /// No overlapping part is in use.
    ///
    /// # Panics
    /// If the part does not lie within the slice.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts do not overlap")]
    #[inline]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        // SAFETY: the part lies within a slice that is borrowed for 'a, and the caller promises
        // that no other reference to it is in use.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// Returns a block of the row-major matrix with rows of `stride` elements that the slice holds.
    ///
    /// # Safety
    /// No overlapping part is in use.
    ///
    /// # Panics
    /// If the block does not lie within the matrix.
    #[inline]
    pub(crate) unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>, stride: usize) -> Block<'a, T> {
        assert!(columns.start <= columns.end && columns.end <= stride, "columns {columns:?} of {stride}");
        assert!(rows.start <= rows.end && rows.end * stride <= self.length, "rows {rows:?} of {}", self.length);
        // Within the slice or at its end: a block with elements begins before the end of its last
        // row.
        let start = (rows.start * stride + columns.start).min(self.length);
        // SAFETY: the start lies within the slice or at its end.
        let start = unsafe { self.start.add(start) };
        Block { start, rows: rows.len(), columns: columns.len(), stride, borrow: PhantomData }
    }
}

/// An exclusively borrowed block of a row-major matrix, whose other columns may be in use
/// elsewhere.
pub(crate) struct Block<'a, T> {
    start: *mut T,
    rows: usize,
    columns: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

impl<'a, T> Block<'a, T> {
    /// Borrows a slice as a matrix of rows with `stride` elements.
    ///
    /// # Panics
    /// If the slice is not a multiple of `stride`.
    pub(crate) fn new(data: &'a mut [T], stride: usize) -> Self {
        assert!(stride > 0 && data.len().is_multiple_of(stride), "{} elements in rows of {stride}", data.len());
        let rows = data.len() / stride;
        Self { start: data.as_mut_ptr(), rows, columns: stride, stride, borrow: PhantomData }
    }

    /// Number of rows.
    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from a row to the next.
    #[inline]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// First element. `rows` rows of `columns` elements, `stride` apart, can be read and written.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.start
    }

    /// Row `index` for writing.
    #[inline]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [T] {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        // SAFETY: a row of the block, which is borrowed exclusively through `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(index * self.stride), self.columns) }
    }

    /// Rows and columns of the block as a block.
    #[inline]
    pub(crate) fn part(&mut self, rows: Range<usize>, columns: Range<usize>) -> Block<'_, T> {
        assert!(rows.start < rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        assert!(columns.start < columns.end && columns.end <= self.columns, "columns {columns:?} of {}", self.columns);
        // SAFETY: an element of the block.
        let start = unsafe { self.start.add(rows.start * self.stride + columns.start) };
        Block { start, rows: rows.len(), columns: columns.len(), stride: self.stride, borrow: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_parts_of_the_matrix() {
        let mut data: Vec<usize> = (0..20).collect();
        {
            let disjoint = Disjoint::new(&mut data);
            // SAFETY: the blocks have no common columns.
            let (mut left, mut right) = unsafe { (disjoint.block(1..4, 0..2, 5), disjoint.block(0..4, 2..5, 5)) };
            assert_eq!((left.rows(), left.columns(), left.stride()), (3, 2, 5));
            assert_eq!((left.row_mut(0), right.row_mut(3)), (&mut [5, 6][..], &mut [17, 18, 19][..]));
            right.part(1..3, 1..2).row_mut(1)[0] = 99;
            left.row_mut(2).fill(77);
        }
        assert_eq!((data[13], &data[15..17]), (99, &[77, 77][..]));
    }

    #[test]
    #[should_panic(expected = "2..5 of 4")]
    fn slices_beyond_the_end_panic() {
        // SAFETY: no other part is in use.
        unsafe { Disjoint::new(&mut [0; 4]).slice(2..5) };
    }

    #[test]
    #[should_panic(expected = "rows 1..3 of 8")]
    fn blocks_beyond_the_end_panic() {
        // SAFETY: no other part is in use.
        unsafe { Disjoint::new(&mut [0; 8]).block(1..3, 0..2, 4) };
    }

    #[test]
    #[should_panic(expected = "columns 1..4 of 3")]
    fn parts_beyond_a_block_panic() {
        Block::new(&mut [0; 6], 3).part(0..1, 1..4);
    }
}
