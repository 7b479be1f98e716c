//! `ModelSummary`: what a model card or `maana info` tells of a model. Plain data.

use crate::Similarity;
use serde::{Deserialize, Serialize};

/// One module of the model, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModuleSummary {
    /// `Transformer`, `Pooling`, `Dense`, `LayerNorm`, `Dropout`, `Normalize` or `Router`.
    pub kind: String,
    /// The settings as the folder has them, in order, written as Python would print them (`True`,
    /// `'cls'`, `512`).
    pub settings: Vec<(String, String)>,
    /// For the transformer, the class of the encoder (`BertModel`).
    pub architecture: Option<String>,
    /// For a router, its routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSummary>,
}

/// A route of a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteSummary {
    /// The name: `query`, `document` or another.
    pub name: String,
    /// The modules in order.
    pub modules: Vec<ModuleSummary>,
}

impl ModelSummary {
    /// Names the modules in their order, and with a router those of each route.
    pub fn module_names(&self) -> String {
        let names = |modules: &[ModuleSummary]| {
            modules.iter().map(|module| module.kind.as_str()).collect::<Vec<_>>().join(" → ")
        };
        let routes = self.modules.iter().flat_map(|module| &module.routes);
        let routes: Vec<String> = routes.map(|route| format!("{}: {}", route.name, names(&route.modules))).collect();
        let list = names(&self.modules);
        if routes.is_empty() { list } else { format!("{list} ({})", routes.join("; ")) }
    }
}

/// Summary of a model for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// `bert`, `roberta`, `xlm-roberta` or `distilbert`.
    pub model_type: String,
    /// The modules in order.
    pub modules: Vec<ModuleSummary>,
    /// Tokens of a text that are read; the rest is cut.
    pub max_seq_length: usize,
    /// Columns of an embedding; of a cross-encoder the number of labels.
    pub dimension: usize,
    /// Names of the labels of a cross-encoder; none of a model that embeds.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Class of PyTorch that makes scores of the logits of a cross-encoder.
    #[serde(default)]
    pub activation: Option<String>,
    /// Measure by which embeddings are compared.
    pub similarity: Similarity,
    /// Number of parameters.
    pub parameters: usize,
    /// Layers of the transformer.
    pub layers: usize,
    /// Width of the transformer.
    pub hidden_size: usize,
    /// Attention heads.
    pub heads: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Prompts by name.
    pub prompts: Vec<(String, String)>,
    /// The prompt that is used where none is named.
    pub default_prompt_name: Option<String>,
}
