//! The task of a folder, and the labels and the activation of a cross-encoder: in `config.json`,
//! and in `config_sentence_transformers.json` since version 6.

use super::head::HeadSettings;
use crate::json::{Fields, read_object};
use crate::{ModelError, ScoreActivation, Scoring};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The most labels that are read.
const MOST_LABELS: usize = 1 << 16;

/// `model_type` of a cross-encoder in `config_sentence_transformers.json`.
pub(super) const CROSS_ENCODER: &str = "CrossEncoder";

/// Returns whether a folder holds a cross-encoder: by its `model_type`, and where it has no modules
/// by the class in `config.json`.
pub(super) fn is_cross_encoder(folder: &Path) -> Result<bool, ModelError> {
    let path = folder.join("config_sentence_transformers.json");
    let json = read_object(&path)?.unwrap_or_default();
    let fields = Fields { json: &json, path: &path };
    if fields.present("model_type") {
        return Ok(fields.text("model_type")? == CROSS_ENCODER);
    }
    if folder.join("modules.json").exists() {
        return Ok(false);
    }
    let config = read_object(&folder.join("config.json"))?.unwrap_or_default();
    Ok(classifies(&config))
}

/// Returns whether `config.json` is that of a model with a head for classification.
fn classifies(config: &Value) -> bool {
    let classes = config["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    classes.into_iter().any(|class| class.ends_with("ForSequenceClassification"))
}

/// Reads the labels and the activation of a cross-encoder in `folder`, whose `config.json` is
/// `config`. If modules of their own compute the scores, there are `outputs` of them. With settings
/// of a head, those take precedence.
pub(super) fn read_scoring(
    folder: &Path,
    config: &Fields<'_>,
    outputs: Option<usize>,
    head: Option<&HeadSettings>,
    notices: &mut Vec<String>,
) -> Result<Scoring, ModelError> {
    let own = match outputs {
        Some(count) => Some(labels_of_outputs(config, count)?),
        None if classifies(config.json) => Some(read_labels(config)?),
        None => None,
    };
    let asked = head.and_then(|head| head.labels.clone());
    let labels = match (own, asked) {
        (Some(own), Some(asked)) if own.len() != asked.len() => {
            let reason = format!(
                "the model has a head of {} labels ({}), but {} are asked for ({}); leave the labels out to train this head \
                 on, or start from a model without a head",
                own.len(),
                own.join(", "),
                asked.len(),
                asked.join(", ")
            );
            return Err(ModelError::invalid(config.path, reason));
        }
        (_, Some(asked)) => asked,
        (Some(own), None) => own,
        (None, None) => Scoring::of_labels(1).labels,
    };
    if labels.is_empty() || labels.len() > MOST_LABELS {
        let reason = format!("there are {} labels; expected 1 to {MOST_LABELS}", labels.len());
        return Err(ModelError::invalid(config.path, reason));
    }
    if labels.len() == 1 && config.json["problem_type"] == "single_label_classification" {
        let reason = "problem_type is `single_label_classification`, but there is one label; use two, or `regression`";
        return Err(ModelError::invalid(config.path, reason));
    }
    let activation = match head.and_then(|head| head.activation) {
        Some(activation) => Some(activation),
        None => read_activation(folder, config, notices)?,
    };
    let activation = activation.unwrap_or(ScoreActivation::default_of(labels.len()));
    Ok(Scoring { labels, activation })
}

/// Reads the names of the labels: `id2label`, else as many as `num_labels`, else two, which
/// transformers does not write.
fn read_labels(config: &Fields<'_>) -> Result<Vec<String>, ModelError> {
    if !config.present("id2label") {
        let count = config.count_or("num_labels", 2)?;
        return Ok(Scoring::of_labels(count.min(MOST_LABELS + 1)).labels);
    }
    let expected = "names of the labels by their numbers from 0";
    let wrong = || config.wrong("id2label", expected);
    let entries = config.json["id2label"].as_object().ok_or_else(wrong)?;
    let mut names = BTreeMap::new();
    for (number, name) in entries {
        let number: usize = number.parse().map_err(|_| wrong())?;
        let name = name.as_str().map_or_else(|| name.to_string(), String::from);
        names.insert(number, name);
    }
    let in_order = names.len() == entries.len() && names.keys().copied().eq(0..names.len());
    if in_order { Ok(names.into_values().collect()) } else { Err(wrong()) }
}

/// Reads the names of labels whose number is known: `config.json` of an encoder names others, or
/// none.
fn labels_of_outputs(config: &Fields<'_>, count: usize) -> Result<Vec<String>, ModelError> {
    let named = if config.present("id2label") { read_labels(config)? } else { Vec::new() };
    Ok(if named.len() == count { named } else { Scoring::of_labels(count).labels })
}

/// Reads the activation: of version 6, of versions 4 and 5, or of older ones.
fn read_activation(
    folder: &Path,
    config: &Fields<'_>,
    notices: &mut Vec<String>,
) -> Result<Option<ScoreActivation>, ModelError> {
    let path = folder.join("config_sentence_transformers.json");
    let json = read_object(&path)?.unwrap_or_default();
    let own = Fields { json: &json, path: &path };
    let nested_json = config.json.get("sentence_transformers").cloned().unwrap_or_default();
    let nested = Fields { json: &nested_json, path: config.path };
    if own.present("activation_fn")
        && let Some(activation) = activation_of(&own, "activation_fn", notices)?
    {
        return Ok(Some(activation));
    }
    match nested.present("activation_fn") {
        true => activation_of(&nested, "activation_fn", notices),
        false if config.present("sbert_ce_default_activation_function") => {
            activation_of(config, "sbert_ce_default_activation_function", notices)
        }
        false => Ok(None),
    }
}

/// Reads the class of an activation. A class outside PyTorch is ignored, as in the reference.
fn activation_of(
    fields: &Fields<'_>,
    field: &str,
    notices: &mut Vec<String>,
) -> Result<Option<ScoreActivation>, ModelError> {
    let class = fields.text(field)?;
    if let Some(activation) = ScoreActivation::of_class(class) {
        return Ok(Some(activation));
    }
    if class.starts_with("torch.") {
        let supported = format!("torch.nn's Softmax, {}", crate::blocks::known_classes());
        return Err(fields.unsupported(format!("{field} `{class}`"), supported));
    }
    notices.push(format!(
        "{}: {field} `{class}` is code of its own, which is not run; the default activation is used",
        fields.path.display()
    ));
    Ok(None)
}

/// Writes labels and activation into `config.json`, the activation also as versions before 6 read
/// it.
pub(super) fn write_scoring(config: &mut Value, scoring: &Scoring) {
    let numbered = || scoring.labels.iter().enumerate();
    let class = scoring.activation.class();
    config["id2label"] = numbered().map(|(number, label)| (number.to_string(), json!(label))).collect();
    config["label2id"] = numbered().map(|(number, label)| (label.clone(), json!(number))).collect();
    config["sentence_transformers"] = json!({"activation_fn": class, "version": "6.2.0"});
    config["sbert_ce_default_activation_function"] = class.into();
    if let Some(fields) = config.as_object_mut() {
        fields.remove("num_labels");
    }
}
