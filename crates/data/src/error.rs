//! What can be wrong with a data file: which file, where, and what would mend it.

use std::fmt;

/// An error in the world's data, never in the program.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No input at all was named.
    #[error("no data file was named; name a file, a folder or a pattern such as data/*.jsonl")]
    NoInput,
    /// A pattern that fits no data file.
    #[error("{pattern}: no data file matches this pattern; data files end in {EXTENSIONS}")]
    NothingMatches {
        /// The pattern.
        pattern: String,
    },
    /// A folder without data files.
    #[error("{path}: this folder holds no data file; data files end in {EXTENSIONS}")]
    NothingInFolder {
        /// The folder.
        path: String,
    },
    /// A pattern that cannot be read.
    #[error("{pattern}: not a valid pattern: {message}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file whose name does not say its format.
    #[error("{path}: its name does not say what is in it; data files end in {EXTENSIONS}")]
    UnknownExtension {
        /// The file.
        path: String,
    },
    /// Files without a single row.
    #[error("{path}: no rows; at least one is needed")]
    NoRows {
        /// The files.
        path: String,
    },
    /// More rows than row numbers and the sampler allow.
    #[error("{path}: more than {limit} rows; use fewer files, or a limit")]
    TooManyRows {
        /// The file where the limit was passed.
        path: String,
        /// The most rows a data set may have.
        limit: usize,
    },
    /// A column that is asked for and not there.
    #[error("{place}: no column `{column}`{}; the columns are {}", did_you_mean(column, present), list(present))]
    ColumnMissing {
        /// The file, or the line of it.
        place: Place,
        /// The column asked for.
        column: String,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// No column of texts.
    #[error("{place}: no column of texts; the columns are {}; name those to be read", list(present))]
    NoTextColumn {
        /// The file.
        place: Place,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// A column named twice, by the caller or by a header.
    #[error("{place}: the column `{column}` is named twice; each name may stand once")]
    DuplicateColumn {
        /// The file or the setting.
        place: Place,
        /// The column.
        column: String,
    },
    /// More than one column of labels among those asked for.
    #[error("the columns {} all name labels; a row has one label: name one of them", list(columns))]
    SeveralLabels {
        /// The columns.
        columns: Vec<String>,
    },
    /// Files of one data set with different columns.
    #[error(
        "{path}: its columns are {}, those of {first_path} are {}; give the files the same columns, or name the columns \
         to be read",
        list(columns),
        list(first_columns)
    )]
    ColumnsDiffer {
        /// The file.
        path: String,
        /// Its text and label columns.
        columns: Vec<String>,
        /// The first file.
        first_path: String,
        /// The first file's text and label columns.
        first_columns: Vec<String>,
    },
    /// Something else where a text should be.
    #[error("{place}: the column `{column}` holds {found}, not a text; leave the column out or write it as a string")]
    NotText {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// What is there.
        found: String,
    },
    /// A column among those of a file that cannot be trained on.
    #[error(
        "{path}: the column `{column}` holds {holds}, not texts; name the columns to be read, for example columns = [{}]",
        quoted(texts)
    )]
    NotTexts {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// What it holds.
        holds: String,
        /// The columns that hold texts, and the label.
        texts: Vec<String>,
    },
    /// A value that is needed and not there.
    #[error("{place}: the field `{column}` is {lack}; give it a value, or leave the row out")]
    MissingValue {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// Whether it is missing, null or empty.
        lack: &'static str,
    },
    /// Lists of different lengths where each text is a column.
    #[error(
        "{place}: the list `{column}` has {found} texts, those before have {expected}; give all rows the same number, or \
         write a row for each text"
    )]
    ListLength {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// How many texts are in the list.
        found: usize,
        /// How many were in those before.
        expected: usize,
    },
    /// A label that is no finite number.
    #[error(
        "{place}: the label `{column}` is {found}, not a finite number; mend it, or name the columns to be read without it"
    )]
    BadLabel {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// What is there.
        found: String,
    },
    /// A text of nothing but white space in training data.
    #[error("{place}: the text of `{column}` is blank; remove the row, or allow blank texts")]
    BlankText {
        /// Where.
        place: Place,
        /// The column.
        column: String,
    },
    /// A line that is not a JSON object.
    #[error("{path}, line {line}, column {column}: {message}; each line must be one whole JSON object")]
    InvalidJson {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The byte of the line, from 1.
        column: usize,
        /// What the parser met.
        message: String,
    },
    /// A file with one JSON list that is not well formed.
    #[error(
        "{path}, line {line}: {message}; the file must be one whole list of JSON objects, or have an object a line"
    )]
    InvalidList {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A file that was packed by a program whose work is not undone here.
    #[error("{path}: is packed with {packing}, which is not read; unpack it, or pack it with gzip")]
    Packed {
        /// The file.
        path: String,
        /// The program.
        packing: &'static str,
    },
    /// Text in units of two bytes.
    #[error("{path}: is UTF-16, not UTF-8; save the file as UTF-8")]
    Utf16 {
        /// The file.
        path: String,
    },
    /// Lines that end in carriage returns alone.
    #[error("{path}: its lines end in carriage returns alone; save the file with line feeds")]
    LoneReturns {
        /// The file.
        path: String,
    },
    /// Bytes that are no UTF-8.
    #[error("{path}, line {line}: byte {offset} of the file is not valid UTF-8; save the file as UTF-8")]
    InvalidUtf8 {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The first bad byte, counted from 0 at the start of the file.
        offset: u64,
    },
    /// A quoted field that never ends.
    #[error(
        "{path}, line {line}: a quote opened here is never closed; close it, or double every quote that belongs to the text"
    )]
    QuoteNotClosed {
        /// The file.
        path: String,
        /// The line where the quote opens, from 1.
        line: u64,
    },
    /// A record with more or fewer fields than the header.
    #[error(
        "{path}, line {line}: {found} fields where the header names {expected}; a field that holds the separator or a \
         line break must be quoted"
    )]
    FieldCount {
        /// The file.
        path: String,
        /// The line where the record begins, from 1.
        line: u64,
        /// Fields of the record.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A line too long to be meant.
    #[error("{path}, line {line}: longer than {limit} bytes; break the text up")]
    LineTooLong {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The most bytes a line may have.
        limit: usize,
    },
    /// A text too long to be meant.
    #[error("{place}: the text of `{column}` is longer than {limit} bytes; break the text up")]
    TextTooLong {
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// The most bytes a text may have.
        limit: usize,
    },
    /// A Parquet file that the reader cannot make sense of.
    #[error("{path}: not a readable Parquet file: {message}")]
    InvalidParquet {
        /// The file.
        path: String,
        /// What the reader met.
        message: String,
    },
    /// A Parquet file whose compression cannot be undone.
    #[error(
        "{path}: the column `{column}` is compressed with {codec}, which cannot be read; write it with zstd, snappy, gzip, lz4, \
         brotli or no compression, for example pandas' to_parquet(…, compression=\"zstd\")"
    )]
    Compression {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// The compression.
        codec: String,
    },
    /// A row that is not what it was when the file was indexed.
    #[error("{path}: row {row} is not what it was when the file was opened; leave the file alone while it is in use")]
    Changed {
        /// The file.
        path: String,
        /// The row of the file, from 1.
        row: usize,
    },
    /// A retrieval set without one of its files.
    #[error("{folder}: no {file}; a retrieval set has queries.jsonl, corpus.jsonl and qrels.tsv or qrels/test.tsv")]
    RetrievalFileMissing {
        /// The folder.
        folder: String,
        /// The missing file.
        file: &'static str,
    },
    /// An id that two lines claim.
    #[error("{path}, line {line}: the id `{id}` is already that of line {first_line}; ids must differ")]
    DuplicateId {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The id.
        id: String,
        /// The line that had it first.
        first_line: u64,
    },
    /// A judgement that is not `query id, document id, score`.
    #[error(
        "{path}, line {line}: {message}; each line must be a query id, a document id and a score, separated by tabs"
    )]
    BadJudgement {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A retrieval set that could not measure anything.
    #[error("{path}: no query of queries.jsonl has a relevant document; check that the ids are those of queries.jsonl")]
    NothingRelevant {
        /// The file of judgements.
        path: String,
    },
    /// An id that a file of judgements cannot hold.
    #[error("{path}: the id {id:?} holds a tab or a line break; ids in this file must not")]
    BadId {
        /// The file to be written.
        path: String,
        /// The id.
        id: String,
    },
}

impl DataError {
    /// What the JSON parser met in an object that begins on this line.
    pub(crate) fn json(path: &str, line: u64, error: &serde_json::Error) -> Self {
        let mut message = error.to_string();
        message.truncate(message.rfind(" at line ").unwrap_or(message.len()));
        if message.contains("hex escape") {
            message = "a \\u escape is half of a character beyond U+FFFF, or not four hexadecimal digits".into();
        }
        let line = line + (error.line() as u64).saturating_sub(1);
        Self::InvalidJson { path: path.into(), line, column: error.column(), message }
    }
}

/// A place in the data that an error speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A whole file.
    File(String),
    /// A line of a file, from 1.
    Line(String, u64),
    /// A row of a file that has no lines, from 1.
    Row(String, u64),
    /// The columns that the caller named.
    Setting,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(out, "{path}"),
            Place::Line(path, line) => write!(out, "{path}, line {line}"),
            Place::Row(path, row) => write!(out, "{path}, row {row}"),
            Place::Setting => write!(out, "columns"),
        }
    }
}

/// The endings of names of data files, as messages list them.
const EXTENSIONS: &str = ".jsonl, .ndjson, .json, .csv, .tsv or .txt, which .gz may follow, or in .parquet";

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn did_you_mean(wanted: &str, present: &[String]) -> String {
    let nearest = present.iter().map(|name| (edits(wanted, name), name)).min();
    match nearest {
        Some((edits, name)) if edits <= 1 + wanted.chars().count() / 4 => format!(" (did you mean `{name}`?)"),
        _ => String::new(),
    }
}

/// The Levenshtein distance of two names, upper and lower case being the same.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_column_names_its_neighbour() {
        let present = vec!["anchor".to_string(), "Positve".to_string()];
        let error = |column: &str| {
            let (place, column) = (Place::Line("a.jsonl".into(), 3), column.to_string());
            DataError::ColumnMissing { place, column, present: present.clone() }.to_string()
        };
        assert_eq!(
            error("positive"),
            "a.jsonl, line 3: no column `positive` (did you mean `Positve`?); the columns are anchor, Positve"
        );
        assert_eq!(error("title"), "a.jsonl, line 3: no column `title`; the columns are anchor, Positve");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!((edits("", "abc"), edits("abc", ""), edits("kitten", "sitting"), edits("A", "a")), (3, 3, 3, 0));
    }
}
