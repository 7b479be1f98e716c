//! Principal components, for maps: the few directions in which rows vary most. The covariance by
//! one product, its first eigenvectors by subspace iteration in f64 from a start that is always the
//! same.

use crate::error::{VectorsError, check_finite};
use crate::random::Random;
use maana_kernels::{Context, Matrix, Precision, Rows, matmul_weight_gradient};

/// Directions and what lies along them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// The mean row.
    pub mean: Vec<f32>,
    /// Directions of length 1, that of the greatest variance first; the largest value of each is
    /// positive. `(components, columns)`
    pub directions: Matrix,
    /// The variance along each.
    pub variances: Vec<f64>,
    /// The variance of all columns together.
    pub total_variance: f64,
}

impl Pca {
    /// Where rows lie along the directions. `(rows, components)`
    pub fn project(&self, rows: Rows<'_>) -> Matrix {
        let components = self.directions.rows();
        let mut out = Matrix::zeros(rows.rows(), components);
        for row in 0..rows.rows() {
            for component in 0..components {
                let direction = self.directions.row(component);
                let products = rows.row(row).iter().zip(&self.mean).zip(direction);
                let sum: f64 = products.map(|((x, mean), d)| (f64::from(*x) - f64::from(*mean)) * f64::from(*d)).sum();
                out.row_mut(row)[component] = sum as f32;
            }
        }
        out
    }
}

/// The first `components` directions.
///
/// # Errors
/// Fewer than two rows, more components than columns, or values that are not finite.
pub fn pca(context: &Context, rows: Rows<'_>, components: usize) -> Result<Pca, VectorsError> {
    check_finite(rows)?;
    let (n, columns) = (rows.rows(), rows.columns());
    if n < 2 {
        return Err(VectorsError::TooFew { needed: 2, found: n });
    }
    if components == 0 || components > columns {
        return Err(VectorsError::setting("components", format!("from 1 to {columns} columns")));
    }
    let Scatter { mean, products: mut covariance } = Scatter::of(context, rows);
    covariance.iter_mut().for_each(|value| *value /= (n - 1) as f64);
    let total_variance = (0..columns).map(|column| covariance[column * columns + column]).sum();
    let (vectors, variances) = first_eigenvectors(&covariance, columns, components);
    let mut directions = Matrix::zeros(components, columns);
    for (component, vector) in vectors.iter().enumerate() {
        let largest =
            vector.iter().fold(0.0f64, |largest, value| if value.abs() > largest.abs() { *value } else { largest });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        directions.row_mut(component).iter_mut().zip(vector).for_each(|(d, value)| *d = (sign * value) as f32);
    }
    Ok(Pca { mean, directions, variances, total_variance })
}

/// The mean of rows, and the sums over the rows of the products of their distances from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// The mean row; zero without rows.
    pub mean: Vec<f32>,
    /// The covariance × its degrees of freedom, `(columns, columns)`.
    pub products: Vec<f64>,
}

impl Scatter {
    /// Computes the scatter, the same bits for any number of threads.
    pub fn of(context: &Context, rows: Rows<'_>) -> Self {
        let (n, columns) = (rows.rows(), rows.columns());
        let mut sums = vec![0f64; columns];
        for row in 0..n {
            sums.iter_mut().zip(rows.row(row)).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / n.max(1) as f64) as f32).collect();
        let mut products = vec![0f64; columns * columns];
        let mut product = vec![0f32; columns * columns];
        for start in (0..n).step_by(1024) {
            let block = centred(rows.range(start..n.min(start + 1024)), &mean);
            product.fill(0.0);
            matmul_weight_gradient(context, Precision::F32, block.view(), block.view(), &mut product);
            products.iter_mut().zip(&product).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Self { mean, products }
    }
}

/// Returns the distances of rows from a mean.
pub fn centred(rows: Rows<'_>, mean: &[f32]) -> Matrix {
    let mut centred = rows.to_matrix();
    for row in 0..centred.rows() {
        centred.row_mut(row).iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
    }
    centred
}

/// Subspace iteration with a few vectors to spare, then the eigenvectors within the subspace.
fn first_eigenvectors(matrix: &[f64], size: usize, count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let width = (count + 8).min(size);
    let mut random = Random::new(1);
    let mut basis: Vec<Vec<f64>> = (0..width).map(|_| (0..size).map(|_| random.unit() - 0.5).collect()).collect();
    orthonormalise(&mut basis);
    let mut before = vec![0.0; count];
    for _ in 0..500 {
        let mut next: Vec<Vec<f64>> = basis.iter().map(|vector| times(matrix, vector)).collect();
        // Within the subspace, the eigenvectors: they turn slowly where variances are close, and
        // the values settle first.
        let small: Vec<f64> = basis.iter().flat_map(|a| next.iter().map(|b| dot(a, b))).collect();
        let (turn, values) = jacobi(small, width);
        next = turn.iter().map(|weights| combine(&next, weights)).collect();
        orthonormalise(&mut next);
        basis = next;
        let settled = values.iter().zip(&before).all(|(now, before)| (now - before).abs() <= 1e-13 * values[0].abs());
        before = values[..count].to_vec();
        if settled {
            break;
        }
    }
    basis.truncate(count);
    (basis, before.into_iter().map(|value| value.max(0.0)).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}

fn combine(vectors: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; vectors[0].len()];
    for (vector, weight) in vectors.iter().zip(weights) {
        out.iter_mut().zip(vector).for_each(|(out, value)| *out += weight * value);
    }
    out
}

/// Gram and Schmidt, twice; a vector that vanishes is replaced by an axis.
fn orthonormalise(basis: &mut [Vec<f64>]) {
    for number in 0..basis.len() {
        let (done, rest) = basis.split_at_mut(number);
        let vector = &mut rest[0];
        let size = vector.len();
        for attempt in 0..=size {
            let before = dot(vector, vector).sqrt();
            for _ in 0..2 {
                for other in done.iter() {
                    let along = dot(other, vector);
                    vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
                }
            }
            let length = dot(vector, vector).sqrt();
            if length > 1e-10 * before && length > 0.0 {
                vector.iter_mut().for_each(|value| *value /= length);
                break;
            }
            vector.fill(0.0);
            vector[(number + attempt) % size] = 1.0;
        }
    }
}

/// Eigenvectors (as rows) and values of a small symmetric matrix, the greatest first, by Jacobi's
/// rotations.
fn jacobi(mut a: Vec<f64>, size: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|i| (0..size).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        let off: f64 = (0..size * size).filter(|i| i / size != i % size).map(|i| a[i] * a[i]).sum();
        let on: f64 = (0..size).map(|i| a[i * size + i] * a[i * size + i]).sum();
        if off <= 1e-30 * on {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                let both = (a[p * size + q] + a[q * size + p]) / 2.0;
                if both == 0.0 {
                    continue;
                }
                let theta = (a[q * size + q] - a[p * size + p]) / (2.0 * both);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for i in 0..size {
                    let (x, y) = (a[i * size + p], a[i * size + q]);
                    (a[i * size + p], a[i * size + q]) = (c * x - s * y, s * x + c * y);
                }
                for i in 0..size {
                    let (x, y) = (a[p * size + i], a[q * size + i]);
                    (a[p * size + i], a[q * size + i]) = (c * x - s * y, s * x + c * y);
                    let (x, y) = (vectors[p][i], vectors[q][i]);
                    (vectors[p][i], vectors[q][i]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|i, j| a[j * size + j].total_cmp(&a[i * size + i]));
    (order.iter().map(|i| vectors[*i].clone()).collect(), order.iter().map(|i| a[i * size + i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, embeddings};

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        let found = pca(&Context::new(2), blobs.view(), 2).unwrap();
        let variances: Vec<f64> = golden.get("/pca/variance");
        assert!(found.variances.iter().zip(&variances).all(|(ours, theirs)| (ours - theirs).abs() < 1e-5 * theirs));
        let projected = found.project(blobs.view());
        let expected = golden.matrix("/pca/projected");
        for (ours, theirs) in projected.data().iter().zip(expected.data()) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} is not {theirs}");
        }
    }

    #[test]
    fn directions_are_apart_and_take_the_variance() {
        let matrix = embeddings(3000, 50, 7, 2);
        let found = pca(&Context::new(1), matrix.view(), 5).unwrap();
        assert_eq!(found, pca(&Context::new(3), matrix.view(), 5).unwrap());
        for a in 0..5 {
            for b in 0..5 {
                let product = maana_kernels::dot(found.directions.row(a), found.directions.row(b));
                assert!((product - f32::from(u8::from(a == b))).abs() < 1e-5);
            }
        }
        let projected = found.project(matrix.view());
        for component in 0..5 {
            let values = || (0..3000).map(|row| f64::from(projected.row(row)[component]));
            let variance = values().map(|value| value * value).sum::<f64>() / 2999.0;
            assert!((variance / found.variances[component] - 1.0).abs() < 1e-4);
        }
        assert!(found.variances.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(found.variances.iter().sum::<f64>() < found.total_variance);
    }

    #[test]
    fn rows_without_variance_have_directions_too() {
        let rows = Matrix::from_vec(3, 4, vec![1.0; 12]);
        let found = pca(&Context::new(1), rows.view(), 2).unwrap();
        assert_eq!(found.variances, [0.0, 0.0]);
        assert!(found.project(rows.view()).data().iter().all(|value| *value == 0.0));
        assert!(pca(&Context::new(1), rows.view(), 5).is_err());
        assert!(pca(&Context::new(1), rows.view().range(0..1), 1).is_err());
    }
}
