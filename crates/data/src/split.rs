//! Random division of rows into those for training and those for evaluation, and subsets of a
//! source. Knows no texts.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::sample::randperm;
use crate::{DataError, Example, Place, Source};

/// Row numbers of the two parts, each ascending. Each row is in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows for training.
    pub train: Vec<u32>,
    /// Rows for evaluation.
    pub dev: Vec<u32>,
}

/// Draws `dev_fraction` of the rows (rounded to the nearest integer) as the first of a permutation
/// with this seed. The same arguments give the same rows on every machine. Texts that occur in
/// several rows may be in both parts.
///
/// # Panics
/// If the fraction is not between 0 and 1.
pub fn split(rows: usize, dev_fraction: f64, seed: u64) -> Split {
    assert!((0.0..=1.0).contains(&dev_fraction), "a fraction of {dev_fraction} of {rows} rows");
    let mut dev = randperm(rows, seed);
    let mut train = dev.split_off((rows as f64 * dev_fraction).round() as usize);
    dev.sort_unstable();
    train.sort_unstable();
    Split { train, dev }
}

/// Selected rows of a source, in a given order.
pub struct Subset {
    source: Arc<dyn Source>,
    rows: Vec<u32>,
    keys: Vec<u32>,
    scores: Vec<f32>,
}

impl Subset {
    /// Creates a subset whose row `i` is row `rows[i]` of `source`.
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
        let scores = match source.scores() {
            [] => Vec::new(),
            scores => rows.iter().map(|&row| scores[row as usize]).collect(),
        };
        Self { source, rows, keys, scores }
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

    fn label_length(&self) -> usize {
        self.source.label_length()
    }

    fn scores(&self) -> &[f32] {
        &self.scores
    }

    fn place(&self, index: usize) -> Place {
        self.source.place(self.rows[index] as usize)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, ReadOptions};

    #[test]
    fn parts_hold_every_row_once_and_the_same_seed_gives_the_same() {
        let parts = split(1000, 0.1, 7);
        assert_eq!((parts.train.len(), parts.dev.len()), (900, 100));
        assert!(parts.train.is_sorted() && parts.dev.is_sorted());
        let mut all = [parts.train.clone(), parts.dev.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<u32>>());
        assert_eq!(parts, split(1000, 0.1, 7));
        assert_ne!(parts, split(1000, 0.1, 8));
        assert_eq!(split(3, 0.0, 1).dev, Vec::<u32>::new());
        assert_eq!(split(3, 1.0, 1).train, Vec::<u32>::new());
    }

    #[test]
    fn a_subset_is_a_source_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\nx1,x2\nx3,x4\nx2,x5\n").unwrap();
        let source: Arc<dyn Source> = Arc::new(Dataset::open(&[path], ReadOptions::default()).unwrap());
        let subset = Subset::new(source.clone(), vec![2, 0]);
        assert_eq!((subset.len(), subset.columns(), subset.has_labels()), (2, source.columns(), false));
        assert_eq!(subset.get(0).unwrap().texts, ["x2", "x5"]);
        assert_eq!(subset.get(1).unwrap().texts, ["x1", "x2"]);
        assert_eq!(subset.text_keys(), [1, 4, 0, 1]);
        assert_ne!(subset.fingerprint(), Subset::new(source, vec![0, 2]).fingerprint());
    }
}
