//! `model.safetensors`, whole or in shards: the place, type and shape of every tensor. Files are
//! memory-mapped tensor by tensor; readers check afterwards that no process has written
//! into them meanwhile ([`MappedFile::check`]).

use crate::ModelError;
use crate::json::read_json;
use crate::spec::Carried;
use crate::weights::{MappedTensor, Tensor, is_floating};
use maana_files::{Map, MappedFile};
use maana_kernels::Context;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The files of one set of weights, and the place of each tensor in them.
pub(crate) struct WeightFiles {
    files: Vec<MappedFile>,
    /// Places by the name in the file, without the prefix that the tensors of an encoder may have.
    places: HashMap<String, Place>,
    /// Places of tensors without that prefix, where others have it: those of heads.
    without_prefix: HashMap<String, Place>,
}

/// The place of a tensor.
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl WeightFiles {
    /// Opens `model.safetensors` of a folder, or the shards that `model.safetensors.index.json`
    /// names. Names in the files may begin with `prefix`.
    pub(crate) fn open(folder: &Path, prefix: &str) -> Result<Self, ModelError> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for path in paths(folder)? {
            let file = MappedFile::open(&path).map_err(ModelError::io(&path))?;
            let (start, metadata) = read_header(&file)?;
            for (name, info) in metadata.tensors() {
                let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
                let place = Place { file: files.len(), dtype: info.dtype, shape: info.shape.clone(), bytes };
                if places.insert(name.clone(), place).is_some() {
                    return Err(ModelError::invalid(&path, format!("tensor `{name}` is in two files")));
                }
            }
            files.push(file);
        }
        let mut without_prefix = HashMap::new();
        if places.keys().any(|name| name.starts_with(prefix)) {
            let mut stripped = HashMap::with_capacity(places.len());
            for (name, place) in places {
                match name.strip_prefix(prefix) {
                    Some(own) => drop(stripped.insert(own.to_owned(), place)),
                    None => drop(without_prefix.insert(name, place)),
                }
            }
            places = stripped;
        }
        let mut named = HashMap::with_capacity(places.len());
        for (name, place) in places {
            let (today, file) = (present_name(&name), place.file);
            if named.insert(today.clone(), place).is_some() {
                let reason = format!("tensor `{today}` is there twice, under its name of today and its older one");
                return Err(ModelError::invalid(files[file].path(), reason));
            }
        }
        Ok(Self { files, places: named, without_prefix })
    }

    /// Gives a tensor another name, if there is a tensor of its name and none of the other.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if !self.places.contains_key(to)
            && let Some(place) = self.places.remove(from)
        {
            self.places.insert(to.into(), place);
        }
    }

    /// Returns type and shape of a tensor, if there is one of this name.
    pub(crate) fn type_and_shape(&self, name: &str) -> Option<(Dtype, &[usize])> {
        self.places.get(name).map(|place| (place.dtype, &place.shape[..]))
    }

    /// Maps a tensor of any type.
    pub(crate) fn bytes(&self, name: &str) -> Result<(Dtype, Map), ModelError> {
        let place = self
            .places
            .get(name)
            .ok_or_else(|| ModelError::invalid(self.files[0].path(), format!("tensor `{name}` is missing")))?;
        Ok((place.dtype, map(&self.files[place.file], &place.bytes)?))
    }

    /// Returns the files.
    pub(crate) fn files(&self) -> &[MappedFile] {
        &self.files
    }

    /// Checks that nobody has written into the files since they were opened; called after reading.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        self.files.iter().try_for_each(|file| file.check().map_err(ModelError::io(file.path())))
    }

    /// Checks that the files hold tensors of these names and shapes, before memory is allocated for
    /// them.
    pub(crate) fn check(&self, wanted: &[Tensor]) -> Result<(), ModelError> {
        wanted.iter().try_for_each(|tensor| self.place(tensor).map(drop))
    }

    /// Names of tensors that the model does not compute with and that are no known head or buffer,
    /// in order: layers beyond its number, adapters, further projections.
    pub(crate) fn unused(&self, wanted: &[Tensor]) -> Vec<&str> {
        let known: HashSet<&str> = wanted.iter().map(|tensor| tensor.name.as_str()).collect();
        let names = self.places.keys().chain(self.without_prefix.keys()).map(String::as_str);
        let mut unused: Vec<&str> = names.filter(|name| !known.contains(name) && !is_head_or_buffer(name)).collect();
        unused.sort_unstable();
        unused
    }

    /// Type of a tensor.
    pub(crate) fn dtype(&self, tensor: &Tensor) -> Dtype {
        self.places.get(&tensor.name).map_or(Dtype::F32, |place| place.dtype)
    }

    /// Returns whether the files have a tensor of this name.
    pub(crate) fn contains(&self, tensor: &Tensor) -> bool {
        self.find(&tensor.name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Place> {
        self.places.get(name).or_else(|| self.without_prefix.get(name))
    }

    /// Returns the place of a tensor after checking its type and shape.
    fn place(&self, tensor: &Tensor) -> Result<&Place, ModelError> {
        let name = &tensor.name;
        let place = self.find(name).ok_or_else(|| {
            let reason = format!("tensor `{name}` is missing; `config.json` and weights do not belong together");
            ModelError::invalid(self.files[0].path(), reason)
        })?;
        let path = self.files[place.file].path();
        if place.shape != tensor.shape {
            let (found, wanted) = (&place.shape, &tensor.shape);
            let reason = format!("tensor `{name}` has the shape {found:?}, but `config.json` asks for {wanted:?}");
            return Err(ModelError::invalid(path, reason));
        }
        if !is_floating(place.dtype) {
            let reason = format!("tensor `{name}` is of type {:?}; expected F32, F16, BF16 or F64", place.dtype);
            return Err(ModelError::invalid(path, reason));
        }
        Ok(place)
    }

    /// Maps a tensor after checking its type and shape.
    pub(crate) fn map(&self, tensor: &Tensor) -> Result<MappedTensor, ModelError> {
        let place = self.place(tensor)?;
        let bytes = map(&self.files[place.file], &place.bytes)?;
        Ok(MappedTensor { name: tensor.name.clone(), dtype: place.dtype, bytes })
    }

    /// Copies every tensor that `arena` holds to its range.
    pub(crate) fn fill(&self, context: &Context, wanted: &[Tensor], arena: &mut [f32]) -> Result<(), ModelError> {
        for tensor in wanted.iter().filter(|tensor| !tensor.range.is_empty()) {
            let mapped = self.map(tensor)?;
            let into = &mut arena[tensor.range.clone()];
            mapped.fill(context, into);
            mapped.check(context, into)?;
        }
        self.check_unchanged()
    }

    /// Returns the tensors of the encoder that are not `wanted`.
    pub(crate) fn carried(&self, wanted: &[Tensor]) -> Result<Vec<Carried>, ModelError> {
        let rest = self.places.iter().filter(|(name, _)| belongs_to_encoder(name));
        let mut carried = Vec::new();
        for (name, place) in rest.filter(|(name, _)| !wanted.iter().any(|tensor| tensor.name == **name)) {
            let bytes = map(&self.files[place.file], &place.bytes)?.to_vec();
            carried.push(Carried { name: name.clone(), dtype: place.dtype, shape: place.shape.clone(), bytes });
        }
        carried.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(carried)
    }
}

/// Maps some bytes of a file of weights.
fn map(file: &MappedFile, bytes: &Range<usize>) -> Result<Map, ModelError> {
    file.map(bytes.start as u64..bytes.end as u64).map_err(ModelError::io(file.path()))
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let whole = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    if whole.exists() {
        return Ok(vec![whole]);
    }
    if index.exists() {
        return shard_paths(folder, &index);
    }
    let pickle = folder.join("pytorch_model.bin").exists();
    let remedy = if pickle {
        "Only `pytorch_model.bin` is there, which may run code when opened; convert it in Python with \
         `SentenceTransformer(folder).save(other_folder)`"
    } else {
        "The folder needs its weights as safetensors; fetch the model again (`maana fetch NAME --again`)"
    };
    Err(ModelError::Missing { path: whole, remedy: remedy.into() })
}

/// Reads the header. Returns the offset of the first tensor, and the places of all.
fn read_header(file: &MappedFile) -> Result<(usize, Metadata), ModelError> {
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
    Ok((8 + header, metadata))
}

/// Returns whether an unused tensor is part of the encoder and not of a head.
fn belongs_to_encoder(name: &str) -> bool {
    name.starts_with("pooler.") || name.starts_with("embeddings.")
}

/// Returns whether a tensor belongs to a head of transformers or is a buffer.
fn is_head_or_buffer(name: &str) -> bool {
    const HEADS: [&str; 10] = [
        "pooler.",
        "cls.",
        "head.",
        "decoder.",
        "lm_head.",
        "classifier.",
        "pre_classifier.",
        "qa_outputs.",
        "vocab_",
        "embeddings.position_ids",
    ];
    HEADS.iter().any(|head| name.starts_with(head)) || name == "embeddings.token_type_ids"
}

/// Returns the present name of a tensor: LayerNorm's were `gamma` and `beta` in the first BERT,
/// whose files are still in use.
fn present_name(name: &str) -> String {
    let (stem, part) = name.rsplit_once('.').unwrap_or(("", name));
    let norm = stem.ends_with("LayerNorm") || stem.ends_with("layer_norm");
    match part {
        "gamma" if norm => format!("{stem}.weight"),
        "beta" if norm => format!("{stem}.bias"),
        _ => name.to_owned(),
    }
}

fn shard_paths(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let json = read_json(index)?.unwrap_or_default();
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
            let remedy = "`model.safetensors.index.json` names it; fetch the model again (`maana fetch NAME --again`)"
                .to_owned();
            if path.exists() { Ok(path) } else { Err(ModelError::Missing { path, remedy }) }
        })
        .collect()
}
