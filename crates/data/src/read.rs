//! Data files of every kind: which files an input names, and which reader takes each. A new format is one file in
//! `read/` and a line in each `match` here.

mod csv;
mod inputs;
mod jsonl;
mod lines;
mod parquet;
mod records;
mod stream;
mod text;

pub(crate) use inputs::files;
pub(crate) use lines::Lines;
pub use records::{Record, RecordStream, record_columns, text_column};
pub use stream::TextStream;

use std::path::Path;

use crate::{DataError, Example, Place};

/// Names of columns that hold labels, never texts; of several in a file the first in this order counts.
pub const LABEL_COLUMNS: [&str; 4] = ["label", "labels", "score", "scores"];

/// What a file's ending says of its inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Csv { separator: char },
    Parquet,
    Text,
}

/// A column that a file offers.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) is_text: bool,
}

/// The columns to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) columns: Vec<String>,
    pub(crate) label: Option<String>,
}

/// Is given each row with its line (or row, where there are no lines), from 1; says whether to go on.
pub(crate) type Visit<'a> = dyn FnMut(u64, &Example) -> Result<bool, DataError> + 'a;

/// The rows of a file that has been scanned.
pub(crate) trait RowFile: Send + Sync {
    /// Reads row `row` of those that were visited, counted from 0.
    fn read(&self, row: usize) -> Result<Example, DataError>;
}

impl Format {
    /// The format of a file of this name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "jsonl" | "ndjson" | "json" => Format::Jsonl,
            "csv" => Format::Csv { separator: ',' },
            "tsv" | "tab" => Format::Csv { separator: '\t' },
            "parquet" => Format::Parquet,
            "txt" | "text" => Format::Text,
            _ => return None,
        })
    }

    /// The columns that the file offers, in its order.
    pub(crate) fn columns(self, path: &Path) -> Result<Vec<Column>, DataError> {
        match self {
            Format::Jsonl => jsonl::columns(path),
            Format::Csv { separator } => csv::columns(path, separator),
            Format::Parquet => parquet::columns(path),
            Format::Text => Ok(text::columns()),
        }
    }

    /// Reads the file once from start to end, and keeps where its rows are.
    pub(crate) fn scan(
        self,
        path: &Path,
        selection: &Selection,
        visit: &mut Visit<'_>,
    ) -> Result<Box<dyn RowFile>, DataError> {
        match self {
            Format::Jsonl => jsonl::scan(path, selection, visit),
            Format::Csv { separator } => csv::scan(path, separator, selection, visit),
            Format::Parquet => parquet::scan(path, selection, visit),
            Format::Text => text::scan(path, visit),
        }
    }

    /// What a message calls the row that `scan` gave this number.
    pub(crate) fn place(self, path: &Path, number: u64) -> Place {
        let path = path.display().to_string();
        match self {
            Format::Parquet => Place::Row(path, number),
            Format::Jsonl | Format::Csv { .. } | Format::Text => Place::Line(path, number),
        }
    }
}

impl Selection {
    /// One column of texts.
    pub(crate) fn one(column: &str) -> Self {
        Self { columns: vec![column.into()], label: None }
    }
}

/// The column to read where none was named: `text`, else the first of texts.
fn default_column(columns: Vec<Column>, place: Place) -> Result<String, DataError> {
    let texts = || columns.iter().filter(|column| column.is_text);
    match texts().find(|column| column.name == text::COLUMN).or_else(|| texts().next()) {
        Some(column) => Ok(column.name.clone()),
        None => {
            Err(DataError::NoTextColumn { place, present: columns.into_iter().map(|column| column.name).collect() })
        }
    }
}

/// The number as a label, if it is finite.
fn label_value(value: f64, column: &str, place: impl Fn() -> Place) -> Result<f32, DataError> {
    let label = value as f32;
    if label.is_finite() {
        return Ok(label);
    }
    Err(DataError::BadLabel { place: place(), column: column.into(), found: value.to_string() })
}
