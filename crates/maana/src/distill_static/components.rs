//! Principal components, the same bits on every machine: covariances are sums in one order, and
//! their eigenvectors need no function but the square root.

use maana_kernels::{Context, Matrix};
use maana_vectors::cluster::{Scatter, centred};

/// The most sweeps to find one eigenvalue; a few suffice.
const SWEEPS: usize = 64;

/// The principal components of some rows.
pub(super) struct Components {
    /// Mean of the rows.
    mean: Vec<f32>,
    /// The components, `(components, columns)`, that of the greatest variance first.
    vectors: Matrix,
    explained: f64,
}

impl Components {
    /// Computes at most `count` components, as many as the rows have columns.
    pub(super) fn of(context: &Context, rows: &Matrix, count: usize) -> Self {
        let columns = rows.columns();
        let Scatter { mean, products } = Scatter::of(context, rows.view());
        let mut basis = Symmetric::new(columns, products);
        let values = basis.eigenvalues();
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        order.truncate(count);
        let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
        let kept: f64 = order.iter().map(|index| values[*index].max(0.0)).sum();
        let mut vectors = Matrix::zeros(order.len(), columns);
        for (component, index) in order.into_iter().enumerate() {
            let row = vectors.row_mut(component);
            row.iter_mut()
                .enumerate()
                .for_each(|(place, value)| *value = basis.vectors[place * columns + index] as f32);
        }
        let mut components = Self { mean, vectors, explained: if total > 0.0 { kept / total } else { 1.0 } };
        components.turn(context, rows);
        components
    }

    /// Turns each component so that the score of greatest size is positive, as Model2Vec does.
    fn turn(&mut self, context: &Context, rows: &Matrix) {
        let scores = self.project(context, rows);
        for component in 0..self.vectors.rows() {
            let column = (0..scores.rows()).map(|row| scores.row(row)[component]);
            let largest = column.fold(0.0f32, |best, score| if score.abs() > best.abs() { score } else { best });
            if largest < 0.0 {
                self.vectors.row_mut(component).iter_mut().for_each(|value| *value = -*value);
            }
        }
    }

    /// The share of the variance that the components have.
    pub(super) fn explained(&self) -> f64 {
        self.explained
    }

    /// Returns the scores of rows: `(rows, components)`.
    pub(super) fn project(&self, context: &Context, rows: &Matrix) -> Matrix {
        let mut scores = Matrix::zeros(rows.rows(), self.vectors.rows());
        let centred = centred(rows.view(), &self.mean);
        maana_kernels::matmul_transposed(context, centred.view(), self.vectors.view(), scores.data_mut(), false);
        scores
    }
}

/// A symmetric matrix whose eigenvectors are computed by Householder reflections to a tridiagonal
/// matrix and the QL algorithm (Bowdler, Martin, Reinsch and Wilkinson 1968).
struct Symmetric {
    size: usize,
    /// The matrix, then its eigenvectors in columns.
    vectors: Vec<f64>,
}

impl Symmetric {
    fn new(size: usize, values: Vec<f64>) -> Self {
        Self { size, vectors: values }
    }

    /// Returns the eigenvalues, and replaces the matrix by the eigenvectors.
    fn eigenvalues(&mut self) -> Vec<f64> {
        let [mut diagonal, mut subdiagonal] = [(); 2].map(|()| vec![0.0; self.size]);
        self.reduce(&mut diagonal, &mut subdiagonal);
        self.iterate(&mut diagonal, &mut subdiagonal);
        diagonal
    }

    /// Reduces the matrix to its diagonal and the numbers next to it.
    fn reduce(&mut self, diagonal: &mut [f64], subdiagonal: &mut [f64]) {
        let (n, a) = (self.size, &mut self.vectors);
        for i in (1..n).rev() {
            let scale: f64 = (0..i).map(|k| a[i * n + k].abs()).sum();
            if i == 1 || scale == 0.0 {
                subdiagonal[i] = a[i * n + i - 1];
                diagonal[i] = 0.0;
                continue;
            }
            let mut h = 0.0;
            for k in 0..i {
                a[i * n + k] /= scale;
                h += a[i * n + k] * a[i * n + k];
            }
            let f = a[i * n + i - 1];
            let g = if f >= 0.0 { -h.sqrt() } else { h.sqrt() };
            subdiagonal[i] = scale * g;
            h -= f * g;
            a[i * n + i - 1] = f - g;
            let mut sum = 0.0;
            for j in 0..i {
                a[j * n + i] = a[i * n + j] / h;
                let below = (0..=j).map(|k| a[j * n + k] * a[i * n + k]).sum::<f64>();
                let beyond = (j + 1..i).map(|k| a[k * n + j] * a[i * n + k]).sum::<f64>();
                subdiagonal[j] = (below + beyond) / h;
                sum += subdiagonal[j] * a[i * n + j];
            }
            let half = sum / (h + h);
            for j in 0..i {
                let f = a[i * n + j];
                subdiagonal[j] -= half * f;
                let g = subdiagonal[j];
                for k in 0..=j {
                    a[j * n + k] -= f * subdiagonal[k] + g * a[i * n + k];
                }
            }
            diagonal[i] = h;
        }
        if n > 0 {
            (diagonal[0], subdiagonal[0]) = (0.0, 0.0);
        }
        for i in 0..n {
            if diagonal[i] != 0.0 {
                for j in 0..i {
                    let g: f64 = (0..i).map(|k| a[i * n + k] * a[k * n + j]).sum();
                    for k in 0..i {
                        a[k * n + j] -= g * a[k * n + i];
                    }
                }
            }
            diagonal[i] = a[i * n + i];
            a[i * n + i] = 1.0;
            for j in 0..i {
                (a[j * n + i], a[i * n + j]) = (0.0, 0.0);
            }
        }
    }

    /// Finds the eigenvalues of the tridiagonal matrix by rotations, which turn the vectors.
    fn iterate(&mut self, d: &mut [f64], e: &mut [f64]) {
        let (n, a) = (self.size, &mut self.vectors);
        e.rotate_left(usize::from(n > 0));
        if let Some(last) = e.last_mut() {
            *last = 0.0;
        }
        for l in 0..n {
            for _ in 0..SWEEPS {
                let small = |m: &usize| e[*m].abs() <= f64::EPSILON * (d[*m].abs() + d[*m + 1].abs());
                let m = (l..n - 1).find(small).unwrap_or(n - 1);
                if m == l {
                    break;
                }
                let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
                let r = length(g, 1.0);
                let mut g = d[m] - d[l] + e[l] / (g + r.copysign(g));
                let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
                let mut ended = false;
                for i in (l..m).rev() {
                    let (f, b) = (s * e[i], c * e[i]);
                    let r = length(f, g);
                    e[i + 1] = r;
                    if r == 0.0 {
                        d[i + 1] -= p;
                        e[m] = 0.0;
                        ended = true;
                        break;
                    }
                    (s, c) = (f / r, g / r);
                    g = d[i + 1] - p;
                    let r = (d[i] - g) * s + 2.0 * c * b;
                    p = s * r;
                    d[i + 1] = g + p;
                    g = c * r - b;
                    for row in a.chunks_exact_mut(n) {
                        let (first, second) = (row[i], row[i + 1]);
                        row[i + 1] = s * first + c * second;
                        row[i] = c * first - s * second;
                    }
                }
                if !ended {
                    d[l] -= p;
                    e[l] = g;
                    e[m] = 0.0;
                }
            }
        }
    }
}

/// Returns √(x² + y²) without overflow.
fn length(x: f64, y: f64) -> f64 {
    let (x, y) = (x.abs(), y.abs());
    let (small, large) = if x < y { (x, y) } else { (y, x) };
    if large == 0.0 { 0.0 } else { large * (1.0 + (small / large) * (small / large)).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn components_are_those_of_the_reference() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../../golden/static.json")).unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(golden["components"].clone()).unwrap();
        let values: Vec<f32> =
            noise(60 * 12, 5).iter().enumerate().map(|(place, value)| value * (place % 12 + 1) as f32).collect();
        let rows = Matrix::from_vec(60, 12, values);
        let mut all = Vec::new();
        for threads in [1, 2] {
            let context = Context::new(threads);
            let components = Components::of(&context, &rows, 5);
            assert!(components.explained() > 0.6 && components.explained() < 1.0);
            let scores = components.project(&context, &rows);
            for (ours, theirs) in scores.data().iter().zip(expected.concat()) {
                assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
            }
            all.push(scores);
        }
        assert_eq!(all[0], all[1], "the same bits for any number of threads");
    }

    #[test]
    fn eigenvectors_of_any_matrix_are_orthogonal_and_diagonalise_it() {
        for (size, rank) in [(0, 0), (1, 1), (2, 2), (9, 9), (30, 3)] {
            let factor = noise(size * rank, 6);
            let element = |i: usize, j: usize| {
                (0..rank).map(|k| f64::from(factor[i * rank + k]) * f64::from(factor[j * rank + k])).sum::<f64>()
            };
            let values: Vec<f64> = (0..size * size).map(|place| element(place / size, place % size)).collect();
            let mut matrix = Symmetric::new(size, values.clone());
            let found = matrix.eigenvalues();
            let vector = |index: usize| (0..size).map(move |row| (row, index)).collect::<Vec<_>>();
            let at = |(row, column): (usize, usize)| matrix.vectors[row * size + column];
            for (i, eigenvalue) in found.iter().enumerate() {
                for j in 0..size {
                    let product: f64 = vector(i).into_iter().zip(vector(j)).map(|(x, y)| at(x) * at(y)).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10, "{size}: {i} {j} {product}");
                    let image: f64 = (0..size).map(|k| values[j * size + k] * at((k, i))).sum();
                    assert!((image - eigenvalue * at((j, i))).abs() < 1e-9, "{size}: {i} {j}");
                }
            }
        }
    }
}
