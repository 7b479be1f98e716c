//! Writing the table and the tokenizer of a static model: as the module `StaticEmbedding` of
//! Sentence Transformers in the folder itself, or in the form of Model2Vec if the model came in it.

use super::modules::MODEL2VEC;
use super::static_table::MODEL2VEC_TABLE;
use super::write::dtype_name;
use super::written::{write_file, write_json};
use crate::ModelError;
use crate::spec::ModelSpec;
use crate::training_model::{Tower, TrainingModel};
use crate::weights::Tensor;
use serde_json::{Value, json};
use std::path::Path;

impl TrainingModel {
    /// Writes `model.safetensors`, `tokenizer.json` and, in the form of Model2Vec, `config.json`.
    pub(super) fn write_static(&self, folder: &Path, tower: &Tower) -> Result<(), ModelError> {
        let (spec, table) = (&*tower.spec, &tower.network.parameters.tensors[0]);
        let is_model2vec = spec.origin.config["model_type"] == MODEL2VEC;
        let name = if is_model2vec { MODEL2VEC_TABLE } else { &table.name };
        let table = Tensor { name: name.into(), ..table.clone() };
        self.write_weights(&folder.join("model.safetensors"), &[table], (spec, &[]))?;
        if is_model2vec {
            write_json(&folder.join("config.json"), &self.model2vec_json(spec))?;
        }
        write_file(&folder.join("tokenizer.json"), &tokenizer_bytes(spec)?)
    }

    fn model2vec_json(&self, spec: &ModelSpec) -> Value {
        let mut config = spec.origin.config.clone();
        config["hidden_dim"] = spec.config.hidden.into();
        config["normalize"] = spec.normalizes().into();
        config["embedding_dtype"] = dtype_name(self.saved_dtype(spec)).into();
        let limit = Some(spec.settings.max_seq_length).filter(|tokens| *tokens < spec.config.longest());
        config["max_length"] = limit.into();
        // Every token has a row of its own now.
        if let Some(fields) = config.as_object_mut() {
            fields.remove("vocabulary_quantization");
        }
        config
    }
}

/// Returns `tokenizer.json`, with the longest text of the model, which no other file tells.
fn tokenizer_bytes(spec: &ModelSpec) -> Result<Vec<u8>, ModelError> {
    let (tokenizer, tokens) = (&spec.tokenizer, spec.settings.max_seq_length);
    if tokens == tokenizer.max_length().unwrap_or(spec.config.longest()) {
        return Ok(tokenizer.file_bytes().to_vec());
    }
    let invalid = |error: serde_json::Error| ModelError::invalid("tokenizer.json", error.to_string());
    let mut json: Value = serde_json::from_slice(tokenizer.file_bytes()).map_err(invalid)?;
    json["truncation"] = json!({
        "direction": "Right",
        "max_length": tokens,
        "strategy": "LongestFirst",
        "stride": 0,
    });
    serde_json::to_vec(&json).map_err(invalid)
}
