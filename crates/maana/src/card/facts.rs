//! Content of a card and a report: plain data.

use super::blend_facts::BlendFacts;
use maana_data::DataSummary;
use maana_eval::{Kind, Scores};
use maana_model::ModelSummary;
use maana_train::TrainingRecord;
use serde::{Deserialize, Serialize};

/// Content of the card and the report of a fine-tuned model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardFacts {
    /// Name of the model, the title of the card.
    pub name: String,
    /// Name on the hub (`owner/name`), if it is or will be published.
    pub hub_id: Option<String>,
    /// Language codes (`sw`).
    pub languages: Vec<String>,
    /// Licence identifier as the hub spells it (`apache-2.0`).
    pub licence: Option<String>,
    /// The base model.
    pub base_model: Option<BaseModel>,
    /// The saved model.
    pub model: ModelSummary,
    /// The sets of training data.
    pub data: Vec<DataSummary>,
    /// The loss of each set of training data.
    pub losses: Vec<LossFacts>,
    /// Settings that differ from the defaults: name and value as displayed, in order.
    pub changed_hyperparameters: Vec<(String, String)>,
    /// All settings: name and value as displayed, in order.
    pub hyperparameters: Vec<(String, String)>,
    /// Scores of the base model by evaluation set and dimension, largest dimension first.
    pub before: Vec<Scores>,
    /// Scores of the saved model in the same order. The dimensions may differ from `before`.
    pub after: Vec<Scores>,
    /// Blends with the base, if the model is one of them.
    #[serde(default)]
    pub blend: Option<BlendFacts>,
    /// The adapters that were trained, if the whole model was not.
    #[serde(default)]
    pub adapters: Option<AdapterFacts>,
    /// Names of the retrieval sets.
    pub evaluation_sets: Vec<String>,
    /// Log of the run.
    pub record: TrainingRecord,
    /// Three sentences for the examples of use.
    pub examples: Vec<String>,
    /// Pairs of texts for the examples of use of a cross-encoder.
    #[serde(default)]
    pub example_pairs: Vec<[String; 2]>,
    /// Similarities of the examples by the saved model, or the scores of pairs, row by row, if they
    /// were computed.
    pub example_similarities: Option<Vec<Vec<f32>>>,
    /// Examples for the hub's widget.
    pub widget: Vec<WidgetExample>,
    /// Software versions in order (`Maana`, `Rust`, …).
    pub versions: Vec<(String, String)>,
    /// The training machine.
    pub hardware: Hardware,
    /// The hub's task (`sentence-similarity`).
    pub pipeline_tag: String,
    /// If `true`, the card follows Sentence Transformers 3.0.1: one table per evaluation, log
    /// columns in alphabetical order. Otherwise evaluations of one set share a table, and log
    /// columns have the order of the metrics.
    pub reproduce_301: bool,
}

/// Low-rank adapters (LoRA).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterFacts {
    /// Number of columns of the narrow matrices.
    pub rank: usize,
    /// Factor of the product, before the division by the rank.
    pub alpha: f64,
    /// Ends of the names of the adapted layers.
    pub targets: Vec<String>,
    /// True if the folder holds the whole model; otherwise it holds the adapters only.
    pub merged: bool,
}

/// The base model of a training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseModel {
    /// Name on the hub, or the name in the model's own card, or of its folder.
    pub name: String,
    /// Name on the hub; for a model outside the hub, that of its nearest ancestor, if known.
    pub hub_id: Option<String>,
    /// Revision on the hub, if known.
    pub revision: Option<String>,
}

/// The loss, with the names of Sentence Transformers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossFacts {
    /// Classes from the outermost inwards (`MatryoshkaLoss`, `MultipleNegativesRankingLoss`).
    pub classes: Vec<String>,
    /// Parameters of the outermost class, in order.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// An example of the hub's widget: a sentence, and others to compare with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WidgetExample {
    /// The sentence that the others are compared with.
    pub source: String,
    /// The others, usually three.
    pub sentences: Vec<String>,
}

/// The training machine, and the time and memory of the training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// Name of the processor, if the system provides it.
    pub processor: Option<String>,
    /// Cores of the machine.
    pub cores: usize,
    /// Threads of the training.
    pub threads: usize,
    /// Seconds from start to end, including evaluations.
    pub seconds: f64,
    /// Peak memory of the process in bytes, if the system provides it.
    pub peak_memory_bytes: Option<u64>,
}

impl CardFacts {
    /// Returns true if the model is a cross-encoder.
    pub(crate) fn is_cross_encoder(&self) -> bool {
        !self.model.labels.is_empty()
    }

    /// Returns the number of rows of all training sets.
    pub(crate) fn rows(&self) -> usize {
        self.data.iter().map(|set| set.rows).sum()
    }

    /// Returns the classes of all losses, each once.
    pub(crate) fn loss_classes(&self) -> Vec<&str> {
        let mut classes: Vec<&str> = Vec::new();
        for class in self.losses.iter().flat_map(|loss| &loss.classes) {
            if !classes.contains(&class.as_str()) {
                classes.push(class);
            }
        }
        classes
    }

    /// Returns the evaluation sets in order, the dev loss last, each with its scores before and
    /// after training, which may be empty.
    pub(crate) fn by_set(&self) -> Vec<SetScores<'_>> {
        let mut sets: Vec<SetScores<'_>> = Vec::new();
        for (scores, is_after) in self.after.iter().map(|s| (s, true)).chain(self.before.iter().map(|s| (s, false))) {
            let (kind, name) = (scores.kind, scores.set());
            let at = sets.iter().position(|set| (set.kind, set.name) == (kind, name)).unwrap_or_else(|| {
                sets.push(SetScores { kind, name, before: Vec::new(), after: Vec::new() });
                sets.len() - 1
            });
            let side = if is_after { &mut sets[at].after } else { &mut sets[at].before };
            side.push(scores);
        }
        sets.sort_by_key(|set| set.kind == Kind::Loss);
        sets
    }
}

/// Scores of one evaluation set.
pub(crate) struct SetScores<'a> {
    /// Kind of the set.
    pub(crate) kind: Kind,
    /// Name of the set, if there are several.
    pub(crate) name: Option<&'a str>,
    /// Before training.
    pub(crate) before: Vec<&'a Scores>,
    /// After training.
    pub(crate) after: Vec<&'a Scores>,
}

impl SetScores<'_> {
    /// Returns the name of the set for headings. The only retrieval set of a run has none.
    pub(crate) fn title(&self) -> Option<&str> {
        match self.kind {
            Kind::Loss => Some(self.name.unwrap_or("dev loss")),
            _ => self.name,
        }
    }

    /// Returns the primary metric of the set.
    pub(crate) fn primary(&self) -> &str {
        self.after.first().or(self.before.first()).map_or("", |scores| &scores.primary)
    }

    /// Returns the primary metric at each dimension, largest dimension first.
    pub(crate) fn by_dimension(&self) -> Vec<AtDimension> {
        let mut dims: Vec<usize> = self.after.iter().chain(&self.before).map(|scores| scores.dimension).collect();
        dims.sort_unstable_by(|a, b| b.cmp(a));
        dims.dedup();
        let of = |side: &[&Scores], dim: usize| {
            side.iter().find(|scores| scores.dimension == dim).and_then(|scores| scores.get(self.primary()))
        };
        let at = |dim| AtDimension { dimension: dim, before: of(&self.before, dim), after: of(&self.after, dim) };
        dims.into_iter().map(at).collect()
    }
}

/// A metric at one dimension.
pub(crate) struct AtDimension {
    /// Leading columns that were compared.
    pub(crate) dimension: usize,
    /// Before training.
    pub(crate) before: Option<f64>,
    /// After training.
    pub(crate) after: Option<f64>,
}
