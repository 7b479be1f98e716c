//! The formats of data files, and the reader of each. A new format is a file in `read/` and a line
//! in each `match` here.

use super::csv::Csv;
use super::lines::Spans;
use super::rows::{Column, Parse, Row, RowFile, SpannedRows, Visit};
use super::source::Source;
use super::value::Value;
use super::{json, parquet, text};
use crate::{DataError, Place};
use std::path::Path;

/// The format of a file, by the extension of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv { separator: char },
    Parquet,
    Text,
}

impl Format {
    /// Returns the format of a file by its name. Formats that are read by lines may end with `.gz`.
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

    /// Returns the columns of a file in its order. The first `rows` rows determine the kinds of the
    /// columns of CSV and TSV, and the names of those of JSON.
    pub(crate) fn columns(self, path: &Path, rows: usize) -> Result<Vec<Column>, DataError> {
        match self {
            Format::Parquet => parquet::columns(path),
            Format::Json => json::columns(Source::open(path)?, rows),
            Format::Csv { separator } => Csv::open(Source::open(path)?, separator, None)?.columns(rows),
            Format::Text => Ok(text::columns()),
        }
    }

    /// Reads a file once, which must have the columns, and records the spans of its rows. Blank
    /// lines of plain text are not rows.
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

    /// Returns the rows of a file that is read by lines and must have the columns. `header` has the
    /// names of the columns of a CSV or TSV file without a header.
    pub(super) fn rows(
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

    /// Returns the place of a row, for messages.
    pub(crate) fn place(self, path: &str, number: u64) -> Place {
        match self {
            Format::Parquet => Place::Row(path.into(), number),
            Format::Json | Format::Csv { .. } | Format::Text => Place::Line(path.into(), number),
        }
    }
}

/// Rows at spans of a file.
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
