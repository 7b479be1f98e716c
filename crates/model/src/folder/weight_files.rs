//! The weights of a folder, whole or in shards: the place, type and shape of every tensor. Files
//! are memory-mapped tensor by tensor; readers check afterwards that no process has written into
//! them meanwhile ([`MappedFile::check`]).

use super::tensor_file;
use super::weight_paths::weight_paths;
use crate::ModelError;
use crate::spec::Carried;
use crate::weights::{MappedTensor, StoredTensor, Tensor, TensorBytes, is_floating};
use maana_files::MappedFile;
use maana_kernels::Context;
use safetensors::Dtype;
use std::collections::{HashMap, HashSet};
use std::path::Path;

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
    tensor: StoredTensor,
}

impl WeightFiles {
    /// Opens the weights of a folder: `model.safetensors` or `pytorch_model.bin`, or the shards
    /// that the index of either names. Names in the files may begin with `prefix`.
    pub(crate) fn open(folder: &Path, prefix: &str) -> Result<Self, ModelError> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for path in weight_paths(folder)? {
            let (file, tensors) = tensor_file::open(&path)?;
            for (name, tensor) in tensors {
                if places.insert(name.clone(), Place { file: files.len(), tensor }).is_some() {
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
        self.places.get(name).map(|Place { tensor, .. }| (tensor.dtype, &tensor.shape[..]))
    }

    /// Maps a tensor of any type.
    pub(crate) fn bytes(&self, name: &str) -> Result<(Dtype, TensorBytes), ModelError> {
        let place = self
            .places
            .get(name)
            .ok_or_else(|| ModelError::invalid(self.files[0].path(), format!("tensor `{name}` is missing")))?;
        Ok((place.tensor.dtype, self.read(place)?))
    }

    fn read(&self, place: &Place) -> Result<TensorBytes, ModelError> {
        place.tensor.read(&self.files[place.file])
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
        self.places.get(&tensor.name).map_or(Dtype::F32, |place| place.tensor.dtype)
    }

    /// Returns whether the files have a tensor of this name.
    pub(crate) fn contains(&self, tensor: &Tensor) -> bool {
        self.find(&tensor.name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Place> {
        self.places.get(name).or_else(|| self.without_prefix.get(name))
    }

    /// Returns the place of a tensor after checking its type and shape.
    fn place(&self, wanted: &Tensor) -> Result<&Place, ModelError> {
        let name = &wanted.name;
        let place = self.find(name).ok_or_else(|| {
            let reason = if is_of_head(name) { NO_HEAD } else { "`config.json` and weights do not belong together" };
            ModelError::invalid(self.files[0].path(), format!("tensor `{name}` is missing; {reason}"))
        })?;
        let path = self.files[place.file].path();
        let StoredTensor { dtype, shape: found, .. } = &place.tensor;
        if *found != wanted.shape {
            let wanted = &wanted.shape;
            let remedy = if is_of_labels(name) { OTHER_LABELS } else { "" };
            let reason =
                format!("tensor `{name}` has the shape {found:?}, but `config.json` asks for {wanted:?}{remedy}");
            return Err(ModelError::invalid(path, reason));
        }
        if !is_floating(*dtype) {
            let reason = format!("tensor `{name}` is of type {dtype:?}; expected F32, F16, BF16 or F64");
            return Err(ModelError::invalid(path, reason));
        }
        Ok(place)
    }

    /// Maps a tensor after checking its type and shape.
    pub(crate) fn map(&self, tensor: &Tensor) -> Result<MappedTensor, ModelError> {
        let place = self.place(tensor)?;
        Ok(MappedTensor { name: tensor.name.clone(), dtype: place.tensor.dtype, bytes: self.read(place)? })
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
            let StoredTensor { dtype, shape, .. } = &place.tensor;
            let bytes = self.read(place)?.to_vec();
            carried.push(Carried { name: name.clone(), dtype: *dtype, shape: shape.clone(), bytes });
        }
        carried.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(carried)
    }
}

/// Reason and remedy where the head of a cross-encoder is missing.
const NO_HEAD: &str = "it belongs to the head of a cross-encoder; copy the whole model again, or give a model without \
                       a head to a recipe with `[model] kind = \"cross_encoder\"`, which trains a new head";

/// Remedy where the head of a cross-encoder has another number of labels.
const OTHER_LABELS: &str = ", a row for each label in `id2label` (or `num_labels`); correct these, or give a model \
                            without a head to a recipe with `[model] kind = \"cross_encoder\"`, which trains a new one";

/// Returns whether a tensor that a model computes with belongs to the head of a cross-encoder.
fn is_of_head(name: &str) -> bool {
    ["pooler.", "classifier.", "pre_classifier.", "head."].iter().any(|head| name.starts_with(head))
}

/// Returns whether a tensor of a head has a row for each label.
fn is_of_labels(name: &str) -> bool {
    name.starts_with("classifier.") && !name.starts_with("classifier.dense.")
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
