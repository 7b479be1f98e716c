//! Examples: rows of strings with roles, from any kind of file.

use crate::DataError;

/// One row: its texts in the order of the columns, and its label where the data has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// One text for each column of [`Source::columns`].
    pub texts: Vec<String>,
    /// The value of the column `label`, `labels`, `score` or `scores`, if there is one.
    pub label: Option<f32>,
}

/// Rows of strings with roles. Rows are read when asked for; what stays in memory is an index.
pub trait Source: Send + Sync {
    /// The number of rows.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the text columns, in the order that the loss sees them.
    fn columns(&self) -> &[String];

    /// Whether rows carry a label.
    fn has_labels(&self) -> bool;

    /// Row `index`.
    ///
    /// # Errors
    /// If the file cannot be read any more, or changed since it was indexed.
    fn get(&self, index: usize) -> Result<Example, DataError>;

    /// For every row one number for each text column; two are equal if and only if the texts are. `(rows, columns)`
    fn text_keys(&self) -> &[u32];

    /// Bytes that differ whenever the rows could.
    fn fingerprint(&self) -> [u8; 32];
}

/// What a model card tells of a set of training data. Plain data.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DataSummary {
    /// The name of the set, if it has one.
    pub name: Option<String>,
    /// Number of rows.
    pub rows: usize,
    /// What each column holds.
    pub columns: Vec<ColumnSummary>,
    /// How many of the first rows were read for the statistics.
    pub sampled: usize,
    /// Some rows from the start, texts in the order of the columns.
    pub samples: Vec<Vec<String>>,
}

/// Token lengths of one column.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ColumnSummary {
    /// The column's name.
    pub name: String,
    /// Fewest tokens of a text, special tokens included.
    pub min_tokens: usize,
    /// Tokens on average.
    pub mean_tokens: f64,
    /// Most tokens of a text.
    pub max_tokens: usize,
    /// How many of the sampled texts have how many tokens: `histogram[n]` texts have `n` tokens.
    pub histogram: Vec<usize>,
}
