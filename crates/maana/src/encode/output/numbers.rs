//! Embeddings in the numbers that a file keeps.

use half::f16;
use maana_kernels::Rows;
use maana_vectors::quantize::{Ranges, binary, int8, ubinary, uint8};

/// The type of a file's numbers. Those of less than sixteen bits are what `quantize_embeddings` of
/// Sentence Transformers gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes, as they are computed.
    F32,
    /// Two bytes, rounded to the nearest.
    F16,
    /// One byte, -128 to 127: the bucket of 256 between the least and the greatest value of the
    /// column.
    Int8,
    /// One byte, 0 to 255: as `Int8`.
    Uint8,
    /// One bit, set for what is greater than 0; eight in an i8, the first in the highest place,
    /// less 128.
    Binary,
    /// One bit; eight in a u8.
    Ubinary,
}

impl Dtype {
    /// Returns `true` if the type needs the minimum and maximum of each column.
    pub fn needs_ranges(self) -> bool {
        matches!(self, Self::Int8 | Self::Uint8)
    }

    /// Columns of an embedding of `dimension` values.
    pub fn columns(self, dimension: usize) -> usize {
        match self {
            Self::Binary | Self::Ubinary => dimension.div_ceil(8),
            _ => dimension,
        }
    }

    /// NumPy's name of the type.
    pub(super) fn npy(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::F16 => "<f2",
            Self::Int8 | Self::Binary => "|i1",
            Self::Uint8 | Self::Ubinary => "|u1",
        }
    }

    /// The name of the type in a file of safetensors, and the bytes of a number.
    pub(super) fn safetensors(self) -> (&'static str, usize) {
        match self {
            Self::F32 => ("F32", 4),
            Self::F16 => ("F16", 2),
            Self::Int8 | Self::Binary => ("I8", 1),
            Self::Uint8 | Self::Ubinary => ("U8", 1),
        }
    }

    /// The rows in this type; `ranges` are those of the columns where they are needed.
    pub(super) fn numbers(self, rows: Rows<'_>, ranges: Option<&Ranges>) -> Numbers {
        let ranges = || ranges.expect("ranges are known before bytes are made");
        let values = || (0..rows.rows()).flat_map(|row| rows.row(row).iter().copied());
        match self {
            Self::F32 => Numbers::F32(values().collect()),
            Self::F16 => Numbers::F16(values().map(f16::from_f32).collect()),
            Self::Int8 => Numbers::I8(int8(rows, ranges())),
            Self::Uint8 => Numbers::U8(uint8(rows, ranges())),
            Self::Binary => Numbers::I8(binary(rows)),
            Self::Ubinary => Numbers::U8(ubinary(rows)),
        }
    }
}

/// Some rows, one after the other.
pub(super) enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>),
    U8(Vec<u8>),
}

impl Numbers {
    /// The numbers with the lowest byte first, as every format here has them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I8(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::U8(values) => values.clone(),
        }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::F32(values) => 4 * values.len(),
            Self::F16(values) => 2 * values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// A row of `columns` numbers, as JSON.
    pub(super) fn json(&self, row: usize, columns: usize) -> serde_json::Value {
        let range = row * columns..(row + 1) * columns;
        match self {
            Self::F32(values) => values[range].into(),
            Self::F16(values) => values[range].iter().map(|value| value.to_f32()).collect(),
            Self::I8(values) => values[range].into(),
            Self::U8(values) => values[range].into(),
        }
    }
}
