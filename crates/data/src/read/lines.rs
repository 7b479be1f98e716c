//! Lines of a file with their numbers and positions, and bytes that are read again from a position.
//! Knows no format.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::source::Source;
use crate::DataError;

/// Maximum length of a line, record or text in bytes. A longer one is a mistake and would use
/// memory without bound.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// A reader of lines that holds one line in memory.
pub(crate) struct Lines {
    path: String,
    reader: Box<dyn BufRead + Send>,
    unpacked: Option<File>,
    buffer: Vec<u8>,
    number: u64,
    next_offset: u64,
    /// Range of the last line in the buffer, its start in the file, and its ending.
    text: Range<usize>,
    offset: u64,
    ending: &'static str,
    /// True if the last line will be returned again.
    again: bool,
}

/// One line.
pub(crate) struct Line<'a> {
    /// Number, from 1.
    pub(crate) number: u64,
    /// Start of `text` in the file, in bytes.
    pub(crate) offset: u64,
    /// The line without its ending and without a byte order mark.
    pub(crate) text: &'a str,
    /// `\n`, `\r\n`, or an empty string at the end of the file.
    pub(crate) ending: &'static str,
}

impl Lines {
    /// Creates a reader of a source.
    pub(crate) fn new(source: Source) -> Self {
        let Source { name: path, reader, unpacked, .. } = source;
        Self {
            path,
            reader,
            unpacked,
            buffer: Vec::new(),
            number: 0,
            next_offset: 0,
            text: 0..0,
            offset: 0,
            ending: "",
            again: false,
        }
    }

    /// Returns an empty list of spans of the file.
    pub(crate) fn spans(&mut self) -> Spans {
        Spans::new(&self.path, self.unpacked.take())
    }

    /// Returns the name of the file for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        Ok(if self.advance()? { Some(self.line()) } else { None })
    }

    /// Returns the next line that is not blank, or `None` at the end.
    pub(crate) fn next_filled(&mut self) -> Result<Option<Line<'_>>, DataError> {
        while self.advance()? {
            if !self.line().text.trim().is_empty() {
                return Ok(Some(self.line()));
            }
        }
        Ok(None)
    }

    /// Returns the last line again with the next call.
    pub(crate) fn give_again(&mut self) {
        self.again = true;
    }

    /// Returns the last line.
    fn line(&self) -> Line<'_> {
        let text = std::str::from_utf8(&self.buffer[self.text.clone()]).expect("checked when it was read");
        Line { number: self.number, offset: self.offset, text, ending: self.ending }
    }

    /// Reads a line. Returns false at the end.
    fn advance(&mut self) -> Result<bool, DataError> {
        if std::mem::take(&mut self.again) {
            return Ok(true);
        }
        self.buffer.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        let size = limited
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        if size == 0 {
            return Ok(false);
        }
        self.number += 1;
        if size > MAX_LINE {
            return Err(DataError::LineTooLong { path: self.path.clone(), line: self.number, limit: MAX_LINE });
        }
        let marked = self.next_offset == 0 && self.buffer.starts_with(b"\xef\xbb\xbf");
        let start = if marked { 3 } else { 0 };
        self.offset = self.next_offset + start as u64;
        self.next_offset += size as u64;
        let (bytes, ending) = match &self.buffer[start..] {
            [text @ .., b'\r', b'\n'] => (text, "\r\n"),
            [text @ .., b'\n'] => (text, "\n"),
            text => (text, ""),
        };
        if self.number == 1 && ending.is_empty() && bytes.trim_ascii_end().contains(&b'\r') {
            return Err(DataError::LoneReturns { path: self.path.clone() });
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            let offset = self.offset + error.valid_up_to() as u64;
            return Err(DataError::InvalidUtf8 { path: self.path.clone(), line: self.number, offset });
        }
        (self.text, self.ending) = (start..start + bytes.len(), ending);
        Ok(true)
    }
}

/// Positions of the rows of a file, in twelve bytes each.
pub(crate) struct Spans {
    path: String,
    unpacked: Option<Mutex<File>>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
}

impl Spans {
    /// Creates an empty list for a file or for its uncompressed content.
    pub(crate) fn new(path: &str, unpacked: Option<File>) -> Self {
        Self { path: path.into(), unpacked: unpacked.map(Mutex::new), offsets: Vec::new(), lengths: Vec::new() }
    }

    /// Adds a row of `length` bytes from `offset`.
    pub(crate) fn push(&mut self, offset: u64, length: usize) {
        self.offsets.push(offset);
        self.lengths.push(u32::try_from(length).expect("a row is shorter than the longest line"));
    }

    /// Reads a row again. The file is opened for each call, so that several threads may read and a
    /// data set may have any number of files.
    pub(crate) fn read(&self, row: usize) -> Result<String, DataError> {
        let mut bytes = vec![0; self.lengths[row] as usize];
        let mut fill = |file: &mut File| {
            file.seek(SeekFrom::Start(self.offsets[row]))?;
            file.read_exact(&mut bytes)
        };
        let read = match &self.unpacked {
            Some(file) => fill(&mut file.lock().unwrap_or_else(PoisonError::into_inner)),
            None => maana_files::open(&self.path).and_then(|mut file| fill(&mut file)),
        };
        let path = || self.path.clone();
        match read {
            Ok(()) => String::from_utf8(bytes).map_err(|_| DataError::Changed { path: path(), row: row + 1 }),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(DataError::Changed { path: path(), row: row + 1 })
            }
            Err(source) => Err(DataError::Io { path: path(), source }),
        }
    }
}
