//! The elements of one JSON list, as in `.json` files, with their lines and positions. Holds one
//! element in memory; finds its end without parsing it.

use std::fs::File;
use std::io::BufRead;

use super::lines::{Line, MAX_LINE, Spans};
use super::source::Source;
use crate::DataError;

/// Reads a list element by element.
pub(crate) struct Elements {
    path: String,
    reader: Box<dyn BufRead + Send>,
    unpacked: Option<File>,
    buffer: Vec<u8>,
    /// Current line, from 1.
    line: u64,
    next_offset: u64,
    place: Between,
    /// Start of the last element.
    begin: (u64, u64),
    /// True if the last element will be returned again.
    again: bool,
}

/// Position of the reader in the list.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Between {
    Start,
    /// After the bracket that opens the list.
    First,
    /// After a comma.
    Comma,
    /// After an element.
    Element,
    End,
}

impl Elements {
    /// Creates a reader of a source.
    pub(crate) fn new(source: Source) -> Self {
        let Source { name: path, reader, unpacked, .. } = source;
        let (line, place) = (1, Between::Start);
        Self { path, reader, unpacked, buffer: Vec::new(), line, next_offset: 0, place, begin: (0, 0), again: false }
    }

    /// Returns an empty list of spans of the file.
    pub(crate) fn spans(&mut self) -> Spans {
        Spans::new(&self.path, self.unpacked.take())
    }

    /// Returns the name of the file for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the next element, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        if !std::mem::take(&mut self.again) && !self.advance()? {
            return Ok(None);
        }
        let (number, offset) = self.begin;
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(Line { number, offset, text, ending: "" })),
            Err(error) => {
                let before = &self.buffer[..error.valid_up_to()];
                let line = number + before.iter().filter(|byte| **byte == b'\n').count() as u64;
                let offset = offset + before.len() as u64;
                Err(DataError::InvalidUtf8 { path: self.path.clone(), line, offset })
            }
        }
    }

    /// Returns the last element again with the next call.
    pub(crate) fn give_again(&mut self) {
        self.again = true;
    }

    /// Reads the next element into the buffer. Returns false at the end.
    fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            let Some(byte) = self.skip_to()? else {
                return if self.place == Between::End { Ok(false) } else { Err(self.broken("the list is not closed")) };
            };
            self.place = match (self.place, byte) {
                (Between::Start, b'[') => Between::First,
                (Between::First | Between::Element, b']') => Between::End,
                (Between::Element, b',') => Between::Comma,
                (Between::First | Between::Comma, b'{' | b'"') => break,
                (Between::First | Between::Comma, _) => return Err(self.broken("expected an object")),
                (Between::Element, _) => return Err(self.broken("expected a comma, or the end of the list")),
                (Between::Start | Between::End, _) => return Err(self.broken("trailing characters")),
            };
            self.take(1);
        }
        self.place = Between::Element;
        self.begin = (self.line, self.next_offset);
        self.element()?;
        Ok(true)
    }

    /// Skips white space and returns the next byte without consuming it.
    fn skip_to(&mut self) -> Result<Option<u8>, DataError> {
        loop {
            let filled = self.reader.fill_buf().map_err(|source| DataError::Io { path: self.path.clone(), source })?;
            if filled.is_empty() {
                return Ok(None);
            }
            if self.next_offset == 0 && filled.starts_with(b"\xef\xbb\xbf") {
                self.take(3);
                continue;
            }
            match filled.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(place) => {
                    let byte = filled[place];
                    self.line += filled[..place].iter().filter(|byte| **byte == b'\n').count() as u64;
                    self.take(place);
                    return Ok(Some(byte));
                }
                None => {
                    let size = filled.len();
                    self.line += filled.iter().filter(|byte| **byte == b'\n').count() as u64;
                    self.take(size);
                }
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.next_offset += bytes as u64;
    }

    /// Reads the object or string at the position of the reader into the buffer.
    fn element(&mut self) -> Result<(), DataError> {
        self.buffer.clear();
        let begins = self.line;
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        loop {
            let filled = self.reader.fill_buf().map_err(|source| DataError::Io { path: self.path.clone(), source })?;
            if filled.is_empty() {
                return Err(self.broken("the list is not closed"));
            }
            let mut end = None;
            for (place, byte) in filled.iter().enumerate() {
                self.line += u64::from(*byte == b'\n');
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    _ if quoted => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 && !quoted {
                    end = Some(place + 1);
                    break;
                }
            }
            let size = end.unwrap_or(filled.len());
            self.buffer.extend_from_slice(&filled[..size]);
            self.take(size);
            if self.buffer.len() > MAX_LINE {
                return Err(DataError::LineTooLong { path: self.path.clone(), line: begins, limit: MAX_LINE });
            }
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn broken(&self, message: &str) -> DataError {
        DataError::InvalidList { path: self.path.clone(), line: self.line, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Vec<(u64, u64, String)>, DataError> {
        // A buffer of five bytes, so that elements cross its end.
        let reader = std::io::BufReader::with_capacity(5, text.as_bytes());
        let mut elements = Elements::new(Source::from_reader("a.json", Box::new(reader))?);
        let mut found = Vec::new();
        while let Some(element) = elements.next()? {
            found.push((element.number, element.offset, element.text.to_owned()));
        }
        Ok(found)
    }

    #[test]
    fn elements_end_where_their_brackets_and_quotes_do() {
        let text = "\u{feff} [\n {\"a\": \"]}\\\"\", \"b\": [{}]},\n\n\"x,\\\\\" , {}\n]\n";
        let found = read(text).unwrap();
        let texts: Vec<&str> = found.iter().map(|(.., text)| text.as_str()).collect();
        assert_eq!(texts, ["{\"a\": \"]}\\\"\", \"b\": [{}]}", "\"x,\\\\\"", "{}"]);
        assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 4, 4]);
        for (_, offset, element) in &found {
            assert_eq!(&text[*offset as usize..][..element.len()], element);
        }
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn lists_that_are_not_whole_are_named() {
        for (text, line, message) in [
            ("[{}\n", 2, "the list is not closed"),
            ("[{\"a\": \"}", 1, "the list is not closed"),
            ("[{} {}]", 1, "expected a comma, or the end of the list"),
            ("[\n1]", 2, "expected an object"),
            ("[{},]", 1, "expected an object"),
            ("[{}]\n[]", 2, "trailing characters"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.json, line {line}: {message}; ")), "{text}: {error}");
        }
    }
}
