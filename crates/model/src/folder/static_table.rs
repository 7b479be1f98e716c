//! The table of a static model, as Sentence Transformers' `StaticEmbedding` writes it or as
//! Model2Vec does: rows of any floating type or of int8, the row of each token (`mapping`) where
//! tokens share rows, and a factor for each token (`weights`).

use super::weight_files::WeightFiles;
use crate::encoders::TABLE;
use crate::weights::{is_floating, to_floats};
use crate::{EncoderConfig, ModelError};
use maana_kernels::Context;
use safetensors::Dtype;
use std::path::Path;

/// The name of the table in folders of Model2Vec.
pub(super) const MODEL2VEC_TABLE: &str = "embeddings";
const MAPPING: &str = "mapping";
const WEIGHTS: &str = "weights";

/// Tokens of a task.
const CHUNK: usize = 256;

/// The shape of a table, and its form in the file.
pub(super) struct StaticTable {
    /// Rows and columns of the table in the file.
    shape: [usize; 2],
    vocabulary: usize,
    /// True if the table is not in the file as it is used: its rows are found by a mapping, or
    /// multiplied by weights, or of int8.
    pub(super) folded: bool,
}

impl StaticTable {
    /// Opens the weights of a folder, with the table under the name that it has in
    /// `StaticEmbedding`.
    pub(super) fn open(folder: &Path) -> Result<WeightFiles, ModelError> {
        let mut files = WeightFiles::open(folder, "")?;
        files.rename(MODEL2VEC_TABLE, TABLE);
        Ok(files)
    }

    /// Reads the shape of the table in a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let files = WeightFiles::open(folder, "")?;
        let path = files.files()[0].path();
        let invalid = |reason: String| ModelError::invalid(path, reason);
        let name = if files.type_and_shape(TABLE).is_some() { TABLE } else { MODEL2VEC_TABLE };
        let (dtype, shape) = files.type_and_shape(name).ok_or_else(|| {
            invalid(format!(
                "tensor `{TABLE}` (or `{MODEL2VEC_TABLE}`) is missing; this is no table of static embeddings"
            ))
        })?;
        let [rows, columns] = *shape else {
            return Err(invalid(format!("the table has the shape {shape:?}; expected rows and columns")));
        };
        if !is_floating(dtype) && dtype != Dtype::I8 {
            return Err(invalid(wrong_type(name, dtype)));
        }
        let length = |name: &str| match files.type_and_shape(name) {
            Some((_, [length])) => Ok(Some(*length)),
            Some((_, other)) => {
                Err(invalid(format!("tensor `{name}` has the shape {other:?}; expected one number a token")))
            }
            None => Ok(None),
        };
        let (mapping, weights) = (length(MAPPING)?, length(WEIGHTS)?);
        let vocabulary = mapping.unwrap_or(rows);
        if let Some(weights) = weights.filter(|weights| *weights != vocabulary) {
            return Err(invalid(format!("tensor `{WEIGHTS}` has {weights} numbers for {vocabulary} tokens")));
        }
        let folded = mapping.is_some() || weights.is_some() || dtype == Dtype::I8;
        let table = Self { shape: [rows, columns], vocabulary, folded };
        for (what, value, limit) in
            [("rows", rows, 1 << 24), ("tokens", vocabulary, 1 << 24), ("columns", columns, 1 << 16)]
        {
            if value == 0 || value > limit {
                return Err(invalid(format!("the table has {value} {what}; expected 1 to {limit}")));
            }
        }
        Ok(table)
    }

    /// The configuration of an encoder with this table.
    pub(super) fn config(&self) -> EncoderConfig {
        EncoderConfig::of_static(self.vocabulary, self.shape[1])
    }

    /// Writes the row of each token to `into`, `(vocabulary, columns)`.
    pub(super) fn fill(&self, context: &Context, files: &WeightFiles, into: &mut [f32]) -> Result<(), ModelError> {
        let [rows, columns] = self.shape;
        let path = files.files()[0].path();
        let invalid = |reason: String| ModelError::invalid(path, reason);
        let (dtype, bytes) = files.bytes(TABLE)?;
        let table = numbers(dtype, &bytes).ok_or_else(|| invalid(wrong_type(TABLE, dtype)))?;
        let mapping = match files.type_and_shape(MAPPING) {
            None => None,
            Some(_) => {
                let (dtype, bytes) = files.bytes(MAPPING)?;
                let mapping = integers(dtype, &bytes)
                    .ok_or_else(|| invalid(format!("tensor `{MAPPING}` is of type {dtype:?}; expected integers")))?;
                if let Some(token) = mapping.iter().position(|row| !(0..rows as i64).contains(row)) {
                    let reason =
                        format!("`{MAPPING}` gives token {token} the row {}, but the table has {rows}", mapping[token]);
                    return Err(invalid(reason));
                }
                Some(mapping)
            }
        };
        let weights = match files.type_and_shape(WEIGHTS) {
            None => None,
            Some(_) => {
                let (dtype, bytes) = files.bytes(WEIGHTS)?;
                let weights = factors(dtype, &bytes)
                    .ok_or_else(|| invalid(format!("tensor `{WEIGHTS}` is of type {dtype:?}; expected a float")))?;
                Some(weights)
            }
        };
        context.for_each_chunk(into, CHUNK * columns, |task, into| {
            for (place, out) in into.chunks_exact_mut(columns).enumerate() {
                let token = task * CHUNK + place;
                let row = mapping.as_ref().map_or(token, |mapping| mapping[token] as usize);
                out.copy_from_slice(&table[row * columns..(row + 1) * columns]);
                if let Some(weights) = &weights {
                    // As NumPy multiplies an f32 by an f64.
                    out.iter_mut().for_each(|value| *value = (f64::from(*value) * weights[token]) as f32);
                }
            }
        });
        if into.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(invalid("the table holds a value that is not a number or infinite; the weights are damaged".into()))
    }

    /// Returns whether a tensor belongs to the table.
    pub(super) fn knows(name: &str) -> bool {
        [TABLE, MAPPING, WEIGHTS].contains(&name)
    }
}

/// Describes the fault of a table of another type.
fn wrong_type(name: &str, dtype: Dtype) -> String {
    format!("tensor `{name}` is of type {dtype:?}; expected F32, F16, BF16, F64 or I8")
}

/// Returns the values of a tensor of floats or of int8.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    if dtype == Dtype::I8 {
        return Some(bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect());
    }
    let size = match dtype {
        Dtype::F64 => 8,
        Dtype::F32 => 4,
        Dtype::F16 | Dtype::BF16 => 2,
        _ => return None,
    };
    let mut values = vec![0.0; bytes.len() / size];
    to_floats(dtype, bytes, &mut values);
    Some(values)
}

/// Returns the values of a tensor of floats in f64.
fn factors(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    if dtype == Dtype::F64 {
        return Some(bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect());
    }
    let values = if dtype == Dtype::I8 { None } else { numbers(dtype, bytes) };
    values.map(|values| values.into_iter().map(f64::from).collect())
}

/// Returns the values of a tensor of integers.
fn integers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<i64>> {
    Some(match dtype {
        Dtype::I64 => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        Dtype::U64 => bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as i64).collect(),
        Dtype::I32 => bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
        Dtype::U32 => bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes).into()).collect(),
        Dtype::I16 => bytes.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes).into()).collect(),
        Dtype::U16 => bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes).into()).collect(),
        _ => return None,
    })
}
