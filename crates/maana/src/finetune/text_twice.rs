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

    /// Hash of the single texts; the number of columns tells the pairs from them.
    fn fingerprint(&self) -> [u8; 32] {
        self.rows.fingerprint()
    }
}
