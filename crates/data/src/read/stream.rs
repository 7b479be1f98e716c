//! One column of texts from start to end, for work that needs each text once. Constant memory.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::{Format, Lines, csv, jsonl, parquet, text};
use crate::DataError;

/// The texts of a file, or of standard input, one after the other.
///
/// - `.txt`: every line, blank ones too, so that text `n` is line `n`.
/// - `.jsonl`: every line that is not empty, an object or (if no column is named) a bare string.
/// - `.csv`, `.tsv`, `.parquet`: every record.
///
/// Texts may be blank. After an error the stream ends.
pub struct TextStream {
    next: Option<Box<NextText>>,
}

/// Gives the next text, if there is one.
type NextText = dyn FnMut() -> Result<Option<String>, DataError> + Send;

impl TextStream {
    /// Opens `path`, or standard input if it is `-`. The column is the one named, else `text`, else the first that
    /// holds texts. Standard input is JSONL if its first byte that is not white space is `{`, else plain text.
    ///
    /// # Errors
    /// If the file cannot be opened, or its name or its columns are not as they should be.
    pub fn open(path: impl AsRef<Path>, column: Option<&str>) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input", Box::new(BufReader::new(std::io::stdin())), column);
        }
        match Format::of(path) {
            None => Err(DataError::UnknownExtension { path: path.display().to_string() }),
            Some(Format::Parquet) => Ok(Self { next: Some(Box::new(parquet::stream(path, column)?)) }),
            Some(format) => Self::from_lines(format, Lines::open(path)?, column),
        }
    }

    /// Reads what [`TextStream::open`] reads from standard input; messages call it `name`.
    ///
    /// # Errors
    /// If nothing can be read from it, or plain text is asked for a column.
    pub fn from_reader(
        name: &str,
        mut reader: Box<dyn BufRead + Send>,
        column: Option<&str>,
    ) -> Result<Self, DataError> {
        let start = reader.fill_buf().map_err(|source| DataError::Io { path: name.into(), source })?;
        let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
        let format = match start.trim_ascii_start().first() {
            Some(b'{') => Format::Jsonl,
            _ => Format::Text,
        };
        Self::from_lines(format, Lines::new(name.into(), reader), column)
    }

    fn from_lines(format: Format, lines: Lines, column: Option<&str>) -> Result<Self, DataError> {
        let next: Box<NextText> = match format {
            Format::Jsonl => Box::new(jsonl::stream(lines, column)),
            Format::Csv { separator } => Box::new(csv::stream(lines, separator, column)?),
            Format::Text => Box::new(text::stream(lines, column)?),
            Format::Parquet => unreachable!("Parquet is not read by lines"),
        };
        Ok(Self { next: Some(next) })
    }
}

impl Iterator for TextStream {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.next.as_mut()?().transpose();
        if !matches!(text, Some(Ok(_))) {
            self.next = None;
        }
        text
    }
}
