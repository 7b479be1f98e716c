//! Errors of data files. Each names the file, the place and the remedy.

use std::fmt;

/// An error in data files.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// No input was named.
    #[error("no data file was named; name a file, a folder or a pattern such as data/*.jsonl")]
    NoInput,
    /// A pattern matches no data file.
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
    /// A pattern is invalid.
    #[error("{pattern}: not a valid pattern: {message}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// Reason.
        message: String,
    },
    /// The name of a file does not determine its format.
    #[error("{path}: its name does not say what is in it; data files end in {EXTENSIONS}")]
    UnknownExtension {
        /// The file.
        path: String,
    },
    /// Files have no rows.
    #[error("{path}: no rows; at least one is needed")]
    NoRows {
        /// The files.
        path: String,
    },
    /// There are more rows than the sampler allows.
    #[error("{path}: more than {limit} rows; use fewer files, or a limit")]
    TooManyRows {
        /// The file that exceeds the limit.
        path: String,
        /// Maximum number of rows of a data set.
        limit: usize,
    },
    /// A requested column does not exist.
    #[error("{place}: no column `{column}`{}; the columns are {}", did_you_mean(column, present), list(present))]
    ColumnMissing {
        /// The file or the line.
        place: Place,
        /// The requested column.
        column: String,
        /// The existing columns.
        present: Vec<String>,
    },
    /// There is no column of texts.
    #[error("{place}: no column of texts; the columns are {}; name those to be read", list(present))]
    NoTextColumn {
        /// The file.
        place: Place,
        /// The existing columns.
        present: Vec<String>,
    },
    /// The caller or a header names a column twice.
    #[error("{place}: the column `{column}` is named twice; each name may occur once")]
    DuplicateColumn {
        /// The file or the setting.
        place: Place,
        /// The column.
        column: String,
    },
    /// The caller requests several columns of labels.
    #[error("the columns {} all name labels; a row has one label: name one of them", list(columns))]
    SeveralLabels {
        /// The columns.
        columns: Vec<String>,
    },
    /// Files of one data set have different columns.
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
        /// Text and label columns of the first file.
        first_columns: Vec<String>,
    },
    /// A value is not a text.
    #[error("{place}: the column `{column}` holds {found}, not a text; leave the column out or write it as a string")]
    NotText {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// The value found.
        found: String,
    },
    /// A column of a file cannot be used for training.
    #[error(
        "{path}: the column `{column}` holds {holds}, not texts; name the columns to be read, for example columns = [{}] \
         in a recipe, or --columns {}",
        quoted(texts),
        texts.join(",")
    )]
    NotTexts {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// Its kind of values.
        holds: String,
        /// The columns that hold texts, and the label.
        texts: Vec<String>,
    },
    /// A required value is missing.
    #[error("{place}: the field `{column}` is {lack}; give it a value, or leave the row out")]
    MissingValue {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// `missing`, `null` or `empty`.
        lack: &'static str,
    },
    /// Lists have different lengths, although each text is a column.
    #[error(
        "{place}: the list `{column}` has {found} texts, those before have {expected}; give all rows the same number, \
         write a row for each text, or let each epoch draw some of them (`negatives`)"
    )]
    ListLength {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// Number of texts in the list.
        found: usize,
        /// Number of texts in the lists before.
        expected: usize,
    },
    /// A column from which epochs draw texts does not hold lists.
    #[error(
        "negatives are drawn from the column `{column}`, but it does not hold lists of texts; name another, or omit it"
    )]
    NoList {
        /// The column.
        column: String,
    },
    /// A list from which epochs draw texts has none.
    #[error("{place}: the list `{column}` is empty; give it a text, or leave the row out")]
    EmptyList {
        /// The place.
        place: Place,
        /// The column.
        column: String,
    },
    /// A label is not a finite number.
    #[error(
        "{place}: the label `{column}` is {found}, not a finite number; correct it, or name the columns to be read \
         without it{}",
        if *is_text { ". A cross-encoder takes names of labels that `[model] labels = [\"…\", …]` lists" } else { "" }
    )]
    BadLabel {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// The value found.
        found: String,
        /// True if it is a text, which may be meant as the name of a label.
        is_text: bool,
    },
    /// An element of a list of labels is not a finite number.
    #[error("{place}: the label `{column}` holds {found}; every element of its list must be a finite number")]
    BadLabelElement {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// The element found.
        found: String,
    },
    /// The label has another number of numbers than those before.
    #[error(
        "{place}: the label `{column}` has {found} {}, those before have {expected}; give all rows as many",
        if *found == 1 { "number" } else { "numbers" }
    )]
    LabelLength {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// Numbers of this label.
        found: usize,
        /// Numbers of the labels before.
        expected: usize,
    },
    /// A label of a list has another number of numbers than the list has texts.
    #[error(
        "{place}: the label `{column}` has {found} {} for a list of {documents} texts; give each text one",
        if *found == 1 { "number" } else { "numbers" }
    )]
    ListLabels {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// Numbers of the label.
        found: usize,
        /// Texts of the list.
        documents: usize,
    },
    /// A label is not the name of a class.
    #[error(
        "{place}: the label `{column}` is {found:?}, which is not among the names of the labels: {}; correct it, or \
         name the labels of the model in `[model] labels = [\"…\", …]`",
        known.join(", ")
    )]
    NoSuchClass {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// The name found.
        found: Box<str>,
        /// Names of the classes.
        known: Box<[String]>,
    },
    /// A text in training data is blank.
    #[error("{place}: the text of `{column}` is blank; remove the row, or allow blank texts")]
    BlankText {
        /// The place.
        place: Place,
        /// The column.
        column: String,
    },
    /// A line is not a JSON object.
    #[error("{path}, line {line}, column {column}: {message}; each line must be one whole JSON object")]
    InvalidJson {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// Byte in the line, from 1.
        column: usize,
        /// Message of the parser.
        message: String,
    },
    /// A JSON list is malformed.
    #[error(
        "{path}, line {line}: {message}; the file must be one whole list of JSON objects, or have an object a line"
    )]
    InvalidList {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// Reason.
        message: String,
    },
    /// A file is compressed in an unsupported format.
    #[error("{path}: is packed with {packing}, which is not read; unpack it, or pack it with gzip")]
    Packed {
        /// The file.
        path: String,
        /// The compression.
        packing: &'static str,
    },
    /// A file is UTF-16.
    #[error("{path}: is UTF-16, not UTF-8; save the file as UTF-8")]
    Utf16 {
        /// The file.
        path: String,
    },
    /// Lines end in carriage returns without line feeds.
    #[error("{path}: its lines end in carriage returns without line feeds; save the file with line feeds")]
    LoneReturns {
        /// The file.
        path: String,
    },
    /// A file is not UTF-8.
    #[error("{path}, line {line}: byte {offset} of the file is not valid UTF-8; save the file as UTF-8")]
    InvalidUtf8 {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The first invalid byte, from 0 at the start of the file.
        offset: u64,
    },
    /// A quoted field is not closed.
    #[error(
        "{path}, line {line}: a quote opened here is never closed; close it, or double every quote that belongs to the text"
    )]
    QuoteNotClosed {
        /// The file.
        path: String,
        /// The line of the opening quote, from 1.
        line: u64,
    },
    /// A record has more or fewer fields than the header.
    #[error(
        "{path}, line {line}: {found} fields where the header names {expected}; a field that holds the separator or a \
         line break must be quoted"
    )]
    FieldCount {
        /// The file.
        path: String,
        /// The first line of the record, from 1.
        line: u64,
        /// Fields of the record.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A line is too long.
    #[error("{path}, line {line}: longer than {limit} bytes; break the text up")]
    LineTooLong {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// Maximum length of a line in bytes.
        limit: usize,
    },
    /// A text is too long.
    #[error("{place}: the text of `{column}` is longer than {limit} bytes; break the text up")]
    TextTooLong {
        /// The place.
        place: Place,
        /// The column.
        column: String,
        /// Maximum length of a text in bytes.
        limit: usize,
    },
    /// A Parquet file is invalid.
    #[error("{path}: not a readable Parquet file: {message}")]
    InvalidParquet {
        /// The file.
        path: String,
        /// Message of the reader.
        message: String,
    },
    /// A Parquet file is compressed with an unsupported codec.
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
    /// A row has changed since the file was indexed.
    #[error("{path}: row {row} has changed since the file was opened; do not change a file that is in use")]
    Changed {
        /// The file.
        path: String,
        /// The row of the file, from 1.
        row: usize,
    },
    /// A file of a retrieval set is missing.
    #[error("{folder}: no {file}; a retrieval set has queries.jsonl, corpus.jsonl and qrels.tsv or qrels/test.tsv")]
    RetrievalFileMissing {
        /// The folder.
        folder: String,
        /// The missing file.
        file: &'static str,
    },
    /// Two lines have the same id.
    #[error("{path}, line {line}: the id `{id}` is already that of line {first_line}; ids must differ")]
    DuplicateId {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The id.
        id: String,
        /// The first line with it.
        first_line: u64,
    },
    /// A judgement is not a query id, a document id and a score.
    #[error(
        "{path}, line {line}: {message}; each line must be a query id, a document id and a score, separated by tabs"
    )]
    BadJudgement {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// Reason.
        message: String,
    },
    /// A retrieval set has no relevant document.
    #[error("{path}: no query of queries.jsonl has a relevant document; check that the ids are those of queries.jsonl")]
    NothingRelevant {
        /// The file of judgements.
        path: String,
    },
    /// An id contains a character that a file of judgements cannot hold.
    #[error("{path}: the id {id:?} holds a tab or a line break; ids in this file must not")]
    BadId {
        /// The written file.
        path: String,
        /// The id.
        id: String,
    },
}

impl DataError {
    /// Creates the error of the JSON parser for an object that begins on this line.
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

/// The place of an error in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A whole file.
    File(String),
    /// A line of a file, from 1.
    Line(String, u64),
    /// A row of a file without lines, from 1.
    Row(String, u64),
    /// The columns named by the caller.
    Setting,
}

impl Place {
    /// Returns the whole file of a row.
    pub fn of_file(self) -> Self {
        match self {
            Self::Line(path, _) | Self::Row(path, _) => Self::File(path),
            place @ (Self::File(_) | Self::Setting) => place,
        }
    }
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

/// Extensions of data files, for messages.
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

/// Returns the edits from one name to another, ignoring case.
fn edits(a: &str, b: &str) -> usize {
    maana_files::edit_distance(&a.to_lowercase(), &b.to_lowercase())
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
