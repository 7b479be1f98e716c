//! Examples: rows of strings with roles, from any kind of file.

use crate::{DataError, Place};
use std::sync::Arc;

/// One row: its texts in the order of the columns, and its label if the data has labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// One text for each column of [`Source::columns`]; where rows hold lists, the text of the
    /// first column and those of the list.
    pub texts: Vec<String>,
    /// The numbers of the column `label`, `labels`, `score` or `scores`, if there is one: a single
    /// number, or a list of [`Source::label_length`] numbers.
    pub label: Option<Vec<f32>>,
}

/// Rows of strings with roles. Rows are read on demand; only an index stays in memory.
pub trait Source: Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Returns true if there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the text columns, in the order of the loss.
    fn columns(&self) -> &[String];

    /// Returns true if rows have labels.
    fn has_labels(&self) -> bool;

    /// Name of the column of labels, if the data has one.
    fn label_column(&self) -> Option<&str> {
        None
    }

    /// Numbers of a row's label, 0 without labels; where rows hold lists, 1 for each of its texts.
    fn label_length(&self) -> usize {
        usize::from(self.has_labels())
    }

    /// Returns true if the second and last column holds lists of texts of any length, each with a
    /// label of one number for each text.
    fn has_lists(&self) -> bool {
        false
    }

    /// Labels of all rows, if each is a single number; otherwise empty.
    fn scores(&self) -> &[f32] {
        &[]
    }

    /// Returns the place of row `index` for messages.
    fn place(&self, index: usize) -> Place {
        Place::Row("the data".into(), index as u64 + 1)
    }

    /// Reads row `index`.
    ///
    /// # Errors
    /// If the file cannot be read, or has changed since it was indexed.
    fn get(&self, index: usize) -> Result<Example, DataError>;

    /// Keys of all texts, `(rows, columns)`: two are equal if and only if the texts are. A list has
    /// one key.
    fn text_keys(&self) -> &[u32];

    /// Returns the keys of all texts that row `index` has in any epoch.
    fn row_keys(&self, index: usize) -> &[u32] {
        let columns = self.columns().len();
        &self.text_keys()[index * columns..][..columns]
    }

    /// Returns the rows as epoch `epoch` (from 0) has them, or `None` if all epochs have the same.
    /// Number of rows, columns and labels are always the same. The source itself is epoch 0.
    fn epoch(&self, _epoch: u64) -> Option<Arc<dyn Source>> {
        None
    }

    /// Hash of all rows.
    fn fingerprint(&self) -> [u8; 32];
}

/// Description of a set of training data for a model card.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DataSummary {
    /// Name of the set, if it has one.
    pub name: Option<String>,
    /// Number of rows.
    pub rows: usize,
    /// Statistics of each column.
    pub columns: Vec<ColumnSummary>,
    /// Statistics of the labels, if the data has a column of them.
    #[serde(default)]
    pub label: Option<LabelSummary>,
    /// Number of rows from the start that the statistics cover.
    pub sampled: usize,
    /// Rows from the start, with texts in the order of the columns, and the label last.
    pub samples: Vec<Vec<String>>,
}

/// Values of a column of labels.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LabelSummary {
    /// Name of the column.
    pub name: String,
    /// Least value.
    pub min: f32,
    /// Mean of the values.
    pub mean: f64,
    /// Greatest value.
    pub max: f32,
    /// True if a label is a list of values.
    pub is_list: bool,
}

/// Token lengths of one column.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ColumnSummary {
    /// Name of the column.
    pub name: String,
    /// Fewest tokens of a text, including special tokens.
    pub min_tokens: usize,
    /// Mean number of tokens.
    pub mean_tokens: f64,
    /// Most tokens of a text.
    pub max_tokens: usize,
    /// Numbers of sampled texts by tokens: `histogram[n]` texts have `n` tokens.
    pub histogram: Vec<usize>,
}
