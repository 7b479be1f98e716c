//! `model.safetensors`, whole or in shards, in f64, f32, f16 or bf16: bytes to floats and back.
//! Files are mapped, tensor by tensor and only while they are needed, and must not be written into meanwhile.

use super::map::map;
use crate::ModelError;
use crate::trainable::Tensor;
use half::{bf16, f16};
use maana_kernels::Context;
use memmap2::Mmap;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Floats that are looked at, and summed up, together.
const CHUNK: usize = 1 << 16;

/// A tensor that is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// The files of one set of weights, and where each tensor lies in them.
pub(crate) struct WeightFiles {
    files: Vec<(PathBuf, File)>,
    /// By the name in the file, without the prefix that all of an encoder's may have.
    places: HashMap<String, Place>,
    /// Names of tensors without that prefix, where the others have it.
    beside: Vec<String>,
}

struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl WeightFiles {
    /// Opens `model.safetensors` of a folder, or the shards that `model.safetensors.index.json` names. Names in the files may
    /// begin with `prefix`.
    pub(crate) fn open(folder: &Path, prefix: &str) -> Result<Self, ModelError> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for path in paths(folder)? {
            let file = maana_files::open(&path).map_err(ModelError::io(&path))?;
            let (start, metadata) = read_header(&path, &file)?;
            for (name, info) in metadata.tensors() {
                let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
                let place = Place { file: files.len(), dtype: info.dtype, shape: info.shape.clone(), bytes };
                if places.insert(name.clone(), place).is_some() {
                    return Err(ModelError::invalid(&path, format!("tensor `{name}` is in two files")));
                }
            }
            files.push((path, file));
        }
        let mut beside = Vec::new();
        if places.keys().any(|name| name.starts_with(prefix)) {
            let mut stripped = HashMap::with_capacity(places.len());
            for (name, place) in places {
                match name.strip_prefix(prefix) {
                    Some(own) => drop(stripped.insert(own.to_owned(), place)),
                    None => beside.push(name),
                }
            }
            places = stripped;
        }
        let mut named = HashMap::with_capacity(places.len());
        for (name, place) in places {
            let (today, file) = (todays_name(&name), place.file);
            if named.insert(today.clone(), place).is_some() {
                let reason = format!("tensor `{today}` is there twice, under its name of today and its older one");
                return Err(ModelError::invalid(&files[file].0, reason));
            }
        }
        Ok(Self { files, places: named, beside })
    }

    /// Checks that the files hold tensors of these names and shapes, before memory is taken for them.
    pub(crate) fn check(&self, wanted: &[Tensor]) -> Result<(), ModelError> {
        wanted.iter().try_for_each(|tensor| self.place(tensor).map(drop))
    }

    /// Names of tensors that the model does not compute with and that are no known head or buffer, in order: layers beyond its
    /// number, adapters, further projections.
    pub(crate) fn unused(&self, wanted: &[Tensor]) -> Vec<&str> {
        let known: HashSet<&str> = wanted.iter().map(|tensor| tensor.name.as_str()).collect();
        let own = self.places.keys().filter(|name| !known.contains(name.as_str()));
        let mut unused: Vec<&str> =
            own.chain(&self.beside).map(String::as_str).filter(|name| !is_head_or_buffer(name)).collect();
        unused.sort_unstable();
        unused
    }

    /// The type of the weights.
    pub(crate) fn dtype(&self, tensor: &Tensor) -> Dtype {
        self.places.get(&tensor.name).map_or(Dtype::F32, |place| place.dtype)
    }

    /// Where a tensor lies, of a type and shape that can be computed with.
    fn place(&self, tensor: &Tensor) -> Result<&Place, ModelError> {
        let name = &tensor.name;
        let place = self.places.get(name).ok_or_else(|| {
            let reason = format!("tensor `{name}` is missing; `config.json` and weights do not belong together");
            ModelError::invalid(&self.files[0].0, reason)
        })?;
        let path = &self.files[place.file].0;
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

    /// A tensor's bytes, of a type and shape that can be computed with.
    pub(crate) fn map(&self, tensor: &Tensor) -> Result<MappedTensor, ModelError> {
        let place = self.place(tensor)?;
        let (name, (path, file)) = (&tensor.name, &self.files[place.file]);
        let bytes = map(file, place.bytes.clone()).map_err(ModelError::io(path))?;
        Ok(MappedTensor { name: name.clone(), path: path.clone(), dtype: place.dtype, bytes })
    }

    /// Copies every tensor of `wanted` that has a place in `arena` to it.
    pub(crate) fn fill(&self, context: &Context, wanted: &[Tensor], arena: &mut [f32]) -> Result<(), ModelError> {
        for tensor in wanted.iter().filter(|tensor| !tensor.range.is_empty()) {
            let mapped = self.map(tensor)?;
            let into = &mut arena[tensor.range.clone()];
            mapped.fill(context, into);
            mapped.check(context, into)?;
        }
        Ok(())
    }

    /// The tensors that are not `wanted` but belong to the encoder.
    pub(crate) fn carried(&self, wanted: &[Tensor]) -> Result<Vec<Carried>, ModelError> {
        let rest = self.places.iter().filter(|(name, _)| belongs_to_encoder(name));
        let mut carried = Vec::new();
        for (name, place) in rest.filter(|(name, _)| !wanted.iter().any(|tensor| tensor.name == **name)) {
            let (path, file) = &self.files[place.file];
            let bytes = match place.bytes.len() {
                0 => Vec::new(),
                _ => map(file, place.bytes.clone()).map_err(ModelError::io(path))?.to_vec(),
            };
            carried.push(Carried { name: name.clone(), dtype: place.dtype, shape: place.shape.clone(), bytes });
        }
        carried.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(carried)
    }
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
        "The folder needs its weights as safetensors; fetch the model again"
    };
    Err(ModelError::Missing { path: whole, remedy: remedy.into() })
}

/// Where the tensors begin, and what the header says of them.
fn read_header(path: &Path, file: &File) -> Result<(usize, Metadata), ModelError> {
    let unsound = |reason: String| {
        let reason = format!("not a sound safetensors file ({reason}); it is damaged or cut short, fetch it again");
        ModelError::invalid(path, reason)
    };
    let length = file.metadata().map_err(ModelError::io(path))?.len();
    if length < 8 {
        return Err(unsound(format!("it has {length} bytes")));
    }
    let bytes = map(file, 0..length as usize).map_err(ModelError::io(path))?;
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| unsound(error.to_string()))?;
    Ok((8 + header, metadata))
}

/// The bytes of one tensor where they lie in the file.
pub(crate) struct MappedTensor {
    name: String,
    path: PathBuf,
    dtype: Dtype,
    bytes: Mmap,
}

impl MappedTensor {
    /// Its elements, if the file holds them as the machine does.
    pub(crate) fn as_floats(&self) -> Option<&[f32]> {
        let same = self.dtype == Dtype::F32 && cfg!(target_endian = "little");
        same.then(|| bytemuck::try_cast_slice(&self.bytes).ok()).flatten()
    }

    /// Its elements, in `buffer` unless they can be read where they are.
    pub(crate) fn floats<'a>(&'a self, context: &Context, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        if let Some(floats) = self.as_floats() {
            return floats;
        }
        buffer.resize(self.elements(), 0.0);
        self.fill(context, buffer);
        buffer
    }

    /// How many elements it has.
    pub(crate) fn elements(&self) -> usize {
        self.bytes.len() / size_of_element(self.dtype)
    }

    /// Writes its elements to `into`.
    pub(crate) fn fill(&self, context: &Context, into: &mut [f32]) {
        context.for_each_chunk(into, CHUNK, |number, into| self.copy(number * CHUNK, into));
    }

    /// Elements from `first` on.
    fn copy(&self, first: usize, into: &mut [f32]) {
        if let Some(floats) = self.as_floats() {
            into.copy_from_slice(&floats[first..first + into.len()]);
        } else {
            let size = size_of_element(self.dtype);
            to_floats(self.dtype, &self.bytes[size * first..size * (first + into.len())], into);
        }
    }

    /// Makes sure that all of its elements are numbers. Returns a sum of each chunk, by which two tensors can be told apart.
    pub(crate) fn check(&self, context: &Context, floats: &[f32]) -> Result<Vec<u128>, ModelError> {
        let mut sums = vec![(true, 0); floats.len().div_ceil(CHUNK)];
        context.for_each_chunk(&mut sums, 1, |number, sum| {
            let chunk = &floats[number * CHUNK..floats.len().min((number + 1) * CHUNK)];
            sum[0] = (chunk.iter().fold(true, |finite, value| finite & value.is_finite()), sum_of(chunk));
        });
        if sums.iter().all(|(finite, _)| *finite) {
            return Ok(sums.into_iter().map(|(_, sum)| sum).collect());
        }
        let reason =
            format!("tensor `{}` holds a value that is not a number or infinite; the weights are damaged", self.name);
        Err(ModelError::invalid(&self.path, reason))
    }

    /// Sums as [`MappedTensor::check`] gives them, whatever the elements are.
    pub(crate) fn sums(&self, context: &Context, floats: &[f32]) -> Vec<u128> {
        let mut sums = vec![0; floats.len().div_ceil(CHUNK)];
        context.for_each_chunk(&mut sums, 1, |number, sum| {
            sum[0] = sum_of(&floats[number * CHUNK..floats.len().min((number + 1) * CHUNK)]);
        });
        sums
    }
}

/// Sums of each chunk of a tensor's elements, as [`MappedTensor::check`] gives them.
pub(crate) fn sums(floats: &[f32]) -> impl Iterator<Item = u128> {
    floats.chunks(CHUNK).map(sum_of)
}

fn sum_of(floats: &[f32]) -> u128 {
    if cfg!(target_endian = "little") {
        return xxh3_128(bytemuck::cast_slice(floats));
    }
    xxh3_128(&floats.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// Whether a tensor that is not computed with is part of the encoder, and not of some head.
fn belongs_to_encoder(name: &str) -> bool {
    name.starts_with("pooler.") || name.starts_with("embeddings.")
}

/// Whether a tensor belongs to a head of transformers, which embeddings do not pass, or is no weight.
fn is_head_or_buffer(name: &str) -> bool {
    const HEADS: [&str; 8] = [
        "pooler.",
        "cls.",
        "lm_head.",
        "classifier.",
        "pre_classifier.",
        "qa_outputs.",
        "vocab_",
        "embeddings.position_ids",
    ];
    HEADS.iter().any(|head| name.starts_with(head)) || name == "embeddings.token_type_ids"
}

/// The name that a tensor has today: LayerNorm's were `gamma` and `beta` in the first BERT, whose files are still in use.
fn todays_name(name: &str) -> String {
    let (stem, part) = name.rsplit_once('.').unwrap_or(("", name));
    let norm = stem.ends_with("LayerNorm") || stem.ends_with("layer_norm");
    match part {
        "gamma" if norm => format!("{stem}.weight"),
        "beta" if norm => format!("{stem}.bias"),
        _ => name.to_owned(),
    }
}

pub(crate) fn is_floating(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Bytes of one element of a floating type.
fn size_of_element(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F64 => 8,
        Dtype::F32 => 4,
        _ => 2,
    }
}

fn shard_paths(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let json = super::read::read_json(index)?.unwrap_or_default();
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

/// Elements of a floating type as f32; of f64 the nearest, infinite where there is none.
fn to_floats(dtype: Dtype, bytes: &[u8], into: &mut [f32]) {
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

fn to_bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// A tensor as it is written, converted only when its turn comes.
struct Written<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    content: Content<'a>,
}

enum Content<'a> {
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

/// Writes a `model.safetensors` of a folder that is not public yet. It holds the tensors of the arena in `dtype`, one of f32, f16 and bf16, and those that were
/// carried along.
pub(crate) fn write(
    path: &Path,
    tensors: &[(String, &Tensor)],
    arena: &[f32],
    dtype: Dtype,
    carried: &[Carried],
) -> Result<(), ModelError> {
    let own = tensors.iter().map(|(name, tensor)| {
        let content = Content::Floats(&arena[tensor.range.clone()]);
        (name.as_str(), Written { dtype, shape: &tensor.shape, content })
    });
    let carried = carried.iter().map(|tensor| {
        let (dtype, bytes) = match in_dtype(tensor, dtype) {
            Some(bytes) => (dtype, Cow::Owned(bytes)),
            None => (tensor.dtype, Cow::Borrowed(&tensor.bytes[..])),
        };
        (tensor.name.as_str(), Written { dtype, shape: &tensor.shape, content: Content::Bytes(bytes) })
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(own.chain(carried), Some(metadata), path);
    written.map_err(|error| match error {
        SafeTensorError::IoError(source) => ModelError::io(path)(source),
        other => ModelError::invalid(path, other.to_string()),
    })
}

/// The bytes of a carried tensor in another floating type, or nothing if it stays as it is.
fn in_dtype(tensor: &Carried, dtype: Dtype) -> Option<Vec<u8>> {
    if tensor.dtype == dtype || !is_floating(tensor.dtype) {
        return None;
    }
    let mut values = vec![0.0; tensor.shape.iter().product()];
    to_floats(tensor.dtype, &tensor.bytes, &mut values);
    Some(to_bytes(&values, dtype))
}
