//! Plain text: one text a line, under the column name `text`.

use std::path::Path;

use super::lines::{Lines, Spans};
use super::{Column, RowFile, Visit};
use crate::{DataError, Example, Place};

/// The name of the only column.
pub(crate) const COLUMN: &str = "text";

/// The one column.
pub(crate) fn columns() -> Vec<Column> {
    vec![Column { name: COLUMN.into(), is_text: true }]
}

/// Every line that is not blank is a row.
pub(crate) fn scan(path: &Path, visit: &mut Visit<'_>) -> Result<Box<dyn RowFile>, DataError> {
    let mut lines = Lines::open(path)?;
    let mut spans = Spans::new(path);
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            continue;
        }
        spans.push(line.offset, line.text.len());
        if !visit(line.number, &Example { texts: vec![line.text.into()], label: None })? {
            break;
        }
    }
    Ok(Box::new(TextRows { spans }))
}

/// Every line, blank ones too.
pub(crate) fn stream(
    mut lines: Lines,
    column: Option<&str>,
) -> Result<impl FnMut() -> Result<Option<String>, DataError> + Send + use<>, DataError> {
    if let Some(column) = column.filter(|&column| column != COLUMN) {
        let (place, present) = (Place::File(lines.path().into()), vec![COLUMN.into()]);
        return Err(DataError::ColumnMissing { place, column: column.into(), present });
    }
    Ok(move || Ok(lines.next()?.map(|line| line.text.to_string())))
}

struct TextRows {
    spans: Spans,
}

impl RowFile for TextRows {
    fn read(&self, row: usize) -> Result<Example, DataError> {
        Ok(Example { texts: vec![self.spans.read(row)?], label: None })
    }
}
