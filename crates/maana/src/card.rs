//! The model card: `README.md` of a saved model, for people and for the hub. Takes facts as plain data and writes text;
//! it reads no file, and knows nothing of how the facts came about.

mod body;
mod escape;
mod front_matter;
pub(crate) mod quantity;
mod table;

use maana_data::DataSummary;
use maana_eval::Scores;
use maana_model::ModelSummary;
use maana_train::TrainingRecord;
use serde::{Deserialize, Serialize};

/// Everything that a card or a report tells of a fine-tuned model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardFacts {
    /// The model's name, the title of the card.
    pub name: String,
    /// The name under which it is, or is to be, published (`owner/name`).
    pub hub_id: Option<String>,
    /// Language codes (`sw`).
    pub languages: Vec<String>,
    /// Licence identifier as the hub spells it (`apache-2.0`).
    pub licence: Option<String>,
    /// The model that training began from.
    pub base_model: Option<BaseModel>,
    /// The saved model.
    pub model: ModelSummary,
    /// The sets of training data.
    pub data: Vec<DataSummary>,
    /// The loss.
    pub loss: LossFacts,
    /// Settings that differ from the defaults: name and value as displayed, in order.
    pub changed_hyperparameters: Vec<(String, String)>,
    /// All settings: name and value as displayed, in order.
    pub hyperparameters: Vec<(String, String)>,
    /// Measures of the base model, one for each dimension (and evaluation set), largest dimension first.
    pub before: Vec<Scores>,
    /// Measures of the saved model, likewise. The two need not have the same dimensions.
    pub after: Vec<Scores>,
    /// Names of the evaluation sets.
    pub evaluation_sets: Vec<String>,
    /// Everything that the run logged.
    pub record: TrainingRecord,
    /// Three sentences that show how the model is used.
    pub examples: Vec<String>,
    /// Their similarities as the saved model gives them, row by row, if they were computed.
    pub example_similarities: Option<Vec<Vec<f32>>>,
    /// Examples for the hub's widget.
    pub widget: Vec<WidgetExample>,
    /// Software and its versions, in order (`Maana`, `Rust`, …).
    pub versions: Vec<(String, String)>,
    /// The computer that trained.
    pub hardware: Hardware,
    /// The hub's task (`sentence-similarity`).
    pub pipeline_tag: String,
    /// Whether the card follows Sentence Transformers 3.0.1: one table for each evaluation, log columns in the order of
    /// the alphabet. Otherwise evaluations of one set share a table, and log columns stand in the order of the measures.
    pub reproduce_301: bool,
}

/// The model that training began from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseModel {
    /// The name: that on the hub, or what the model's own card or folder calls it.
    pub name: String,
    /// The name on the hub; of a model that is not there, that of the nearest model that it was made from, if known.
    pub hub_id: Option<String>,
    /// The revision on the hub, if known.
    pub revision: Option<String>,
}

/// The loss, in the names of Sentence Transformers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossFacts {
    /// Classes from the outside in (`MatryoshkaLoss`, `MultipleNegativesRankingLoss`).
    pub classes: Vec<String>,
    /// The parameters of the outermost one, in order.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// One example of the hub's widget: a sentence, and others to compare with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WidgetExample {
    /// The sentence that the others are compared with.
    pub source: String,
    /// The others, three by custom.
    pub sentences: Vec<String>,
}

/// The computer that trained, and what training took of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// The processor's name, if the system tells.
    pub processor: Option<String>,
    /// Cores of the machine.
    pub cores: usize,
    /// Threads that computed.
    pub threads: usize,
    /// Seconds from start to end, evaluations included.
    pub seconds: f64,
    /// Most memory that the process held, in bytes, if the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// The card as the text of `README.md`: YAML front matter, then Markdown.
pub fn render(facts: &CardFacts) -> String {
    let mut card = front_matter::front_matter(facts);
    card.push('\n');
    card += &body::body(facts);
    card
}

/// The dimensions that a model was trained for, as its card tells them: this program's, or Sentence Transformers' own. Largest
/// first; none if the card tells of none.
pub fn matryoshka_dims(card: &str) -> Vec<usize> {
    const KEY: &str = "\"matryoshka_dims\":";
    let list = card.split_once(KEY).and_then(|(_, rest)| rest.trim_start().strip_prefix('[')?.split_once(']'));
    let dims = list.map(|(list, _)| list.split(',').map(|dim| dim.trim().parse()).collect::<Result<Vec<usize>, _>>());
    let mut dims = dims.and_then(Result::ok).unwrap_or_default();
    dims.sort_unstable_by(|a, b| b.cmp(a));
    dims.dedup();
    dims
}

/// The name of a model as its card tells it: the one on the hub that the examples of use have, else the title. Of either
/// none, where it is what every card has.
pub fn model_name(card: &str) -> Option<String> {
    let body = match card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")) {
        Some((_, body)) => body,
        None => card,
    };
    let uses = body.match_indices("SentenceTransformer(").filter_map(|(at, call)| {
        let rest = &body[at + call.len()..];
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(name, _)| name)
    });
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let is_hub_name = |name: &&str| name.split('/').count() == 2 && name.split('/').all(is_part);
    let mut uses = uses.filter(is_hub_name);
    if let Some(name) = uses.next() {
        return Some(name.to_owned());
    }
    const LONGEST: usize = 100;
    let title = body.lines().find_map(|line| line.strip_prefix("# ")).map(escape::plain)?;
    let is_own = !title.is_empty() && !title.contains('{') && title != "SentenceTransformer";
    (is_own && title.chars().count() <= LONGEST).then_some(title)
}

/// How templates are written: a line that holds nothing but a block leaves no trace.
pub(crate) fn template_syntax() -> minijinja::syntax::SyntaxConfig {
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the delimiters are those of Jinja")
}

impl CardFacts {
    /// Rows of training data in all sets.
    pub(crate) fn rows(&self) -> usize {
        self.data.iter().map(|set| set.rows).sum()
    }

    /// Evaluation sets in order, each with its measures before and after training, which may be empty.
    pub(crate) fn by_set(&self) -> Vec<SetScores<'_>> {
        let mut sets: Vec<SetScores<'_>> = Vec::new();
        for (scores, is_after) in self.after.iter().map(|s| (s, true)).chain(self.before.iter().map(|s| (s, false))) {
            let name = scores.set();
            let at = sets.iter().position(|set| set.name == name).unwrap_or_else(|| {
                sets.push(SetScores { name, before: Vec::new(), after: Vec::new() });
                sets.len() - 1
            });
            let side = if is_after { &mut sets[at].after } else { &mut sets[at].before };
            side.push(scores);
        }
        sets
    }
}

/// The measures of one evaluation set.
pub(crate) struct SetScores<'a> {
    /// The set's name, where the measures carry one.
    pub(crate) name: Option<&'a str>,
    /// Before training.
    pub(crate) before: Vec<&'a Scores>,
    /// After training.
    pub(crate) after: Vec<&'a Scores>,
}

impl SetScores<'_> {
    /// The measure that stands for the whole set.
    pub(crate) fn primary(&self) -> &str {
        self.after.first().or(self.before.first()).map_or("", |scores| &scores.primary)
    }

    /// The primary measure of each dimension, largest dimension first.
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

/// One measure at one dimension, where it was measured.
pub(crate) struct AtDimension {
    /// Columns of the embeddings that were compared.
    pub(crate) dimension: usize,
    /// Before training.
    pub(crate) before: Option<f64>,
    /// After training.
    pub(crate) after: Option<f64>,
}

#[cfg(test)]
pub(crate) mod tests;
