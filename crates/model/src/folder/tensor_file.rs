//! A file of tensors, as safetensors or as PyTorch writes it: names, types, shapes and places.

use crate::weights::StoredTensor;
use crate::{ModelError, torch_file};
use maana_files::MappedFile;
use safetensors::SafeTensors;
use std::path::Path;

/// Opens a file, and lists its tensors. Those that do not end in `.safetensors` are PyTorch's.
pub(super) fn open(path: &Path) -> Result<(MappedFile, Vec<(String, StoredTensor)>), ModelError> {
    let file = MappedFile::open(path).map_err(ModelError::io(path))?;
    let is_safetensors = path.extension().is_some_and(|ending| ending == "safetensors");
    let tensors = if is_safetensors { read_header(&file)? } else { torch_file::read(&file)? };
    Ok((file, tensors))
}

/// Reads the header of a file of safetensors.
fn read_header(file: &MappedFile) -> Result<Vec<(String, StoredTensor)>, ModelError> {
    let path = file.path();
    let unsound = |reason: String| {
        let reason = format!(
            "not a sound safetensors file ({reason}); it is damaged or cut short, fetch it again \
             (`maana fetch NAME --again`)"
        );
        ModelError::invalid(path, reason)
    };
    let length = file.length();
    if length < 8 {
        return Err(unsound(format!("it has {length} bytes")));
    }
    let bytes = file.map(0..length).map_err(ModelError::io(path))?;
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| unsound(error.to_string()))?;
    let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let bytes = 8 + header + info.data_offsets.0..8 + header + info.data_offsets.1;
        (name, StoredTensor { dtype: info.dtype, shape: info.shape.clone(), bytes, strides: None })
    };
    Ok(metadata.tensors().into_iter().map(stored).collect())
}
