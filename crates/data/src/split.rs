//! Random division of rows into those for training and those for evaluation, and subsets of a
//! source. Of texts it knows only which are equal.

use std::sync::Arc;

use maana_files::Groups;
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

/// Draws at most `dev_rows` rows at random as the dev part, such that no text of any epoch is in
/// both parts: rows that share texts, directly or over other rows, stay together, and a group that
/// would exceed the number is passed over. The same arguments give the same rows on every machine.
pub fn split(source: &dyn Source, dev_rows: usize, seed: u64) -> Split {
    let rows = source.len();
    let last = (0..rows).flat_map(|row| source.row_keys(row)).max();
    let keys = last.map_or(0, |last| *last as usize + 1);
    let mut groups = Groups::new(keys);
    for keys in (0..rows).map(|row| source.row_keys(row)) {
        keys[1..].iter().for_each(|&key| groups.join(keys[0], key));
    }
    let group_of: Vec<u32> = (0..rows).map(|row| groups.find(source.row_keys(row)[0])).collect();
    let mut sizes = vec![0_usize; keys];
    group_of.iter().for_each(|&group| sizes[group as usize] += 1);
    let mut is_dev = vec![None; sizes.len()];
    let mut drawn = 0;
    for row in randperm(rows, seed) {
        let group = group_of[row as usize] as usize;
        if is_dev[group].is_none() {
            let fits = drawn + sizes[group] <= dev_rows;
            drawn += if fits { sizes[group] } else { 0 };
            is_dev[group] = Some(fits);
        }
    }
    let (dev, train) = (0..rows as u32).partition(|&row| is_dev[group_of[row as usize] as usize] == Some(true));
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

    fn label_column(&self) -> Option<&str> {
        self.source.label_column()
    }

    fn label_length(&self) -> usize {
        self.source.label_length()
    }

    fn has_lists(&self) -> bool {
        self.source.has_lists()
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

    fn row_keys(&self, index: usize) -> &[u32] {
        self.source.row_keys(self.rows[index] as usize)
    }

    fn epoch(&self, epoch: u64) -> Option<Arc<dyn Source>> {
        let source = self.source.epoch(epoch)?;
        Some(Arc::new(Self::new(source, self.rows.clone())))
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

    fn source(lines: &[String]) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, format!("a,b\n{}\n", lines.join("\n"))).unwrap();
        Dataset::open(&[path], ReadOptions::default()).unwrap()
    }

    #[test]
    fn parts_hold_every_row_once_and_the_same_seed_gives_the_same() {
        let source = source(&(0..1000).map(|row| format!("a{row},b{row}")).collect::<Vec<_>>());
        let parts = split(&source, 100, 7);
        assert_eq!((parts.train.len(), parts.dev.len()), (900, 100));
        assert!(parts.train.is_sorted() && parts.dev.is_sorted());
        let mut all = [parts.train.clone(), parts.dev.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<u32>>());
        assert_eq!(parts, split(&source, 100, 7));
        assert_ne!(parts, split(&source, 100, 8));
        assert_eq!(split(&source, 0, 1).dev, Vec::<u32>::new());
    }

    proptest::proptest! {
        /// Few distinct texts, so that many rows share one.
        #[test]
        fn no_text_is_in_both_parts(texts in proptest::collection::vec((0..60_u8, 0..60_u8), 1..80), dev in 0..40_usize, seed in 0..9_u64) {
            let source = source(&texts.iter().map(|(a, b)| format!("t{a},t{b}")).collect::<Vec<_>>());
            let parts = split(&source, dev, seed);
            let keys = |rows: &[u32]| -> std::collections::HashSet<u32> {
                rows.iter().flat_map(|&row| source.text_keys()[row as usize * 2..][..2].to_vec()).collect()
            };
            proptest::prop_assert!(keys(&parts.train).is_disjoint(&keys(&parts.dev)));
            proptest::prop_assert_eq!(parts.train.len() + parts.dev.len(), texts.len());
            proptest::prop_assert!(parts.dev.len() <= dev);
        }
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
