//! `config.json` of an encoder: BERT, RoBERTa, XLM-RoBERTa and DistilBERT, told apart by `model_type`.
//! The architectures are one encoder with small differences, which are all named here.

use crate::ModelError;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The families of encoders that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Devlin et al. 2018, arXiv:1810.04805.
    Bert,
    /// Liu et al. 2019, arXiv:1907.11692. BERT with positions that start behind the padding id.
    Roberta,
    /// Conneau et al. 2019, arXiv:1911.02116. RoBERTa with a vocabulary of a hundred languages.
    XlmRoberta,
    /// Sanh et al. 2019, arXiv:1910.01108. BERT without segments and with half the layers.
    DistilBert,
}

impl Architecture {
    /// The name in `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::XlmRoberta => "xlm-roberta",
            Self::DistilBert => "distilbert",
        }
    }

    /// The class that Python loads it as.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Bert => "BertModel",
            Self::Roberta => "RobertaModel",
            Self::XlmRoberta => "XLMRobertaModel",
            Self::DistilBert => "DistilBertModel",
        }
    }

    /// What a head's checkpoint puts before the names of the encoder's tensors.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta | Self::XlmRoberta => "roberta.",
            Self::DistilBert => "distilbert.",
        }
    }

    fn from_model_type(name: &str) -> Option<Self> {
        [Self::Bert, Self::Roberta, Self::XlmRoberta, Self::DistilBert]
            .into_iter()
            .find(|architecture| architecture.model_type() == name)
    }
}

/// The shape of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// The family.
    pub architecture: Architecture,
    /// Rows of the word embedding table.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub intermediate: usize,
    /// Rows of the position embedding table.
    pub positions: usize,
    /// Row of the position table that the first token takes.
    pub first_position: usize,
    /// Rows of the segment embedding table; 0 where there is none.
    pub segments: usize,
    /// Added to the variance in LayerNorm.
    pub layer_norm_epsilon: f32,
    /// Dropout after the embeddings and after both parts of a layer.
    pub hidden_dropout: f32,
    /// Dropout of the attention probabilities.
    pub attention_dropout: f32,
    /// Whether `hidden_dropout` is applied to what attention puts out (all but DistilBERT).
    pub attention_output_dropout: bool,
}

impl EncoderConfig {
    /// Reads the shape from `config.json`.
    ///
    /// # Errors
    /// If a field is missing, of another type, or asks for something that is not supported.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self, ModelError> {
        let fields = Fields { json, path };
        let name = fields.text("model_type")?;
        let architecture = Architecture::from_model_type(name).ok_or_else(|| ModelError::Unsupported {
            path: path.into(),
            what: format!("model_type `{name}`"),
            supported: "bert, roberta, xlm-roberta, distilbert".into(),
        })?;
        let distil = architecture == Architecture::DistilBert;
        let choose = |bert: &'static str, other: &'static str| if distil { other } else { bert };
        let config = Self {
            architecture,
            vocabulary: fields.count("vocab_size")?,
            hidden: fields.count(choose("hidden_size", "dim"))?,
            layers: fields.count(choose("num_hidden_layers", "n_layers"))?,
            heads: fields.count(choose("num_attention_heads", "n_heads"))?,
            intermediate: fields.count(choose("intermediate_size", "hidden_dim"))?,
            positions: fields.count("max_position_embeddings")?,
            first_position: match architecture {
                Architecture::Roberta | Architecture::XlmRoberta => fields.count_or("pad_token_id", 1)? + 1,
                _ => 0,
            },
            segments: if distil { 0 } else { fields.count_or("type_vocab_size", 2)? },
            layer_norm_epsilon: fields.number_or("layer_norm_eps", 1e-12)? as f32,
            hidden_dropout: fields.probability(choose("hidden_dropout_prob", "dropout"))?,
            attention_dropout: fields.probability(choose("attention_probs_dropout_prob", "attention_dropout"))?,
            attention_output_dropout: !distil,
        };
        config.check(&fields, choose("hidden_act", "activation"))?;
        Ok(config)
    }

    fn check(&self, fields: &Fields<'_>, activation: &str) -> Result<(), ModelError> {
        let unsupported = |what: String, supported: &str| ModelError::Unsupported {
            path: fields.path.into(),
            what,
            supported: supported.into(),
        };
        match fields.json.get(activation).and_then(Value::as_str) {
            None | Some("gelu") => {}
            Some(other) => return Err(unsupported(format!("{activation} `{other}`"), "gelu")),
        }
        match fields.json.get("position_embedding_type").and_then(Value::as_str) {
            None | Some("absolute") => {}
            Some(other) => return Err(unsupported(format!("position_embedding_type `{other}`"), "absolute")),
        }
        for flag in ["is_decoder", "add_cross_attention"] {
            if fields.json.get(flag).and_then(Value::as_bool) == Some(true) {
                return Err(unsupported(format!("{flag}: true"), "encoders"));
            }
        }
        let limits = [
            ("hidden size", self.hidden, 1 << 16),
            ("layers", self.layers, 1 << 10),
            ("heads", self.heads, 1 << 12),
            ("intermediate size", self.intermediate, 1 << 18),
            ("vocab_size", self.vocabulary, 1 << 24),
            ("max_position_embeddings", self.positions, 1 << 20),
        ];
        for (what, value, limit) in limits {
            if value == 0 || value > limit {
                return Err(ModelError::invalid(fields.path, format!("{what} is {value}; expected 1 to {limit}")));
            }
        }
        if !self.hidden.is_multiple_of(self.heads) {
            let reason = format!("hidden size {} is not a multiple of {} attention heads", self.hidden, self.heads);
            return Err(ModelError::invalid(fields.path, reason));
        }
        if self.first_position >= self.positions {
            let reason = format!("{} positions, but the first is number {}", self.positions, self.first_position);
            return Err(ModelError::invalid(fields.path, reason));
        }
        if !(self.layer_norm_epsilon >= 0.0 && self.layer_norm_epsilon < 1.0) {
            return Err(ModelError::invalid(fields.path, format!("layer_norm_eps is {}", self.layer_norm_epsilon)));
        }
        Ok(())
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// The most tokens that a text can have.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// Fields of a JSON object, asked for by name; errors name file and field.
pub(crate) struct Fields<'a> {
    pub(crate) json: &'a Value,
    pub(crate) path: &'a Path,
}

impl<'a> Fields<'a> {
    fn wrong(&self, field: &str, expected: &str) -> ModelError {
        let reason = match self.json.get(field) {
            None | Some(Value::Null) => format!("field `{field}` is missing; expected {expected}"),
            Some(value) => format!("field `{field}` is {value}; expected {expected}"),
        };
        ModelError::Invalid { path: PathBuf::from(self.path), reason }
    }

    pub(crate) fn present(&self, field: &str) -> bool {
        self.json.get(field).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn text(&self, field: &str) -> Result<&'a str, ModelError> {
        self.json.get(field).and_then(Value::as_str).ok_or_else(|| self.wrong(field, "a string"))
    }

    pub(crate) fn count(&self, field: &str) -> Result<usize, ModelError> {
        let number = self.json.get(field).and_then(Value::as_u64);
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| self.wrong(field, "a whole number"))
    }

    pub(crate) fn count_or(&self, field: &str, default: usize) -> Result<usize, ModelError> {
        if self.present(field) { self.count(field) } else { Ok(default) }
    }

    pub(crate) fn flag_or(&self, field: &str, default: bool) -> Result<bool, ModelError> {
        if !self.present(field) {
            return Ok(default);
        }
        self.json[field].as_bool().ok_or_else(|| self.wrong(field, "true or false"))
    }

    fn number_or(&self, field: &str, default: f64) -> Result<f64, ModelError> {
        if !self.present(field) {
            return Ok(default);
        }
        self.json[field].as_f64().ok_or_else(|| self.wrong(field, "a number"))
    }

    fn probability(&self, field: &str) -> Result<f32, ModelError> {
        let value = self.number_or(field, 0.1)?;
        if (0.0..1.0).contains(&value) { Ok(value as f32) } else { Err(self.wrong(field, "0 or more and less than 1")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bert() -> Value {
        json!({"model_type": "bert", "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32})
    }

    fn read(json: &Value) -> Result<EncoderConfig, String> {
        EncoderConfig::from_json(json, Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn families_differ_in_positions_segments_and_dropout() {
        assert_eq!(read(&bert()).unwrap().longest(), 32);
        let mut roberta = bert();
        roberta["model_type"] = "xlm-roberta".into();
        roberta["type_vocab_size"] = 1.into();
        let config = read(&roberta).unwrap();
        assert_eq!((config.first_position, config.longest(), config.segments), (2, 30, 1));
        let distil = json!({"model_type": "distilbert", "vocab_size": 100, "dim": 8, "n_layers": 1, "n_heads": 2,
            "hidden_dim": 16, "max_position_embeddings": 32, "dropout": 0.2, "attention_dropout": 0.3});
        let config = read(&distil).unwrap();
        assert_eq!((config.segments, config.hidden_dropout, config.attention_output_dropout), (0, 0.2, false));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            ("model_type", json!("t5"), "model_type `t5` is not supported. Supported: bert, roberta"),
            ("hidden_act", json!("relu"), "hidden_act `relu`"),
            ("position_embedding_type", json!("relative_key"), "relative_key"),
            ("is_decoder", json!(true), "is_decoder"),
            ("hidden_size", json!(9), "not a multiple of 2 attention heads"),
            ("hidden_size", json!("8"), "field `hidden_size` is \"8\"; expected a whole number"),
            ("num_attention_heads", json!(0), "heads is 0"),
            ("vocab_size", json!(-1), "field `vocab_size`"),
            ("num_hidden_layers", json!(1u64 << 40), "layers is"),
            ("hidden_dropout_prob", json!(1.5), "field `hidden_dropout_prob` is 1.5"),
            ("max_position_embeddings", Value::Null, "field `max_position_embeddings` is missing"),
        ];
        for (field, value, expected) in cases {
            let mut json = bert();
            json[field] = value;
            let error = read(&json).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("config.json"), "{error}");
        }
    }
}
