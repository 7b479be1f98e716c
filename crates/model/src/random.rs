//! Models with random weights, for benchmarks.

use crate::activations::Passes;
use crate::blocks::{Pooling, SentenceModule};
use crate::encoders::Network;
use crate::spec::{Folders, ModelSpec, Origin};
use crate::task::Task;
use crate::training_model::TrainingModel;
use crate::weights::{ParameterArena, Scope};
use crate::{Architecture, EncoderConfig, ModelError, Settings};
use maana_files::SplitMix64;
use maana_kernels::{PoolingMode, Precision};
use serde_json::{Value, json};
use std::path::Path;

/// The shape of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// ModernBERT, or BERT for all other families.
    pub architecture: Architecture,
    /// Layers.
    pub layers: usize,
    /// Columns of a token's embedding.
    pub hidden: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Columns inside the feed-forward part.
    pub intermediate: usize,
}

impl ModelSpec {
    /// Returns an encoder of this shape with this model's tokenizer, CLS pooling, normalisation and
    /// random weights. A BERT reads 512 tokens of a text, a ModernBERT 8,192.
    ///
    /// # Errors
    /// Returns an error if the heads do not divide the hidden size.
    pub fn random_of_shape(&self, shape: Shape, seed: u64) -> Result<TrainingModel, ModelError> {
        let config_json = config_of_shape(shape, self.config.vocabulary);
        let config = EncoderConfig::from_json(&config_json, Path::new("config.json"))?;
        let layout = Network::new(&config, Scope::All, Passes::Inference).parameters;
        let max_seq_length = config.longest();
        let mut parameters = vec![0.0; layout.elements];
        for (number, tensor) in layout.tensors.iter().enumerate() {
            let values = &mut parameters[tensor.range.clone()];
            if tensor.decays() {
                draw(values, seed.wrapping_add(number as u64));
            } else if tensor.name.ends_with("weight") {
                values.fill(1.0);
            }
        }
        let spec = Self {
            config,
            task: Task::Embed,
            tokenizer: self.tokenizer(),
            pooling: Pooling { modes: vec![PoolingMode::Cls], include_prompt: true },
            modules: vec![SentenceModule::Normalize],
            settings: Settings { max_seq_length, truncate_dim: None, ..self.settings.clone() },
            parameters: layout.elements,
            origin: Origin {
                tokenizer_files: self.origin.tokenizer_files.clone(),
                ..Origin::without_files(config_json, Folders::plain(["Normalize"].into_iter()))
            },
        };
        let arena = ParameterArena::new(layout.tensors, parameters);
        Ok(TrainingModel::new(vec![(spec, 0)], None, arena, Precision::F32))
    }
}

fn config_of_shape(shape: Shape, vocabulary: usize) -> Value {
    let Shape { architecture, layers, hidden, heads, intermediate } = shape;
    if architecture == Architecture::ModernBert {
        return json!({
            "architectures": ["ModernBertModel"],
            "model_type": "modernbert",
            "hidden_activation": "gelu",
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": intermediate,
            "vocab_size": vocabulary,
            "max_position_embeddings": 8192,
            "local_attention": 128,
            "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0,
            "local_rope_theta": 160000.0,
            "norm_eps": 1e-5,
            "pad_token_id": 0,
        });
    }
    json!({
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "vocab_size": vocabulary,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
    })
}

/// Fills `values` with normal numbers of a standard deviation (Box and Muller 1958).
pub(crate) fn draw_normal(values: &mut [f32], deviation: f64, seed: u64) {
    let mut random = SplitMix64::spread(seed);
    let mut unit = || ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    for pair in values.chunks_mut(2) {
        let (radius, angle) = (libm::sqrt(-2.0 * libm::log(unit())), std::f64::consts::TAU * unit());
        let normal = [radius * libm::cos(angle), radius * libm::sin(angle)];
        pair.iter_mut().zip(normal).for_each(|(value, normal)| *value = (deviation * normal) as f32);
    }
}

/// Fills `values` with uniform numbers of standard deviation 0.02 (SplitMix64).
fn draw(values: &mut [f32], seed: u64) {
    let mut random = SplitMix64::spread(seed);
    for value in values {
        let unit = (random.next_u64() >> 40) as f32 / (1u64 << 24) as f32;
        *value = (unit - 0.5) * 0.0693;
    }
}
