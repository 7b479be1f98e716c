//! Fingerprint of a model: SHA-256 of everything that its embeddings depend on, but for the
//! precision of matrix products, as embeddings in two precisions may be compared.
//!
//! Stores, classifiers and checkpoints keep it to recognise the model that made them; it must not
//! change with the code. The encoding is version 2, and is a sequence of:
//!
//! 1. the line `maana sentence model 2`;
//! 2. configuration, pooling and settings as text ([`configuration`], [`pooling`], [`settings`]);
//!    strings are quoted and escaped as in Rust, f32 have the fewest digits that give the same
//!    number;
//! 3. the modules behind pooling, separated by commas: `Normalize`, the name of a dense layer's
//!    activation, with `+x` if it has a residual, `LayerNorm` with ε, or `Dropout` with its
//!    probability;
//! 4. of a cross-encoder, `Score` with the names of its labels and its activation, in brackets;
//! 5. `tokenizer.json`: its length as a little-endian u64, then its bytes; then what the other
//!    tokenizer files change of it;
//! 6. of each parameter, in the order of the layout, the XXH3-128 checksums of chunks of 65,536
//!    values in f32, little-endian.
//!
//! The checksums protect from accident, not from malice.

use crate::blocks::{Pooling, SentenceModule};
use crate::router::Router;
use crate::spec::ModelSpec;
use crate::task::{ScoreActivation, Scoring, Task};
use crate::{EncoderConfig, LayerAttention, ModernBertConfig, Settings, Similarity};
use maana_kernels::{Activation, PoolingMode};
use sha2::{Digest, Sha256};

/// Computes the fingerprint from the checksums of all parameters, in the order of the layout.
pub(crate) fn fingerprint(spec: &ModelSpec, checksums: impl Iterator<Item = u128>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"maana sentence model 2\n");
    hash.update(configuration(&spec.config));
    hash.update(pooling(&spec.pooling));
    hash.update(settings(&spec.settings));
    hash.update(spec.modules.iter().map(module).collect::<Vec<_>>().join(","));
    if let Task::Score(Scoring { labels, activation }) = &spec.task {
        hash.update(format!("Score({labels:?}, {})", score_activation(*activation)));
    }
    hash.update((spec.tokenizer.file_bytes().len() as u64).to_le_bytes());
    hash.update(spec.tokenizer.file_bytes());
    hash.update(spec.tokenizer.adjustments());
    checksums.for_each(|sum| hash.update(sum.to_le_bytes()));
    hash.finalize().into()
}

/// Computes the fingerprint of a model with a router: SHA-256 of the line `maana routed model 1`,
/// of the names of the routes and the numbers of their towers as text, and of the towers'
/// fingerprints.
pub(crate) fn fingerprint_of_towers(router: &Router, towers: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    let Router { routes, query, document, has_default } = router;
    let mut hash = Sha256::new();
    hash.update(b"maana routed model 1\n");
    hash.update(format!("routes: {routes:?}, query: {query}, document: {document}, default: {has_default}\n"));
    towers.for_each(|tower| hash.update(tower));
    hash.finalize().into()
}

/// The fields of the first families, then those that came later, where they differ from what these
/// families have.
fn configuration(config: &EncoderConfig) -> String {
    let EncoderConfig { vocabulary, hidden, layers, heads, intermediate, positions, .. } = config;
    let EncoderConfig { first_position, segments, layer_norm_epsilon, hidden_dropout, attention_dropout, .. } = config;
    let architecture = config.architecture.fingerprint_name();
    let mut text = format!(
        "EncoderConfig {{ architecture: {architecture}, vocabulary: {vocabulary}, hidden: {hidden}, layers: {layers}, \
         heads: {heads}, intermediate: {intermediate}, positions: {positions}, first_position: {first_position}, \
         segments: {segments}, layer_norm_epsilon: {layer_norm_epsilon:?}, hidden_dropout: {hidden_dropout:?}, \
         attention_dropout: {attention_dropout:?}, attention_output_dropout: {} }}",
        config.attention_output_dropout
    );
    if config.activation != Activation::Gelu {
        text.push_str(&format!("activation: {}", activation(config.activation)));
    }
    if let Some(ModernBertConfig { layers, .. }) = &config.modern_bert {
        let layer = |LayerAttention { rope_theta, window }: &LayerAttention| format!("{rope_theta:?} {window:?}");
        text.push_str(&format!("layers: {}", layers.iter().map(layer).collect::<Vec<_>>().join(", ")));
    }
    text
}

fn pooling(pooling: &Pooling) -> String {
    let mode = |mode: &PoolingMode| match mode {
        PoolingMode::Cls => "Cls",
        PoolingMode::Mean => "Mean",
        PoolingMode::Max => "Max",
        PoolingMode::MeanSqrtLen => "MeanSqrtLen",
        PoolingMode::WeightedMean => "WeightedMean",
        PoolingMode::LastToken => "LastToken",
    };
    let modes: Vec<&str> = pooling.modes.iter().map(mode).collect();
    format!("Pooling {{ modes: [{}], include_prompt: {} }}", modes.join(", "), pooling.include_prompt)
}

fn settings(settings: &Settings) -> String {
    let Settings { max_seq_length, do_lower_case, prompts, default_prompt_name, similarity, truncate_dim } = settings;
    let similarity = match similarity {
        Similarity::Cosine => "Cosine",
        Similarity::Dot => "Dot",
        Similarity::Euclidean => "Euclidean",
        Similarity::Manhattan => "Manhattan",
    };
    // Lists, options and strings of the standard library.
    format!(
        "Settings {{ max_seq_length: {max_seq_length}, do_lower_case: {do_lower_case}, prompts: {prompts:?}, \
         default_prompt_name: {default_prompt_name:?}, similarity: {similarity}, truncate_dim: {truncate_dim:?} }}"
    )
}

fn module(module: &SentenceModule) -> String {
    match module {
        SentenceModule::Dense(dense) => {
            format!("{}{}", activation(dense.activation), if dense.has_residual() { "+x" } else { "" })
        }
        SentenceModule::Normalize => "Normalize".into(),
        SentenceModule::LayerNorm(norm) => format!("LayerNorm {:?}", norm.epsilon),
        SentenceModule::Dropout(dropout) => format!("Dropout {:?}", dropout.probability()),
    }
}

fn score_activation(of_scores: ScoreActivation) -> &'static str {
    match of_scores {
        ScoreActivation::Each(function) => activation(function),
        ScoreActivation::Softmax => "Softmax",
    }
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "Identity",
        Activation::Gelu => "Gelu",
        Activation::GeluTanh => "GeluTanh",
        Activation::Relu => "Relu",
        Activation::Silu => "Silu",
        Activation::Tanh => "Tanh",
        Activation::Sigmoid => "Sigmoid",
    }
}
