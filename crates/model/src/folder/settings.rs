//! Settings of a folder: `sentence_bert_config.json` and `config_sentence_transformers.json`.

use super::scoring::CROSS_ENCODER;
use crate::json::{Fields, read_object};
use crate::{EncoderConfig, ModelError, Settings, Similarity};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Returns the path of the file that holds `max_seq_length`: today always with BERT's name, in
/// older folders also with that of the architecture.
pub(super) fn sentence_config_path(transformer: &Path) -> PathBuf {
    let path = |name: &str| transformer.join(format!("sentence_{name}_config.json"));
    let older = ["roberta", "distilbert", "camembert", "xlm-roberta"].map(path);
    std::iter::once(path("bert")).chain(older).find(|path| path.is_file()).unwrap_or_else(|| path("bert"))
}

/// The fields of version 6 that say what the transformer computes, for a task.
pub(super) fn transformer_fields(cross_encoder: bool) -> [(&'static str, Value); 3] {
    let [task, method_output, output] = match cross_encoder {
        false => ["feature-extraction", "last_hidden_state", "token_embeddings"],
        true => ["sequence-classification", "logits", "scores"],
    };
    [
        ("transformer_task", task.into()),
        ("modality_config", json!({"text": {"method": "forward", "method_output_name": method_output}})),
        ("module_output_name", output.into()),
    ]
}

/// Reads `max_seq_length`, if it is set. Returns an error if another field of the file would change
/// what is computed.
pub(super) fn read_max_seq_length(
    sentence_config: &Value,
    path: &Path,
    config: &EncoderConfig,
    cross_encoder: bool,
    notices: &mut Vec<String>,
) -> Result<Option<usize>, ModelError> {
    let fields = Fields { json: sentence_config, path };
    for (field, only) in transformer_fields(cross_encoder) {
        if fields.present(field) && sentence_config[field] != only {
            return Err(fields.unsupported(format!("{field} {}", sentence_config[field]), only.to_string()));
        }
    }
    for field in ["query_length", "document_length", "query_expansion", "processing_kwargs"] {
        if fields.not_empty(field) {
            return Err(fields.unsupported(field, "one max_seq_length for all texts"));
        }
    }
    for old in ["model_args", "config_args", "tokenizer_args"] {
        refuse_arguments(&fields, old)?;
    }
    for new in ["model_kwargs", "config_kwargs", "processor_kwargs"] {
        refuse_arguments(&fields, new)?;
    }
    if !fields.present("max_seq_length") {
        return Ok(None);
    }
    let asked = fields.count("max_seq_length")?;
    if asked > config.longest() {
        notices.push(format!(
            "{}: max_seq_length {asked} exceeds the model's {} positions, which are used",
            path.display(),
            config.longest()
        ));
    }
    Ok(Some(asked))
}

/// Arguments for Python that do not change embeddings.
const HARMLESS_ARGUMENTS: [&str; 7] =
    ["trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "device_map", "use_safetensors", "use_fast"];

/// Returns an error for arguments that could change embeddings.
fn refuse_arguments(fields: &Fields<'_>, field: &str) -> Result<(), ModelError> {
    let Some(arguments) = fields.json.get(field).filter(|arguments| !arguments.is_null()) else { return Ok(()) };
    let arguments = arguments.as_object().ok_or_else(|| fields.wrong(field, "an object"))?;
    match arguments.keys().find(|name| !HARMLESS_ARGUMENTS.contains(&name.as_str())) {
        Some(name) => Err(fields.unsupported(
            format!("{field}.{name}"),
            "settings in config.json and tokenizer_config.json; save the folder again in Python",
        )),
        None => Ok(()),
    }
}

/// Reads `config_sentence_transformers.json` of a model whose embeddings have `dimension` columns.
/// `max_seq_length` is set by the caller.
pub(super) fn read_settings(
    folder: &Path,
    do_lower_case: bool,
    dimension: usize,
    cross_encoder: bool,
) -> Result<Settings, ModelError> {
    let path = folder.join("config_sentence_transformers.json");
    let json = read_object(&path)?.unwrap_or(Value::Object(Default::default()));
    let fields = Fields { json: &json, path: &path };
    let model_type = if cross_encoder { CROSS_ENCODER } else { "SentenceTransformer" };
    if fields.present("model_type") && fields.text("model_type")? != model_type {
        let what = format!("model_type `{}`", fields.text("model_type")?);
        let supported = "SentenceTransformer (one dense embedding of each text), CrossEncoder (scores of pairs)";
        return Err(fields.unsupported(what, supported));
    }
    let mut prompts = Vec::new();
    if fields.present("prompts") {
        let entries =
            json["prompts"].as_object().ok_or_else(|| fields.wrong("prompts", "an object of names and texts"))?;
        for (name, prompt) in entries {
            let text = match prompt {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => {
                    return Err(ModelError::invalid(&path, format!("prompt `{name}` is {other}; expected a string")));
                }
            };
            prompts.push((name.clone(), text));
        }
    }
    let default_prompt_name =
        if fields.present("default_prompt_name") { Some(fields.text("default_prompt_name")?.to_owned()) } else { None };
    if let Some(name) = &default_prompt_name
        && !prompts.iter().any(|(key, _)| key == name)
    {
        let reason = format!("default_prompt_name is `{name}`, but no such prompt is listed");
        return Err(ModelError::invalid(&path, reason));
    }
    let similarity = if fields.present("similarity_fn_name") {
        match fields.text("similarity_fn_name")? {
            "cosine" => Similarity::Cosine,
            "dot" | "dot_product" => Similarity::Dot,
            "euclidean" => Similarity::Euclidean,
            "manhattan" => Similarity::Manhattan,
            other => {
                return Err(ModelError::Unsupported {
                    what: format!("similarity_fn_name `{other}`"),
                    supported: "cosine, dot, euclidean, manhattan".into(),
                    path,
                });
            }
        }
    } else {
        Similarity::default()
    };
    let truncate_dim = if fields.present("truncate_dim") { Some(fields.count("truncate_dim")?) } else { None };
    if let Some(columns) = truncate_dim.filter(|columns| !(1..=dimension).contains(columns)) {
        let reason = format!("truncate_dim is {columns}; expected 1 to {dimension}, the model's columns");
        return Err(ModelError::invalid(path, reason));
    }
    Ok(Settings { max_seq_length: 0, do_lower_case, prompts, default_prompt_name, similarity, truncate_dim })
}
