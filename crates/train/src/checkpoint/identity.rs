//! Properties of a run that must be equal for it to be resumed.

use crate::{Arguments, TrainingSet};
use maana_data::SetSampler;
use maana_model::{Prompt, Trainable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Properties of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) arguments: Arguments,
    /// The first data set.
    #[serde(flatten)]
    pub(crate) set: SetIdentity,
    /// The other data sets.
    #[serde(default)]
    pub(crate) further_sets: Vec<SetIdentity>,
    /// Order of the batches of several sets.
    #[serde(default)]
    pub(crate) sampler: SetSampler,
    /// Number and size of the model's tensors.
    pub(crate) model: String,
    /// Fingerprint of the model before training. Older checkpoints do not have it.
    #[serde(default)]
    pub(crate) base: Option<String>,
}

/// Properties of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetIdentity {
    #[serde(default)]
    pub(crate) name: String,
    /// The loss with its parameters.
    pub(crate) loss: Value,
    /// Factor of the loss.
    #[serde(default = "one")]
    pub(crate) weight: f64,
    /// Fingerprint of the data in hexadecimal digits.
    pub(crate) data: String,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<String>,
    /// Prompt of each column; empty if no column has one.
    #[serde(default)]
    pub(crate) prompts: Vec<String>,
    /// Route of each column; empty if the model has one tower.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// Fields that change no result and may differ between a checkpoint and the run that continues from
/// it.
const CHANGE_NO_RESULT: [&str; 7] = [
    "mini_batch_size",
    "mini_batch_tokens",
    "gradient_checkpointing",
    "save_total_limit",
    "save_every",
    "tensorboard",
    "name",
];

impl SetIdentity {
    fn of(set: &TrainingSet<'_>) -> Self {
        let has_prompts = !set.prompts.iter().all(Prompt::is_empty);
        let prompts = set.prompts.iter().filter(|_| has_prompts);
        Self {
            name: set.name.into(),
            loss: json!(set.loss.describe()),
            weight: set.weight,
            data: maana_files::hex(&set.source.fingerprint()),
            rows: set.source.len(),
            columns: set.source.columns().to_vec(),
            prompts: prompts.map(|prompt| prompt.text().to_owned()).collect(),
            routes: set.towers.iter().map(|tower| tower.route.clone()).collect(),
        }
    }
}

impl Identity {
    /// Returns the properties of a run over at least one data set.
    pub(crate) fn of(
        arguments: &Arguments,
        sets: &[TrainingSet<'_>],
        sampler: SetSampler,
        base: Option<&str>,
        model: &impl Trainable,
    ) -> Self {
        let mut sets = sets.iter().map(SetIdentity::of);
        let tensors = model.tensors();
        let elements: usize = tensors.iter().map(|tensor| tensor.range.len()).sum();
        let described = [format!("{} tensors of {elements} numbers", tensors.len()), model.describe_settings()];
        Self {
            arguments: arguments.clone(),
            set: sets.next().expect("a run has a data set"),
            further_sets: sets.collect(),
            sampler,
            model: described.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
            base: base.map(String::from),
        }
    }

    /// Returns the differences between a checkpoint (`self`) and a run, each with both values. The
    /// fields that change no result may differ.
    pub(super) fn differences(&self, asked: &Self) -> Vec<String> {
        let (theirs, ours) = (self.fields(), asked.fields());
        let mut differences: Vec<String> = Vec::new();
        for (name, value) in &theirs {
            match ours.get(name) {
                Some(now) if now == value => {}
                Some(now) => differences.push(format!("`{name}` was {value} and is now {now}")),
                None => differences.push(format!("`{name}` was {value} and is gone")),
            }
        }
        let added = ours.iter().filter(|(name, _)| !theirs.contains_key(*name));
        differences.extend(added.map(|(name, value)| format!("`{name}` is now {value} and was not there")));
        if let (Some(theirs), Some(ours)) = (&self.base, &asked.base)
            && theirs != ours
        {
            let short = |fingerprint: &str| fingerprint.get(..12).unwrap_or(fingerprint).to_owned();
            differences.push(format!(
                "the base model has changed since the run began (its weights, tokenizer or settings; fingerprint {}…, now {}…)",
                short(theirs),
                short(ours)
            ));
        }
        differences
    }

    /// Returns all fields that must be equal, with those of the arguments and of further sets at
    /// the same level.
    fn fields(&self) -> Map<String, Value> {
        let object = |value: Value| match value {
            Value::Object(fields) => fields,
            _ => unreachable!("a struct is an object"),
        };
        let mut fields = object(json!(self));
        let arguments = fields.remove("arguments").expect("a field");
        fields.extend(object(arguments));
        // Further sets follow by their fields; the base model is compared in words.
        fields.retain(|name, _| !["further_sets", "base"].contains(&name.as_str()));
        fields.retain(|name, _| !CHANGE_NO_RESULT.contains(&name.as_str()));
        for set in &self.further_sets {
            let of_set = object(json!(set)).into_iter().filter(|(name, _)| name != "name");
            fields.extend(of_set.map(|(name, value)| (format!("{name} of {}", set.name), value)));
        }
        fields
    }
}
