//! `model.safetensors`, whole or in shards, in f32, f16 or bf16: bytes to the arena and back.

use crate::ModelError;
use crate::trainable::Tensor;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// A tensor that is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// The files of one set of weights, in memory.
pub(crate) struct WeightFiles {
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// What [`WeightFiles::fill`] found beside what it looked for.
pub(crate) struct Rest {
    pub(crate) carried: Vec<Carried>,
    pub(crate) dtype: Dtype,
}

impl WeightFiles {
    /// Reads `model.safetensors` of a folder, or the shards that `model.safetensors.index.json` names.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let whole = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        let paths = if whole.exists() {
            vec![whole]
        } else if index.exists() {
            shard_paths(folder, &index)?
        } else {
            let pickle = folder.join("pytorch_model.bin").exists();
            let remedy = if pickle {
                "Only `pytorch_model.bin` is there, which may run code when opened; convert it in Python with \
                 `SentenceTransformer(folder).save(other_folder)`"
            } else {
                "The folder needs its weights as safetensors; fetch the model again"
            };
            return Err(ModelError::Missing { path: whole, remedy: remedy.into() });
        };
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).map_err(ModelError::io(&path))?;
            Ok((path, bytes))
        };
        Ok(Self { files: paths.into_iter().map(read).collect::<Result<_, ModelError>>()? })
    }

    /// Copies every tensor of `wanted` to its place in `arena`. Names in the file may begin with `prefix`.
    pub(crate) fn fill(&self, wanted: &[Tensor], prefix: &str, arena: &mut [f32]) -> Result<Rest, ModelError> {
        let mut views: HashMap<String, (usize, TensorView<'_>)> = HashMap::new();
        for (number, (path, bytes)) in self.files.iter().enumerate() {
            let tensors = SafeTensors::deserialize(bytes).map_err(|error| {
                let reason =
                    format!("not a sound safetensors file ({error}); it is damaged or cut short, fetch it again");
                ModelError::invalid(path, reason)
            })?;
            for (name, view) in tensors.tensors() {
                if views.insert(name.clone(), (number, view)).is_some() {
                    return Err(ModelError::invalid(path, format!("tensor `{name}` is in two files")));
                }
            }
        }
        let prefix = if views.keys().any(|name| name.starts_with(prefix)) { prefix } else { "" };
        let mut dtype = None;
        for tensor in wanted {
            let name = format!("{prefix}{}", tensor.name);
            let (file, view) = views.remove(&name).ok_or_else(|| {
                let path = &self.files[0].0;
                ModelError::invalid(
                    path,
                    format!("tensor `{name}` is missing; `config.json` and weights do not belong together"),
                )
            })?;
            let path = &self.files[file].0;
            if view.shape() != tensor.shape {
                let reason = format!(
                    "tensor `{name}` has the shape {:?}, but `config.json` asks for {:?}",
                    view.shape(),
                    tensor.shape
                );
                return Err(ModelError::invalid(path, reason));
            }
            to_floats(&view, &mut arena[tensor.range.clone()])
                .map_err(|reason| ModelError::invalid(path, format!("tensor `{name}` {reason}")))?;
            dtype.get_or_insert(view.dtype());
        }
        let mut carried: Vec<Carried> = views
            .into_iter()
            .filter_map(|(name, (_, view))| {
                let name = name.strip_prefix(prefix).filter(|name| belongs_to_encoder(name))?;
                let (dtype, shape) = (view.dtype(), view.shape().to_vec());
                Some(Carried { name: name.into(), dtype, shape, bytes: view.data().to_vec() })
            })
            .collect();
        carried.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Rest { carried, dtype: dtype.unwrap_or(Dtype::F32) })
    }
}

/// Whether a tensor that is not computed with is part of the encoder, and not of some head.
fn belongs_to_encoder(name: &str) -> bool {
    name.starts_with("pooler.") || name.starts_with("embeddings.")
}

pub(crate) fn is_floating(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

fn shard_paths(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let bytes = std::fs::read(index).map_err(ModelError::io(index))?;
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| ModelError::invalid(index, error.to_string()))?;
    let map = json["weight_map"].as_object();
    let map =
        map.ok_or_else(|| ModelError::invalid(index, "field `weight_map` is missing; expected tensor to file"))?;
    let mut names = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().unwrap_or_default();
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !plain {
            let reason = format!("`weight_map` puts tensor `{tensor}` in `{file}`, which is not a file of this folder");
            return Err(ModelError::invalid(index, reason));
        }
        names.insert(file.to_owned(), ());
    }
    if names.is_empty() {
        return Err(ModelError::invalid(index, "`weight_map` names no file"));
    }
    let paths = names.into_keys().map(|name| folder.join(name));
    paths
        .map(|path| {
            let remedy = "`model.safetensors.index.json` names it; fetch the model again".to_owned();
            if path.exists() { Ok(path) } else { Err(ModelError::Missing { path, remedy }) }
        })
        .collect()
}

fn to_floats(view: &TensorView<'_>, into: &mut [f32]) -> Result<(), String> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => {
            for (value, bytes) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => {
            for (value, bytes) in into.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        Dtype::BF16 => {
            for (value, bytes) in into.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        other => return Err(format!("is of type {other:?}; expected F32, F16 or BF16")),
    }
    if into.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err("holds a value that is not a number or infinite; the weights are damaged".into())
    }
}

fn to_bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// The bytes of a `model.safetensors` that holds the tensors of the arena in `dtype`, and those that were carried along.
pub(crate) fn serialize(
    tensors: &[(String, &Tensor)],
    arena: &[f32],
    dtype: Dtype,
    carried: &[Carried],
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let own: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape.clone(), to_bytes(&arena[tensor.range.clone()], dtype)))
        .collect();
    let mut views = Vec::with_capacity(own.len() + carried.len());
    for (name, shape, bytes) in &own {
        views.push((name.as_str(), TensorView::new(dtype, shape.clone(), bytes)?));
    }
    let widened: Vec<Option<Vec<u8>>> = carried.iter().map(|tensor| in_dtype(tensor, dtype)).collect();
    for (tensor, bytes) in carried.iter().zip(&widened) {
        let view = match bytes {
            Some(bytes) => TensorView::new(dtype, tensor.shape.clone(), bytes)?,
            None => TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?,
        };
        views.push((tensor.name.as_str(), view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata))
}

/// The bytes of a carried tensor in another floating type, or nothing if it stays as it is.
fn in_dtype(tensor: &Carried, dtype: Dtype) -> Option<Vec<u8>> {
    if tensor.dtype == dtype || !is_floating(tensor.dtype) {
        return None;
    }
    let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).ok()?;
    let mut values = vec![0.0; tensor.shape.iter().product()];
    to_floats(&view, &mut values).ok()?;
    Some(to_bytes(&values, dtype))
}
