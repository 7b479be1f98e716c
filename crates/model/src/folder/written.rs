//! Files of a model folder that is being written: JSON and tensors.

use crate::ModelError;
use crate::weights::to_bytes;
use safetensors::{Dtype, SafeTensorError, View};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Writes tensors in f32, each with its name and shape, in a folder that is not public yet.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[(String, &[usize], &[f32])]) -> Result<(), ModelError> {
    let written = tensors.iter().map(|(name, shape, values)| {
        (name.as_str(), Written { dtype: Dtype::F32, shape, content: Content::Floats(values) })
    });
    serialize(written, path)
}

pub(super) fn serialize<'a>(
    tensors: impl Iterator<Item = (&'a str, Written<'a>)>,
    path: &Path,
) -> Result<(), ModelError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(metadata), path);
    written.map_err(|error| match error {
        SafeTensorError::IoError(source) => ModelError::io(path)(source),
        other => ModelError::invalid(path, other.to_string()),
    })
}

pub(super) fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(json).map_err(|error| ModelError::invalid(path, error.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    maana_files::write_inside(path, bytes).map_err(ModelError::io(path))
}

/// A tensor to be written; it is converted when it is written.
pub(super) struct Written<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: &'a [usize],
    pub(super) content: Content<'a>,
}

pub(super) enum Content<'a> {
    Floats(&'a [f32]),
    Bytes(Cow<'a, [u8]>),
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.content {
            Content::Floats(values) if self.dtype == Dtype::F32 && cfg!(target_endian = "little") => {
                Cow::Borrowed(bytemuck::cast_slice(values))
            }
            Content::Floats(values) => Cow::Owned(to_bytes(values, self.dtype)),
            Content::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    fn data_len(&self) -> usize {
        match &self.content {
            Content::Floats(values) if self.dtype == Dtype::F32 => 4 * values.len(),
            Content::Floats(values) => 2 * values.len(),
            Content::Bytes(bytes) => bytes.len(),
        }
    }
}
