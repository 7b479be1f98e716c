//! Row-major matrices of f32: owned ([`Matrix`]) and borrowed with a stride ([`Rows`]). A prefix of
//! the columns, as Matryoshka embeddings need it, shares the memory.

use std::ops::Range;

/// An owned row-major matrix without gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// Creates a matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, data: vec![0.0; rows * columns] }
    }

    /// Creates a matrix from values in row-major order.
    ///
    /// # Panics
    /// If the number of values differs from the shape.
    pub fn from_vec(rows: usize, columns: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), rows * columns, "{} values for ({rows}, {columns})", data.len());
        Self { rows, columns, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values in row-major order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values in row-major order, for writing.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.columns..(index + 1) * self.columns]
    }

    /// Row `index` for writing.
    pub fn row_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[index * self.columns..(index + 1) * self.columns]
    }

    /// Borrows the matrix.
    pub fn view(&self) -> Rows<'_> {
        Rows::new(&self.data, self.rows, self.columns, self.columns)
    }

    /// Returns all values in row-major order.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// Changes the shape and keeps the allocation. The contents are unspecified afterwards.
    pub fn resize(&mut self, rows: usize, columns: usize) {
        self.data.resize(rows * columns, 0.0);
        (self.rows, self.columns) = (rows, columns);
    }
}

/// A borrowed row-major matrix whose rows are `stride` values apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Borrows `data` from its start.
    ///
    /// # Panics
    /// If `data` is too short, or rows overlap.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride || rows <= 1, "{columns} columns in a stride of {stride}");
        let needed = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
        assert!(data.len() >= needed, "{} values for ({rows}, {columns}) with stride {stride}", data.len());
        Self { data, rows, columns, stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Values from a row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The memory from the first row on.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        &self.data[index * self.stride..index * self.stride + self.columns]
    }

    /// Returns the first `dimension` columns, in the same memory.
    pub fn prefix(&self, dimension: usize) -> Rows<'a> {
        assert!(dimension <= self.columns, "{dimension} of {} columns", self.columns);
        Rows { columns: dimension, ..*self }
    }

    /// Returns some of the rows, in the same memory.
    pub fn range(&self, range: Range<usize>) -> Rows<'a> {
        assert!(range.end <= self.rows && range.start <= range.end, "rows {range:?} of {}", self.rows);
        let start = (range.start * self.stride).min(self.data.len());
        Rows { data: &self.data[start..], rows: range.len(), ..*self }
    }

    /// Copies the rows without gaps.
    pub fn to_matrix(&self) -> Matrix {
        let data = (0..self.rows).flat_map(|index| self.row(index).iter().copied()).collect();
        Matrix::from_vec(self.rows, self.columns, data)
    }
}

impl<'a> From<&'a Matrix> for Rows<'a> {
    fn from(matrix: &'a Matrix) -> Self {
        matrix.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_ranges_share_memory() {
        let matrix = Matrix::from_vec(3, 4, (0..12).map(|value| value as f32).collect());
        let rows = matrix.view().prefix(2).range(1..3);
        assert_eq!((rows.rows(), rows.columns(), rows.stride()), (2, 2, 4));
        assert_eq!(rows.row(1), [8.0, 9.0]);
        assert_eq!(rows.to_matrix(), Matrix::from_vec(2, 2, vec![4.0, 5.0, 8.0, 9.0]));
        assert_eq!(matrix.view().range(3..3).rows(), 0);
        assert!(std::ptr::eq(rows.row(0).as_ptr(), &matrix.data()[4]));
    }

    #[test]
    #[should_panic(expected = "11 values for (3, 4)")]
    fn a_wrong_number_of_values_panics_with_the_shape() {
        Matrix::from_vec(3, 4, vec![0.0; 11]);
    }
}
