//! Sizes of pages, read from their headers before a page is decoded: the reader takes as much
//! memory as a header says.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom};

use super::super::lines::MAX_LINE;

/// Largest page that is decoded, in bytes. Writers end a page after a megabyte, or after the texts
/// that they write together.
pub(super) const MAX_PAGE: u64 = 4 * MAX_LINE as u64;

/// Deepest nesting of a header; those of the format have four levels.
const DEPTH: usize = 16;

/// Returns the size of the first page of a column chunk that is larger than [`MAX_PAGE`] once it is
/// decoded. Headers that cannot be read end the search, as the reader of the pages reports what is
/// wrong with them.
pub(super) fn oversized_page(file: &File, start: u64, length: u64) -> Result<Option<u64>> {
    let (mut at, end) = (start, start.saturating_add(length));
    let mut input = BufReader::with_capacity(1 << 12, file);
    while at < end {
        input.seek(SeekFrom::Start(at))?;
        let mut header = Header { input: &mut input, bytes: 0 };
        let Ok(Sizes { decoded, stored }) = header.sizes() else { return Ok(None) };
        if decoded > MAX_PAGE {
            return Ok(Some(decoded));
        }
        at += header.bytes + stored;
    }
    Ok(None)
}

/// Fields 2 and 3 of a page header.
struct Sizes {
    decoded: u64,
    stored: u64,
}

/// A structure in Thrift's compact protocol, of which only the sizes are kept.
struct Header<'a, R> {
    input: &'a mut R,
    bytes: u64,
}

impl<R: BufRead> Header<'_, R> {
    fn sizes(&mut self) -> Result<Sizes> {
        let mut sizes = [None; 2];
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2 | 3, 5) => sizes[field as usize - 2] = u64::try_from(self.integer()?).ok(),
                _ => self.skip(kind, 0)?,
            }
        }
        match sizes {
            [Some(decoded), Some(stored)] => Ok(Sizes { decoded, stored }),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Reads the head of a field; returns its type, or `None` at the end of the structure.
    fn field(&mut self, number: &mut i64) -> Result<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *number = match head >> 4 {
            0 => self.integer()?,
            step => number.wrapping_add(i64::from(step)),
        };
        Ok(Some(head & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(ErrorKind::InvalidData.into());
        }
        match kind {
            // Booleans of fields are in the type.
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => self.pass(8)?,
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                for _ in 0..count {
                    self.skip_element(head & 15, depth + 1)?;
                }
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 15, depth + 1)?;
                }
            }
            12 => {
                let mut number = 0;
                while let Some(kind) = self.field(&mut number)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    /// Skips an element of a list; a boolean takes a byte there.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Result<()> {
        if matches!(kind, 1 | 2) { self.byte().map(drop) } else { self.skip(kind, depth) }
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.bytes += 1;
        Ok(byte[0])
    }

    fn pass(&mut self, length: u64) -> Result<()> {
        let passed = std::io::copy(&mut self.input.take(length), &mut std::io::sink())?;
        self.bytes += passed;
        if passed == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::from(ErrorKind::InvalidData))
    }

    /// Reads a signed number in zigzag form.
    fn integer(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A page header: a data page with nested fields and statistics, of these sizes.
    fn header(decoded: u32, stored: u32) -> Vec<u8> {
        let varint = |value: u32| {
            let (mut value, mut bytes) = (u64::from(value) * 2, Vec::new());
            while value > 127 {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
            bytes
        };
        let statistics = [0x18, 3, b'a', b'b', b'c', 0x11, 0];
        let data_page = [&[0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c][..], &statistics, &[0]].concat();
        let sizes = [&[0x15, 0, 0x15][..], &varint(decoded), &[0x15], &varint(stored)].concat();
        [sizes, vec![0x2c], data_page, vec![0]].concat()
    }

    #[test]
    fn a_page_that_is_too_large_is_found_behind_others() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1").unwrap();
        let mut length = 0;
        for (decoded, stored) in [(100_000, 20), (7, 0), (MAX_PAGE as u32, 1000), (MAX_PAGE as u32 + 1, 5)] {
            let page = [header(decoded, stored), vec![b'x'; stored as usize]].concat();
            file.write_all(&page).unwrap();
            length += page.len() as u64;
        }
        assert_eq!(oversized_page(&file, 4, length).unwrap(), Some(MAX_PAGE + 1));
        assert_eq!(oversized_page(&file, 4, length - 40).unwrap(), None, "the last page is in another chunk");
        assert_eq!(oversized_page(&file, 2, length).unwrap(), None, "no header is there");
    }
}
