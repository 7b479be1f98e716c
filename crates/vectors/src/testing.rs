//! What the tests share.

use crate::search::Hit;
use maana_kernels::Matrix;

/// Numbers between -1 and 1.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = crate::random::Random::new(seed);
    (0..count).map(|_| (random.unit() * 2.0 - 1.0) as f32).collect()
}

/// Numbers of which many are equal: -1, -½, 0, ½, 1.
pub(crate) fn grid(count: usize, seed: u64) -> Vec<f32> {
    let mut random = crate::random::Random::new(seed);
    (0..count).map(|_| random.below(5) as f32 / 2.0 - 1.0).collect()
}

/// Hits in a form that compares bits.
pub(crate) fn bytes_of(hits: &[Vec<Hit>]) -> Vec<Vec<(usize, u32)>> {
    // Of zero there are two, and neither is greater.
    hits.iter().map(|hits| hits.iter().map(|hit| (hit.row, (hit.score + 0.0).to_bits())).collect()).collect()
}

/// Rows like embeddings: `centres` groups, and a spectrum that falls from the first column to the last.
pub(crate) fn embeddings(rows: usize, dims: usize, centres: usize, seed: u64) -> Matrix {
    let (middles, around) = (noise(centres * dims, seed), noise(rows * dims, seed + 1));
    let mut random = crate::random::Random::new(seed + 2);
    let group: Vec<usize> = (0..rows).map(|_| random.below(centres)).collect();
    let value = |i: usize| {
        let (row, column) = (i / dims, i % dims);
        let fall = 1.0 / (1.0 + column as f32 * 0.05);
        (middles[group[row] * dims + column] + 0.6 * around[i]) * fall
    };
    Matrix::from_vec(rows, dims, (0..rows * dims).map(value).collect())
}
