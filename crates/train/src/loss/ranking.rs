//! Losses of a matrix of scaled similarities between rows and candidates.
//!
//! Over several dimensions the matrices are prefix sums of blocks of one product: `a_i·c_j` over
//! the first 128 columns is the sum over the first 64 and the next 64. Backward runs from the
//! largest dimension to the smallest.

use super::cosine::{SHORTEST, dot};
use super::objective::{Embedded, rows_of};
use super::similarity::LossSimilarity;
use libm::{exp, log};
use maana_kernels::{Context, Matrix, Precision, Rows};

/// Texts that a ranking loss compares, as columns of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Rows are the first column, candidates all others.
    Documents,
    /// Rows are the first two columns, candidates all columns.
    Everything,
}

/// A loss of the matrix of scaled similarities, (rows, candidates).
pub(super) trait RankingLoss {
    fn scale(&self) -> f64;

    fn similarity(&self) -> LossSimilarity {
        LossSimilarity::Cosine
    }

    fn layout(&self) -> Layout {
        Layout::Documents
    }

    /// Returns `weight` × the loss of the scores, and adds `weight` × their gradient to `d_scores`.
    fn of_scores(&self, scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64;

    /// Computes the loss of complete embeddings.
    fn whole(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let dims = [(embedded.columns[0].columns(), 1.0)];
        self.over(self.similarity(), context, embedded, &dims, weight, d_columns)
    }

    /// Computes the loss over `dims`, (dimension, weight) in descending order, of truncated and
    /// normalised embeddings, whose dot products are cosines.
    fn ranked(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        self.over(LossSimilarity::Cosine, context, embedded, dims, weight, d_columns)
    }

    /// Computes the loss over `dims` with a similarity.
    fn over(
        &self,
        similarity: LossSimilarity,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        rows_of(embedded, d_columns);
        let (row_columns, first_candidate) = match self.layout() {
            Layout::Documents => (1, 1),
            Layout::Everything => (2, 0),
        };
        let anchors = stacked(&embedded.columns[..row_columns]);
        let (anchors, rows) = (anchors.view(), anchors.rows());
        let candidates = stacked(&embedded.columns[first_candidate..]);
        let mut d_anchors = Matrix::zeros(rows, anchors.columns());
        let mut d_candidates = Matrix::zeros(candidates.rows(), candidates.columns());
        let mut products = Matrix::zeros(rows, candidates.rows());
        let (mut squares_a, mut squares_c) = (vec![0.0; rows], vec![0.0; candidates.rows()]);
        let mut value = 0.0;
        let mut ends = Vec::with_capacity(dims.len());
        for &(dim, dim_weight) in dims.iter().rev() {
            let start = ends.last().map_or(0, |end: &PrefixEnd| end.dim);
            let (block_a, block_c) = (block(anchors, start, dim), block(candidates.view(), start, dim));
            maana_kernels::matmul_transposed(context, block_a, block_c, products.data_mut(), true);
            let (inverse_a, inverse_c) =
                (similarity.inverse_norms(block_a, &mut squares_a), similarity.inverse_norms(block_c, &mut squares_c));
            let weight = f64::from(weight) * f64::from(dim_weight);
            let (loss, end) = self.prefix(similarity, dim, &products, &inverse_a, &inverse_c, weight);
            value += loss;
            ends.push(end);
        }
        let mut sum = PrefixEnd::nothing(rows, candidates.rows());
        while let Some(end) = ends.pop() {
            let start = ends.last().map_or(0, |smaller| smaller.dim);
            sum.add(&end);
            let (block_a, block_c) = (block(anchors, start, end.dim), block(candidates.view(), start, end.dim));
            let mut d_block = Matrix::zeros(rows, end.dim - start);
            maana_kernels::matmul(context, Precision::F32, sum.d_products.view(), block_c, d_block.data_mut(), false);
            add_block(&mut d_anchors, start, d_block.view(), block_a, &sum.along_a);
            let mut d_block = Matrix::zeros(candidates.rows(), end.dim - start);
            maana_kernels::matmul_weight_gradient(
                context,
                Precision::F32,
                sum.d_products.view(),
                block_a,
                d_block.data_mut(),
            );
            add_block(&mut d_candidates, start, d_block.view(), block_c, &sum.along_c);
        }
        add_stacked(&mut d_columns[..row_columns], &d_anchors);
        add_stacked(&mut d_columns[first_candidate..], &d_candidates);
        value as f32
    }

    /// Computes the loss at one dimension and its gradients, given the products and inverse norms
    /// over its columns.
    fn prefix(
        &self,
        similarity: LossSimilarity,
        dim: usize,
        products: &Matrix,
        inverse_a: &[f64],
        inverse_c: &[f64],
        weight: f64,
    ) -> (f64, PrefixEnd) {
        let mut scores = Matrix::zeros(inverse_a.len(), inverse_c.len());
        for (row, inverse_a) in inverse_a.iter().enumerate() {
            for ((score, product), inverse_c) in scores.row_mut(row).iter_mut().zip(products.row(row)).zip(inverse_c) {
                *score = (self.scale() * f64::from(*product) * inverse_a * inverse_c) as f32;
            }
        }
        let mut end = PrefixEnd::nothing(inverse_a.len(), inverse_c.len());
        end.dim = dim;
        let loss = self.of_scores(&scores, weight, &mut end.d_products);
        for (row, inverse_a) in inverse_a.iter().enumerate() {
            let d_products = end.d_products.row_mut(row);
            for (column, (d, inverse_c)) in d_products.iter_mut().zip(inverse_c).enumerate() {
                if similarity == LossSimilarity::Cosine {
                    let along = f64::from(*d) * f64::from(scores.row(row)[column]);
                    end.along_a[row] += along * inverse_a * inverse_a;
                    end.along_c[column] += along * inverse_c * inverse_c;
                }
                *d = (f64::from(*d) * self.scale() * inverse_a * inverse_c) as f32;
            }
        }
        (loss, end)
    }
}

/// Gradients at the end of a prefix for all columns before it.
pub(super) struct PrefixEnd {
    dim: usize,
    /// Gradient of the products `a_i·c_j`. `(rows, candidates)`
    d_products: Matrix,
    /// Factor of each row's text in its own gradient, from its norm. `(rows)`
    along_a: Vec<f64>,
    /// The same for each candidate. `(candidates)`
    along_c: Vec<f64>,
}

impl PrefixEnd {
    fn nothing(rows: usize, candidates: usize) -> Self {
        let d_products = Matrix::zeros(rows, candidates);
        Self { dim: 0, d_products, along_a: vec![0.0; rows], along_c: vec![0.0; candidates] }
    }

    fn add(&mut self, other: &Self) {
        for (sum, d) in self.d_products.data_mut().iter_mut().zip(other.d_products.data()) {
            *sum += d;
        }
        for (sum, along) in self.along_a.iter_mut().zip(&other.along_a) {
            *sum += along;
        }
        for (sum, along) in self.along_c.iter_mut().zip(&other.along_c) {
            *sum += along;
        }
    }
}

/// Returns the softmax cross entropy, `weight` × `mean_i (logsumexp_j S_ij − S_ii)`, and adds its
/// gradient to `d_scores`.
pub(super) fn cross_entropy(scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
    let weight = weight / scores.rows() as f64;
    let mut sum = 0.0;
    for row in 0..scores.rows() {
        let scores = scores.row(row);
        let greatest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let total: f64 = scores.iter().map(|&score| exp(f64::from(score) - greatest)).sum();
        sum += greatest + log(total) - f64::from(scores[row]);
        for (column, (d, &score)) in d_scores.row_mut(row).iter_mut().zip(scores).enumerate() {
            let target = if column == row { 1.0 } else { 0.0 };
            *d += (weight * (exp(f64::from(score) - greatest) / total - target)) as f32;
        }
    }
    weight * sum
}

/// Adds the gradient of stacked columns to that of each.
fn add_stacked(d_columns: &mut [Matrix], d_stacked: &Matrix) {
    let parts = d_stacked.data().chunks_exact(d_columns[0].data().len());
    for (d_column, part) in d_columns.iter_mut().zip(parts) {
        for (d, part) in d_column.data_mut().iter_mut().zip(part) {
            *d += part;
        }
    }
}

/// Concatenates the rows of all columns.
pub(super) fn stacked(columns: &[Rows<'_>]) -> Matrix {
    let rows = columns.iter().map(|column| column.rows()).sum();
    let mut stacked = Matrix::zeros(rows, columns[0].columns());
    let texts = columns.iter().flat_map(|column| (0..column.rows()).map(|row| column.row(row)));
    for (row, text) in texts.enumerate() {
        stacked.row_mut(row).copy_from_slice(text);
    }
    stacked
}

/// Returns columns `start..end` of the rows.
fn block(rows: Rows<'_>, start: usize, end: usize) -> Rows<'_> {
    Rows::new(&rows.data()[start..], rows.rows(), end - start, rows.stride())
}

impl LossSimilarity {
    /// Adds the squares of a further block to `squares` and returns 1 ÷ the norms up to its end,
    /// with norms of at least 1e-12; for the dot product 1.
    fn inverse_norms(self, block: Rows<'_>, squares: &mut [f64]) -> Vec<f64> {
        let norms = squares.iter_mut().enumerate().map(|(row, squares)| {
            *squares += dot(block.row(row), block.row(row));
            1.0 / squares.sqrt().max(SHORTEST)
        });
        match self {
            Self::Cosine => norms.collect(),
            Self::Dot => vec![1.0; squares.len()],
        }
    }
}

/// Adds `d_block` − `along` × `block` to the columns of `d` from `start` on.
fn add_block(d: &mut Matrix, start: usize, d_block: Rows<'_>, block: Rows<'_>, along: &[f64]) {
    for (row, along) in along.iter().enumerate() {
        let d = &mut d.row_mut(row)[start..start + block.columns()];
        for ((d, d_block), x) in d.iter_mut().zip(d_block.row(row)).zip(block.row(row)) {
            *d += (f64::from(*d_block) - along * f64::from(*x)) as f32;
        }
    }
}
