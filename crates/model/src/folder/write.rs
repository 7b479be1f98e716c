//! Writing a model folder, whole or not at all: an embedding model in the form of version 3, a
//! cross-encoder in that of version 6, whose `config.json` and weights older versions open as well.

use super::head::name_in_file;
use super::module_config::{EMBEDDING, SCORES, module_json};
use super::names::is_of_model;
use super::router_config;
use super::scoring::{CROSS_ENCODER, write_scoring};
use super::settings::transformer_fields;
use super::written::{Content, Written, serialize, write_file, write_json};
use crate::blocks::{POOLING_NAMES, SentenceModule, concatenation_rank};
use crate::spec::{Carried, Folders, ModelSpec};
use crate::task::Task;
use crate::training_model::{Tower, TrainingModel};
use crate::weights::{Tensor, is_floating, to_bytes, to_floats};
use crate::{ModelError, Similarity};
use maana_files::NewFolder;
use safetensors::Dtype;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

impl TrainingModel {
    /// Writes the folder with further files (a model card, a report). A model that was never
    /// trained keeps the type of its weights, so that they are the bytes that were read; a trained
    /// model is written in f32.
    ///
    /// The folder appears whole or not at all: an older model in its place is replaced at the last
    /// moment. Other files in that folder stay.
    ///
    /// # Errors
    /// Returns an error if the path holds anything but a model, or if the disk is full or may not
    /// be written.
    pub fn save(&self, folder: &Path, further: &[(&str, &[u8])]) -> Result<(), ModelError> {
        check_destination(folder)?;
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        std::fs::create_dir_all(&parent).map_err(ModelError::io(&parent))?;
        let new = NewFolder::create(folder).map_err(ModelError::io(folder))?;
        self.write_into(new.path(), further)?;
        new.keep(|name| !is_of_model(name)).map_err(ModelError::io(folder))?;
        new.commit().map_err(ModelError::io(folder))
    }

    /// Writes all files into an empty folder, which the caller publishes as a whole.
    ///
    /// # Errors
    /// Returns an error if the disk is full or may not be written.
    pub fn write_into(&self, folder: &Path, further: &[(&str, &[u8])]) -> Result<(), ModelError> {
        let specs: Vec<&ModelSpec> = self.towers.iter().map(|tower| &*tower.spec).collect();
        let mut written = HashSet::new();
        for tower in &self.towers {
            self.write_tower(folder, tower, &mut written)?;
        }
        write_json(&folder.join("config_sentence_transformers.json"), &settings_json(specs[0]))?;
        let chains: Vec<Vec<(String, String)>> = specs.iter().map(|spec| chain(spec)).collect();
        let modules = match &self.router {
            None => modules_json(&chains[0]),
            Some(router) => {
                write_json(&router_config::path(folder), &router_config::json(router, &chains))?;
                modules_json(&[(String::new(), class("Router"))])
            }
        };
        write_json(&folder.join("modules.json"), &modules)?;
        for (name, bytes) in further {
            write_file(&folder.join(name), bytes)?;
        }
        Ok(())
    }

    /// Writes the encoder, the tokenizer and the modules of a tower, but for folders that another
    /// tower has written.
    fn write_tower(&self, folder: &Path, tower: &Tower, written: &mut HashSet<String>) -> Result<(), ModelError> {
        let spec = &*tower.spec;
        let folders = &spec.origin.folders;
        let make = |name: &str| {
            let path = folder.join(name);
            if name.is_empty() {
                Ok(path)
            } else {
                std::fs::create_dir(&path).map_err(ModelError::io(&path)).map(|()| path)
            }
        };
        if written.insert(folders.encoder.clone()) {
            self.write_encoder(&make(&folders.encoder)?, tower)?;
        }
        if !spec.has_head_in_encoder() && !spec.is_static() && written.insert(folders.pooling.clone()) {
            write_json(&make(&folders.pooling)?.join("config.json"), &pooling_json(spec))?;
        }
        let last = spec.modules.len().saturating_sub(1);
        for (number, (module, name)) in spec.modules.iter().zip(&folders.modules).enumerate() {
            // A transformer with its head is one module.
            if spec.has_head_in_encoder() {
                break;
            }
            let output = if spec.task != Task::Embed && number == last { SCORES } else { EMBEDDING };
            let Some(config) = module_json(module, output).filter(|_| written.insert(name.clone())) else { continue };
            let path = make(name)?;
            write_json(&path.join("config.json"), &config)?;
            let tensors = module.tensors();
            if !tensors.is_empty() {
                self.write_weights(&path.join("model.safetensors"), &tensors, (spec, &[]))?;
            }
        }
        Ok(())
    }

    /// Writes an encoder or its adapters, its tokenizer and the length of its texts.
    fn write_encoder(&self, folder: &Path, tower: &Tower) -> Result<(), ModelError> {
        let spec = &*tower.spec;
        let lora = self.lora.as_ref().filter(|lora| !lora.settings.merge);
        match lora.and_then(|lora| Some((lora, lora.tower(&spec.origin.folders.encoder)?))) {
            _ if spec.is_static() => self.write_static(folder, tower)?,
            Some((lora, adapted)) => super::adapter::write(folder, lora, adapted, spec)?,
            None => {
                let in_encoder = spec.modules.iter().filter(|module| module.is_in_encoder());
                let mut tensors = tower.network.parameters.tensors.clone();
                tensors.extend(in_encoder.flat_map(SentenceModule::tensors));
                let carried = named(spec, spec.origin.carried.clone(), |tensor: &mut Carried| &mut tensor.name);
                let tensors = named(spec, tensors, |tensor: &mut Tensor| &mut tensor.name);
                self.write_weights(&folder.join("model.safetensors"), &tensors, (spec, &carried))?;
                write_json(&folder.join("config.json"), &config_json(spec, self.saved_dtype(spec)))?;
            }
        }
        if !spec.is_static() {
            write_json(&folder.join("sentence_bert_config.json"), &sentence_json(spec))?;
            write_file(&folder.join("tokenizer.json"), spec.tokenizer.file_bytes())?;
        }
        for (name, bytes) in &spec.origin.tokenizer_files {
            write_file(&folder.join(name), &tokenizer_file(spec, name, bytes))?;
        }
        Ok(())
    }

    /// Type of the weights of a tower in its files.
    pub(super) fn saved_dtype(&self, spec: &ModelSpec) -> Dtype {
        // Parameters are f32; f64 would suggest a precision that they do not have.
        let dtype = spec.origin.dtype;
        if self.trained || dtype == Dtype::F64 { Dtype::F32 } else { dtype }
    }

    /// Writes a `model.safetensors` with some tensors of the arena and those of a tower that are
    /// carried along, in a folder that is not public yet.
    pub(super) fn write_weights(
        &self,
        path: &Path,
        tensors: &[Tensor],
        (spec, carried): (&ModelSpec, &[Carried]),
    ) -> Result<(), ModelError> {
        let (arena, dtype) = (self.arena.parameters(), self.saved_dtype(spec));
        let own = tensors.iter().map(|tensor| {
            let content = Content::Floats(&arena[tensor.range.clone()]);
            (tensor.name.as_str(), Written { dtype, shape: &tensor.shape, content })
        });
        let carried = carried.iter().map(|tensor| {
            let (dtype, bytes) = match in_dtype(tensor, dtype) {
                Some(bytes) => (dtype, Cow::Owned(bytes)),
                None => (tensor.dtype, Cow::Borrowed(&tensor.bytes[..])),
            };
            (tensor.name.as_str(), Written { dtype, shape: &tensor.shape, content: Content::Bytes(bytes) })
        });
        serialize(own.chain(carried), path)
    }
}

fn sentence_json(spec: &ModelSpec) -> Value {
    let mut sentence = json!({
        "max_seq_length": spec.settings.max_seq_length,
        "do_lower_case": spec.settings.do_lower_case,
    });
    if spec.task.scoring().is_some() {
        let fields = transformer_fields(spec.has_head_in_encoder());
        fields.into_iter().for_each(|(field, value)| sentence[field] = value);
    }
    sentence
}

/// Returns the name that Python has for a type of weights.
pub(super) fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => "float32",
    }
}

/// Returns tensors of a tower with their names in the file of its encoder.
fn named<T>(spec: &ModelSpec, mut tensors: Vec<T>, name: impl Fn(&mut T) -> &mut String) -> Vec<T> {
    if spec.has_head_in_encoder() {
        for tensor in &mut tensors {
            let name = name(tensor);
            *name = name_in_file(spec.config.architecture, name);
        }
    }
    tensors
}

/// Lists folder and class of the modules of a tower.
fn chain(spec: &ModelSpec) -> Vec<(String, String)> {
    let Folders { encoder, pooling, modules } = &spec.origin.folders;
    // Versions before 6 do not read the modules of a cross-encoder.
    let class = if spec.task == Task::Embed { class } else { class_since_6 };
    if spec.has_head_in_encoder() {
        return vec![(encoder.clone(), class("Transformer"))];
    }
    let mut chain = match spec.is_static() {
        true => vec![(encoder.clone(), class("StaticEmbedding"))],
        false => vec![(encoder.clone(), class("Transformer")), (pooling.clone(), class("Pooling"))],
    };
    chain.extend(spec.modules.iter().zip(modules).map(|(module, folder)| (folder.clone(), class(module.kind()))));
    chain
}

/// Returns the name of a module's class by which all versions know it.
fn class(kind: &str) -> String {
    format!("sentence_transformers.models.{kind}")
}

/// Returns the name of a module's class since version 6.
fn class_since_6(kind: &str) -> String {
    let (place, file) = match kind {
        "Transformer" => ("base", "transformer"),
        "Dense" => ("base", "dense"),
        "Normalize" => ("base", "normalize"),
        "Pooling" => ("sentence_transformer", "pooling"),
        "LayerNorm" => ("sentence_transformer", "layer_norm"),
        "Dropout" => ("sentence_transformer", "dropout"),
        _ => unreachable!("cross-encoders have no module {kind}"),
    };
    format!("sentence_transformers.{place}.modules.{file}.{kind}")
}

fn modules_json(modules: &[(String, String)]) -> Value {
    let entry = |(index, (path, class)): (usize, &(String, String))| json!({"idx": index, "name": index.to_string(), "path": path, "type": class});
    modules.iter().enumerate().map(entry).collect()
}

fn pooling_json(spec: &ModelSpec) -> Value {
    let hidden = spec.config.hidden;
    let modes = &spec.pooling.modes;
    // Flags express neither order nor repetition; other lists of modes need the newer form.
    let by_flags =
        modes.is_sorted_by_key(|mode| concatenation_rank(*mode)) && modes.windows(2).all(|pair| pair[0] != pair[1]);
    if !by_flags {
        let (names, include_prompt) = (spec.pooling_names(), spec.pooling.include_prompt);
        return json!({"embedding_dimension": hidden, "pooling_mode": names, "include_prompt": include_prompt});
    }
    let mut fields = serde_json::Map::new();
    fields.insert("word_embedding_dimension".into(), hidden.into());
    for (mode, key, _) in POOLING_NAMES {
        fields.insert(key.into(), modes.contains(&mode).into());
    }
    fields.insert("include_prompt".into(), spec.pooling.include_prompt.into());
    Value::Object(fields)
}

fn settings_json(spec: &ModelSpec) -> Value {
    let settings = &spec.settings;
    let prompts: serde_json::Map<String, Value> =
        settings.prompts.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
    let similarity = match settings.similarity {
        Similarity::Cosine => "cosine",
        Similarity::Dot => "dot",
        Similarity::Euclidean => "euclidean",
        Similarity::Manhattan => "manhattan",
    };
    if let Some(scoring) = spec.task.scoring() {
        return json!({
            "__version__": {"sentence_transformers": "6.2.0", "transformers": "5.24.0", "maana": env!("CARGO_PKG_VERSION")},
            "model_type": CROSS_ENCODER,
            "activation_fn": scoring.activation.class(),
            "prompts": prompts,
            "default_prompt_name": settings.default_prompt_name,
        });
    }
    let mut json = json!({
        "__version__": {"sentence_transformers": "3.0.1", "transformers": "4.41.2", "maana": env!("CARGO_PKG_VERSION")},
        "prompts": prompts,
        "default_prompt_name": settings.default_prompt_name,
        "similarity_fn_name": similarity,
    });
    if let Some(dimension) = settings.truncate_dim {
        json["truncate_dim"] = dimension.into();
    }
    json
}

/// Returns the content of a file of the tokenizer. That of a cross-encoder holds its limit of
/// tokens, as versions before 6 read it nowhere else.
fn tokenizer_file<'a>(spec: &ModelSpec, name: &str, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let limit = spec.settings.max_seq_length;
    let limited = spec.tokenizer.max_length().is_some_and(|own| own.min(spec.config.longest()) == limit);
    if name != "tokenizer_config.json" || spec.task == Task::Embed || limited {
        return bytes.into();
    }
    // The tokenizer was read from the same bytes.
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else { return bytes.into() };
    fields.insert("model_max_length".into(), limit.into());
    serde_json::to_vec_pretty(&fields).map_or(bytes.into(), Cow::Owned)
}

fn config_json(spec: &ModelSpec, dtype: Dtype) -> Value {
    let mut config = spec.origin.config.clone();
    config["architectures"] = json!([spec.class_name()]);
    if let Some(scoring) = spec.task.scoring() {
        write_scoring(&mut config, scoring);
    }
    for key in ["dtype", "torch_dtype"] {
        if config.get(key).is_some() {
            config[key] = dtype_name(dtype).into();
        }
    }
    // A path is of no use to others and discloses the disk of the person who trained.
    let is_path = |name: &str| name.starts_with(['/', '.', '~', '\\']) || name.contains(":\\");
    if let Some(fields) = config.as_object_mut()
        && fields.get("_name_or_path").and_then(Value::as_str).is_some_and(is_path)
    {
        fields.remove("_name_or_path");
    }
    config
}

/// Checks that a model can be saved in a folder. Returns true if it would replace a model there.
///
/// # Errors
/// Returns an error if the path holds anything but a model.
pub fn check_destination(folder: &Path) -> Result<bool, ModelError> {
    let foreign = if folder.is_dir() {
        let empty = std::fs::read_dir(folder).map_err(ModelError::io(folder))?.next().is_none();
        !empty && !folder.join("modules.json").exists()
    } else {
        folder.exists()
    };
    if foreign {
        let reason = "is there already and is not a model folder; choose another place or remove it";
        return Err(ModelError::invalid(folder, reason));
    }
    Ok(folder.join("modules.json").exists())
}

/// Returns the bytes of a carried tensor in another floating type, or nothing if it keeps its type.
fn in_dtype(tensor: &Carried, dtype: Dtype) -> Option<Vec<u8>> {
    if tensor.dtype == dtype || !is_floating(tensor.dtype) {
        return None;
    }
    let mut values = vec![0.0; tensor.shape.iter().product()];
    to_floats(tensor.dtype, &tensor.bytes, &mut values);
    Some(to_bytes(&values, dtype))
}
