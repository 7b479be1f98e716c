//! CSV and TSV as in RFC 4180: a header line, then records; a quoted field may contain separators,
//! line breaks and doubled quotes. Fields are not trimmed. Empty lines are skipped.
//!
//! As in files of Excel, a first line `sep=;` sets the separator, and a `.csv` file without a comma
//! in its header may be separated by semicolons or tabs.

use super::lines::{Lines, MAX_LINE, Spans};
use super::source::Source;
use super::value::{Kind, Value};
use super::{Column, Parse, Row, Rows, SpannedRows};
use crate::{DataError, Place};

/// A file whose separator and header are known.
pub(crate) struct Csv {
    records: Records,
    header: Vec<String>,
    /// True if the next record was already read in search of a header.
    waiting: Option<Found>,
}

impl Csv {
    /// Opens a file with this separator, unless the file sets another. `names` are the columns of a
    /// file without a header; in such a file with tabs quotes are literal.
    pub(crate) fn open(source: Source, separator: char, names: Option<&[String]>) -> Result<Self, DataError> {
        let quotes = names.is_none() || separator != '\t';
        let mut records = Records::new(Lines::new(source), separator, quotes);
        let mut first = records.next()?;
        if let Some(named) = records.named_separator() {
            records.separator = named;
            first = records.next()?;
        } else if separator == ',' {
            records.choose_separator(names.map(<[String]>::len));
        }
        let path = || records.lines.path().to_owned();
        let Some(found) = first else { return Err(DataError::NoRows { path: path() }) };
        let fields: Vec<String> = (0..records.record.len()).map(|i| records.record.field(i).to_owned()).collect();
        let header = match names {
            Some(names) => names.to_vec(),
            None => fields.clone(),
        };
        if let Some((_, column)) = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name)) {
            return Err(DataError::DuplicateColumn { place: Place::File(path()), column: column.clone() });
        }
        let same = |(field, name): (&String, &String)| field.trim().to_lowercase() == name.trim().to_lowercase();
        let is_header = fields.len() == header.len() && fields.iter().zip(&header).all(same);
        Ok(Self { records, header, waiting: (!is_header).then_some(found) })
    }

    /// Returns the columns, with their kinds in the first `rows` records.
    pub(crate) fn columns(mut self, rows: usize) -> Result<Vec<Column>, DataError> {
        let mut columns: Vec<Column> =
            self.header.iter().map(|name| Column { name: name.clone(), kind: Kind::Nothing }).collect();
        for _ in 0..rows {
            if self.next()?.is_none() {
                break;
            }
            for (place, column) in columns.iter_mut().enumerate().filter(|(_, column)| column.kind != Kind::Text) {
                column.kind.join(Kind::of_field(self.records.record.field(place)));
            }
        }
        Ok(columns)
    }

    /// Returns the rows with these columns, all of which are in the header.
    pub(crate) fn rows(self, columns: &[String]) -> Box<dyn SpannedRows> {
        let place = |column: &String| self.header.iter().position(|name| name == column);
        let places = columns.iter().map(|column| place(column).expect("the header has the column")).collect();
        let parse = CsvParse { separator: self.records.separator, quotes: self.records.record.quotes, places };
        Box::new(CsvRows { csv: self, parse })
    }

    /// Reads the next record, which must have as many fields as the header.
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        let found = match self.waiting.take() {
            Some(found) => Some(found),
            None => self.records.next()?,
        };
        let Some(found) = found else { return Ok(None) };
        let (fields, expected) = (self.records.record.len(), self.header.len());
        if fields == expected {
            return Ok(Some(found));
        }
        let path = self.records.lines.path().to_owned();
        Err(DataError::FieldCount { path, line: found.line, found: fields, expected })
    }
}

struct CsvRows {
    csv: Csv,
    parse: CsvParse,
}

impl Rows for CsvRows {
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        let Some(Found { line, offset, length }) = self.csv.next()? else { return Ok(None) };
        let values = self.parse.values(&self.csv.records.record);
        Ok(Some(Row { number: line, offset, length, values }))
    }
}

impl SpannedRows for CsvRows {
    fn spans(&mut self) -> Spans {
        self.csv.records.lines.spans()
    }

    fn parser(self: Box<Self>) -> Box<dyn Parse> {
        Box::new(self.parse)
    }
}

/// Positions of the selected columns in a record.
struct CsvParse {
    separator: char,
    quotes: bool,
    places: Vec<usize>,
}

impl CsvParse {
    fn values(&self, record: &Record) -> Vec<Value> {
        self.places.iter().map(|&place| Value::Text(record.field(place).to_owned())).collect()
    }
}

impl Parse for CsvParse {
    fn parse(&self, text: &str) -> Option<Vec<Value>> {
        let mut record = Record::new(self.quotes);
        record.push(text, self.separator);
        record.end();
        self.places.iter().all(|&place| place < record.len()).then(|| self.values(&record))
    }
}

/// The records of a file, one at a time.
struct Records {
    lines: Lines,
    separator: char,
    record: Record,
    /// The last line of the last record, unchanged.
    line: String,
}

/// Position of a record.
struct Found {
    line: u64,
    offset: u64,
    length: usize,
}

impl Records {
    fn new(lines: Lines, separator: char, quotes: bool) -> Self {
        Self { lines, separator, record: Record::new(quotes), line: String::new() }
    }

    /// Returns the separator that a line such as `sep=;` sets.
    fn named_separator(&self) -> Option<char> {
        let mut named = self.line.trim().trim_matches('"').strip_prefix("sep=")?.chars();
        named.next().filter(|_| named.next().is_none())
    }

    /// Detects semicolons or tabs as the separator if the first record, which was just read, has no
    /// commas. If the number of `fields` is known, selects the separator that gives it.
    fn choose_separator(&mut self, fields: Option<usize>) {
        for separator in [',', ';', '\t'] {
            let mut record = Record::new(self.record.quotes);
            record.push(&self.line, separator);
            record.end();
            if fields.map_or(record.len() > 1, |fields| record.len() == fields) {
                if separator != self.separator {
                    (self.separator, self.record) = (separator, record);
                }
                return;
            }
        }
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
                self.line.clear();
                self.line.push_str(line.text);
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

/// The unquoted fields of one record.
struct Record {
    /// True if quotes enclose fields; otherwise they are literal.
    quotes: bool,
    text: String,
    ends: Vec<usize>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of a doubled quote.
    QuoteSeen,
}

impl Record {
    fn new(quotes: bool) -> Self {
        Self { quotes, text: String::new(), ends: Vec::new(), state: State::FieldStart }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.state = State::FieldStart;
    }

    /// Continues the record. Returns true if a quote that this part opened is still open.
    fn push(&mut self, part: &str, separator: char) -> bool {
        let mut opened = false;
        for c in part.chars() {
            self.state = match (self.state, c) {
                (State::FieldStart, '"') if self.quotes => {
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
}
