//! The wire format of protocol buffers, as far as SentencePiece uses it.

use std::ops::Range;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(u64),
    Float(f32),
    /// A text, bytes or a message: its place in the file.
    Bytes(Range<usize>),
    /// A number of eight bytes, which no needed field has.
    Wide,
}

/// Iterates over the fields of a message. Each is its number and value, or the reason of a failure,
/// after which nothing follows.
pub(super) struct Fields<'a> {
    file: &'a [u8],
    position: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// Returns the fields of the message at `place` of the file.
    pub(super) fn new(file: &'a [u8], place: Range<usize>) -> Self {
        let end = place.end.min(file.len());
        Self { file, position: place.start.min(end), end }
    }

    fn field(&mut self) -> Result<(u64, Value), String> {
        let start = self.position;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Integer(self.varint()?),
            1 => self.take(8).map(|_| Value::Wide)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.file[self.take(4)?].try_into().expect("four bytes");
                Value::Float(f32::from_le_bytes(bytes))
            }
            _ => return Err(format!("no known field at byte {start}")),
        };
        match tag >> 3 {
            0 => Err(format!("no known field at byte {start}")),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, String> {
        let start = self.position;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.file[self.take(1)?.start];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("a number without an end at byte {start}"))
    }

    fn take(&mut self, length: u64) -> Result<Range<usize>, String> {
        let start = self.position;
        let left = self.end - start;
        match usize::try_from(length).ok().filter(|length| *length <= left) {
            Some(length) => {
                self.position += length;
                Ok(start..self.position)
            }
            None => Err(format!("{length} bytes are expected at byte {start}, but only {left} follow")),
        }
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u64, Value), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.position = self.end;
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u64, Value)>, String> {
        Fields::new(bytes, 0..bytes.len()).collect()
    }

    #[test]
    fn fields_have_numbers_and_values() {
        let bytes = [0x18, 0x96, 0x01, 0x12, 2, b'a', b'b', 0x15, 0, 0, 0xc0, 0x3f, 0x09, 1, 2, 3, 4, 5, 6, 7, 8];
        let expected =
            vec![(3, Value::Integer(150)), (2, Value::Bytes(5..7)), (2, Value::Float(1.5)), (1, Value::Wide)];
        assert_eq!(fields(&bytes).unwrap(), expected);
        assert_eq!(fields(&[]).unwrap(), []);
    }

    #[test]
    fn a_truncated_or_damaged_message_is_refused_with_the_place() {
        for (bytes, place) in [
            (&[0x12, 3, b'a'][..], "at byte 2, but only 1"),
            (&[0x18, 0x80], "at byte 2, but only 0"),
            (&[0x18], "at byte 1"),
            (&[0x0b], "byte 0"),
            (&[0x02, 0], "byte 0"),
            (&[0x15, 0, 0], "4 bytes"),
            (&[0xff; 12], "byte 0"),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "bytes are expected"),
        ] {
            let error = fields(bytes).unwrap_err();
            assert!(error.contains(place), "{bytes:?}: {error}");
        }
    }
}
