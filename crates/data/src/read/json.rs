//! JSON: one object per line, or one list of objects, with their fields as columns. Empty lines are
//! skipped. A string in place of an object is a text in the column `text`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::elements::Elements;
use super::lines::{Line, Lines, Spans};
use super::source::Source;
use super::value::{Kind, Value, write_float};
use super::{Column, Parse, Row, Rows, SpannedRows, text};
use crate::DataError;

/// Returns true if content that begins with these bytes is JSON.
pub(crate) fn begins(head: &[u8]) -> bool {
    let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
    match head.split_first() {
        Some((b'{', _)) => true,
        Some((b'[', behind)) => matches!(behind.trim_ascii_start().first(), Some(b'{' | b'"')),
        _ => false,
    }
}

/// The objects of a file.
pub(crate) enum Objects {
    Lines(Lines),
    List(Elements),
}

impl Objects {
    /// Opens the objects of a list if the content begins with one, otherwise those of lines.
    pub(crate) fn open(source: Source) -> Self {
        let start = source.head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&source.head).trim_ascii_start();
        if start.starts_with(b"[") { Self::List(Elements::new(source)) } else { Self::Lines(Lines::new(source)) }
    }

    fn path(&self) -> &str {
        match self {
            Self::Lines(lines) => lines.path(),
            Self::List(elements) => elements.path(),
        }
    }

    fn spans(&mut self) -> Spans {
        match self {
            Self::Lines(lines) => lines.spans(),
            Self::List(elements) => elements.spans(),
        }
    }

    /// Returns the next object that is not blank.
    fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        match self {
            Self::List(elements) => elements.next(),
            Self::Lines(lines) => lines.next_filled(),
        }
    }
}

/// Returns the columns of the first `rows` objects, in the order of their first occurrence.
pub(crate) fn columns(source: Source, rows: usize) -> Result<Vec<Column>, DataError> {
    let mut objects = Objects::open(source);
    let path = objects.path().to_owned();
    let mut columns = Vec::new();
    let mut seen = 0;
    while let Some(line) = if seen < rows { objects.next()? } else { None } {
        seen += 1;
        add_fields(&line, &path, &mut columns)?;
    }
    if seen == 0 { Err(DataError::NoRows { path }) } else { Ok(columns) }
}

/// Returns the objects, with the columns of the first.
pub(crate) fn first(source: Source) -> Result<(Objects, Vec<Column>), DataError> {
    let mut objects = Objects::open(source);
    let path = objects.path().to_owned();
    let mut columns = Vec::new();
    match objects.next()? {
        Some(line) => add_fields(&line, &path, &mut columns)?,
        None => return Err(DataError::NoRows { path }),
    }
    match &mut objects {
        Objects::Lines(lines) => lines.give_again(),
        Objects::List(elements) => elements.give_again(),
    }
    Ok((objects, columns))
}

/// Adds the columns of an object.
fn add_fields(line: &Line<'_>, path: &str, columns: &mut Vec<Column>) -> Result<(), DataError> {
    let mut join = |place: usize, name: Cow<'_, str>, kind: Kind| {
        // Most objects have the same names in the same order.
        let guess = columns.get(place).is_some_and(|column| column.name == name);
        let place = if guess { Some(place) } else { columns.iter().position(|column| column.name == name) };
        match place {
            Some(place) => columns[place].kind.join(kind),
            None => columns.push(Column { name: name.into_owned(), kind }),
        }
    };
    if line.text.trim_start().starts_with('"') {
        join(0, text::COLUMN.into(), Kind::Text);
        return Ok(());
    }
    let mut place = 0;
    let mut visit = |name: Cow<'_, str>, raw: &str| {
        join(place, name, kind(raw));
        place += 1;
    };
    each_field(line.text, &mut visit).map_err(|error| DataError::json(path, line.number, &error))
}

/// Returns the rows of a source, with these columns.
pub(crate) fn rows(objects: Objects, columns: &[String]) -> Box<dyn SpannedRows> {
    Box::new(JsonRows { objects, parse: JsonParse::new(columns.to_vec()) })
}

struct JsonRows {
    objects: Objects,
    parse: JsonParse,
}

impl Rows for JsonRows {
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        let Some(line) = self.objects.next()? else { return Ok(None) };
        match self.parse.values(line.text) {
            Ok(values) => Ok(Some(Row { number: line.number, offset: line.offset, length: line.text.len(), values })),
            Err(error) => {
                let number = line.number;
                Err(DataError::json(self.objects.path(), number, &error))
            }
        }
    }
}

impl SpannedRows for JsonRows {
    fn spans(&mut self) -> Spans {
        self.objects.spans()
    }

    fn parser(self: Box<Self>) -> Box<dyn Parse> {
        Box::new(self.parse)
    }
}

struct JsonParse {
    columns: Vec<String>,
    /// Columns that are requested again, each with the place of its first request.
    repeated: Vec<(usize, usize)>,
}

impl Parse for JsonParse {
    fn parse(&self, text: &str) -> Option<Vec<Value>> {
        self.values(text).ok()
    }
}

impl JsonParse {
    fn new(columns: Vec<String>) -> Self {
        let first = |i: usize| columns[..i].iter().position(|column| *column == columns[i]);
        let repeated = (0..columns.len()).filter_map(|i| Some((i, first(i)?))).collect();
        Self { columns, repeated }
    }

    fn values(&self, text: &str) -> Result<Vec<Value>, serde_json::Error> {
        let mut values = self.first_values(text)?;
        for &(i, first) in &self.repeated {
            values[i] = values[first].clone();
        }
        Ok(values)
    }

    /// Reads an object; a column that is requested twice has its value in the first place only.
    fn first_values(&self, text: &str) -> Result<Vec<Value>, serde_json::Error> {
        let mut values = vec![Value::Missing; self.columns.len()];
        let place = |name: &str| self.columns.iter().position(|column| column == name);
        if text.trim_start().starts_with('"') {
            let text = Value::Text(serde_json::from_str(text)?);
            if let Some(place) = place(text::COLUMN) {
                values[place] = text;
            }
            return Ok(values);
        }
        let mut failed = None;
        let mut visit = |name: Cow<'_, str>, raw: &str| {
            let Some(place) = place(&name) else { return };
            match value(raw) {
                Ok(value) => values[place] = value,
                Err(error) => failed = Some(error),
            }
        };
        each_field(text, &mut visit)?;
        match failed {
            // Parsing the whole object gives the position of the error in the line.
            Some(error) => Err(serde_json::from_str::<serde_json::Value>(text).err().unwrap_or(error)),
            None => Ok(values),
        }
    }
}

/// Visits the fields of an object with their unparsed values.
fn each_field<'t>(text: &'t str, visit: &mut dyn FnMut(Cow<'t, str>, &'t str)) -> Result<(), serde_json::Error> {
    // The text is valid from here on.
    serde_json::from_str::<Object>(text)?;
    let mut rest = &text.trim_ascii_start()[1..];
    loop {
        rest = rest.trim_start_matches(|letter: char| letter == ',' || letter.is_ascii_whitespace());
        if rest.starts_with('}') {
            return Ok(());
        }
        let (name, behind) = rest.split_at(quoted_length(rest));
        let behind = behind.trim_ascii_start()[1..].trim_ascii_start();
        let (value, behind) = behind.split_at(value_length(behind));
        let plain = Cow::Borrowed(&name[1..name.len() - 1]);
        visit(if name.contains('\\') { serde_json::from_str::<String>(name)?.into() } else { plain }, value);
        rest = behind;
    }
}

/// Any object.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

/// Returns the length of the value at the start of valid JSON.
fn value_length(text: &str) -> usize {
    let (mut depth, mut place) = (0_usize, 0);
    while let Some(byte) = text.as_bytes().get(place) {
        match byte {
            b'"' => place += quoted_length(&text[place..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            // The byte after a number or a word is not part of it.
            b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return place,
            _ => {
                place += 1;
                continue;
            }
        }
        place += 1;
        if depth == 0 {
            return place;
        }
    }
    place
}

/// Returns the kind of a value by its first byte.
fn kind(raw: &str) -> Kind {
    match raw.as_bytes().first() {
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Truth,
        Some(b'n') => Kind::Nothing,
        Some(b'[' | b'{') => value(raw).map_or(Kind::Other("a list".into()), |value| Kind::of(&value)),
        _ => Kind::Number,
    }
}

fn value(raw: &str) -> Result<Value, serde_json::Error> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str(raw)?),
        Some(b't') => Value::Truth(true),
        Some(b'f') => Value::Truth(false),
        Some(b'n') => Value::Null,
        Some(b'[') => match serde_json::from_str(raw) {
            Ok(texts) => Value::List(texts),
            Err(_) => Value::Other { kind: "a list".into(), written: Some(compact(raw)?) },
        },
        Some(b'{') => Value::Other { kind: "an object".into(), written: Some(compact(raw)?) },
        _ => Value::Number(number(raw)),
    })
}

/// Returns an integer with all its digits, and any other number as the nearest f64.
fn number(raw: &str) -> String {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    match raw.parse::<f64>() {
        Ok(value) if value.is_finite() && !digits.bytes().all(|byte| byte.is_ascii_digit()) => write_float(value),
        _ => raw.to_owned(),
    }
}

/// Returns a list or an object without white space and unnecessary escapes; numbers keep their
/// digits.
fn compact(raw: &str) -> Result<String, serde_json::Error> {
    let mut written = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' { quoted_length(rest) } else { first.len_utf8() };
        let (token, behind) = rest.split_at(length);
        match first {
            '"' => written.push_str(&serde_json::to_string(&serde_json::from_str::<String>(token)?)?),
            _ if first.is_ascii_whitespace() => {}
            _ => written.push(first),
        }
        rest = behind;
    }
    Ok(written)
}

/// Returns the length of the string at the start of valid JSON.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_values_as_they_are_written() {
        let text = " {\"a\" : {\"}\":[1,{}]} , \"b\\u0063\":-1.5e3,\"d\":\"x\\\\\",\"e\":[],\"f\":true\t}\n";
        let mut found = Vec::new();
        each_field(text, &mut |name, value| found.push((name.into_owned(), value))).unwrap();
        let expected = [("a", "{\"}\":[1,{}]}"), ("bc", "-1.5e3"), ("d", "\"x\\\\\""), ("e", "[]"), ("f", "true")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        each_field("{ }", &mut |_, _| panic!("there are none")).unwrap();
        assert!(each_field("{\"a\":1,}", &mut |_, _| {}).is_err());
    }

    #[test]
    fn numbers_keep_their_digits_and_lists_their_content() {
        let of = |raw: &str| value(raw).unwrap().written().unwrap();
        for raw in ["98765432109876543210", "-12345678901234567890", "0", "12", "0.5", "-2.0"] {
            assert_eq!(of(raw), raw);
        }
        assert_eq!([of("1e2"), of("2.50"), of("true")], ["100.0", "2.5", "true"]);
        assert_eq!(of("[ \"a\", \"\\u00e1\" ]"), "[\"a\",\"á\"]");
        assert_eq!(
            of("{ \"a b\": [98765432109876543210, \"\\\\\\\"]\", null ] }"),
            "{\"a b\":[98765432109876543210,\"\\\\\\\"]\",null]}"
        );
    }
}
