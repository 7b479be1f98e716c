//! Shared by the tests.

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

/// Rows like embeddings: `centres` groups, and a spectrum that falls from the first column to the
/// last.
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

/// The golden numbers of `golden/make_golden.py`.
pub(crate) struct Golden(serde_json::Value);

impl Golden {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/golden.json");
        Self(serde_json::from_str(&maana_files::read_to_string(path).unwrap()).unwrap())
    }

    /// Returns the value at a JSON pointer.
    pub(crate) fn get<T: serde::de::DeserializeOwned>(&self, pointer: &str) -> T {
        let value = self.0.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in golden.json"));
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{pointer}: {error}"))
    }

    pub(crate) fn matrix(&self, pointer: &str) -> Matrix {
        let rows: Vec<Vec<f64>> = self.get(pointer);
        let columns = rows[0].len();
        Matrix::from_vec(rows.len(), columns, rows.into_iter().flatten().map(|value| value as f32).collect())
    }
}
