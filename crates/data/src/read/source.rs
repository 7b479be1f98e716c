//! The bytes of a data file from start to end. Opens only regular files, decompresses gzip, and
//! refuses other compressions and UTF-16 by name.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::DataError;

/// Bytes at the start of a file that are inspected.
const HEAD: usize = 512;

/// Size of the buffer, which one system call fills.
const BUFFER: usize = 1 << 18;

/// An opened file, or standard input.
pub(crate) struct Source {
    /// Name for messages.
    pub(crate) name: String,
    /// The uncompressed content.
    pub(crate) reader: Box<dyn BufRead + Send>,
    /// The first bytes of the content.
    pub(crate) head: Vec<u8>,
    /// The uncompressed content as a file, if it was compressed and will be read again.
    pub(crate) unpacked: Option<File>,
}

impl Source {
    /// Opens a file for reading once.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let reader = BufReader::with_capacity(BUFFER, regular_file(path)?);
        Self::from_reader(&name, Box::new(reader))
    }

    /// Opens a file whose rows will be read again. A compressed one is decompressed to an unnamed
    /// file.
    pub(crate) fn open_to_read_again(path: &Path) -> Result<Self, DataError> {
        let mut source = Self::open(path)?;
        let io = |source| DataError::Io { path: path.display().to_string(), source };
        if packing(&start(&mut regular_file(path)?).map_err(io)?) == Some("gzip") {
            let mut unpacked = tempfile::tempfile().map_err(io)?;
            std::io::copy(&mut source.reader, &mut unpacked).map_err(io)?;
            unpacked.rewind().map_err(io)?;
            source.reader = Box::new(BufReader::with_capacity(BUFFER, unpacked.try_clone().map_err(io)?));
            source.unpacked = Some(unpacked);
        }
        Ok(source)
    }

    /// Creates a source from a reader, with a name for messages.
    pub(crate) fn from_reader(name: &str, reader: Box<dyn BufRead + Send>) -> Result<Self, DataError> {
        let path = || name.to_owned();
        let io = |source| DataError::Io { path: path(), source };
        let (mut head, mut reader) = peek(reader).map_err(io)?;
        match packing(&head) {
            Some("gzip") => {
                let unpacked = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(reader));
                (head, reader) = peek(Box::new(unpacked)).map_err(io)?;
            }
            Some(packing) => return Err(DataError::Packed { path: path(), packing }),
            None => {}
        }
        if is_utf16(&head) {
            return Err(DataError::Utf16 { path: path() });
        }
        Ok(Self { name: path(), reader, head, unpacked: None })
    }
}

/// Opens a regular file; anything else is refused.
pub(crate) fn regular_file(path: &Path) -> Result<File, DataError> {
    maana_files::open(path).map_err(|source| DataError::Io { path: path.display().to_string(), source })
}

fn start(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

type Peeked = (Vec<u8>, Box<dyn BufRead + Send>);

/// Returns the first bytes, and a reader that begins with them.
fn peek(mut reader: Box<dyn BufRead + Send>) -> std::io::Result<Peeked> {
    // Does not wait for more than the first bytes of a pipe.
    let filled = reader.fill_buf()?;
    if filled.len() >= HEAD {
        return Ok((filled[..HEAD].to_vec(), reader));
    }
    let mut head = filled.to_vec();
    let taken = head.len();
    reader.consume(taken);
    if !head.contains(&b'\n') {
        let mut rest = Vec::new();
        (&mut reader).take((HEAD - taken) as u64).read_to_end(&mut rest)?;
        head.extend(rest);
    }
    Ok((head.clone(), Box::new(Cursor::new(head).chain(reader))))
}

/// Returns the compression of a file by its first bytes.
fn packing(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"PK\x03\x04", "zip")];
    let bzip2 = head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY");
    let known = || KNOWN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name);
    if bzip2 { Some("bzip2") } else { known() }
}

/// Returns true if the content is UTF-16: it has a byte order mark, or nearly every second byte is
/// zero.
fn is_utf16(head: &[u8]) -> bool {
    let zeros = |first: usize| head.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let mostly = |zeros: usize, others: usize| others == 0 && 4 * zeros > head.len();
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || mostly(odd, even) || mostly(even, odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_detected_with_and_without_its_mark() {
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            text.encode_utf16().flat_map(bytes).collect()
        };
        for text in ["{\"text\":\"habari\"}\n", "\u{feff}habari", "bei ya mahindi — “imepanda”"] {
            assert!(is_utf16(&utf16(text, false)) && is_utf16(&utf16(text, true)), "{text}");
            assert!(!is_utf16(text.as_bytes()), "{text}");
        }
        assert!(!is_utf16(b"abcde\0fgh") && !is_utf16(b""));
    }
}
