//! Rows for training and rows kept back to judge by, drawn by fraction and seed; and some rows of a source as a source.
//! Knows no texts.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::sample::randperm;
use crate::{DataError, Example, Source};

/// Row numbers of the two parts, each ascending. Together they are all rows, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows to train with.
    pub train: Vec<u32>,
    /// Rows to judge by.
    pub dev: Vec<u32>,
}

/// Draws `dev_fraction` of the rows (rounded to the nearest number) as the first of a permutation with this seed. The
/// same numbers give the same rows everywhere. Texts that come in several rows may be in both parts.
///
/// # Panics
/// If the fraction is not within 0 and 1.
pub fn split(rows: usize, dev_fraction: f64, seed: u64) -> Split {
    assert!((0.0..=1.0).contains(&dev_fraction), "a fraction of {dev_fraction} of {rows} rows");
    let mut dev = randperm(rows, seed);
    let mut train = dev.split_off((rows as f64 * dev_fraction).round() as usize);
    dev.sort_unstable();
    train.sort_unstable();
    Split { train, dev }
}

/// Some rows of a source, in an order of their own.
pub struct Subset {
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    keys: Vec<u32>,
}

impl Subset {
    /// Row `i` of the subset is row `rows[i]` of `source`.
    ///
    /// # Panics
    /// If `source` has no such row.
    pub fn new(source: Arc<dyn Source>, rows: Vec<u32>) -> Self {
        let (keys, columns) = (source.text_keys(), source.columns().len());
        let row_keys = |&row: &u32| {
            assert!((row as usize) < source.len(), "row {row} of {}", source.len());
            &keys[row as usize * columns..][..columns]
        };
        let keys = rows.iter().flat_map(row_keys).copied().collect();
        Self { source, rows, keys }
    }
}

impl Source for Subset {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        self.source.columns()
    }

    fn has_labels(&self) -> bool {
        self.source.has_labels()
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        self.source.get(self.rows[index] as usize)
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut content = Sha256::new();
        content.update(self.source.fingerprint());
        self.rows.iter().for_each(|row| content.update(row.to_le_bytes()));
        content.finalize().into()
    }
}
