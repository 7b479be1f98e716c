//! Writing a model folder, in the form of the third version: whole or not at all.

use super::{Origin, weights};
use crate::modules::Module;
use crate::sentence_model::{POOLING_KEYS, SentenceModel, concatenation_rank};
use crate::trainable::Tensor;
use crate::{ModelError, Similarity};
use maana_files::NewFolder;
use safetensors::Dtype;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl SentenceModel {
    /// Writes the folder, with further files beside (a model card, a report). What was never trained keeps the type of its
    /// weights, so that they are the bytes that were read; what was trained is written in f32.
    ///
    /// The folder appears whole or not at all: an older model in its place is replaced at the last moment.
    ///
    /// # Errors
    /// If something else than a model is there, or the disk is full or may not be written.
    pub fn save(&self, folder: &Path, beside: &[(&str, &[u8])]) -> Result<(), ModelError> {
        self.expect_whole()?;
        refuse_foreign(folder)?;
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        std::fs::create_dir_all(&parent).map_err(ModelError::io(&parent))?;
        let new = NewFolder::create(folder).map_err(ModelError::io(folder))?;
        self.write_into(new.path(), beside)?;
        new.commit().map_err(ModelError::io(folder))
    }

    /// Writes the files of a folder that is empty, and that the caller makes public as a whole.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn write_into(&self, folder: &Path, beside: &[(&str, &[u8])]) -> Result<(), ModelError> {
        self.expect_whole()?;
        let make = |path: &Path| std::fs::create_dir(path).map_err(ModelError::io(path));
        let dtype = self.saved_dtype();
        let encoder_tensors = &self.tensors[..self.bert.layout.tensors.len()];
        let named: Vec<(String, &Tensor)> =
            encoder_tensors.iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        self.write_weights(&folder.join("model.safetensors"), &named, &self.origin)?;
        write_json(
            &folder.join("config.json"),
            &config_json(&self.origin, self.bert.config.architecture.class_name(), dtype),
        )?;
        write_json(&folder.join("modules.json"), &self.modules_json())?;
        write_json(&folder.join("config_sentence_transformers.json"), &self.settings_json())?;
        let sentence = json!({
            "max_seq_length": self.settings.max_seq_length,
            "do_lower_case": self.settings.do_lower_case,
        });
        write_json(&folder.join("sentence_bert_config.json"), &sentence)?;
        write_file(&folder.join("tokenizer.json"), self.tokenizer.file_bytes())?;
        for (name, bytes) in &self.origin.tokenizer_files {
            write_file(&folder.join(name), bytes)?;
        }
        make(&folder.join("1_Pooling"))?;
        write_json(&folder.join("1_Pooling/config.json"), &self.pooling_json())?;
        for (index, module) in self.modules.iter().enumerate() {
            let Module::Dense(dense) = module else { continue };
            let place = folder.join(dense_folder(index));
            make(&place)?;
            let config = json!({
                "in_features": dense.inputs,
                "out_features": dense.outputs,
                "bias": dense.bias.is_some(),
                "activation_function": dense.activation_class(),
            });
            write_json(&place.join("config.json"), &config)?;
            let tensors = super::read::dense_tensors(dense);
            let named: Vec<(String, &Tensor)> = tensors.iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
            let nothing = Origin { carried: Vec::new(), ..self.origin.clone() };
            self.write_weights(&place.join("model.safetensors"), &named, &nothing)?;
        }
        for (name, bytes) in beside {
            write_file(&folder.join(name), bytes)?;
        }
        Ok(())
    }

    /// Returns an error for a model whose parameters are packed.
    fn expect_whole(&self) -> Result<(), ModelError> {
        if self.is_whole() {
            return Ok(());
        }
        let reason = "a model that was opened to encode has only packed weights and cannot be saved; `open` it instead";
        Err(ModelError::Request(reason.into()))
    }

    fn write_weights(&self, path: &Path, named: &[(String, &Tensor)], origin: &Origin) -> Result<(), ModelError> {
        weights::write(path, named, &self.parameters, self.saved_dtype(), &origin.carried)
    }

    fn saved_dtype(&self) -> Dtype {
        // The model computes with f32; f64 would pretend to digits that it does not have.
        if self.origin.trained || self.origin.dtype == Dtype::F64 { Dtype::F32 } else { self.origin.dtype }
    }

    fn modules_json(&self) -> Value {
        let entry = |index: usize, path: &str, kind: &str| {
            json!({
                "idx": index,
                "name": index.to_string(),
                "path": path,
                "type": format!("sentence_transformers.models.{kind}"),
            })
        };
        let mut entries = vec![entry(0, "", "Transformer"), entry(1, "1_Pooling", "Pooling")];
        for (index, module) in self.modules.iter().enumerate() {
            entries.push(match module {
                Module::Dense(_) => entry(index + 2, &dense_folder(index), "Dense"),
                Module::Normalize => entry(index + 2, &format!("{}_Normalize", index + 2), "Normalize"),
            });
        }
        Value::Array(entries)
    }

    fn pooling_json(&self) -> Value {
        let hidden = self.bert.config.hidden;
        let modes = &self.pooling.modes;
        // Flags cannot say an order or a repetition; where the model has another than theirs, only the newer form can.
        let by_flags =
            modes.is_sorted_by_key(|mode| concatenation_rank(*mode)) && modes.windows(2).all(|pair| pair[0] != pair[1]);
        if !by_flags {
            let name = |mode| POOLING_KEYS.iter().find(|(known, ..)| *known == mode).map(|(_, _, name)| *name);
            let names: Vec<_> = modes.iter().map(|mode| name(*mode)).collect();
            let include_prompt = self.pooling.include_prompt;
            return json!({"embedding_dimension": hidden, "pooling_mode": names, "include_prompt": include_prompt});
        }
        let mut fields = serde_json::Map::new();
        fields.insert("word_embedding_dimension".into(), hidden.into());
        for (mode, key, _) in POOLING_KEYS {
            fields.insert(key.into(), modes.contains(&mode).into());
        }
        fields.insert("include_prompt".into(), self.pooling.include_prompt.into());
        Value::Object(fields)
    }

    fn settings_json(&self) -> Value {
        let settings = &self.settings;
        let prompts: serde_json::Map<String, Value> =
            settings.prompts.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
        let similarity = match settings.similarity {
            Similarity::Cosine => "cosine",
            Similarity::Dot => "dot",
            Similarity::Euclidean => "euclidean",
            Similarity::Manhattan => "manhattan",
        };
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
}

fn config_json(origin: &Origin, class: &str, dtype: Dtype) -> Value {
    let mut config = origin.config.clone();
    config["architectures"] = json!([class]);
    let name = match dtype {
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => "float32",
    };
    for key in ["dtype", "torch_dtype"] {
        if config.get(key).is_some() {
            config[key] = name.into();
        }
    }
    // A path tells of the disk of whoever trained, and nothing to others.
    let is_path = |name: &str| name.starts_with(['/', '.', '~', '\\']) || name.contains(":\\");
    if let Some(fields) = config.as_object_mut()
        && fields.get("_name_or_path").and_then(Value::as_str).is_some_and(is_path)
    {
        fields.remove("_name_or_path");
    }
    config
}

/// The folder of the dense module that stands at `index` behind pooling.
pub(super) fn dense_folder(index: usize) -> String {
    format!("{}_Dense", index + 2)
}

fn refuse_foreign(folder: &Path) -> Result<(), ModelError> {
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
    Ok(())
}

fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(json).map_err(|error| ModelError::invalid(path, error.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    maana_files::write_inside(path, bytes).map_err(ModelError::io(path))
}
