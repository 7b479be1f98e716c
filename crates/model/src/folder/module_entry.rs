//! A module that a folder names: its class must be supported, and its folder inside that of the
//! model.

use crate::ModelError;
use std::path::{Component, Path, PathBuf};

/// Modules that may follow pooling, in any order and number.
pub(super) const BEHIND_POOLING: [&str; 4] = ["Dense", "LayerNorm", "Dropout", "Normalize"];

pub(super) const SUPPORTED_MODULES: &str = "Transformer, Pooling, or in their place StaticEmbedding; then any of Dense, LayerNorm, \
                                 Dropout and Normalize; one Router";

/// A module by its kind and its folder within that of the model.
#[derive(Clone)]
pub(super) struct ModuleEntry {
    pub(super) kind: String,
    pub(super) place: PathBuf,
}

/// Describes a module of Sentence Transformers that is not supported, with the remedy.
fn remedy(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "WeightedLayerPooling" => {
            "a sum over several layers: save the model with Pooling over the last layer and train it again"
        }
        "CNN" | "LSTM" => "a network over word vectors: encode with it in Python, or train a transformer instead",
        "BoW" | "WordEmbeddings" | "WordWeights" => {
            "a model of words without a tokenizer.json: encode with it in Python, or train a transformer instead"
        }
        "CLIPModel" => "a model of images: open the folder of a model of texts",
        "MLMTransformer" | "SpladePooling" | "SparseStaticEmbedding" | "SparseAutoEncoder" => {
            "a part of a model of sparse embeddings: open one whose embeddings are dense"
        }
        "LogitScore" => "the head of a generative cross-encoder: open one for sequence classification",
        _ => return None,
    })
}

impl ModuleEntry {
    /// Checks that a module of a class is supported. `path` is the file that names it.
    pub(super) fn new(class: &str, place: PathBuf, path: &Path) -> Result<Self, ModelError> {
        let kind = class.rsplit('.').next().unwrap_or_default();
        let own = class.starts_with("sentence_transformers.");
        let known = ["Transformer", "StaticEmbedding", "Pooling"].iter().chain(&BEHIND_POOLING);
        if !own || !known.into_iter().any(|known| *known == kind) {
            let remedy = remedy(kind).filter(|_| own).map(|remedy| format!("; {kind} is {remedy}"));
            let supported = format!("{SUPPORTED_MODULES}{}", remedy.unwrap_or_default());
            return Err(ModelError::Unsupported { path: path.into(), what: format!("module `{class}`"), supported });
        }
        Ok(Self { kind: kind.to_owned(), place: inside(place, path)? })
    }
}

/// Checks that the path of a module stays in the folder of its model.
pub(super) fn inside(place: PathBuf, path: &Path) -> Result<PathBuf, ModelError> {
    if place.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(place);
    }
    let reason = format!("module path `{}` leads out of the folder", place.display());
    Err(ModelError::invalid(path, reason))
}
