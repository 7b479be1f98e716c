//! `config.json` of pooling and of the modules behind it.

use crate::ModelError;
use crate::blocks::{
    Dense, EmbeddingDropout, EmbeddingNorm, POOLING_NAMES, Pooling, SentenceModule, activation_of_class,
    concatenation_rank, known_classes,
};
use crate::json::{Fields, read_object};
use maana_kernels::{Activation, PoolingMode};
use serde_json::{Value, json};
use std::path::Path;

/// Name of the columns that modules read and write.
pub(super) const EMBEDDING: &str = "sentence_embedding";
/// Name of the columns that the last module of a cross-encoder writes.
pub(super) const SCORES: &str = "scores";

/// Reads the configuration of pooling, as flags or as names.
pub(super) fn read_pooling(path: &Path, hidden: usize) -> Result<Pooling, ModelError> {
    let json = read_object(path)?.ok_or_else(|| missing(path))?;
    let fields = Fields { json: &json, path };
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        let width = fields.count_or(key, hidden)?;
        if width != hidden {
            let reason = format!("field `{key}` is {width}, but the encoder's hidden size is {hidden}");
            return Err(ModelError::invalid(path, reason));
        }
    }
    let flags = json.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("pooling_mode_"));
    for (key, value) in flags {
        let known = POOLING_NAMES.iter().any(|(_, flag, _)| flag == key);
        if !known && *value != Value::Bool(false) {
            return Err(
                fields.unsupported(format!("{key}: {value}"), POOLING_NAMES.map(|(_, flag, _)| flag).join(", "))
            );
        }
    }
    let modes = if fields.present("pooling_mode") {
        let named: Vec<&str> = match &json["pooling_mode"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        if named.is_empty() {
            return Err(ModelError::invalid(path, "field `pooling_mode` must be a name or a list of names"));
        }
        named.into_iter().map(|name| pooling_mode(name, path)).collect::<Result<_, _>>()?
    } else {
        let mut modes = Vec::new();
        for (mode, flag, _) in POOLING_NAMES {
            if fields.flag_or(flag, false)? {
                modes.push(mode);
            }
        }
        modes.sort_by_key(|mode| concatenation_rank(*mode));
        if modes.is_empty() { vec![PoolingMode::Mean] } else { modes }
    };
    Ok(Pooling { modes, include_prompt: fields.flag_or("include_prompt", true)? })
}

fn pooling_mode(name: &str, path: &Path) -> Result<PoolingMode, ModelError> {
    let known = POOLING_NAMES.iter().find(|(_, _, known)| *known == name);
    known.map(|(mode, _, _)| *mode).ok_or_else(|| ModelError::Unsupported {
        path: path.into(),
        what: format!("pooling_mode `{name}`"),
        supported: POOLING_NAMES.map(|(_, _, name)| name).join(", "),
    })
}

fn read_dense(fields: &Fields<'_>, inputs: usize, output: &str) -> Result<Dense, ModelError> {
    /// The widest layer that is read.
    const WIDEST: usize = 1 << 16;
    let path = fields.path;
    let (asked, outputs) = (fields.count("in_features")?, fields.count("out_features")?);
    if asked != inputs {
        let reason = format!("in_features is {asked}, but what comes before it gives {inputs} columns");
        return Err(ModelError::invalid(path, reason));
    }
    if outputs == 0 || outputs > WIDEST {
        return Err(ModelError::invalid(path, format!("out_features is {outputs}; expected 1 to {WIDEST}")));
    }
    let activation = match fields.json.get("activation_function") {
        None => Activation::Tanh,
        Some(_) => {
            let class = fields.text("activation_function")?;
            activation_of_class(class).ok_or_else(|| {
                fields.unsupported(format!("activation_function `{class}`"), format!("torch.nn's {}", known_classes()))
            })?
        }
    };
    refuse_other_columns(fields, output)?;
    let dense = Dense::new([inputs, outputs], fields.flag_or("bias", true)?, activation, None);
    Ok(if fields.flag_or("use_residual", false)? { dense.with_residual() } else { dense })
}

/// Reads the configuration of a LayerNorm, whose ε is that of PyTorch.
fn read_layer_norm(fields: &Fields<'_>, inputs: usize) -> Result<EmbeddingNorm, ModelError> {
    let width = fields.count("dimension")?;
    if width != inputs {
        let reason = format!("dimension is {width}, but what comes before it gives {inputs} columns");
        return Err(ModelError::invalid(fields.path, reason));
    }
    Ok(EmbeddingNorm::new(width, 1e-5, true, None))
}

fn read_dropout(fields: &Fields<'_>, index: usize) -> Result<EmbeddingDropout, ModelError> {
    let probability = fields.number_or("dropout", 0.2)?;
    if !(0.0..1.0).contains(&probability) {
        return Err(fields.wrong("dropout", "a probability from 0 to below 1"));
    }
    Ok(EmbeddingDropout::new(probability as f32, index))
}

/// Reads the configuration of a module that is number `index` behind pooling, for embeddings of
/// `inputs` columns, and that writes the columns `output`.
pub(super) fn read_module(
    kind: &str,
    path: &Path,
    (inputs, output): (usize, &str),
    index: usize,
) -> Result<SentenceModule, ModelError> {
    let json = match read_object(path)? {
        Some(json) => json,
        // The reference wrote none for this module before version 5.
        None if kind == "Normalize" => Value::default(),
        None => return Err(missing(path)),
    };
    let fields = Fields { json: &json, path };
    Ok(match kind {
        "Dense" => SentenceModule::Dense(read_dense(&fields, inputs, output)?),
        "LayerNorm" => SentenceModule::LayerNorm(read_layer_norm(&fields, inputs)?),
        "Dropout" => SentenceModule::Dropout(read_dropout(&fields, index)?),
        _ => {
            refuse_other_columns(&fields, output)?;
            SentenceModule::Normalize
        }
    })
}

/// Returns the content of the `config.json` of a module that writes the columns `output`; none for
/// a module that has no such file.
pub(super) fn module_json(module: &SentenceModule, output: &str) -> Option<Value> {
    match module {
        SentenceModule::Dense(dense) => {
            let mut json = json!({
                "in_features": dense.inputs,
                "out_features": dense.outputs,
                "bias": dense.has_bias(),
                "activation_function": dense.activation_class(),
            });
            // Older versions refuse a field that they do not know.
            if dense.has_residual() {
                json["use_residual"] = true.into();
            }
            if output != EMBEDDING {
                json["module_input_name"] = EMBEDDING.into();
                json["module_output_name"] = output.into();
            }
            Some(json)
        }
        SentenceModule::LayerNorm(norm) => Some(json!({"dimension": norm.width})),
        SentenceModule::Dropout(dropout) => {
            // The shortest digits of the f32, as the folder had them.
            let probability: Option<f64> = dropout.probability().to_string().parse().ok();
            Some(json!({"dropout": probability}))
        }
        SentenceModule::Normalize => None,
    }
}

fn missing(path: &Path) -> ModelError {
    let remedy = "`modules.json` names it; fetch the model again (`maana fetch NAME --again`)".into();
    ModelError::Missing { path: path.into(), remedy }
}

/// Returns an error for a module that reads anything but the embedding, or writes anything but
/// `output`.
fn refuse_other_columns(fields: &Fields<'_>, output: &str) -> Result<(), ModelError> {
    for (key, expected) in [("module_input_name", EMBEDDING), ("module_output_name", output)] {
        let found = if fields.present(key) { fields.text(key)? } else { EMBEDDING };
        if found != expected {
            return Err(fields.unsupported(format!("{key} `{found}`"), expected));
        }
    }
    Ok(())
}
