//! The data sets of a run, and the batches of each epoch.

use crate::arguments::Version;
use crate::optimizer::in_f32;
use crate::{Arguments, BatchSampler, Loss, TrainError};
use maana_data::{BatchPlan, SetSampler, Source};
use maana_model::Prompt;
use maana_text::Tokenizer;
use std::sync::Arc;

/// A data set of a run, with its loss.
#[derive(Clone, Copy)]
pub struct TrainingSet<'a> {
    /// Name for messages, the log and checkpoints; may be empty if the run has no other set.
    pub name: &'a str,
    /// The rows, with columns in the order of the loss.
    pub source: &'a dyn Source,
    /// The loss of its batches.
    pub loss: &'a dyn Loss,
    /// Factor of the loss, above 0.
    pub weight: f64,
    /// Prompt of each column; empty if no column has one.
    pub prompts: &'a [Prompt],
    /// Tower of each column; empty if the model has one tower for all texts.
    pub towers: &'a [ColumnTower],
}

/// The tower of a model with several that embeds the texts of a column.
#[derive(Clone)]
pub struct ColumnTower {
    /// The number of the tower ([`maana_model::Trainable::activations`]).
    pub number: usize,
    /// The route to the tower, by which a resumed run recognises it.
    pub route: String,
    /// The tower's tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// Tokens of a text that the tower reads.
    pub max_length: usize,
}

impl<'a> TrainingSet<'a> {
    /// Creates a set without a name and prompts, with weight 1.
    pub fn new(source: &'a dyn Source, loss: &'a dyn Loss) -> Self {
        Self { name: "", source, loss, weight: 1.0, prompts: &[], towers: &[] }
    }

    /// Checks columns, labels and weight.
    ///
    /// # Errors
    /// If the loss does not accept the columns or labels, or the weight is not above 0.
    ///
    /// # Panics
    /// If the number of prompts or of towers is not that of the columns.
    pub fn check(&self) -> Result<(), TrainError> {
        self.loss.needs().check_data(self.loss.describe().recipe_name(), self.source)?;
        if !(in_f32(self.weight) && self.weight > 0.0) {
            return Err(TrainError::argument("weight", self.weight, "a number above 0 that f32 can hold"));
        }
        let columns = self.source.columns().len();
        assert!(self.prompts.is_empty() || self.prompts.len() == columns, "a prompt a column");
        assert!(self.towers.is_empty() || self.towers.len() == columns, "a tower a column");
        Ok(())
    }

    /// Number of towers that batches of this set need.
    pub(crate) fn tower_count(&self) -> usize {
        self.towers.iter().map(|tower| tower.number + 1).max().unwrap_or(1)
    }

    /// Checks the sets of a run: each by itself, and that the labels of a single one differ.
    ///
    /// # Errors
    /// As [`TrainingSet::check`], or if the labels are the same in all rows.
    pub(crate) fn check_all(sets: &[Self]) -> Result<(), TrainError> {
        sets.iter().try_for_each(|set| set.check().map_err(|error| set.name_error(error)))?;
        match sets {
            [set] => set.check_differences(),
            _ => Ok(()),
        }
    }

    /// Checks that a loss of cross-encoders or of classes can learn something from the labels of
    /// this set only.
    ///
    /// # Errors
    /// If they are the same in all rows.
    pub fn check_differences(&self) -> Result<(), TrainError> {
        self.loss.needs().check_differences(self.loss.describe().recipe_name(), self.source)
    }

    /// Adds the name of the set to an error, if it has one.
    pub(crate) fn name_error(&self, error: TrainError) -> TrainError {
        match self.name {
            "" => error,
            name => TrainError::InSet { set: name.into(), source: Box::new(error) },
        }
    }
}

impl Arguments {
    /// Sampler of the batches of each epoch.
    pub(crate) fn sampler(&self) -> BatchPlan {
        BatchPlan {
            sampler: self.batch_sampler,
            batch_size: self.batch_size,
            drop_last: self.drop_last,
            seed: self.seed,
            reproduces_301: self.reproduce == Some(Version::V3_0_1),
        }
    }
}

/// Refuses settings that do not fit the sets.
pub(crate) fn check(sets: &[&dyn Source], arguments: &Arguments) -> Result<(), TrainError> {
    if arguments.batch_sampler != BatchSampler::GroupByLabel {
        return Ok(());
    }
    match sets.iter().map(|set| maana_data::labels_to_group(*set)).find(|labels| *labels < 2) {
        Some(labels) => {
            let wanted =
                format!("another sampler: it needs two labels with two rows each, and a data set has {labels}");
            Err(TrainError::argument("batch_sampler", "group_by_label", wanted))
        }
        None => Ok(()),
    }
}

/// The rows of one epoch.
pub(crate) struct EpochRows<'a> {
    sets: Vec<&'a dyn Source>,
    /// Rows of the sets whose epochs differ.
    drawn: Vec<Option<Arc<dyn Source>>>,
    epoch: u64,
}

impl<'a> EpochRows<'a> {
    pub(crate) fn new(sets: Vec<&'a dyn Source>, epoch: u64) -> Self {
        let drawn = sets.iter().map(|set| set.epoch(epoch)).collect();
        Self { sets, drawn, epoch }
    }

    /// Returns the rows of set `set` in this epoch.
    pub(crate) fn source(&self, set: usize) -> &dyn Source {
        self.drawn[set].as_deref().unwrap_or(self.sets[set])
    }

    /// Returns the number of the set and the rows of each batch.
    pub(crate) fn batches(&self, arguments: &Arguments, sampler: SetSampler) -> Vec<(usize, Vec<u32>)> {
        let sources: Vec<&dyn Source> = (0..self.sets.len()).map(|set| self.source(set)).collect();
        arguments.sampler().epoch(&sources, sampler, self.epoch).collect()
    }
}
