//! Records with named fields, each as text, from start to end: for work that keeps what it reads, such as ids and fields beside
//! a text. Memory for one record.

use std::path::Path;

use super::{Column, Format, Lines, csv, text};
use crate::{DataError, Dataset, Place, ReadOptions, Source};

/// The fields of one record that were asked for, in that order. A field that a JSON object does not have, or has as `null`, is
/// none; numbers and truth values are written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line, or of Parquet the row, counted from 1.
    pub number: u64,
    /// The fields.
    pub values: Vec<Option<String>>,
}

/// The records of a file of JSONL, CSV, TSV, Parquet or plain text, one after the other. After an error the stream ends.
pub struct RecordStream {
    next: Option<Box<NextRecord>>,
}

type NextRecord = dyn FnMut() -> Result<Option<Record>, DataError>;

/// The names of a file's columns: of the header, or `header` where a CSV or TSV file has none of its own; of the schema; of
/// the first JSON object. Plain text has the one column `text`.
///
/// # Errors
/// If the file cannot be read, or is of none of these kinds.
pub fn record_columns(path: &Path, header: Option<&[String]>) -> Result<Vec<String>, DataError> {
    let format = format_of(path)?;
    match header {
        Some(header) if matches!(format, Format::Csv { .. }) => Ok(header.to_vec()),
        _ => Ok(format.columns(path)?.into_iter().map(|column: Column| column.name).collect()),
    }
}

fn format_of(path: &Path) -> Result<Format, DataError> {
    Format::of(path).ok_or_else(|| DataError::UnknownExtension { path: path.display().to_string() })
}

impl RecordStream {
    /// Opens a file to read these columns of it. `header` names those of a CSV or TSV file that does not name them itself.
    ///
    /// # Errors
    /// If the file cannot be opened, or lacks one of the columns (JSONL: its first object).
    pub fn open(path: &Path, wanted: &[String], header: Option<&[String]>) -> Result<Self, DataError> {
        let format = format_of(path)?;
        let present = record_columns(path, header)?;
        let column_missing = |column: &String| DataError::ColumnMissing {
            place: Place::File(path.display().to_string()),
            column: column.clone(),
            present: present.clone(),
        };
        let place =
            |column: &String| present.iter().position(|name| name == column).ok_or_else(|| column_missing(column));
        let places: Vec<usize> = wanted.iter().map(place).collect::<Result<_, _>>()?;
        let wanted = wanted.to_vec();
        let next: Box<NextRecord> = match (format, header) {
            (Format::Csv { separator: '\t' }, Some(header)) => {
                Box::new(plain_tabs(Lines::open(path)?, header.len(), places))
            }
            (Format::Csv { separator }, _) => Box::new(csv::records(Lines::open(path)?, separator, places, header)?),
            (Format::Jsonl, _) => Box::new(jsonl(Lines::open(path)?, wanted)),
            (Format::Text, _) => {
                let mut lines = Lines::open(path)?;
                Box::new(move || {
                    let line = lines.next()?;
                    Ok(line.map(|line| Record {
                        number: line.number,
                        values: wanted.iter().map(|_| Some(line.text.to_owned())).collect(),
                    }))
                })
            }
            (Format::Parquet, _) => Box::new(parquet(path, wanted)?),
        };
        Ok(Self { next: Some(next) })
    }
}

impl Iterator for RecordStream {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.next.as_mut()?().transpose();
        if !matches!(record, Some(Ok(_))) {
            self.next = None;
        }
        record
    }
}

/// Lines of fields between tabs. A file without a header comes from a program that knows no quotes: they are letters.
fn plain_tabs(
    mut lines: Lines,
    fields: usize,
    places: Vec<usize>,
) -> impl FnMut() -> Result<Option<Record>, DataError> {
    move || {
        let path = lines.path().to_owned();
        while let Some(line) = lines.next()? {
            if line.text.is_empty() {
                continue;
            }
            let found: Vec<&str> = line.text.split('\t').collect();
            if found.len() != fields {
                return Err(DataError::FieldCount { path, line: line.number, found: found.len(), expected: fields });
            }
            let values = places.iter().map(|&place| Some(found[place].to_owned())).collect();
            return Ok(Some(Record { number: line.number, values }));
        }
        Ok(None)
    }
}

fn jsonl(mut lines: Lines, wanted: Vec<String>) -> impl FnMut() -> Result<Option<Record>, DataError> {
    use serde_json::Value;
    move || {
        let path = lines.path().to_owned();
        while let Some(line) = lines.next()? {
            if line.text.trim().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, Value> =
                serde_json::from_str(line.text).map_err(|error| DataError::json(&path, line.number, &error))?;
            let value = |name: &String| match object.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            };
            return Ok(Some(Record { number: line.number, values: wanted.iter().map(value).collect() }));
        }
        Ok(None)
    }
}

fn parquet(
    path: &Path,
    wanted: Vec<String>,
) -> Result<impl FnMut() -> Result<Option<Record>, DataError> + use<>, DataError> {
    let options = ReadOptions { columns: Some(wanted), allow_blank: true, ..ReadOptions::default() };
    let rows = Dataset::open(&[path], options)?;
    let mut row = 0;
    Ok(move || {
        if row == rows.len() {
            return Ok(None);
        }
        let values = rows.get(row)?.texts.into_iter().map(Some).collect();
        row += 1;
        Ok(Some(Record { number: row as u64, values }))
    })
}

/// The column that most likely holds the text: `text`, else the first that is not one of `others`.
pub fn text_column(columns: &[String], others: &[&str]) -> Option<String> {
    let named = columns.iter().find(|name| *name == text::COLUMN);
    named.or_else(|| columns.iter().find(|name| !others.contains(&name.as_str()))).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str, wanted: &[&str], header: Option<&[&str]>) -> Result<Vec<Record>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let header = header.map(owned);
        RecordStream::open(&path, &owned(wanted), header.as_deref())?.collect()
    }

    fn values(records: &[Record]) -> Vec<Vec<Option<&str>>> {
        records.iter().map(|record| record.values.iter().map(Option::as_deref).collect()).collect()
    }

    #[test]
    fn fields_come_in_the_order_asked_for() {
        let json = "{\"_id\": 7, \"text\": \"habari\", \"year\": 2020}\n\n{\"text\": \"asante\", \"_id\": \"b\", \"year\": null}\n";
        let records = read("a.jsonl", json, &["text", "_id", "year"], None).unwrap();
        assert_eq!(values(&records), [[Some("habari"), Some("7"), Some("2020")], [Some("asante"), Some("b"), None]]);
        assert_eq!(records[1].number, 3);
        let records = read("a.tsv", "text\tlabel\nhabari\tsalamu\n", &["label", "text"], None).unwrap();
        assert_eq!(values(&records), [[Some("salamu"), Some("habari")]]);
        let records = read("a.txt", "habari\n\nasante", &["text"], None).unwrap();
        assert_eq!(values(&records), [[Some("habari")], [Some("")], [Some("asante")]]);
    }

    #[test]
    fn a_file_without_a_header_can_be_given_one() {
        let records = read("a.tsv", "habari\tsalamu\n\"bei\tsoko\n", &["text", "label"], Some(&["text", "label"]));
        assert_eq!(values(&records.unwrap()), [[Some("habari"), Some("salamu")], [Some("\"bei"), Some("soko")]]);
        let records = read("a.csv", "habari,salamu\n\"a,b\",soko\n", &["text", "label"], Some(&["text", "label"]));
        assert_eq!(values(&records.unwrap())[1], [Some("a,b"), Some("soko")]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read("a.jsonl", "{\"text\": \"a\"}\n", &["id"], None).unwrap_err().to_string();
        assert!(error.contains("`id`") && error.contains("text"), "{error}");
        let error = read("a.jsonl", "{\"text\": \"a\"}\n[1]\n", &["text"], None).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let error = read("a.tsv", "a\tb\nc\n", &["x"], Some(&["x", "y"])).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
