//! Fields of `config.json` that only ModernBERT has, read as transformers reads them: `layer_types`
//! or the older `global_attn_every_n_layers`, `rope_parameters` or the older two bases.

use super::activation::activation_named;
use crate::ModelError;
use crate::json::Fields;
use maana_kernels::{Activation, PoolingMode};
use serde_json::Value;

/// Layers with global attention, where the configuration does not say: each third.
const GLOBAL_EVERY: usize = 3;
/// Tokens of the window of local attention, both directions together.
const LOCAL_ATTENTION: usize = 128;
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// Settings of a ModernBERT that other families do not have.
#[derive(Clone, Debug, PartialEq)]
pub struct ModernBertConfig {
    /// Attention of each layer.
    pub layers: Vec<LayerAttention>,
    /// True if norms have a bias.
    pub norm_bias: bool,
    /// True if the linear layers of attention have a bias.
    pub attention_bias: bool,
    /// True if the linear layers of the feed-forward part have a bias.
    pub mlp_bias: bool,
    /// Dropout inside the feed-forward part, in front of its second linear layer.
    pub mlp_dropout: f32,
    /// Settings of a head for classification.
    pub classifier: ClassifierConfig,
}

/// Attention of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerAttention {
    /// Base of the rotary positions.
    pub rope_theta: f64,
    /// Greatest distance between a token and those that it attends to; none for global attention.
    pub window: Option<usize>,
}

/// A head for classification: `classifier(dropout(LayerNorm(activation(dense(pooled)))))`. The norm
/// has the ε and the bias of those of the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierConfig {
    /// Pooling in front of the head: the first token, or the mean of all.
    pub pooling: PoolingMode,
    /// Activation of the dense layer.
    pub activation: Activation,
    /// True if the dense layer has a bias. The last layer always has one.
    pub bias: bool,
    /// Dropout in front of the last layer.
    pub dropout: f32,
}

impl ModernBertConfig {
    /// Reads the settings of an encoder with heads of `head_dim` columns.
    pub(super) fn read(fields: &Fields<'_>, layers: usize, head_dim: usize) -> Result<Self, ModelError> {
        if !head_dim.is_multiple_of(2) {
            let reason = format!("heads have {head_dim} columns; rotary positions need an even number");
            return Err(ModelError::invalid(fields.path, reason));
        }
        if fields.present("head_dim") && fields.count("head_dim")? != head_dim {
            return Err(fields.wrong("head_dim", &format!("{head_dim}, hidden_size / num_attention_heads")));
        }
        refuse_scaling(fields)?;
        let window = fields.count_or("local_attention", LOCAL_ATTENTION)? / 2;
        let layers = layer_types(fields, layers)?.into_iter().map(|sliding| {
            let rope_theta = rope_theta(fields, sliding)?;
            Ok(LayerAttention { rope_theta, window: sliding.then_some(window) })
        });
        Ok(Self {
            layers: layers.collect::<Result<_, ModelError>>()?,
            norm_bias: fields.flag_or("norm_bias", false)?,
            attention_bias: fields.flag_or("attention_bias", false)?,
            mlp_bias: fields.flag_or("mlp_bias", false)?,
            mlp_dropout: fields.probability_or("mlp_dropout", 0.0)?,
            classifier: ClassifierConfig {
                pooling: classifier_pooling(fields)?,
                activation: activation_named(fields, "classifier_activation")?,
                bias: fields.flag_or("classifier_bias", false)?,
                dropout: fields.probability_or("classifier_dropout", 0.0)?,
            },
        })
    }
}

/// Returns for each layer whether its attention is local. `layer_types` overrides the older field.
fn layer_types(fields: &Fields<'_>, layers: usize) -> Result<Vec<bool>, ModelError> {
    const FIELD: &str = "layer_types";
    if !fields.present(FIELD) {
        let every = match fields.json.get("global_attn_every_n_layers") {
            None => GLOBAL_EVERY,
            Some(_) => fields.count("global_attn_every_n_layers")?,
        };
        if every == 0 {
            return Err(fields.wrong("global_attn_every_n_layers", "1 or more"));
        }
        return Ok((0..layers).map(|layer| !layer.is_multiple_of(every)).collect());
    }
    let types =
        fields.json[FIELD].as_array().ok_or_else(|| fields.wrong(FIELD, "a list with the type of each layer"))?;
    if types.len() != layers {
        let reason = format!("`layer_types` has {} layers, but num_hidden_layers is {layers}", types.len());
        return Err(ModelError::invalid(fields.path, reason));
    }
    let is_sliding = |kind: &Value| match kind.as_str() {
        Some(FULL) => Ok(false),
        Some(SLIDING) => Ok(true),
        _ => Err(fields.unsupported(format!("layer type {kind}"), format!("{FULL}, {SLIDING}"))),
    };
    types.iter().map(is_sliding).collect()
}

/// Returns the base of the rotary positions: that of `rope_parameters`, or the older field.
fn rope_theta(fields: &Fields<'_>, sliding: bool) -> Result<f64, ModelError> {
    let (kind, older, default) =
        if sliding { (SLIDING, "local_rope_theta", 10_000.0) } else { (FULL, "global_rope_theta", 160_000.0) };
    let parameters = match fields.json.get("rope_parameters") {
        None | Some(Value::Null) => &Value::Null,
        Some(parameters) => {
            let of_types = parameters.as_object().filter(|parameters| {
                parameters.iter().all(|(kind, parameters)| [FULL, SLIDING].contains(&&**kind) && parameters.is_object())
            });
            let expected = "an object with the parameters of each type of layer";
            of_types.ok_or_else(|| fields.wrong("rope_parameters", expected))?.get(kind).unwrap_or(&Value::Null)
        }
    };
    refuse_rope_type(fields, parameters)?;
    let (name, theta) = match (parameters.get("rope_theta"), fields.json.get(older)) {
        (Some(theta), _) => ("rope_theta", theta.as_f64()),
        (None, Some(theta)) => (older, theta.as_f64()),
        (None, None) => (older, Some(default)),
    };
    // Below 1, angles would grow from column to column.
    theta.filter(|theta| theta.is_finite() && *theta >= 1.0).ok_or_else(|| {
        let reason = format!("the base of the rotary positions of `{kind}` (`{name}`) is not a number of 1 or more");
        ModelError::invalid(fields.path, reason)
    })
}

/// Refuses rotary positions that are scaled to longer texts than those of the pre-training.
fn refuse_scaling(fields: &Fields<'_>) -> Result<(), ModelError> {
    match fields.json.get("rope_scaling") {
        None | Some(Value::Null) => Ok(()),
        Some(scaling) => {
            refuse_rope_type(fields, scaling)?;
            let plain = scaling.as_object().is_some_and(|fields| fields.keys().all(|key| key.ends_with("type")));
            if plain { Ok(()) } else { Err(fields.unsupported("rope_scaling", "rotary positions that are not scaled")) }
        }
    }
}

fn refuse_rope_type(fields: &Fields<'_>, parameters: &Value) -> Result<(), ModelError> {
    match parameters.get("rope_type").or_else(|| parameters.get("type")) {
        None => Ok(()),
        Some(kind) if kind == "default" => Ok(()),
        Some(kind) => Err(fields.unsupported(format!("rope_type {kind}"), "default")),
    }
}

fn classifier_pooling(fields: &Fields<'_>) -> Result<PoolingMode, ModelError> {
    const FIELD: &str = "classifier_pooling";
    match if fields.present(FIELD) { fields.text(FIELD)? } else { "cls" } {
        "cls" => Ok(PoolingMode::Cls),
        "mean" => Ok(PoolingMode::Mean),
        other => Err(fields.unsupported(format!("{FIELD} `{other}`"), "cls, mean")),
    }
}

#[cfg(test)]
mod tests {
    use crate::EncoderConfig;
    use serde_json::{Value, json};
    use std::path::Path;

    fn golden() -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/modern_bert.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn read(json: &Value) -> Result<EncoderConfig, String> {
        EncoderConfig::from_json(json, Path::new("config.json")).map_err(|error| error.to_string())
    }

    /// The layers of each configuration as `ModernBertConfig` of transformers resolves them, or its
    /// error.
    #[test]
    fn layers_are_resolved_as_the_reference_resolves_them() {
        let (mut resolved, mut refused) = (0, 0);
        for case in golden()["configurations"].as_array().unwrap() {
            let ours = read(&case["config"]);
            let Some(expected) = case["layers"].as_array() else {
                assert!(ours.unwrap_err().starts_with("config.json: "), "{case}");
                refused += 1;
                continue;
            };
            let ours = ours.unwrap_or_else(|error| panic!("{error}: {case}")).modern_bert.unwrap().layers;
            assert_eq!(ours.len(), expected.len(), "{case}");
            for (ours, expected) in ours.iter().zip(expected) {
                assert_eq!(Some(ours.rope_theta), expected["rope_theta"].as_f64(), "{case}");
                assert_eq!(ours.window.map(|window| window as u64), expected["window"].as_u64(), "{case}");
            }
            resolved += 1;
        }
        assert!(resolved >= 10 && refused >= 8, "{resolved} resolved, {refused} refused");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}), "rope_type \"yarn\" is not supported"),
            ("rope_parameters", json!({"full_attention": {"rope_type": "linear"}}), "rope_type \"linear\""),
            ("layer_types", json!(["full_attention"]), "`layer_types` has 1 layers, but num_hidden_layers is 4"),
            ("layer_types", json!(["full_attention"; 4][..3].to_vec()), "`layer_types` has 3 layers"),
            ("layer_types", json!(["conv", "conv", "conv", "conv"]), "layer type \"conv\" is not supported"),
            ("global_attn_every_n_layers", json!(0), "field `global_attn_every_n_layers` is 0; expected 1 or more"),
            ("global_rope_theta", json!(-1.0), "`full_attention` (`global_rope_theta`) is not a number of 1 or more"),
            ("num_attention_heads", json!(8), "heads have 3 columns; rotary positions need an even number"),
            ("classifier_pooling", json!("max"), "classifier_pooling `max`"),
            ("local_attention", json!(-2), "field `local_attention` is -2"),
        ];
        for (field, value, expected) in cases {
            let mut config = golden()["configurations"][0]["config"].clone();
            config["num_hidden_layers"] = 4.into();
            config[field] = value;
            let error = read(&config).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("config.json"), "{error}");
        }
        let error = read(&json!({"model_type": "eurobert"})).unwrap_err();
        assert!(error.contains("model_type `eurobert` is not supported. Supported: bert"), "{error}");
    }
}
