//! `ModelSummary`: what a model card or `maana info` tells of a model. Plain data.

use crate::Similarity;
use crate::config::UNLIMITED;
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
    /// Tokens of a text that the route reads; none if it reads texts of any length.
    #[serde(default)]
    pub max_seq_length: Option<usize>,
}

impl ModelSummary {
    /// Tokens of a text that are read, in one entry without a name, or in one for each route if
    /// these differ; none where texts of any length are read.
    fn text_limits(&self) -> Vec<(&str, Option<usize>)> {
        let routes = self.modules.iter().flat_map(|module| &module.routes);
        let routes: Vec<_> = routes.map(|route| (route.name.as_str(), route.max_seq_length)).collect();
        match routes.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            true => routes,
            false => vec![("", limit(self.max_seq_length))],
        }
    }

    /// Tokens of a text that are read; none if texts of any length are, or if routes differ.
    pub fn longest_text(&self) -> Option<usize> {
        match self.text_limits()[..] {
            [(_, limit)] => limit,
            _ => None,
        }
    }

    /// Returns whether texts of any tower are cut.
    pub fn cuts_texts(&self) -> bool {
        self.text_limits().iter().any(|(_, limit)| limit.is_some())
    }

    /// Describes the tokens of a text that are read: `512 tokens`, `no limit`, or those of each
    /// route.
    pub fn text_length(&self) -> String {
        let described = |(route, limit): (&str, Option<usize>)| {
            let length = limit.map_or("no limit".into(), |tokens| format!("{tokens} tokens"));
            if route.is_empty() { length } else { format!("{route}: {length}") }
        };
        self.text_limits().into_iter().map(described).collect::<Vec<_>>().join("; ")
    }

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

/// Returns a number of tokens, or none if it is that of models that read texts of any length.
pub(crate) fn limit(tokens: usize) -> Option<usize> {
    Some(tokens).filter(|tokens| *tokens < UNLIMITED)
}
