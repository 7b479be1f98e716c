//! Data files of every kind: which files an input names, and which reader takes each. A new format is one file in
//! `read/` and a line in each `match` here.
//!
//! Every reader gives rows of the same values, which mean the same to all that read them: `Dataset` makes rows to train with of them,
//! `Table` records of named fields.

mod csv;
mod elements;
mod inputs;
mod json;
mod lines;
mod parquet;
mod source;
mod table;
mod text;
mod value;

pub(crate) use inputs::files;
pub(crate) use lines::{Lines, MAX_LINE, Spans};
pub(crate) use source::{Source, regular_file};
pub use table::{Blanks, Record, RecordStream, Table, TextStream};
pub(crate) use value::Kind;
pub use value::Value;

use std::path::Path;

use crate::{DataError, Place};
use csv::Csv;

/// What a file's ending says of its inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv { separator: char },
    Parquet,
    Text,
}

/// A column that a file offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    pub(crate) kind: Kind,
}

/// One row, with its values in the order of the columns that were asked for.
pub(crate) struct Row {
    /// The line, or of Parquet the row, from 1.
    pub(crate) number: u64,
    /// Where it begins in the content of the file, in bytes; 0 for Parquet.
    pub(crate) offset: u64,
    /// Its bytes; 0 for Parquet.
    pub(crate) length: usize,
    pub(crate) values: Vec<Value>,
}

/// The rows of a file from start to end.
pub(crate) trait Rows: Send {
    /// The next row, if there is one.
    fn next(&mut self) -> Result<Option<Row>, DataError>;
}

/// The rows of a file in which each lies in a span of its own.
pub(crate) trait SpannedRows: Rows {
    /// Where rows lie that are to be read again: none yet.
    fn spans(&mut self) -> Spans;

    /// Parses a row that is read again.
    fn parser(self: Box<Self>) -> Box<dyn Parse>;
}

/// The rows of a file that has been scanned.
pub(crate) trait RowFile: Send + Sync {
    /// Reads row `row` of those that were visited, counted from 0.
    fn read(&self, row: usize) -> Result<Vec<Value>, DataError>;
}

/// Is given each row with its number; says whether to go on.
pub(crate) type Visit<'a> = dyn FnMut(u64, Vec<Value>) -> Result<bool, DataError> + 'a;

/// Parses what lies in a span.
pub(crate) trait Parse: Send + Sync {
    /// The values of a row; none if it is not what was there before.
    fn parse(&self, text: &str) -> Option<Vec<Value>>;
}

impl Format {
    /// The format of a file of this name; `.gz` behind it changes nothing, for a format that is read by lines.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (stem, packed) = name.strip_suffix(".gz").map_or((name.as_str(), false), |stem| (stem, true));
        let (_, extension) = stem.rsplit_once('.')?;
        Some(match extension {
            "jsonl" | "ndjson" | "json" => Format::Json,
            "csv" => Format::Csv { separator: ',' },
            "tsv" | "tab" => Format::Csv { separator: '\t' },
            "parquet" if !packed => Format::Parquet,
            "txt" | "text" => Format::Text,
            _ => return None,
        })
    }

    /// The columns that the file offers, in its order. The kinds of those of CSV and TSV, and the names of JSON, are those of
    /// the first `rows` rows.
    pub(crate) fn columns(self, path: &Path, rows: usize) -> Result<Vec<Column>, DataError> {
        match self {
            Format::Parquet => parquet::columns(path),
            Format::Json => json::columns(Source::open(path)?, rows),
            Format::Csv { separator } => Csv::open(Source::open(path)?, separator, None)?.columns(rows),
            Format::Text => Ok(text::columns()),
        }
    }

    /// Reads the file once from start to end, and keeps where its rows are. Blank lines of plain text are none.
    ///
    /// The file must have the columns.
    pub(crate) fn scan(
        self,
        path: &Path,
        columns: &[String],
        visit: &mut Visit<'_>,
    ) -> Result<Box<dyn RowFile>, DataError> {
        let source = match self {
            Format::Parquet => return parquet::scan(path, columns, visit),
            Format::Json | Format::Csv { .. } | Format::Text => Source::open_to_read_again(path)?,
        };
        let mut rows = self.rows(source, columns, None)?;
        let mut spans = rows.spans();
        while let Some(Row { number, offset, length, values }) = rows.next()? {
            if self == Format::Text && values.iter().all(Value::is_blank) {
                continue;
            }
            spans.push(offset, length);
            if !visit(number, values)? {
                break;
            }
        }
        Ok(Box::new(SpanRows { path: path.display().to_string(), spans, parse: rows.parser() }))
    }

    /// The rows of a file that is read by lines, which must have the columns. `header` names those of a CSV or TSV file that does
    /// not name them itself.
    fn rows(
        self,
        source: Source,
        columns: &[String],
        header: Option<&[String]>,
    ) -> Result<Box<dyn SpannedRows>, DataError> {
        Ok(match self {
            Format::Json => json::rows(json::Objects::open(source), columns),
            Format::Csv { separator } => Csv::open(source, separator, header)?.rows(columns),
            Format::Text => text::rows(source, columns.len()),
            Format::Parquet => unreachable!("Parquet is not read by lines"),
        })
    }

    /// What a message calls the row of this number.
    pub(crate) fn place(self, path: &str, number: u64) -> Place {
        match self {
            Format::Parquet => Place::Row(path.into(), number),
            Format::Json | Format::Csv { .. } | Format::Text => Place::Line(path.into(), number),
        }
    }
}

/// Rows that lie in spans of a file.
struct SpanRows {
    path: String,
    spans: Spans,
    parse: Box<dyn Parse>,
}

impl RowFile for SpanRows {
    fn read(&self, row: usize) -> Result<Vec<Value>, DataError> {
        let changed = || DataError::Changed { path: self.path.clone(), row: row + 1 };
        self.parse.parse(&self.spans.read(row)?).ok_or_else(changed)
    }
}

impl Column {
    /// Whether it holds texts.
    pub fn holds_texts(&self) -> bool {
        self.kind == Kind::Text
    }
}
