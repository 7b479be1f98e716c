//! The settings of a run, with the defaults of the reference (Sentence Transformers on the Hugging
//! Face trainer). Field names are those of the `[training]` table of a recipe.

use crate::BatchSampler;
use crate::error::TrainError;
use crate::interval::{Evaluate, Interval};
use crate::keep_best::KeepBest;
use crate::optimizer::{Group, Optimizer, in_f32};
use crate::schedule::Schedule;
use maana_model::PassLimit;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The settings of a run. `Arguments::default()` has the defaults of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Passes over the data, which may be fractional (`0.5`). Ignored if `max_steps` is given.
    /// Default 3.
    pub epochs: f64,
    /// Number of updates, for any number of epochs. Default: that of `epochs`.
    pub max_steps: Option<u64>,
    /// Rows of a micro-batch, which are negatives of each other. Default 8.
    pub batch_size: usize,
    /// Texts of a micro-batch that pass through the model together (GradCache, arXiv:2101.06983).
    /// The loss sees the whole micro-batch; the result has the same bits for any value. Default:
    /// all.
    pub mini_batch_size: Option<usize>,
    /// The same as a number of tokens; a longer text passes by itself. Default: no limit.
    pub mini_batch_tokens: Option<usize>,
    /// Keeps only the input of each layer for the backward pass and recomputes the rest, to the
    /// same bits. Default false.
    pub gradient_checkpointing: bool,
    /// Micro-batches of an update. Adds no negatives. Default 1.
    pub gradient_accumulation_steps: u64,
    /// Maximum learning rate of the schedule. Default 5e-5.
    pub learning_rate: f64,
    /// Decoupled weight decay of all parameters except biases and layer norms. Default 0.
    pub weight_decay: f64,
    /// The optimizer. Default AdamW.
    pub optimizer: Optimizer,
    /// Decay rate of the first moment. Default 0.9.
    pub adam_beta1: f64,
    /// Decay rate of the second moment. Default 0.999.
    pub adam_beta2: f64,
    /// Term added to the root of the second moment. Default 1e-8.
    pub adam_epsilon: f64,
    /// Updates only those rows of the table of word embeddings that have a gradient, as PyTorch's
    /// `SparseAdam` does: moments and weight decay of all others wait. Default false.
    pub lazy_embeddings: bool,
    /// Groups of parameters with learning rate, weight decay or freezing of their own. Default:
    /// none.
    pub groups: Vec<Group>,
    /// Factor of the learning rate from each layer to the one below it; the embeddings count as the
    /// lowest layer. Default 1.
    pub layer_decay: f64,
    /// Maximum norm of the gradient of an update; 0 disables clipping. Default 1.
    pub max_grad_norm: f64,
    /// Schedule of the learning rate. Default linear.
    pub schedule: Schedule,
    /// Fraction of the updates over which the learning rate rises from 0; rounded up. Default 0.
    pub warmup_ratio: f64,
    /// The same as a number of updates, which overrides `warmup_ratio` if it is not 0. Default 0.
    pub warmup_steps: u64,
    /// Decay rate of a running average of the parameters, which is evaluated and saved instead of
    /// the parameters of the last update. Default: no average.
    pub ema_decay: Option<f64>,
    /// Sampler of batches. Default shuffle.
    pub batch_sampler: BatchSampler,
    /// Drops the last, smaller batch of an epoch. Default false.
    pub drop_last: bool,
    /// Seed of the order of rows, of dropout and of all other random numbers. Default 42.
    pub seed: u64,
    /// Precision of the products. Default f32.
    pub precision: Precision,
    /// Times of evaluations and of the checkpoints that are kept. Default never.
    pub evaluate: Evaluate,
    /// Measure that selects the best checkpoint, which is loaded at the end
    /// (`dim_128_cosine_ndcg@10`), or several whose mean does. Greater is better unless the name
    /// ends with `loss`, or `greater_is_better` of the table says so. Default: the last parameters
    /// stay.
    pub keep_best: Option<KeepBest>,
    /// Number of evaluations in a row without an improvement of `keep_best` after which the run
    /// ends. Default: none.
    pub early_stopping_patience: Option<u64>,
    /// Smallest improvement that counts for `early_stopping_patience`. Default 0.
    pub early_stopping_threshold: f64,
    /// Number of kept checkpoints of evaluations; the best and the last are always kept. Default:
    /// all.
    pub save_total_limit: Option<usize>,
    /// Interval between temporary checkpoints, each of which the next one replaces. Default: none.
    pub save_every: Option<Interval>,
    /// Interval between two rows of the log. Default 500 updates.
    pub log_every: Interval,
    /// Logs the first update as well. Default false.
    pub log_first: bool,
    /// Writes the log for TensorBoard as well, into `tensorboard/` of the run's folder. Default
    /// false.
    pub tensorboard: bool,
    /// Version of Sentence Transformers whose order of rows, accumulation and log are reproduced.
    /// Default: the current one, `"6.2"`.
    #[serde(serialize_with = "write_version", deserialize_with = "read_version")]
    pub reproduce: Option<Version>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            epochs: 3.0,
            max_steps: None,
            batch_size: 8,
            mini_batch_size: None,
            mini_batch_tokens: None,
            gradient_checkpointing: false,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            weight_decay: 0.0,
            optimizer: Optimizer::AdamW,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            lazy_embeddings: false,
            groups: Vec::new(),
            layer_decay: 1.0,
            max_grad_norm: 1.0,
            schedule: Schedule::Linear,
            warmup_ratio: 0.0,
            warmup_steps: 0,
            ema_decay: None,
            batch_sampler: BatchSampler::Shuffle,
            drop_last: false,
            seed: 42,
            precision: Precision::F32,
            evaluate: Evaluate::Never,
            keep_best: None,
            early_stopping_patience: None,
            early_stopping_threshold: 0.0,
            save_total_limit: None,
            save_every: None,
            log_every: Interval::Updates(500),
            log_first: false,
            tensorboard: false,
            reproduce: None,
        }
    }
}

impl Arguments {
    /// Returns the error for a number of rows that gives no batch.
    pub(crate) fn no_batch(&self, rows: usize) -> TrainError {
        TrainError::NoBatch {
            rows,
            batch_size: self.batch_size,
            drop_last: self.drop_last,
            sampler: self.batch_sampler,
        }
    }

    /// Returns the limit of one pass through the model.
    pub fn pass_limit(&self) -> PassLimit {
        let all = PassLimit::default();
        PassLimit {
            sequences: self.mini_batch_size.unwrap_or(all.sequences),
            tokens: self.mini_batch_tokens.unwrap_or(all.tokens),
        }
    }

    /// Checks that all values are valid, also in combination.
    ///
    /// # Errors
    /// Names the first invalid field, with its value and the allowed ones.
    pub fn check(&self) -> Result<(), TrainError> {
        let fault =
            |field: &str, value: &dyn std::fmt::Display, wanted: &str| Err(TrainError::argument(field, value, wanted));
        if !(self.epochs.is_finite() && self.epochs > 0.0) {
            return fault("epochs", &self.epochs, "a number above 0");
        }
        let at_least_one = [
            ("batch_size", self.batch_size as u64),
            ("mini_batch_size", self.mini_batch_size.unwrap_or(1) as u64),
            ("mini_batch_tokens", self.mini_batch_tokens.unwrap_or(1) as u64),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps),
            ("max_steps", self.max_steps.unwrap_or(1)),
            ("early_stopping_patience", self.early_stopping_patience.unwrap_or(1)),
            ("save_total_limit", self.save_total_limit.unwrap_or(1) as u64),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return fault(field, &value, "at least 1");
            }
        }
        let intervals = [
            ("evaluate", self.evaluate.interval()),
            ("save_every", self.save_every),
            ("log_every", Some(self.log_every)),
        ];
        for (field, interval) in intervals {
            if interval == Some(Interval::Updates(0)) {
                return fault(field, &0, "at least 1 update, or a fraction of the run above 0 and below 1");
            }
        }
        if self.batch_sampler == BatchSampler::GroupByLabel {
            if self.batch_size < 4 || !self.batch_size.is_multiple_of(2) {
                return fault("batch_size", &self.batch_size, "an even number of at least 4 for `group_by_label`");
            }
            if self.reproduce.is_some() {
                return fault("batch_sampler", &"group_by_label", "another one with `reproduce = \"3.0.1\"`");
            }
        }
        // With 0 no update would change anything.
        if !(in_f32(self.learning_rate) && self.learning_rate > 0.0) {
            return fault("learning_rate", &self.learning_rate, "a number above 0 that f32 can hold");
        }
        for (field, value) in [
            ("weight_decay", self.weight_decay),
            ("adam_epsilon", self.adam_epsilon),
            ("max_grad_norm", self.max_grad_norm),
        ] {
            if !(in_f32(value) && value >= 0.0) {
                return fault(field, &value, "a number that is not negative and that f32 can hold");
            }
        }
        for (field, value) in [("adam_beta1", self.adam_beta1), ("adam_beta2", self.adam_beta2)] {
            if !(0.0..1.0).contains(&value) {
                return fault(field, &value, "at least 0 and below 1");
            }
        }
        self.optimizer.check()?;
        if self.lazy_embeddings && self.optimizer != Optimizer::AdamW {
            return fault("lazy_embeddings", &true, "used together with the optimizer `adamw`");
        }
        if self.lazy_embeddings && self.reproduce.is_some() {
            return fault("lazy_embeddings", &true, "left out with `reproduce = \"3.0.1\"`, which is not lazy");
        }
        self.groups.iter().enumerate().try_for_each(|(number, group)| group.check(number))?;
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return fault("layer_decay", &self.layer_decay, "above 0 and at most 1");
        }
        self.schedule.check(self.learning_rate)?;
        if matches!(self.schedule, Schedule::ReduceLrOnPlateau(_)) && self.keep_best.is_none() {
            return fault("schedule", &self.schedule.name(), "used together with `keep_best`, whose metric it follows");
        }
        if !(0.0..=1.0).contains(&self.warmup_ratio) {
            return fault("warmup_ratio", &self.warmup_ratio, "from 0 to 1");
        }
        if let Some(decay) = self.ema_decay.filter(|decay| !(*decay > 0.0 && *decay < 1.0)) {
            return fault("ema_decay", &decay, "above 0 and below 1, such as 0.99; omit it for no average");
        }
        if let (Some(measures), Evaluate::Never) = (&self.keep_best, self.evaluate) {
            return fault("keep_best", measures, "used together with `evaluate`, which is `never`");
        }
        if let Some(wanted) = self.keep_best.as_ref().and_then(KeepBest::fault) {
            return fault(
                "keep_best",
                &format!("{:?}", self.keep_best.iter().flat_map(KeepBest::measures).collect::<Vec<_>>()),
                wanted,
            );
        }
        if let (Some(patience), None) = (self.early_stopping_patience, &self.keep_best) {
            return fault(
                "early_stopping_patience",
                &patience,
                "used together with `keep_best`, whose measure decides",
            );
        }
        let threshold = self.early_stopping_threshold;
        if !(threshold.is_finite() && threshold >= 0.0) {
            return fault("early_stopping_threshold", &threshold, "a finite number that is not negative");
        }
        if threshold > 0.0 && self.early_stopping_patience.is_none() {
            return fault("early_stopping_threshold", &threshold, "used together with `early_stopping_patience`");
        }
        Ok(())
    }
}

/// Precision of forward and backward. Parameters, gradients and moments are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// bfloat16 products with f32 sums.
    Bf16,
}

/// A version of Sentence Transformers whose behaviour can be reproduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.0.1 with transformers 4.41: rows in the order of the data set for `no_duplicates`,
    /// accumulation across epochs, and a log with the learning rate of the next update.
    V3_0_1,
}

/// Name of the default version.
const CURRENT_VERSION: &str = "6.2";

fn write_version<S: Serializer>(version: &Option<Version>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match version {
        Some(Version::V3_0_1) => "3.0.1",
        None => CURRENT_VERSION,
    })
}

/// Reads a version, which must be a string: a number such as 3.0 is an error. Older checkpoints
/// have `null` for the current version.
fn read_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some(CURRENT_VERSION) => Ok(None),
        Some("3.0.1") => Ok(Some(Version::V3_0_1)),
        Some(other) => Err(serde::de::Error::unknown_variant(other, &[CURRENT_VERSION, "3.0.1"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Adafactor;
    use crate::schedule::{CosineWithMinLr, CosineWithRestarts, InverseSqrt, Polynomial, ReduceLrOnPlateau};

    #[test]
    fn missing_fields_have_the_defaults_of_the_reference() {
        let text = r#"{"epochs": 4, "batch_size": 32, "schedule": "cosine", "batch_sampler": "no_duplicates",
                       "precision": "bf16", "evaluate": "epoch", "reproduce": "3.0.1", "keep_best": "dim_128_cosine_ndcg@10"}"#;
        let read: Arguments = serde_json::from_str(text).unwrap();
        let expected = Arguments {
            epochs: 4.0,
            batch_size: 32,
            schedule: Schedule::Cosine,
            batch_sampler: BatchSampler::NoDuplicates,
            precision: Precision::Bf16,
            evaluate: Evaluate::Epoch,
            reproduce: Some(Version::V3_0_1),
            keep_best: Some("dim_128_cosine_ndcg@10".into()),
            ..Arguments::default()
        };
        assert_eq!(read, expected);
        read.check().unwrap();
        let again: Arguments = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read, "written and read again");
    }

    #[test]
    fn the_current_version_can_be_named_and_is_serialized() {
        let read = |text: &str| serde_json::from_str::<Arguments>(text).map(|arguments| arguments.reproduce);
        assert_eq!(read(r#"{"reproduce": "6.2"}"#).unwrap(), None);
        assert_eq!(read(r#"{"reproduce": null}"#).unwrap(), None, "as older checkpoints have it");
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"reproduce": "3.0.1"}"#).unwrap(), Some(Version::V3_0_1));
        let fault = read(r#"{"reproduce": "6.3"}"#).unwrap_err().to_string();
        assert!(fault.contains("`6.3`") && fault.contains("`6.2`") && fault.contains("`3.0.1`"), "{fault}");
        let written = serde_json::to_value(Arguments::default()).unwrap();
        assert_eq!(written["reproduce"], "6.2");
    }

    #[test]
    fn schedules_and_optimizers_are_names_or_tables() {
        let read = |text: &str| serde_json::from_str::<Arguments>(text);
        let polynomial = read(r#"{"schedule": {"name": "polynomial", "power": 2}}"#).unwrap();
        assert_eq!(polynomial.schedule, Schedule::Polynomial(Polynomial { power: 2.0, lr_end: 1e-7 }));
        assert_eq!(
            read(r#"{"schedule": "polynomial"}"#).unwrap().schedule,
            Schedule::Polynomial(Polynomial::default())
        );
        assert_eq!(read(r#"{"schedule": {"name": "linear"}}"#).unwrap().schedule, Schedule::Linear);
        assert_eq!(
            read(r#"{"optimizer": "adafactor"}"#).unwrap().optimizer,
            Optimizer::Adafactor(Adafactor::default())
        );
        for schedule in ["warmup_stable_decay", "cosine_with_min_lr", "inverse_sqrt", "reduce_lr_on_plateau"] {
            let text = match schedule {
                "warmup_stable_decay" => r#"{"name": "warmup_stable_decay", "num_decay_steps": 0.2}"#.to_owned(),
                name => format!("{name:?}"),
            };
            let read: Schedule = serde_json::from_str(&text).unwrap();
            let again: Schedule = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
            assert_eq!((again, again.name()), (read, schedule), "written and read again");
        }
        for (text, expected) in [
            (r#"{"schedule": "polynomal"}"#, "unknown variant `polynomal`"),
            (r#"{"schedule": {"name": "linear", "power": 2}}"#, "`linear` has no parameter `power`"),
            (r#"{"schedule": {"name": "polynomial", "powr": 2}}"#, "unknown field `powr`"),
            (r#"{"schedule": {"power": 2}}"#, "missing field `name`"),
            (r#"{"schedule": 2}"#, "a name, or a table"),
            (r#"{"schedule": "warmup_stable_decay"}"#, "missing field `num_decay_steps`"),
            (r#"{"optimizer": "adam"}"#, "`adamw`, `adafactor`"),
            (r#"{"groups": [{"pattern": "*", "frozen": true}]}"#, "unknown field `frozen`"),
        ] {
            let fault = read(text).unwrap_err().to_string();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    #[test]
    fn invalid_parameters_of_schedules_optimizers_and_groups_are_named() {
        let schedule = |schedule: Schedule| Arguments { schedule, ..Arguments::default() };
        let group = |group: Group| Arguments { groups: vec![Group::default(), group], ..Arguments::default() };
        let wsd = |num_decay_steps: f64| {
            let text = format!(r#"{{"name": "warmup_stable_decay", "num_decay_steps": {num_decay_steps:?}}}"#);
            schedule(serde_json::from_str(&text).unwrap())
        };
        let plateau = ReduceLrOnPlateau { factor: 1.0, ..ReduceLrOnPlateau::default() };
        let faults = [
            ("schedule.num_cycles", schedule(Schedule::CosineWithRestarts(CosineWithRestarts { num_cycles: 0 }))),
            ("schedule.min_lr", schedule(Schedule::CosineWithMinLr(CosineWithMinLr::default()))),
            ("schedule.power", schedule(Schedule::Polynomial(Polynomial { power: -1.0, lr_end: 0.0 }))),
            ("schedule.lr_end", schedule(Schedule::Polynomial(Polynomial { power: 1.0, lr_end: 1.0 }))),
            ("schedule.timescale", schedule(Schedule::InverseSqrt(InverseSqrt { timescale: Some(0) }))),
            ("schedule.num_decay_steps", wsd(0.0)),
            ("schedule.num_decay_steps", wsd(1.5)),
            ("schedule.factor", schedule(Schedule::ReduceLrOnPlateau(plateau))),
            ("schedule", schedule(Schedule::ReduceLrOnPlateau(ReduceLrOnPlateau::default()))),
            ("layer_decay", Arguments { layer_decay: 0.0, ..Arguments::default() }),
            (
                "optimizer.decay_rate",
                Arguments {
                    optimizer: Optimizer::Adafactor(Adafactor { decay_rate: 0.8, ..Adafactor::default() }),
                    ..Arguments::default()
                },
            ),
            (
                "lazy_embeddings",
                Arguments {
                    optimizer: Optimizer::Adafactor(Adafactor::default()),
                    lazy_embeddings: true,
                    ..Arguments::default()
                },
            ),
            ("groups[0].pattern", group(Group::default())),
        ];
        for (field, arguments) in faults {
            let fault = arguments.check().unwrap_err().to_string();
            assert!(fault.contains(&format!("`{field}`")), "{field}: {fault}");
        }
        for (field, wrong) in [
            ("groups[0].factor", Group { factor: Some(-1.0), ..Group::default() }),
            ("groups[0].learning_rate", Group { learning_rate: Some(1e-5), freeze: true, ..Group::default() }),
            ("groups[0].factor", Group { factor: Some(0.1), learning_rate: Some(1e-5), ..Group::default() }),
        ] {
            let fault = Arguments { groups: vec![wrong], ..Arguments::default() }.check().unwrap_err().to_string();
            assert!(fault.contains(&format!("`{field}`")), "{field}: {fault}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let fault = serde_json::from_str::<Arguments>(r#"{"epoch": 4}"#).unwrap_err().to_string();
        assert!(fault.contains("`epoch`") && fault.contains("`epochs`"), "{fault}");
    }

    #[test]
    fn invalid_values_are_named() {
        let faults: [(&str, Arguments); 22] = [
            (
                "lazy_embeddings",
                Arguments { lazy_embeddings: true, reproduce: Some(Version::V3_0_1), ..Arguments::default() },
            ),
            ("mini_batch_size", Arguments { mini_batch_size: Some(0), ..Arguments::default() }),
            ("mini_batch_tokens", Arguments { mini_batch_tokens: Some(0), ..Arguments::default() }),
            ("ema_decay", Arguments { ema_decay: Some(1.0), ..Arguments::default() }),
            ("ema_decay", Arguments { ema_decay: Some(f64::NAN), ..Arguments::default() }),
            ("learning_rate", Arguments { learning_rate: 0.0, ..Arguments::default() }),
            ("adam_epsilon", Arguments { adam_epsilon: 1e39, ..Arguments::default() }),
            ("max_grad_norm", Arguments { max_grad_norm: 1e300, ..Arguments::default() }),
            ("epochs", Arguments { epochs: 0.0, ..Arguments::default() }),
            ("batch_size", Arguments { batch_size: 0, ..Arguments::default() }),
            ("gradient_accumulation_steps", Arguments { gradient_accumulation_steps: 0, ..Arguments::default() }),
            ("learning_rate", Arguments { learning_rate: f64::NAN, ..Arguments::default() }),
            ("warmup_ratio", Arguments { warmup_ratio: 1.5, ..Arguments::default() }),
            ("adam_beta2", Arguments { adam_beta2: 1.0, ..Arguments::default() }),
            ("keep_best", Arguments { keep_best: Some("x".into()), ..Arguments::default() }),
            ("evaluate", Arguments { evaluate: Evaluate::Steps(0.into()), ..Arguments::default() }),
            ("log_every", Arguments { log_every: 0.into(), ..Arguments::default() }),
            ("early_stopping_patience", Arguments { early_stopping_patience: Some(2), ..Arguments::default() }),
            ("early_stopping_threshold", Arguments { early_stopping_threshold: 0.1, ..Arguments::default() }),
            ("early_stopping_threshold", Arguments { early_stopping_threshold: f64::NAN, ..Arguments::default() }),
            (
                "keep_best",
                Arguments {
                    keep_best: Some(vec!["loss".to_string(), "x".to_string()].into()),
                    evaluate: Evaluate::Epoch,
                    ..Arguments::default()
                },
            ),
            ("save_total_limit", Arguments { save_total_limit: Some(0), ..Arguments::default() }),
        ];
        for (field, arguments) in faults {
            let fault = arguments.check().unwrap_err().to_string();
            assert!(fault.contains(&format!("`{field}`")), "{field}: {fault}");
        }
        Arguments::default().check().unwrap();
    }
}
