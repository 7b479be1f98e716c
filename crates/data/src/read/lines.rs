//! Lines of a file with their numbers and places, and bytes read again from such a place.
//! Knows no format.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::DataError;

/// The longest line, in bytes. A longer one is a mistake, and would only eat memory.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Reads a file line by line, in memory for one line.
pub(crate) struct Lines {
    path: String,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: u64,
    next_offset: u64,
}

/// One line.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Where `text` begins in the file, in bytes.
    pub(crate) offset: u64,
    /// Without its ending; without a byte order mark.
    pub(crate) text: &'a str,
    /// `\n`, `\r\n` or, at the end of the file, nothing.
    pub(crate) ending: &'static str,
}

impl Lines {
    /// Opens the file.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Ok(Self::new(name, Box::new(BufReader::with_capacity(1 << 18, file)))),
            Err(source) => Err(DataError::Io { path: name, source }),
        }
    }

    /// Reads from anything; messages call it `path`.
    pub(crate) fn new(path: String, reader: Box<dyn BufRead + Send>) -> Self {
        Self { path, reader, buffer: Vec::new(), number: 0, next_offset: 0 }
    }

    /// What messages call the file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The next line, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        self.buffer.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        let size = limited
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        if size == 0 {
            return Ok(None);
        }
        self.number += 1;
        if size > MAX_LINE {
            return Err(DataError::LineTooLong { path: self.path.clone(), line: self.number, limit: MAX_LINE });
        }
        let mut offset = self.next_offset;
        self.next_offset += size as u64;
        let mut bytes = self.buffer.as_slice();
        if offset == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes = &bytes[3..];
            offset = 3;
        }
        let (bytes, ending) = match bytes {
            [text @ .., b'\r', b'\n'] => (text, "\r\n"),
            [text @ .., b'\n'] => (text, "\n"),
            text => (text, ""),
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(Line { number: self.number, offset, text, ending })),
            Err(error) => Err(DataError::InvalidUtf8 {
                path: self.path.clone(),
                line: self.number,
                offset: offset + error.valid_up_to() as u64,
            }),
        }
    }
}

/// Where the rows of a file lie: twelve bytes each.
pub(crate) struct Spans {
    path: String,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
}

impl Spans {
    /// No rows yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.display().to_string(), offsets: Vec::new(), lengths: Vec::new() }
    }

    /// What messages call the file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// One more row, of `length` bytes from `offset`.
    pub(crate) fn push(&mut self, offset: u64, length: usize) {
        self.offsets.push(offset);
        self.lengths.push(u32::try_from(length).expect("a row is shorter than the longest line"));
    }

    /// Reads a row again. The file is opened each time: so many threads may read, and a data set may have any number of
    /// files.
    pub(crate) fn read(&self, row: usize) -> Result<String, DataError> {
        let mut bytes = vec![0; self.lengths[row] as usize];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offsets[row]))?;
            file.read_exact(&mut bytes)
        });
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
