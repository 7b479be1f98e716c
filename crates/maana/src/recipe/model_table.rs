//! The table `[model]` of a recipe: the base, the kind of the model, and its adapters.

use maana_kernels::Activation;
use maana_model::{HeadSettings, ScoreActivation, Scoring};
use maana_train::Inputs;
use serde::{Deserialize, Serialize};

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// A folder, a hub name, or `name@revision`.
    pub base: String,
    /// The kind of the model. Default: a bi-encoder.
    #[serde(default)]
    pub kind: ModelKind,
    /// Number of labels of a cross-encoder. Default: those of the base, if it is a cross-encoder,
    /// else that of `labels`, else 1.
    pub num_labels: Option<usize>,
    /// Names of the labels of a cross-encoder, which labels of the data may be.
    pub labels: Option<Vec<String>>,
    /// Function from the logits of a cross-encoder to its scores. Default: that of the base, if it
    /// is a cross-encoder, else the sigmoid for one label and the identity for several.
    pub activation: Option<ModelActivation>,
    /// Columns of the table of a static model.
    pub dimension: Option<usize>,
    /// Longest text, or pair of texts, in tokens; longer ones are truncated. Default: the model's
    /// own.
    pub max_seq_length: Option<usize>,
    /// Low-rank adapters, which then are all that trains.
    pub lora: Option<LoraTable>,
}

/// Kinds of models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Embeds single texts.
    #[default]
    BiEncoder,
    /// Scores pairs of texts.
    CrossEncoder,
    /// A table of static embeddings, trained from scratch with the tokenizer of the base.
    Static,
}

/// Functions from logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelActivation {
    /// The logits themselves.
    Identity,
    /// The sigmoid of each logit.
    Sigmoid,
    /// The softmax over the logits of a pair.
    Softmax,
}

impl ModelTable {
    /// Returns the inputs of the model.
    pub fn inputs(&self) -> Inputs {
        match self.kind {
            ModelKind::BiEncoder | ModelKind::Static => Inputs::Texts,
            ModelKind::CrossEncoder => Inputs::Pairs,
        }
    }

    /// Returns the names of the labels that the recipe sets.
    pub(crate) fn label_names(&self) -> Option<Vec<String>> {
        let numbered = || self.num_labels.map(|number| Scoring::of_labels(number).labels);
        self.labels.clone().or_else(numbered)
    }

    /// Returns the head of a cross-encoder, whose weights `seed` draws if they are new.
    pub(crate) fn head(&self, seed: u64) -> Option<HeadSettings> {
        let activation = self.activation.map(|activation| match activation {
            ModelActivation::Identity => ScoreActivation::Each(Activation::Identity),
            ModelActivation::Sigmoid => ScoreActivation::Each(Activation::Sigmoid),
            ModelActivation::Softmax => ScoreActivation::Softmax,
        });
        (self.kind == ModelKind::CrossEncoder).then(|| HeadSettings { labels: self.label_names(), activation, seed })
    }

    /// Checks that the settings of cross-encoders belong to one.
    pub(super) fn check(&self) -> Result<(), String> {
        let given = [
            ("num_labels", self.num_labels.is_some()),
            ("labels", self.labels.is_some()),
            ("activation", self.activation.is_some()),
        ];
        if let (ModelKind::BiEncoder | ModelKind::Static, Some((field, _))) =
            (self.kind, given.iter().find(|(_, given)| *given))
        {
            return Err(format!(
                "[model] {field} belongs to a cross-encoder; set kind = \"cross_encoder\", or omit it"
            ));
        }
        match (self.kind, self.dimension) {
            (ModelKind::Static, None) => {
                return Err("[model] dimension is missing: the columns of the table, such as 512".into());
            }
            (ModelKind::BiEncoder | ModelKind::CrossEncoder, Some(_)) => {
                return Err("[model] dimension belongs to a static model; set kind = \"static\", or omit it".into());
            }
            _ => {}
        }
        if self.num_labels == Some(0) {
            return Err("[model] num_labels is 0; expected at least 1".into());
        }
        let Some(labels) = &self.labels else { return Ok(()) };
        if labels.is_empty() {
            return Err("[model] labels is empty; name the labels, or omit it".into());
        }
        if let Some((_, twice)) = labels.iter().enumerate().find(|(index, name)| labels[..*index].contains(name)) {
            return Err(format!("[model] labels has `{twice}` twice; give each label its own name"));
        }
        match self.num_labels {
            Some(number) if number != labels.len() => {
                Err(format!("[model] num_labels is {number}, but labels has {} names; omit num_labels", labels.len()))
            }
            _ => Ok(()),
        }
    }
}

/// `[model.lora]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraTable {
    /// Columns of B and rows of A. Default 8.
    pub rank: usize,
    /// The product of B and A is multiplied by alpha / rank. Default 8.
    pub alpha: f64,
    /// Probability with which an adapter drops an element of its input in training. Default 0.
    pub dropout: f64,
    /// Names of linear layers, or their ends. Default: query and value of each layer.
    pub targets: Vec<String>,
    /// Routes whose towers get adapters, of a model with a router. Default: all that have linear
    /// layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Saves the whole model with the adapters merged into its weights, instead of the adapters.
    /// Default false.
    pub merge: bool,
}

impl Default for LoraTable {
    fn default() -> Self {
        Self { rank: 8, alpha: 8.0, dropout: 0.0, targets: Vec::new(), routes: Vec::new(), merge: false }
    }
}
