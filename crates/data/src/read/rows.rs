//! Rows and columns as every reader of a format gives them.

use super::lines::Spans;
use super::value::{Kind, Value};
use crate::DataError;

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    pub(crate) kind: Kind,
}

impl Column {
    /// Returns true if the column holds texts.
    pub fn holds_texts(&self) -> bool {
        self.kind == Kind::Text
    }

    /// Returns true if the column holds lists of texts.
    pub fn holds_lists(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }
}

/// One row, with its values in the order of the requested columns.
pub(crate) struct Row {
    /// Number of the line, or of the row in Parquet, from 1.
    pub(crate) number: u64,
    /// Start in the content of the file, in bytes; 0 for Parquet.
    pub(crate) offset: u64,
    /// Length in bytes; 0 for Parquet.
    pub(crate) length: usize,
    pub(crate) values: Vec<Value>,
}

/// The rows of a file from start to end.
pub(crate) trait Rows: Send {
    /// Returns the next row, or `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, DataError>;
}

/// The rows of a file in which each row has a span of its own.
pub(crate) trait SpannedRows: Rows {
    /// Returns an empty list of spans, for rows that will be read again.
    fn spans(&mut self) -> Spans;

    /// Returns the parser for rows that are read again.
    fn parser(self: Box<Self>) -> Box<dyn Parse>;
}

/// The rows of a file that was scanned.
pub(crate) trait RowFile: Send + Sync {
    /// Reads row `row` of the visited rows, from 0.
    fn read(&self, row: usize) -> Result<Vec<Value>, DataError>;
}

/// A visitor of rows with their numbers. Returns false to stop.
pub(crate) type Visit<'a> = dyn FnMut(u64, Vec<Value>) -> Result<bool, DataError> + 'a;

/// A parser of the content of a span.
pub(crate) trait Parse: Send + Sync {
    /// Returns the values of a row, or `None` if the content has changed.
    fn parse(&self, text: &str) -> Option<Vec<Value>>;
}
