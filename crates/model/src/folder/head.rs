//! Heads of cross-encoders: modules behind pooling whose parameters lie in the encoder's own file
//! (`…ForSequenceClassification` of transformers), by family.

use crate::blocks::{Dense, EmbeddingDropout, EmbeddingNorm, Pooling, SentenceModule};
use crate::config::{Architecture, ClassifierConfig, EncoderConfig};
use crate::json::Fields;
use crate::random::draw_normal;
use crate::weights::Tensor;
use crate::{ModelError, ScoreActivation};
use maana_kernels::{Activation, PoolingMode};

/// The head of a model that is opened to train as a cross-encoder
/// ([`crate::open_for_scoring`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadSettings {
    /// Names of the labels. Without them they are those of the folder, or one label if it has no
    /// head.
    pub labels: Option<Vec<String>>,
    /// Activation that makes scores of logits. Without it, it is that of the folder, or the
    /// default of the number of labels.
    pub activation: Option<ScoreActivation>,
    /// Seed of the weights of a new head.
    pub seed: u64,
}

/// Weights of a new head: normal numbers with the deviations of the reference; biases are 0 and
/// scales 1.
#[derive(Clone, Debug)]
pub(super) struct NewWeights {
    seed: u64,
    deviation: f64,
    /// Deviations of layers that differ, by their names.
    others: Vec<(&'static str, f64)>,
}

/// Pooling and modules of a cross-encoder with this number of labels.
pub(super) fn head(
    config: &EncoderConfig,
    fields: &Fields<'_>,
    labels: usize,
) -> Result<(Pooling, Vec<SentenceModule>), ModelError> {
    let hidden = config.hidden;
    let classifier_dropout = || fields.probability_or("classifier_dropout", f64::from(config.hidden_dropout));
    let dense = |name: &str, outputs: usize, bias: bool, activation: Activation| {
        SentenceModule::Dense(Dense::new([hidden, outputs], bias, activation, Some(name.into())))
    };
    let dropout = |probability: f32, index: usize| SentenceModule::Dropout(EmbeddingDropout::new(probability, index));
    let last = |name: &str| dense(name, labels, true, Activation::Identity);
    let modules = match config.architecture {
        Architecture::Static => unreachable!("folders of static models have no head"),
        Architecture::Bert => {
            let dropped = classifier_dropout()?;
            vec![dense("pooler.dense", hidden, true, Activation::Tanh), dropout(dropped, 1), last("classifier")]
        }
        Architecture::Roberta | Architecture::Camembert | Architecture::XlmRoberta | Architecture::MpNet => {
            let dropped = match config.architecture {
                Architecture::MpNet => config.hidden_dropout,
                _ => classifier_dropout()?,
            };
            let inner = dense("classifier.dense", hidden, true, Activation::Tanh);
            vec![dropout(dropped, 0), inner, dropout(dropped, 2), last("classifier.out_proj")]
        }
        Architecture::DistilBert => {
            let dropped = fields.probability_or("seq_classif_dropout", 0.2)?;
            vec![dense("pre_classifier", hidden, true, Activation::Relu), dropout(dropped, 1), last("classifier")]
        }
        Architecture::ModernBert => {
            let modern = config.modern_bert.as_ref().expect("a ModernBERT has its settings");
            let ClassifierConfig { activation, bias, dropout: dropped, .. } = modern.classifier;
            let epsilon = config.layer_norm_epsilon;
            let norm = EmbeddingNorm::new(hidden, epsilon, modern.norm_bias, Some("head.norm".into()));
            let inner = dense("head.dense", hidden, bias, activation);
            vec![inner, SentenceModule::LayerNorm(norm), dropout(dropped, 2), last("classifier")]
        }
    };
    let mode = config.modern_bert.as_ref().map_or(PoolingMode::Cls, |modern| modern.classifier.pooling);
    Ok((Pooling { modes: vec![mode], include_prompt: true }, modules))
}

/// Returns the name of a tensor of a cross-encoder in its file, where those of the encoder have its
/// prefix.
pub(super) fn name_in_file(architecture: Architecture, name: &str) -> String {
    const HEADS: [&str; 3] = ["classifier.", "pre_classifier.", "head."];
    let of_head = HEADS.iter().any(|head| name.starts_with(head));
    if of_head { name.into() } else { format!("{}{name}", architecture.prefix()) }
}

impl NewWeights {
    /// Returns the weights of a new head.
    pub(super) fn of(config: &EncoderConfig, fields: &Fields<'_>, seed: u64) -> Result<Self, ModelError> {
        let deviation = fields.number_or("initializer_range", 0.02)?;
        let others = match config.architecture {
            Architecture::ModernBert => {
                let (layers, hidden) = (config.layers as f64, config.hidden as f64);
                vec![
                    ("head.dense.weight", deviation / (2.0 * layers).sqrt()),
                    ("classifier.weight", 1.0 / hidden.sqrt()),
                ]
            }
            _ => Vec::new(),
        };
        Ok(Self { seed, deviation, others })
    }

    /// Draws the values of a tensor.
    pub(super) fn draw(&self, tensor: &Tensor, values: &mut [f32]) {
        if tensor.shape.len() == 1 {
            let scale = tensor.name.ends_with("norm.weight");
            return values.fill(if scale { 1.0 } else { 0.0 });
        }
        let other = self.others.iter().find(|(name, _)| tensor.name == *name);
        let deviation = other.map_or(self.deviation, |(_, deviation)| *deviation);
        // Tensors of one head have different streams, whichever of them are drawn.
        let stream = tensor.name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        draw_normal(values, deviation, self.seed.wrapping_add(stream));
    }
}
