//! Tensors of files, in f64, f32, f16 or bf16: conversion to f32, checks and checksums.

use super::stored::{TensorBytes, size_of_element};
use crate::ModelError;
use half::{bf16, f16};
use maana_kernels::Context;
use safetensors::Dtype;
use xxhash_rust::xxh3::xxh3_128;

/// Elements of a chunk: of a task, and of a checksum.
const CHUNK: usize = 1 << 16;

/// A tensor whose elements stay in the file where they can be read there.
pub(crate) struct MappedTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) bytes: TensorBytes,
}

impl MappedTensor {
    /// Returns its elements in place, if the file holds them as the machine does.
    pub(crate) fn as_floats(&self) -> Option<&[f32]> {
        let same = self.dtype == Dtype::F32 && cfg!(target_endian = "little");
        same.then(|| bytemuck::try_cast_slice(&self.bytes).ok()).flatten()
    }

    /// Returns its elements, in `buffer` unless they can be read in place.
    pub(crate) fn floats<'a>(&'a self, context: &Context, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        if let Some(floats) = self.as_floats() {
            return floats;
        }
        buffer.resize(self.elements(), 0.0);
        self.fill(context, buffer);
        buffer
    }

    /// Number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.bytes.len() / size_of_element(self.dtype)
    }

    /// Writes all elements to `into`.
    pub(crate) fn fill(&self, context: &Context, into: &mut [f32]) {
        context.for_each_chunk(into, CHUNK, |number, into| self.copy(number * CHUNK, into));
    }

    /// Writes the elements from `first` on to `into`.
    fn copy(&self, first: usize, into: &mut [f32]) {
        if let Some(floats) = self.as_floats() {
            into.copy_from_slice(&floats[first..first + into.len()]);
        } else {
            let size = size_of_element(self.dtype);
            to_floats(self.dtype, &self.bytes[size * first..size * (first + into.len())], into);
        }
    }

    /// Checks that all of `floats`, its elements, are finite. Returns the checksum of each chunk.
    pub(crate) fn check(&self, context: &Context, floats: &[f32]) -> Result<Vec<u128>, ModelError> {
        let mut sums = vec![(true, 0); floats.len().div_ceil(CHUNK)];
        context.for_each_chunk(&mut sums, 1, |number, sum| {
            let chunk = &floats[number * CHUNK..floats.len().min((number + 1) * CHUNK)];
            sum[0] = (chunk.iter().fold(true, |finite, value| finite & value.is_finite()), checksum(chunk));
        });
        if sums.iter().all(|(finite, _)| *finite) {
            return Ok(sums.into_iter().map(|(_, sum)| sum).collect());
        }
        let reason =
            format!("tensor `{}` holds a value that is not a number or infinite; the weights are damaged", self.name);
        Err(ModelError::invalid(self.bytes.path(), reason))
    }

    /// Returns the checksums of [`MappedTensor::check`] without checking the elements.
    pub(crate) fn checksums(&self, context: &Context, floats: &[f32]) -> Vec<u128> {
        let mut sums = vec![0; floats.len().div_ceil(CHUNK)];
        context.for_each_chunk(&mut sums, 1, |number, sum| {
            sum[0] = checksum(&floats[number * CHUNK..floats.len().min((number + 1) * CHUNK)]);
        });
        sums
    }
}

/// Returns the elements of stacked tensors, in `buffer` unless a single tensor can be read in
/// place.
pub(crate) fn stacked<'a>(context: &Context, tensors: &'a [MappedTensor], buffer: &'a mut Vec<f32>) -> &'a [f32] {
    if let [tensor] = tensors {
        return tensor.floats(context, buffer);
    }
    buffer.resize(tensors.iter().map(MappedTensor::elements).sum(), 0.0);
    let mut rest = &mut buffer[..];
    for tensor in tensors {
        let (part, others) = rest.split_at_mut(tensor.elements());
        tensor.fill(context, part);
        rest = others;
    }
    buffer
}

/// Returns the checksum of each chunk of a tensor's elements.
pub(crate) fn checksums(floats: &[f32]) -> impl Iterator<Item = u128> {
    floats.chunks(CHUNK).map(checksum)
}

fn checksum(floats: &[f32]) -> u128 {
    if cfg!(target_endian = "little") {
        return xxh3_128(bytemuck::cast_slice(floats));
    }
    xxh3_128(&floats.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

pub(crate) fn is_floating(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Converts elements of a floating type to f32; an f64 to the nearest, or to infinity beyond the
/// range of f32.
pub(crate) fn to_floats(dtype: Dtype, bytes: &[u8], into: &mut [f32]) {
    fn each<const N: usize>(bytes: &[u8], into: &mut [f32], float: impl Fn([u8; N]) -> f32) {
        into.iter_mut().zip(bytes.as_chunks::<N>().0).for_each(|(value, bytes)| *value = float(*bytes));
    }
    match dtype {
        Dtype::F64 => each(bytes, into, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F32 => each(bytes, into, f32::from_le_bytes),
        Dtype::F16 => each(bytes, into, |bytes| f16::from_le_bytes(bytes).to_f32()),
        _ => each(bytes, into, |bytes| bf16::from_le_bytes(bytes).to_f32()),
    }
}

/// Converts f32 to the bytes of f16, bf16 or f32.
pub(crate) fn to_bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}
