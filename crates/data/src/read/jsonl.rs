//! JSONL: one JSON object a line, its fields being the columns. Empty lines are skipped.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lines::{Line, Lines, Spans};
use super::{Column, RowFile, Selection, Visit, label_value};
use crate::{DataError, Example, Place};

/// The fields of the first object.
pub(crate) fn columns(path: &Path) -> Result<Vec<Column>, DataError> {
    let mut lines = Lines::open(path)?;
    let name = lines.path().to_string();
    while let Some(line) = lines.next()? {
        if !line.text.trim().is_empty() {
            return fields(&line, &name);
        }
    }
    Err(DataError::NoRows { path: name })
}

/// Every line that is not blank is a row.
pub(crate) fn scan(path: &Path, selection: &Selection, visit: &mut Visit<'_>) -> Result<Box<dyn RowFile>, DataError> {
    let mut lines = Lines::open(path)?;
    let mut spans = Spans::new(path);
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            continue;
        }
        let example = parse(&line, spans.path(), selection)?;
        spans.push(line.offset, line.text.len());
        if !visit(line.number, &example)? {
            break;
        }
    }
    Ok(Box::new(JsonlRows { spans, selection: selection.clone() }))
}

/// The texts of one column. Lines are objects or, if no column is named, bare strings. The column that is not named is
/// `text`, else the first field of the first object that holds a string.
pub(crate) fn stream(
    mut lines: Lines,
    column: Option<&str>,
) -> impl FnMut() -> Result<Option<String>, DataError> + Send + use<> {
    let path = lines.path().to_string();
    let named = column.is_some();
    let mut selection = column.map(Selection::one);
    move || {
        while let Some(line) = lines.next()? {
            if line.text.trim().is_empty() {
                continue;
            }
            if !named && line.text.trim_start().starts_with('"') {
                return serde_json::from_str(line.text)
                    .map(Some)
                    .map_err(|error| DataError::json(&path, line.number, &error));
            }
            if selection.is_none() {
                let place = Place::Line(path.clone(), line.number);
                selection = Some(Selection::one(&super::default_column(fields(&line, &path)?, place)?));
            }
            let wanted = selection.as_ref().expect("chosen above");
            return Ok(parse(&line, &path, wanted)?.texts.pop());
        }
        Ok(None)
    }
}

struct JsonlRows {
    spans: Spans,
    selection: Selection,
}

impl RowFile for JsonlRows {
    fn read(&self, row: usize) -> Result<Example, DataError> {
        let text = self.spans.read(row)?;
        parse(&Line { number: 0, offset: 0, text: &text, ending: "" }, self.spans.path(), &self.selection)
    }
}

fn parse(line: &Line<'_>, path: &str, selection: &Selection) -> Result<Example, DataError> {
    let mut row = Row { selection, texts: vec![Cell::Missing; selection.columns.len()], label: Cell::Missing };
    let mut json = serde_json::Deserializer::from_str(line.text);
    (&mut row)
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| DataError::json(path, line.number, &error))?;

    let place = || Place::Line(path.into(), line.number);
    let missing = |column: &String| match fields(line, path) {
        Ok(fields) => {
            let present = fields.into_iter().map(|field| field.name).collect();
            DataError::ColumnMissing { place: place(), column: column.clone(), present }
        }
        Err(error) => error,
    };
    let mut texts = Vec::with_capacity(row.texts.len());
    for (cell, column) in row.texts.into_iter().zip(&selection.columns) {
        texts.push(match cell {
            Cell::Text(text) => text,
            Cell::Missing => return Err(missing(column)),
            other => {
                let found = other.describe();
                return Err(DataError::NotText { place: place(), column: column.clone(), found });
            }
        });
    }
    let label = match &selection.label {
        None => None,
        Some(column) => Some(match row.label {
            Cell::Number(value) => label_value(value, column, place)?,
            Cell::Truth(value) => f32::from(u8::from(value)),
            Cell::Missing => return Err(missing(column)),
            other => {
                let found = other.describe();
                return Err(DataError::BadLabel { place: place(), column: column.clone(), found });
            }
        }),
    };
    Ok(Example { texts, label })
}

/// The names of an object's fields, and which hold texts.
fn fields(line: &Line<'_>, path: &str) -> Result<Vec<Column>, DataError> {
    let mut json = serde_json::Deserializer::from_str(line.text);
    let mut fields = Fields::default();
    (&mut fields)
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| DataError::json(path, line.number, &error))?;
    Ok(fields.columns)
}

/// A field's value, as far as it matters.
#[derive(Clone)]
enum Cell {
    Missing,
    Text(String),
    Number(f64),
    Truth(bool),
    Other(&'static str),
}

impl Cell {
    fn describe(&self) -> String {
        match self {
            Cell::Missing => "nothing".into(),
            Cell::Text(_) => "a text".into(),
            Cell::Number(value) => format!("the number {value}"),
            Cell::Truth(value) => value.to_string(),
            Cell::Other(kind) => (*kind).into(),
        }
    }
}

/// Reads an object's chosen fields and passes over the others without keeping them.
struct Row<'a> {
    selection: &'a Selection,
    texts: Vec<Cell>,
    label: Cell,
}

impl<'de> DeserializeSeed<'de> for &mut Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Row<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if let Some(place) = self.selection.columns.iter().position(|column| *column == name) {
                self.texts[place] = map.next_value_seed(ReadCell)?;
            } else if self.selection.label.as_ref() == Some(&name) {
                self.label = map.next_value_seed(ReadCell)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Reads the names of an object's fields, and which hold texts.
#[derive(Default)]
struct Fields {
    columns: Vec<Column>,
    seen: HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Fields {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let is_text = matches!(map.next_value_seed(ReadCell)?, Cell::Text(_));
            if self.seen.insert(name.clone()) {
                self.columns.push(Column { name, is_text });
            }
        }
        Ok(())
    }
}

struct ReadCell;

impl<'de> DeserializeSeed<'de> for ReadCell {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cell, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadCell {
    type Value = Cell;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Truth(value))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("an object"))
    }
}
