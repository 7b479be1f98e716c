//! Tables of records with named fields, read from start to end with one record in memory: for
//! callers that keep ids and fields with a text.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::csv::Csv;
use super::json::Objects;
use super::source::Source;
use super::{Column, Format, Rows, Value, json, parquet, text};
use crate::{DataError, Place};

/// A file of JSON, CSV, TSV, Parquet or plain text, or standard input, with its columns.
///
/// The columns are those of all records, in the order of their first occurrence. Plain text has the
/// single column `text`, as has a JSON string in place of an object.
pub struct Table {
    path: String,
    format: Format,
    columns: Vec<Column>,
    content: Content,
}

enum Content {
    File { path: PathBuf, header: Option<Vec<String>> },
    Text(Source),
    Json(Objects),
}

impl Table {
    /// Opens a file, or standard input if the path is `-`. `header` has the names of the columns of
    /// a CSV or TSV file without a header; in such a TSV file quotes are literal. A file of JSON or
    /// CSV is read once for its columns.
    ///
    /// # Errors
    /// If the file cannot be opened or read, or its name does not determine its format.
    pub fn open(path: impl AsRef<Path>, header: Option<&[String]>) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input", Box::new(BufReader::new(std::io::stdin())));
        }
        let name = path.display().to_string();
        let Some(format) = Format::of(path) else {
            // What does not exist has no content that its name could say.
            std::fs::metadata(path).map_err(|source| DataError::Io { path: name.clone(), source })?;
            return Err(DataError::UnknownExtension { path: name });
        };
        let columns = match (format, header) {
            (Format::Csv { separator }, Some(header)) => {
                Csv::open(Source::open(path)?, separator, Some(header))?.columns(usize::MAX)?
            }
            _ => format.columns(path, usize::MAX)?,
        };
        let content = Content::File { path: path.to_owned(), header: header.map(<[String]>::to_vec) };
        Ok(Self { path: name, format, columns, content })
    }

    /// Opens a file of any name with one text per line, or standard input if the path is `-`.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open_lines(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            return Self::open(path, None);
        }
        let content = Content::Text(Source::open(path)?);
        Ok(Self { path: path.display().to_string(), format: Format::Text, columns: text::columns(), content })
    }

    /// Reads a stream as [`Table::open`] reads standard input, with a name for messages. It is JSON
    /// if it begins with an object or a list of objects or strings, otherwise plain text. The
    /// columns of JSON are those of the first object.
    ///
    /// # Errors
    /// If it cannot be read, or the first object is invalid.
    pub fn from_reader(name: &str, reader: Box<dyn BufRead + Send>) -> Result<Self, DataError> {
        let source = Source::from_reader(name, reader)?;
        let path = name.to_owned();
        if !json::begins(&source.head) {
            return Ok(Self { path, format: Format::Text, columns: text::columns(), content: Content::Text(source) });
        }
        let (objects, columns) = json::first(source)?;
        Ok(Self { path, format: Format::Json, columns, content: Content::Json(objects) })
    }

    /// Name for messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns true if there is a column with this name.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// Returns the most likely column of texts: `text`, or the first column of texts that is not
    /// one of `others`.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn text_column(&self, others: &[&str]) -> Result<String, DataError> {
        let free = || self.columns.iter().filter(|column| !others.contains(&column.name.as_str()));
        let named = free().find(|column| column.name == text::COLUMN);
        let found = named.or_else(|| free().find(|column| column.holds_texts()));
        found.map(|column| column.name.clone()).ok_or_else(|| DataError::NoTextColumn {
            place: Place::File(self.path.clone()),
            present: self.columns.iter().map(|column| column.name.clone()).collect(),
        })
    }

    /// Reads the given columns.
    ///
    /// # Errors
    /// If a column does not exist, or the file cannot be opened.
    pub fn read(self, wanted: &[String]) -> Result<RecordStream, DataError> {
        // Only the first object of a stream is known; a later one may have more columns.
        let all_known = !matches!(self.content, Content::Json(_));
        if let Some(column) = wanted.iter().find(|column| all_known && !self.has(column)) {
            return Err(DataError::ColumnMissing {
                place: Place::File(self.path),
                column: column.clone(),
                present: self.columns.into_iter().map(|column| column.name).collect(),
            });
        }
        let rows: Box<dyn Rows> = match self.content {
            Content::Json(objects) => json::rows(objects, wanted),
            Content::Text(source) => text::rows(source, wanted.len()),
            Content::File { path, .. } if self.format == Format::Parquet => parquet::rows(&path, wanted)?,
            Content::File { path, header } => self.format.rows(Source::open(&path)?, wanted, header.as_deref())?,
        };
        let table = Arc::new(Origin { path: self.path, format: self.format, columns: wanted.to_vec() });
        Ok(RecordStream { rows: Some(rows), origin: table })
    }
}

/// The part that all records of a stream share.
#[derive(Debug)]
struct Origin {
    path: String,
    format: Format,
    columns: Vec<String>,
}

/// The records of a table, in their order. The stream ends after an error.
pub struct RecordStream {
    rows: Option<Box<dyn Rows>>,
    origin: Arc<Origin>,
}

impl Iterator for RecordStream {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.as_mut()?.next().transpose();
        if !matches!(row, Some(Ok(_))) {
            self.rows = None;
        }
        let record = |row: super::Row| Record { origin: self.origin.clone(), number: row.number, values: row.values };
        row.map(|row| row.map(record))
    }
}

/// The requested fields of one record, in the order of the request.
#[derive(Clone, Debug)]
pub struct Record {
    origin: Arc<Origin>,
    number: u64,
    values: Vec<Value>,
}

impl Record {
    /// Number of the line, or of the row in Parquet, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Place of the record, for messages.
    pub fn place(&self) -> Place {
        self.origin.format.place(&self.origin.path, self.number)
    }

    /// Name of field `i`.
    pub fn column(&self, i: usize) -> &str {
        &self.origin.columns[i]
    }

    /// Returns the values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Returns field `i` as a text, which may be blank. Numbers, Booleans and dates are converted.
    ///
    /// # Errors
    /// If it is missing or null, or is a list or an object.
    pub fn text(&self, i: usize) -> Result<String, DataError> {
        match &self.values[i] {
            value @ (Value::Missing | Value::Null) => Err(self.lack(value, i)),
            value if is_composed(value) => Err(self.no_text(value, i)),
            value => value.written().ok_or_else(|| self.no_text(value, i)),
        }
    }

    /// Returns field `i` as a string, if it has a value. Missing, null and empty fields are equal,
    /// as CSV cannot distinguish them. Lists and objects are serialized as JSON.
    ///
    /// # Errors
    /// If the value has no form as text.
    pub fn field(&self, i: usize) -> Result<Option<String>, DataError> {
        match &self.values[i] {
            Value::Missing | Value::Null => Ok(None),
            value => match value.written() {
                Some(written) => Ok(Some(written).filter(|written| !written.is_empty())),
                None => Err(self.no_text(value, i)),
            },
        }
    }

    /// Returns field `i` as a string, such as an id or a label.
    ///
    /// # Errors
    /// If it is missing, null or blank, or is a list or an object.
    pub fn required(&self, i: usize) -> Result<String, DataError> {
        if is_composed(&self.values[i]) {
            return Err(self.no_text(&self.values[i], i));
        }
        let field = self.field(i)?.filter(|field| !field.trim().is_empty());
        field.ok_or_else(|| self.lack(&self.values[i], i))
    }

    fn lack(&self, value: &Value, i: usize) -> DataError {
        value.lack(self.place(), &self.origin.columns[i])
    }

    fn no_text(&self, value: &Value, i: usize) -> DataError {
        DataError::NotText { place: self.place(), column: self.origin.columns[i].clone(), found: value.describe() }
    }
}

/// Returns true for a list or an object, whose JSON is not a text.
fn is_composed(value: &Value) -> bool {
    match value {
        Value::List(_) => true,
        Value::Other { written, .. } => written.as_ref().is_some_and(|written| written.starts_with(['[', '{'])),
        _ => false,
    }
}

/// Handling of blank texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blanks {
    /// Returns them as other texts.
    Keep,
    /// Skips and counts them.
    Skip,
    /// Returns an error.
    Refuse,
}

/// The texts of one column of a file or of standard input, in constant memory. The stream ends
/// after an error.
pub struct TextStream {
    records: Option<RecordStream>,
    blanks: Blanks,
    skipped: u64,
}

impl TextStream {
    /// Opens `path`, or standard input if it is `-`. Without a name the column is that of
    /// [`Table::text_column`].
    ///
    /// # Errors
    /// As [`Table::open`], or if there is no such column.
    pub fn open(path: impl AsRef<Path>, column: Option<&str>, blanks: Blanks) -> Result<Self, DataError> {
        Self::of(Table::open(path, None)?, column, blanks)
    }

    /// Returns the texts of a table.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn of(table: Table, column: Option<&str>, blanks: Blanks) -> Result<Self, DataError> {
        let column = column.map_or_else(|| table.text_column(&[]), |column| Ok(column.to_owned()))?;
        Ok(Self { records: Some(table.read(&[column])?), blanks, skipped: 0 })
    }

    /// Number of blank texts that were skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn next_text(&mut self) -> Result<Option<String>, DataError> {
        let Some(records) = &mut self.records else { return Ok(None) };
        for record in records {
            let record = record?;
            let text = record.text(0)?;
            match self.blanks {
                Blanks::Skip if text.trim().is_empty() => self.skipped += 1,
                Blanks::Refuse if text.trim().is_empty() => {
                    return Err(DataError::BlankText { place: record.place(), column: record.column(0).to_owned() });
                }
                Blanks::Keep | Blanks::Skip | Blanks::Refuse => return Ok(Some(text)),
            }
        }
        Ok(None)
    }
}

impl Iterator for TextStream {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.next_text().transpose();
        if !matches!(text, Some(Ok(_))) {
            self.records = None;
        }
        text
    }
}
