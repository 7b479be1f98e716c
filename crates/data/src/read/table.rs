//! Tables of records with named fields, from start to end: for work that keeps what it reads, such as ids and fields beside a
//! text. Memory for one record.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::csv::Csv;
use super::json::Objects;
use super::source::Source;
use super::{Column, Format, Rows, Value, json, parquet, text};
use crate::{DataError, Place};

/// A file of JSON, CSV, TSV, Parquet or plain text, or standard input, whose columns are known.
///
/// The columns are all that any record has, in the order in which they come first. Plain text has the one column `text`, which
/// a JSON string in place of an object has, too.
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
    /// Opens a file, or standard input if the path is `-`. `header` names the columns of a CSV or TSV file that does not name them
    /// itself; in such a TSV file quotes are letters. A file of JSON or CSV is read once for its columns.
    ///
    /// # Errors
    /// If the file cannot be opened or read, or its name does not say what is in it.
    pub fn open(path: impl AsRef<Path>, header: Option<&[String]>) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input", Box::new(BufReader::new(std::io::stdin())));
        }
        let name = path.display().to_string();
        let format = Format::of(path).ok_or_else(|| DataError::UnknownExtension { path: name.clone() })?;
        let columns = match (format, header) {
            (Format::Csv { separator }, Some(header)) => {
                Csv::open(Source::open(path)?, separator, Some(header))?.columns(usize::MAX)?
            }
            _ => format.columns(path, usize::MAX)?,
        };
        let content = Content::File { path: path.to_owned(), header: header.map(<[String]>::to_vec) };
        Ok(Self { path: name, format, columns, content })
    }

    /// Opens a file with a text a line, whatever its name, or standard input if the path is `-`.
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

    /// Reads what [`Table::open`] reads from standard input; messages call it `name`. It is JSON if it begins with an object or a
    /// list of objects or strings, else plain text. The columns of JSON are those of the first object.
    ///
    /// # Errors
    /// If nothing can be read from it, or the first object is none.
    pub fn from_reader(name: &str, reader: Box<dyn BufRead + Send>) -> Result<Self, DataError> {
        let source = Source::from_reader(name, reader)?;
        let path = name.to_owned();
        if !json::begins(&source.head) {
            return Ok(Self { path, format: Format::Text, columns: text::columns(), content: Content::Text(source) });
        }
        let (objects, columns) = json::first(source)?;
        Ok(Self { path, format: Format::Json, columns, content: Content::Json(objects) })
    }

    /// What messages call it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// The column that most likely holds the text: `text`, else the first of texts that is not one of `others`.
    ///
    /// # Errors
    /// If there is none.
    pub fn text_column(&self, others: &[&str]) -> Result<String, DataError> {
        let free = || self.columns.iter().filter(|column| !others.contains(&column.name.as_str()));
        let named = free().find(|column| column.name == text::COLUMN);
        let found = named.or_else(|| free().find(|column| column.holds_texts()));
        found.map(|column| column.name.clone()).ok_or_else(|| DataError::NoTextColumn {
            place: Place::File(self.path.clone()),
            present: self.columns.iter().map(|column| column.name.clone()).collect(),
        })
    }

    /// Reads these columns.
    ///
    /// # Errors
    /// If there is no such column, or the file cannot be opened.
    pub fn read(self, wanted: &[String]) -> Result<RecordStream, DataError> {
        // Of a stream the first object alone is known; a later one may have more.
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

/// What all records of a stream share.
#[derive(Debug)]
struct Origin {
    path: String,
    format: Format,
    columns: Vec<String>,
}

/// The records of a table, one after the other. After an error the stream ends.
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

/// The fields of one record that were asked for, in that order.
#[derive(Clone, Debug)]
pub struct Record {
    origin: Arc<Origin>,
    number: u64,
    values: Vec<Value>,
}

impl Record {
    /// The line, or of Parquet the row, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.origin.format.place(&self.origin.path, self.number)
    }

    /// The name of field `i`.
    pub fn column(&self, i: usize) -> &str {
        &self.origin.columns[i]
    }

    /// The values as they are.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Field `i` as a text, which may be blank. Numbers, truth values and dates are written out.
    ///
    /// # Errors
    /// If it is missing or null, or holds a list or an object.
    pub fn text(&self, i: usize) -> Result<String, DataError> {
        match &self.values[i] {
            value @ (Value::Missing | Value::Null) => Err(self.lack(value, i)),
            value if is_composed(value) => Err(self.no_text(value, i)),
            value => value.written().ok_or_else(|| self.no_text(value, i)),
        }
    }

    /// Field `i` written out, if it has a value: missing, null and empty are all the same, as CSV cannot tell them apart. Lists and
    /// objects are written as JSON.
    ///
    /// # Errors
    /// If it holds what cannot be written as text.
    pub fn field(&self, i: usize) -> Result<Option<String>, DataError> {
        match &self.values[i] {
            Value::Missing | Value::Null => Ok(None),
            value => match value.written() {
                Some(written) => Ok(Some(written).filter(|written| !written.is_empty())),
                None => Err(self.no_text(value, i)),
            },
        }
    }

    /// Field `i` written out, such as an id or a label.
    ///
    /// # Errors
    /// If it is missing, null or blank, or holds a list or an object.
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

/// Whether it is a list or an object, whose JSON nobody means by a text.
fn is_composed(value: &Value) -> bool {
    match value {
        Value::List(_) => true,
        Value::Other { written, .. } => written.as_ref().is_some_and(|written| written.starts_with(['[', '{'])),
        _ => false,
    }
}

/// What is done with texts of nothing but white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blanks {
    /// They are texts like any other.
    Keep,
    /// They are passed over, and counted.
    Skip,
    /// They are errors.
    Refuse,
}

/// The texts of one column of a file, or of standard input, one after the other, in constant memory. After an error the stream ends.
pub struct TextStream {
    records: Option<RecordStream>,
    blanks: Blanks,
    skipped: u64,
}

impl TextStream {
    /// Opens `path`, or standard input if it is `-`. The column is the one named, else that of [`Table::text_column`].
    ///
    /// # Errors
    /// As of [`Table::open`], or if there is no such column.
    pub fn open(path: impl AsRef<Path>, column: Option<&str>, blanks: Blanks) -> Result<Self, DataError> {
        Self::of(Table::open(path, None)?, column, blanks)
    }

    /// The texts of a table.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn of(table: Table, column: Option<&str>, blanks: Blanks) -> Result<Self, DataError> {
        let column = column.map_or_else(|| table.text_column(&[]), |column| Ok(column.to_owned()))?;
        Ok(Self { records: Some(table.read(&[column])?), blanks, skipped: 0 })
    }

    /// How many blank texts have been passed over.
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
