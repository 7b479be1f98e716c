//! `config.json` of an encoder: BERT, RoBERTa, CamemBERT, XLM-RoBERTa, DistilBERT, MPNet and
//! ModernBERT, by `model_type`. All but the last are one encoder with small differences, which are
//! all named here.

mod activation;
mod modern_bert;

pub use modern_bert::{ClassifierConfig, LayerAttention, ModernBertConfig};

use crate::ModelError;
use crate::json::Fields;
use activation::activation_named;
use maana_kernels::Activation;
use serde_json::Value;
use std::path::Path;

/// The families of encoders that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Devlin et al. 2018, arXiv:1810.04805.
    Bert,
    /// Liu et al. 2019, arXiv:1907.11692. BERT with positions that start behind the padding id.
    Roberta,
    /// Martin et al. 2020, arXiv:1911.03894. RoBERTa with a French vocabulary.
    Camembert,
    /// Conneau et al. 2019, arXiv:1911.02116. RoBERTa with a vocabulary of a hundred languages.
    XlmRoberta,
    /// Sanh et al. 2019, arXiv:1910.01108. BERT without segments and with half the layers.
    DistilBert,
    /// Song et al. 2020, arXiv:2004.09297. BERT without segments and with a relative position bias
    /// in attention.
    MpNet,
    /// Warner et al. 2024, arXiv:2412.13663. Rotary positions, gated feed-forward parts, norms in
    /// front of each part, and local attention in most layers.
    ModernBert,
    /// A table of token embeddings, whose mean is the embedding of a text: the module
    /// `StaticEmbedding` of Sentence Transformers, and Model2Vec.
    Static,
}

impl Architecture {
    /// Families with a configuration of their own.
    const ALL: [Self; 7] =
        [Self::Bert, Self::Roberta, Self::Camembert, Self::XlmRoberta, Self::DistilBert, Self::MpNet, Self::ModernBert];

    /// The name in `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::Camembert => "camembert",
            Self::XlmRoberta => "xlm-roberta",
            Self::DistilBert => "distilbert",
            Self::MpNet => "mpnet",
            Self::ModernBert => "modernbert",
            Self::Static => "static",
        }
    }

    /// The class that Python loads it as.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Bert => "BertModel",
            Self::Roberta => "RobertaModel",
            Self::Camembert => "CamembertModel",
            Self::XlmRoberta => "XLMRobertaModel",
            Self::DistilBert => "DistilBertModel",
            Self::MpNet => "MPNetModel",
            Self::ModernBert => "ModernBertModel",
            Self::Static => "StaticEmbedding",
        }
    }

    /// Prefix of the encoder's tensors in the checkpoint of a head.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta | Self::Camembert | Self::XlmRoberta => "roberta.",
            Self::DistilBert => "distilbert.",
            Self::MpNet => "mpnet.",
            Self::ModernBert => "model.",
            Self::Static => "",
        }
    }

    /// The class of tokenizer that Python takes where the folder names none.
    pub(crate) fn tokenizer_class(self) -> &'static str {
        match self {
            Self::Bert | Self::DistilBert => "BertTokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::Camembert => "CamembertTokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
            Self::MpNet => "MPNetTokenizer",
            Self::ModernBert => "TokenizersBackend",
            Self::Static => "PreTrainedTokenizerFast",
        }
    }

    /// The name in fingerprints.
    pub(crate) fn fingerprint_name(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
            Self::Camembert => "Camembert",
            Self::XlmRoberta => "XlmRoberta",
            Self::DistilBert => "DistilBert",
            Self::MpNet => "MpNet",
            Self::ModernBert => "ModernBert",
            Self::Static => "Static",
        }
    }

    fn from_model_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.model_type() == name)
    }
}

/// Positions of an encoder that needs none: more than a text can have tokens.
pub(crate) const UNLIMITED: usize = i32::MAX as usize;

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
    /// Rows of the position embedding table; with rotary positions, tokens of the longest text.
    pub positions: usize,
    /// Row of the position table that the first token takes.
    pub first_position: usize,
    /// The padding token of families whose positions start behind its id: where it occurs in a
    /// text, it takes that row.
    pub padding: Option<u32>,
    /// Rows of the segment embedding table; 0 in families without one.
    pub segments: usize,
    /// Rows of the table of relative position biases; 0 where attention has none.
    pub relative_buckets: usize,
    /// Added to the variance in LayerNorm.
    pub layer_norm_epsilon: f32,
    /// Activation of the feed-forward part.
    pub activation: Activation,
    /// Dropout after the embeddings and after both parts of a layer.
    pub hidden_dropout: f32,
    /// Dropout of the attention probabilities.
    pub attention_dropout: f32,
    /// True if `hidden_dropout` is applied to the output of attention (all but DistilBERT and
    /// ModernBERT).
    pub attention_output_dropout: bool,
    /// Settings of a ModernBERT, whose `hidden_dropout` is that of the embeddings.
    pub modern_bert: Option<ModernBertConfig>,
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
            supported: format!(
                "{}{}",
                Architecture::ALL.map(Architecture::model_type).join(", "),
                remedy_of_generative(json).unwrap_or_default()
            ),
        })?;
        let distil = architecture == Architecture::DistilBert;
        let modern = architecture == Architecture::ModernBert;
        let choose = |bert: &'static str, other: &'static str| if distil { other } else { bert };
        let padding = match architecture {
            Architecture::Bert | Architecture::DistilBert | Architecture::ModernBert => None,
            _ => Some(fields.padding()?),
        };
        let config = Self {
            architecture,
            vocabulary: fields.count("vocab_size")?,
            hidden: fields.count(choose("hidden_size", "dim"))?,
            layers: fields.count(choose("num_hidden_layers", "n_layers"))?,
            heads: fields.count(choose("num_attention_heads", "n_heads"))?,
            intermediate: fields.count(choose("intermediate_size", "hidden_dim"))?,
            positions: fields.count("max_position_embeddings")?,
            first_position: padding.map_or(0, |padding| padding as usize + 1),
            padding,
            segments: match architecture {
                Architecture::DistilBert | Architecture::MpNet | Architecture::ModernBert => 0,
                _ => fields.count_or("type_vocab_size", 2)?,
            },
            relative_buckets: match architecture {
                Architecture::MpNet => fields.relative_buckets()?,
                _ => 0,
            },
            layer_norm_epsilon: match architecture {
                // DistilBERT's is no field of its configuration.
                Architecture::DistilBert => 1e-12,
                Architecture::ModernBert => fields.number_or("norm_eps", 1e-5)? as f32,
                _ => fields.number_or("layer_norm_eps", 1e-12)? as f32,
            },
            activation: match architecture {
                Architecture::ModernBert => activation_named(&fields, "hidden_activation")?,
                _ => activation_named(&fields, choose("hidden_act", "activation"))?,
            },
            hidden_dropout: match architecture {
                Architecture::ModernBert => fields.probability_or("embedding_dropout", 0.0)?,
                _ => fields.probability_or(choose("hidden_dropout_prob", "dropout"), 0.1)?,
            },
            attention_dropout: match architecture {
                Architecture::ModernBert => fields.probability_or("attention_dropout", 0.0)?,
                _ => fields.probability_or(choose("attention_probs_dropout_prob", "attention_dropout"), 0.1)?,
            },
            attention_output_dropout: !distil && !modern,
            modern_bert: None,
        };
        fields.refuse_other_computations(modern)?;
        config.check(&fields)?;
        let modern_bert = match modern {
            true => Some(ModernBertConfig::read(&fields, config.layers, config.head_dim())?),
            false => None,
        };
        Ok(Self { modern_bert, ..config })
    }

    /// Returns the shape of a table of static embeddings. Texts of any length are read.
    pub(crate) fn of_static(vocabulary: usize, hidden: usize) -> Self {
        Self {
            architecture: Architecture::Static,
            vocabulary,
            hidden,
            layers: 0,
            heads: 1,
            intermediate: 0,
            positions: UNLIMITED,
            first_position: 0,
            padding: None,
            segments: 0,
            relative_buckets: 0,
            layer_norm_epsilon: 0.0,
            activation: Activation::Identity,
            hidden_dropout: 0.0,
            attention_dropout: 0.0,
            attention_output_dropout: false,
            modern_bert: None,
        }
    }

    fn check(&self, fields: &Fields<'_>) -> Result<(), ModelError> {
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
        if self.segments > 1 << 16 {
            let reason = format!("type_vocab_size is {}; expected at most {}", self.segments, 1 << 16);
            return Err(ModelError::invalid(fields.path, reason));
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

    /// Dropout of the output of attention.
    pub(crate) fn attention_output_dropout(&self) -> f32 {
        match self.modern_bert {
            Some(_) => self.attention_dropout,
            None if self.attention_output_dropout => self.hidden_dropout,
            None => 0.0,
        }
    }

    /// Returns true if the encoder drops elements in training.
    pub(crate) fn has_dropout(&self) -> bool {
        let of_mlp = self.modern_bert.as_ref().map_or(0.0, |settings| settings.mlp_dropout);
        [self.hidden_dropout, self.attention_dropout, of_mlp].iter().any(|probability| *probability > 0.0)
    }

    /// The most tokens that a text can have.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// Fields that only an encoder's configuration has.
impl Fields<'_> {
    /// `pad_token_id`, behind which positions start.
    fn padding(&self) -> Result<u32, ModelError> {
        let id = self.count_or("pad_token_id", 1)?;
        u32::try_from(id).ok().filter(|id| *id < u32::MAX).ok_or_else(|| self.wrong("pad_token_id", "a token's number"))
    }

    /// `relative_attention_num_buckets`, of which transformers computes with no other number than
    /// its default.
    fn relative_buckets(&self) -> Result<usize, ModelError> {
        const BUCKETS: usize = 32;
        match self.count_or("relative_attention_num_buckets", BUCKETS)? {
            BUCKETS => Ok(BUCKETS),
            other => Err(self.unsupported(format!("relative_attention_num_buckets {other}"), BUCKETS.to_string())),
        }
    }

    /// Refuses what would make of the same weights another encoder than the one computed here.
    fn refuse_other_computations(&self, modern: bool) -> Result<(), ModelError> {
        // ModernBERT has rotary positions whatever the field says: `sans_pos` in mmBERT.
        if !modern && self.present("position_embedding_type") && self.text("position_embedding_type")? != "absolute" {
            let what = format!("position_embedding_type `{}`", self.text("position_embedding_type")?);
            return Err(self.unsupported(what, "absolute"));
        }
        for flag in ["is_decoder", "add_cross_attention"] {
            if self.flag_or(flag, false)? {
                return Err(self.unsupported(format!("{flag}: true"), "encoders"));
            }
        }
        if self.not_empty("pruned_heads") {
            return Err(self.unsupported("pruned_heads", "encoders with all of their heads"));
        }
        if self.present("quantization_config") {
            return Err(self.unsupported("quantization_config", "weights in F32, F16, BF16 or F64"));
        }
        if self.json.pointer("/auto_map/AutoModel").is_some() {
            return Err(self.unsupported("code of its own (auto_map)", "architectures of transformers itself"));
        }
        Ok(())
    }
}

/// Returns the remedy for a model that generates texts, such as a generative cross-encoder.
fn remedy_of_generative(json: &Value) -> Option<String> {
    let classes = json["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let class = classes.into_iter().find(|class| class.ends_with("ForCausalLM"))?;
    Some(format!("; {class} generates texts: open an encoder, or a cross-encoder for sequence classification"))
}

#[cfg(test)]
mod tests {
    use super::activation::ACTIVATIONS;
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
    fn one_function_has_several_names() {
        for (name, activation) in ACTIVATIONS {
            let mut json = bert();
            json["hidden_act"] = name.into();
            assert_eq!(read(&json).unwrap().activation, activation, "{name}");
        }
    }

    #[test]
    fn a_padding_id_without_a_position_is_refused() {
        let mut roberta = bert();
        roberta["model_type"] = "roberta".into();
        for (id, expected) in [(json!(u64::MAX), "field `pad_token_id`"), (json!(31), "the first is number 32")] {
            roberta["pad_token_id"] = id;
            assert!(read(&roberta).unwrap_err().contains(expected));
        }
        roberta["pad_token_id"] = 30.into();
        assert_eq!(read(&roberta).unwrap().longest(), 1);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            ("model_type", json!("t5"), "model_type `t5` is not supported. Supported: bert, roberta"),
            ("hidden_act", json!("quick_gelu"), "hidden_act `quick_gelu`"),
            ("hidden_act", json!(["gelu"]), "field `hidden_act` is [\"gelu\"]; expected a string"),
            ("is_decoder", json!("true"), "field `is_decoder` is \"true\"; expected true or false"),
            ("add_cross_attention", json!(true), "add_cross_attention"),
            ("pruned_heads", json!({"0": [1]}), "pruned_heads"),
            ("quantization_config", json!({"bits": 4}), "quantization_config"),
            ("auto_map", json!({"AutoModel": "code.Model"}), "auto_map"),
            ("type_vocab_size", json!(1u64 << 28), "type_vocab_size is 268435456"),
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
