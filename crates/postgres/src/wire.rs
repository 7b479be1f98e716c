//! Binary encoding of values between client and server: pgvector's `vector` and `halfvec`, and rows
//! of COPY. Numbers are big-endian.

use half::f16;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::error::Error;

type Failure = Box<dyn Error + Sync + Send>;

/// Header of a binary COPY: signature, flags, length of the extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Trailer of a binary COPY: a row of −1 fields.
const COPY_TRAILER: &[u8] = &[0xFF, 0xFF];
/// Version of the binary encoding of `jsonb`.
const JSONB: u8 = 1;

/// A `vector` to be sent.
#[derive(Debug)]
pub(crate) struct Vector<'a>(pub(crate) &'a [f32]);

impl ToSql for Vector<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        let mut bytes = Vec::with_capacity(4 + 4 * self.0.len());
        write_vector(&mut bytes, self.0);
        out.extend_from_slice(&bytes);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }

    to_sql_checked!();
}

/// A received `vector` or `halfvec`.
#[derive(Debug)]
pub(crate) struct Received(pub(crate) Vec<f32>);

impl<'a> FromSql<'a> for Received {
    fn from_sql(ty: &Type, bytes: &'a [u8]) -> Result<Self, Failure> {
        let (header, values) = bytes.split_at_checked(4).ok_or("a vector without its header")?;
        let values = match ty.name() {
            "vector" => values.as_chunks().0.iter().map(|bytes| f32::from_be_bytes(*bytes)).collect(),
            _ => values.as_chunks().0.iter().map(|bytes| f16::from_be_bytes(*bytes).to_f32()).collect::<Vec<_>>(),
        };
        if values.len() != usize::from(u16::from_be_bytes([header[0], header[1]])) {
            return Err(format!("{} values in a vector that has {}", values.len(), header[1]).into());
        }
        Ok(Self(values))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.name(), "vector" | "halfvec")
    }
}

fn write_vector(out: &mut Vec<u8>, values: &[f32]) {
    write_dims(out, values.len());
    values.iter().for_each(|value| out.extend_from_slice(&value.to_be_bytes()));
}

fn write_half(out: &mut Vec<u8>, values: &[f32]) {
    write_dims(out, values.len());
    values.iter().for_each(|value| out.extend_from_slice(&f16::from_f32(*value).to_be_bytes()));
}

fn write_dims(out: &mut Vec<u8>, dims: usize) {
    let dims = u16::try_from(dims).expect("a store refuses larger dimensions when it is created");
    out.extend_from_slice(&dims.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
}

/// Encodes rows for COPY … (FORMAT binary).
#[derive(Debug)]
pub(crate) struct CopyRows(Vec<u8>);

impl CopyRows {
    pub(crate) fn new() -> Self {
        Self(COPY_HEADER.to_vec())
    }

    /// Appends a row of id, vector, payload and checksum.
    pub(crate) fn push(&mut self, id: &str, vector: &[f32], half: bool, payload: &[u8], checksum: i64) {
        self.0.extend_from_slice(&4i16.to_be_bytes());
        self.field(|out| out.extend_from_slice(id.as_bytes()));
        self.field(|out| if half { write_half(out, vector) } else { write_vector(out, vector) });
        self.field(|out| {
            out.push(JSONB);
            out.extend_from_slice(payload);
        });
        self.field(|out| out.extend_from_slice(&checksum.to_be_bytes()));
    }

    fn field(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        write(&mut self.0);
        let length = i32::try_from(self.0.len() - at - 4).expect("a store refuses texts above the limit of PostgreSQL");
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Returns the number of buffered bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the buffered bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(COPY_TRAILER);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_encoded_as_the_manual_describes() {
        let mut rows = CopyRows::new();
        rows.push("ab", &[1.0], false, b"{}", -1);
        let row = [
            &[0, 4, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 8, 0, 1, 0, 0, 0x3F, 0x80, 0, 0][..],
            &[0, 0, 0, 3, 1, b'{', b'}', 0, 0, 0, 8],
            &[0xFF; 8],
        ];
        assert_eq!(rows.finish(), [COPY_HEADER, &row.concat(), &[0xFF, 0xFF]].concat());
    }

    #[test]
    fn halves_are_rounded_to_the_nearest() {
        let mut bytes = Vec::new();
        write_half(&mut bytes, &[1.0, 0.1, -65504.0]);
        assert_eq!(bytes, [0, 3, 0, 0, 0x3C, 0, 0x2E, 0x66, 0xFB, 0xFF]);
    }
}
