//! Rows of single texts as pairs of a text with itself, for SimCSE.

use maana_data::{DataError, Example, Place, Source};
use std::sync::Arc;

/// Rows with one text, which becomes both columns.
pub(super) struct TextTwice {
    rows: Arc<dyn Source>,
    columns: [String; 2],
    keys: Vec<u32>,
}

impl TextTwice {
    /// Creates the pairs.
    ///
    /// # Errors
    /// If the rows have several texts.
    pub(super) fn new(rows: Arc<dyn Source>) -> Result<Self, String> {
        let [column] = rows.columns() else {
            return Err(format!(
                "the loss `simcse` needs exactly 1 text column, but the data have {} ({}); name one in `columns`",
                rows.columns().len(),
                rows.columns().join(", ")
            ));
        };
        let columns = [column.clone(), column.clone()];
        let keys = rows.text_keys().iter().flat_map(|&key| [key, key]).collect();
        Ok(Self { rows, columns, keys })
    }

    /// Returns the pairs as a source.
    ///
    /// # Errors
    /// If the rows have several texts.
    pub(super) fn pairs(rows: Arc<dyn Source>) -> Result<Arc<dyn Source>, String> {
        Ok(Arc::new(Self::new(rows)?))
    }
}

impl Source for TextTwice {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn place(&self, index: usize) -> Place {
        self.rows.place(index)
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        let text = self.rows.get(index)?.texts.remove(0);
        Ok(Example { texts: vec![text.clone(), text], label: None })
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn row_keys(&self, index: usize) -> &[u32] {
        self.rows.row_keys(index)
    }

    fn epoch(&self, epoch: u64) -> Option<Arc<dyn Source>> {
        let rows = self.rows.epoch(epoch)?;
        Some(Self::pairs(rows).expect("every epoch has the same columns"))
    }

    /// Hash of the single texts; the number of columns tells the pairs from them.
    fn fingerprint(&self) -> [u8; 32] {
        self.rows.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maana_data::{Dataset, DrawnColumn, ReadOptions};

    #[test]
    fn pairs_follow_the_epochs_of_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let row = |row: usize| format!("{{\"t\": [\"a{row}\", \"b{row}\", \"c{row}\"]}}\n");
        std::fs::write(&path, (0..9).map(row).collect::<String>()).unwrap();
        let drawn = Some(DrawnColumn { column: "t".into(), count: 1, seed: 1 });
        let options = ReadOptions { drawn, columns: Some(vec!["t".into()]), ..ReadOptions::default() };
        let rows: Arc<dyn Source> = Arc::new(Dataset::open(&[path], options).unwrap());
        let pairs = TextTwice::pairs(Arc::clone(&rows)).unwrap();
        assert_eq!(pairs.row_keys(2), rows.row_keys(2));
        let texts = |rows: &dyn Source| -> Vec<String> {
            (0..rows.len()).flat_map(|row| rows.get(row).unwrap().texts).collect()
        };
        for epoch in 1..3 {
            let (rows, pairs) = (rows.epoch(epoch).unwrap(), pairs.epoch(epoch).unwrap());
            let twice: Vec<String> = texts(&*rows).into_iter().flat_map(|text| [text.clone(), text]).collect();
            assert_eq!(texts(&*pairs), twice);
            assert_eq!(pairs.text_keys().len(), twice.len());
        }
    }
}
