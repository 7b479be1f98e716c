//! Plain text: one text per line, in the column `text`.

use super::lines::{Lines, Spans};
use super::source::Source;
use super::value::{Kind, Value};
use super::{Column, Parse, Row, Rows, SpannedRows};
use crate::DataError;

/// Name of the only column.
pub(crate) const COLUMN: &str = "text";

/// Returns the only column.
pub(crate) fn columns() -> Vec<Column> {
    vec![Column { name: COLUMN.into(), kind: Kind::Text }]
}

/// Returns every line, including blank ones, once for each requested column.
pub(crate) fn rows(source: Source, columns: usize) -> Box<dyn SpannedRows> {
    Box::new(TextRows { lines: Lines::new(source), columns })
}

struct TextRows {
    lines: Lines,
    columns: usize,
}

struct TextParse {
    columns: usize,
}

impl Rows for TextRows {
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        let columns = self.columns;
        let row = |line: super::lines::Line<'_>| Row {
            number: line.number,
            offset: line.offset,
            length: line.text.len(),
            values: vec![Value::Text(line.text.into()); columns],
        };
        Ok(self.lines.next()?.map(row))
    }
}

impl SpannedRows for TextRows {
    fn spans(&mut self) -> Spans {
        self.lines.spans()
    }

    fn parser(self: Box<Self>) -> Box<dyn Parse> {
        Box::new(TextParse { columns: self.columns })
    }
}

impl Parse for TextParse {
    fn parse(&self, text: &str) -> Option<Vec<Value>> {
        Some(vec![Value::Text(text.into()); self.columns])
    }
}
