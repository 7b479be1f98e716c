//! Lines of a file with their numbers and places, and bytes read again from such a place.
//! Knows no format.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::source::Source;
use crate::DataError;

/// The longest line, record or text, in bytes. A longer one is a mistake, and would only eat memory.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Reads a file line by line, in memory for one line.
pub(crate) struct Lines {
    path: String,
    reader: Box<dyn BufRead + Send>,
    unpacked: Option<File>,
    buffer: Vec<u8>,
    number: u64,
    next_offset: u64,
    /// Where in the buffer the text of the last line is, where in the file it begins, and how it ends.
    text: Range<usize>,
    offset: u64,
    ending: &'static str,
    /// Whether the last line is the next as well.
    again: bool,
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
    /// Reads the lines of what was opened.
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

    /// Where rows of the file will lie.
    pub(crate) fn spans(&mut self) -> Spans {
        Spans::new(&self.path, self.unpacked.take())
    }

    /// What messages call the file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The next line, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        Ok(if self.advance()? { Some(self.line()) } else { None })
    }

    /// The next line that is not blank, if there is one.
    pub(crate) fn next_filled(&mut self) -> Result<Option<Line<'_>>, DataError> {
        while self.advance()? {
            if !self.line().text.trim().is_empty() {
                return Ok(Some(self.line()));
            }
        }
        Ok(None)
    }

    /// Makes the line that was read last the next.
    pub(crate) fn give_again(&mut self) {
        self.again = true;
    }

    /// The line that was read last.
    fn line(&self) -> Line<'_> {
        let text = std::str::from_utf8(&self.buffer[self.text.clone()]).expect("checked when it was read");
        Line { number: self.number, offset: self.offset, text, ending: self.ending }
    }

    /// Reads a line, if there is one.
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

/// Where the rows of a file lie: twelve bytes each.
pub(crate) struct Spans {
    path: String,
    unpacked: Option<Mutex<File>>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
}

impl Spans {
    /// No rows yet, of a file or of its unpacked content.
    pub(crate) fn new(path: &str, unpacked: Option<File>) -> Self {
        Self { path: path.into(), unpacked: unpacked.map(Mutex::new), offsets: Vec::new(), lengths: Vec::new() }
    }

    /// One more row, of `length` bytes from `offset`.
    pub(crate) fn push(&mut self, offset: u64, length: usize) {
        self.offsets.push(offset);
        self.lengths.push(u32::try_from(length).expect("a row is shorter than the longest line"));
    }

    /// Reads a row again. A file is opened each time: so many threads may read, and a data set may have any number of files.
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
