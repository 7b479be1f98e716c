//! The files that hold the weights of a folder. Safetensors are taken where both forms are there.

use crate::ModelError;
use crate::json::read_json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names of a whole file of weights, and of the index of a divided one, by form.
const MODEL: [[&str; 2]; 2] =
    [["model.safetensors", "model.safetensors.index.json"], ["pytorch_model.bin", "pytorch_model.bin.index.json"]];
/// Names of the weights of adapters; the first is written.
pub(super) const ADAPTER: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Returns the files of the weights of a model or a module.
pub(super) fn weight_paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    for [whole, index] in MODEL.map(|names| names.map(|name| folder.join(name))) {
        if whole.exists() {
            return Ok(vec![whole]);
        }
        if index.exists() {
            return shard_paths(folder, &index);
        }
    }
    let remedy = "The folder needs its weights, as safetensors or as `pytorch_model.bin`; fetch the model again \
                  (`maana fetch NAME --again`)";
    Err(ModelError::Missing { path: folder.join(MODEL[0][0]), remedy: remedy.into() })
}

/// Returns the number of bytes of the files of the weights of a model's folder and of its modules;
/// 0 without any. The base of adapters, which is elsewhere, does not count.
pub fn weight_bytes(folder: &Path) -> u64 {
    let modules = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = std::iter::once(folder.to_owned()).chain(modules.filter(|path| path.is_dir()));
    let weights = folders.flat_map(|folder| weight_paths(&folder).unwrap_or_default());
    let files = weights.chain(adapter_path(folder));
    files.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

/// Returns the file of the weights of adapters.
pub(super) fn adapter_path(folder: &Path) -> Result<PathBuf, ModelError> {
    let paths = ADAPTER.map(|name| folder.join(name));
    paths.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let remedy = "The adapter needs its weights; fetch it again (`maana fetch NAME --again`)".into();
        let [path, _] = paths;
        ModelError::Missing { path, remedy }
    })
}

fn shard_paths(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let json = read_json(index)?.unwrap_or_default();
    let map = json["weight_map"].as_object();
    let map =
        map.ok_or_else(|| ModelError::invalid(index, "field `weight_map` is missing; expected tensor to file"))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let file = file.as_str().unwrap_or_default();
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !plain {
            let reason = format!("`weight_map` puts tensor `{tensor}` in `{file}`, which is not a file of this folder");
            return Err(ModelError::invalid(index, reason));
        }
        names.insert(file);
    }
    if names.is_empty() {
        return Err(ModelError::invalid(index, "`weight_map` names no file"));
    }
    let name_of_index = index.file_name().unwrap_or_default().display();
    let paths = names.into_iter().map(|name| folder.join(name));
    paths
        .map(|path| {
            let remedy = format!("`{name_of_index}` names it; fetch the model again (`maana fetch NAME --again`)");
            if path.exists() { Ok(path) } else { Err(ModelError::Missing { path, remedy }) }
        })
        .collect()
}
