//! CSV and TSV as RFC 4180 has them: a header line, then records; a field in quotes may hold separators, line breaks
//! and doubled quotes. Nothing is trimmed. Empty lines are skipped.

use std::path::Path;

use super::lines::{Lines, MAX_LINE, Spans};
use super::{Column, RowFile, Selection, Visit, label_value};
use crate::{DataError, Example, Place};

/// The names of the header. Every column may hold texts.
pub(crate) fn columns(path: &Path, separator: char) -> Result<Vec<Column>, DataError> {
    let mut records = Records::new(Lines::open(path)?, separator);
    let header = header(&mut records)?;
    Ok(header.into_iter().map(|name| Column { name, is_text: true }).collect())
}

/// Every record after the header is a row.
pub(crate) fn scan(
    path: &Path,
    separator: char,
    selection: &Selection,
    visit: &mut Visit<'_>,
) -> Result<Box<dyn RowFile>, DataError> {
    let mut records = Records::new(Lines::open(path)?, separator);
    let header = header(&mut records)?;
    let mut rows = CsvRows {
        spans: Spans::new(path),
        separator,
        fields: header.len(),
        places: places(&header, selection, Place::File(path.display().to_string()))?,
        selection: selection.clone(),
    };
    while let Some(found) = records.next()? {
        let example = rows.example(&records.record, found.line)?;
        rows.spans.push(found.offset, found.length);
        if !visit(found.line, &example)? {
            break;
        }
    }
    Ok(Box::new(rows))
}

/// The texts of one column: the one named, else `text`, else the first.
pub(crate) fn stream(
    lines: Lines,
    separator: char,
    column: Option<&str>,
) -> Result<impl FnMut() -> Result<Option<String>, DataError> + Send + use<>, DataError> {
    let path = lines.path().to_string();
    let mut records = Records::new(lines, separator);
    let header = header(&mut records)?;
    let place = Place::File(path.clone());
    let column = match column {
        Some(column) => column.to_string(),
        None => {
            let columns = header.iter().map(|name| Column { name: name.clone(), is_text: true }).collect();
            super::default_column(columns, place.clone())?
        }
    };
    let wanted = places(&header, &Selection::one(&column), place)?.texts[0];
    Ok(move || match records.next()? {
        None => Ok(None),
        Some(found) => {
            records.record.check_fields(header.len(), &path, found.line)?;
            Ok(Some(records.record.field(wanted).to_string()))
        }
    })
}

/// The fields at `places` of every record; `names` are the columns of a file without a header.
pub(crate) fn records(
    lines: Lines,
    separator: char,
    places: Vec<usize>,
    names: Option<&[String]>,
) -> Result<impl FnMut() -> Result<Option<super::Record>, DataError> + use<>, DataError> {
    let path = lines.path().to_string();
    let mut records = Records::new(lines, separator);
    let fields = match names {
        Some(names) => names.len(),
        None => header(&mut records)?.len(),
    };
    Ok(move || match records.next()? {
        None => Ok(None),
        Some(found) => {
            records.record.check_fields(fields, &path, found.line)?;
            let values = places.iter().map(|&place| Some(records.record.field(place).to_string())).collect();
            Ok(Some(super::Record { number: found.line, values }))
        }
    })
}

fn header(records: &mut Records) -> Result<Vec<String>, DataError> {
    let path = records.lines.path().to_string();
    if records.next()?.is_none() {
        return Err(DataError::NoRows { path });
    }
    let names: Vec<String> = (0..records.record.len()).map(|i| records.record.field(i).to_string()).collect();
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, column)) => Err(DataError::DuplicateColumn { place: Place::File(path), column: column.clone() }),
        None => Ok(names),
    }
}

/// Where the chosen columns stand in a record.
struct Places {
    texts: Vec<usize>,
    label: Option<usize>,
}

fn places(header: &[String], selection: &Selection, place: Place) -> Result<Places, DataError> {
    let find = |column: &String| {
        header.iter().position(|name| name == column).ok_or_else(|| DataError::ColumnMissing {
            place: place.clone(),
            column: column.clone(),
            present: header.to_vec(),
        })
    };
    let texts = selection.columns.iter().map(find).collect::<Result<_, _>>()?;
    Ok(Places { texts, label: selection.label.as_ref().map(find).transpose()? })
}

struct CsvRows {
    spans: Spans,
    separator: char,
    fields: usize,
    places: Places,
    selection: Selection,
}

impl CsvRows {
    fn example(&self, record: &Record, line: u64) -> Result<Example, DataError> {
        let path = self.spans.path();
        record.check_fields(self.fields, path, line)?;
        let label = match (self.places.label, &self.selection.label) {
            (Some(place), Some(column)) => {
                let (field, place) = (record.field(place), || Place::Line(path.into(), line));
                let value = field.trim().parse().map_err(|_| DataError::BadLabel {
                    place: place(),
                    column: column.clone(),
                    found: format!("{field:?}"),
                })?;
                Some(label_value(value, column, place)?)
            }
            _ => None,
        };
        Ok(Example { texts: self.places.texts.iter().map(|&i| record.field(i).to_string()).collect(), label })
    }
}

impl RowFile for CsvRows {
    fn read(&self, row: usize) -> Result<Example, DataError> {
        let text = self.spans.read(row)?;
        let mut record = Record::default();
        record.push(&text, self.separator);
        record.end();
        self.example(&record, 0)
    }
}

/// The records of a file, one at a time.
struct Records {
    lines: Lines,
    separator: char,
    record: Record,
}

/// Where a record was found.
struct Found {
    line: u64,
    offset: u64,
    length: usize,
}

impl Records {
    fn new(lines: Lines, separator: char) -> Self {
        Self { lines, separator, record: Record::default() }
    }

    /// Reads the next record into `record`.
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        self.record.clear();
        let path = self.lines.path().to_string();
        let mut found: Option<Found> = None;
        let mut opened = 0;
        let mut ending = "";
        while let Some(line) = self.lines.next()? {
            match &mut found {
                None if line.text.is_empty() => continue,
                None => found = Some(Found { line: line.number, offset: line.offset, length: line.text.len() }),
                Some(found) => {
                    self.record.push(ending, self.separator);
                    found.length += ending.len() + line.text.len();
                }
            }
            if self.record.push(line.text, self.separator) {
                opened = line.number;
            }
            ending = line.ending;
            let length = found.as_ref().map_or(0, |found| found.length);
            if !self.record.in_quotes() {
                self.record.end();
                return Ok(found);
            }
            if length > MAX_LINE {
                break;
            }
        }
        match found {
            None => Ok(None),
            Some(_) => Err(DataError::QuoteNotClosed { path, line: opened }),
        }
    }
}

/// The fields of one record, unquoted, one after the other.
#[derive(Default)]
struct Record {
    text: String,
    ends: Vec<usize>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of them, or the first of a doubled quote.
    QuoteSeen,
}

impl Record {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.state = State::FieldStart;
    }

    /// Goes on with the record; true if a quote was opened in this part and is still open.
    fn push(&mut self, part: &str, separator: char) -> bool {
        let mut opened = false;
        for c in part.chars() {
            self.state = match (self.state, c) {
                (State::FieldStart, '"') => {
                    opened = true;
                    State::Quoted
                }
                (State::Quoted, '"') => State::QuoteSeen,
                (State::QuoteSeen, '"') => {
                    self.text.push('"');
                    State::Quoted
                }
                (State::Quoted, c) => {
                    self.text.push(c);
                    State::Quoted
                }
                (_, c) if c == separator => {
                    self.ends.push(self.text.len());
                    State::FieldStart
                }
                (_, c) => {
                    self.text.push(c);
                    State::Plain
                }
            };
        }
        opened && self.in_quotes()
    }

    fn in_quotes(&self) -> bool {
        self.state == State::Quoted
    }

    fn end(&mut self) {
        self.ends.push(self.text.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn field(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    fn check_fields(&self, expected: usize, path: &str, line: u64) -> Result<(), DataError> {
        if self.len() == expected {
            return Ok(());
        }
        Err(DataError::FieldCount { path: path.into(), line, found: self.len(), expected })
    }
}
