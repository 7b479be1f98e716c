//! Checkpoints on disk.
//!
//! `checkpoint-N/` is kept after an evaluation at update N; `checkpoint-N.M/` is a temporary one, M
//! micro-batches after update N, and is removed when the next checkpoint is complete. Each holds
//! the model as `save_model` writes it, `training_state.safetensors` and `trainer_state.json`;
//! `loss_state_0.safetensors` and so on have the state of the layers that losses own. A checkpoint
//! has its final name only when it is complete.

mod identity;
mod state_file;

use crate::linear_layer::LinearLayer;
use crate::log::Log;
use crate::loss_layers::LossLayers;
use crate::plan::Position;
use crate::schedule::Plateau;
use crate::summary::RunSummary;
use crate::{Arguments, Failure, LogRow, TrainError, TrainingRecord};
pub(crate) use identity::Identity;
use maana_files::NewFolder;
use maana_model::Trainable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use state_file::{Optional, TENSORS_FILE};
use std::fs;
use std::path::{Path, PathBuf};

const STATE_FILE: &str = "trainer_state.json";
const FORMAT: u64 = 1;

/// The state that a run needs to continue, except the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Position of the run.
    pub(crate) position: Position,
    /// Sums since the last row of the log.
    pub(crate) window: Window,
    /// The log, and the best update so far.
    pub(crate) record: TrainingRecord,
    /// Folder name of the best checkpoint.
    pub(crate) best_checkpoint: Option<String>,
    /// Evaluations in a row that did not improve the best value enough. Older checkpoints do not
    /// have it.
    #[serde(default)]
    pub(crate) evaluations_without_gain: u64,
    /// True if an evaluation failed here, with which the run must continue.
    pub(crate) evaluation_due: bool,
    /// The learning rate of a schedule that follows a metric, after its first evaluation.
    #[serde(default)]
    pub(crate) plateau: Option<Plateau>,
    /// Updates of each layer that a loss owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) loss_updates: Vec<u64>,
}

/// Sums from one row of the log to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Sum of the weighted losses of the micro-batches.
    pub(crate) loss: f64,
    /// Update of the last row.
    pub(crate) from_step: u64,
    /// Tokens that passed through the model.
    pub(crate) tokens: u64,
    /// Seconds of training, without evaluations and checkpoints.
    pub(crate) seconds: f64,
    /// Sum of the losses before weighting, and number of micro-batches, of each data set.
    #[serde(default)]
    pub(crate) sets: Vec<(f64, u64)>,
}

/// The part of `trainer_state.json` under `maana`.
#[derive(Serialize, Deserialize)]
struct Ours {
    format: u64,
    version: String,
    #[serde(flatten)]
    state: State,
    run: Identity,
    /// XXH3 of the file of tensors.
    tensors_xxh3: String,
    /// XXH3 of the file of each layer that a loss owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    loss_xxh3: Vec<String>,
}

/// The checkpoints and the log of a run.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    log: Log,
}

/// Name of a checkpoint: `checkpoint-N` or `checkpoint-N.M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    step: u64,
    /// Micro-batches after that update, for a temporary checkpoint.
    open: Option<u64>,
}

impl Name {
    pub(crate) fn kept(position: &Position) -> Self {
        Self { step: position.step, open: None }
    }

    pub(crate) fn passing(position: &Position) -> Self {
        Self { step: position.step, open: Some(position.open) }
    }

    fn parse(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix("checkpoint-")?;
        let (step, open) = match numbers.split_once('.') {
            Some((step, open)) => (step, Some(open.parse().ok()?)),
            None => (numbers, None),
        };
        let parsed = Self { step: step.parse().ok()?, open };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.open {
            Some(open) => write!(formatter, "checkpoint-{}.{open}", self.step),
            None => write!(formatter, "checkpoint-{}", self.step),
        }
    }
}

/// The state from which a run resumes.
pub(crate) struct Found {
    pub(crate) checkpoint: PathBuf,
    pub(crate) state: State,
    /// Newer checkpoints that are unusable, with reasons. They were renamed to `….corrupt`.
    pub(crate) unusable: Vec<(PathBuf, String)>,
}

impl Checkpoints {
    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// If it cannot be written, or already contains checkpoints.
    pub(crate) fn start(folder: &Path, arguments: &Arguments) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io("cannot make the folder", folder))?;
        if !names(folder)?.is_empty() {
            return Err(TrainError::EarlierRun { folder: folder.to_path_buf() });
        }
        clear_leftovers(folder)?;
        let log = Log::write(folder, arguments, &TrainingRecord::default())?;
        Ok(Self { folder: folder.to_path_buf(), log })
    }

    /// Opens the folder of an interrupted run and loads the newest valid checkpoint. Returns `None`
    /// if there is no checkpoint yet, so that the run starts from the beginning.
    ///
    /// # Errors
    /// If the run has other data or arguments, or none of its checkpoints is usable.
    pub(crate) fn resume(
        folder: &Path,
        run: &Identity,
        model: &mut impl Trainable,
        losses: &LossLayers<'_>,
    ) -> Result<(Self, Option<Found>), TrainError> {
        let names = match folder.exists() {
            true => names(folder)?,
            false => Vec::new(),
        };
        if names.is_empty() {
            return Ok((Self::start(folder, &run.arguments)?, None));
        }
        clear_leftovers(folder)?;
        let mut unusable = Vec::new();
        let mut read = Vec::new();
        for name in names {
            let checkpoint = folder.join(name.to_string());
            match read_state(&checkpoint)? {
                Ok(ours) => read.push((checkpoint, ours)),
                Err(reason) => unusable.push((checkpoint, reason)),
            }
        }
        read.sort_by_key(|(_, ours)| std::cmp::Reverse(ours.state.position.micro_step));
        if let Some((checkpoint, newest)) = read.first() {
            let differences = newest.run.differences(run);
            if !differences.is_empty() {
                return Err(TrainError::OtherRun { folder: checkpoint.clone(), differences });
            }
        }
        for (checkpoint, ours) in read {
            let best = ours.state.best_checkpoint.as_ref().map(|best| folder.join(best));
            let reason = match best.filter(|best| !best.join(TENSORS_FILE).exists()) {
                Some(best) => Some(format!("the best checkpoint {} is gone", best.display())),
                None => {
                    let parts = optional(&ours.state, &ours.run);
                    let path = checkpoint.join(TENSORS_FILE);
                    let of_model = state_file::read(&path, model, parts, &ours.tensors_xxh3)?;
                    let of_losses = each_loss(losses, &ours, |mut layer, name, checksum| {
                        state_file::read(&checkpoint.join(name), &mut layer, parts, checksum)
                    })?;
                    of_model.and(of_losses).err()
                }
            };
            if let Some(reason) = reason {
                unusable.push((checkpoint, reason));
                continue;
            }
            for (newer, _) in &mut unusable {
                *newer = set_aside(newer)?;
            }
            let log = Log::write(folder, &run.arguments, &ours.state.record)?;
            let opened = Self { folder: folder.to_path_buf(), log };
            return Ok((opened, Some(Found { checkpoint, state: ours.state, unusable })));
        }
        let reasons = unusable.into_iter().map(|(checkpoint, reason)| format!("{}: {reason}", checkpoint.display()));
        Err(TrainError::NoUsableCheckpoint { folder: folder.to_path_buf(), reasons: reasons.collect() })
    }

    /// Writes a checkpoint, which is complete and synced when this returns.
    ///
    /// # Errors
    /// If the disk is full or cannot be written. Existing checkpoints remain.
    pub(crate) fn save<M: Trainable>(
        &self,
        name: Name,
        state: &State,
        run: &Identity,
        (model, losses): (&mut M, &LossLayers<'_>),
        save_model: impl FnOnce(&M, &Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, TrainError> {
        let target = self.folder.join(name.to_string());
        let new = NewFolder::create(&target).map_err(TrainError::io("cannot make the folder", &target))?;
        let parts = optional(state, run);
        with_average(model, losses, parts.average, |model| save_model(model, new.path()))
            .map_err(|source| TrainError::SaveModel { folder: target.clone(), source })?;
        let tensors_xxh3 = state_file::write(&new.path().join(TENSORS_FILE), model, parts)
            .map_err(TrainError::io("cannot write", &target.join(TENSORS_FILE)))?;
        let of_loss = |(number, layer): (usize, &LinearLayer)| {
            let name = loss_file(number);
            state_file::write(&new.path().join(&name), &layer, parts)
                .map_err(TrainError::io("cannot write", &target.join(name)))
        };
        let loss_xxh3 = losses.iter().enumerate().map(of_loss).collect::<Result<_, _>>()?;
        let ours = Ours {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            state: state.clone(),
            run: run.clone(),
            tensors_xxh3,
            loss_xxh3,
        };
        let text = serde_json::to_string_pretty(&trainer_state(ours)).expect("a state is plain data") + "\n";
        maana_files::write_inside(&new.path().join(STATE_FILE), text)
            .map_err(TrainError::io("cannot write", &target.join(STATE_FILE)))?;
        new.commit().map_err(TrainError::io("cannot write", &target))?;
        self.log.sync()?;
        Ok(target)
    }

    /// Removes temporary checkpoints other than `newest`, and the oldest of the kept ones beyond
    /// `limit`, but never the best. Returns the removed ones.
    pub(crate) fn prune(
        &self,
        newest: Name,
        best: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Vec<PathBuf>, TrainError> {
        let stands = names(&self.folder)?;
        let (kept, passing): (Vec<Name>, Vec<Name>) = stands.into_iter().partition(|name| name.open.is_none());
        let removable = |name: &&Name| **name != newest && Some(name.to_string().as_str()) != best;
        let surplus = limit.map_or(0, |limit| kept.len().saturating_sub(limit));
        let mut removed = Vec::new();
        for name in passing.iter().filter(removable).chain(kept.iter().filter(removable).take(surplus)) {
            let folder = self.folder.join(name.to_string());
            maana_files::remove_folder(&folder).map_err(TrainError::io("cannot remove", &folder))?;
            removed.push(folder);
        }
        Ok(removed)
    }

    /// Loads only the evaluated parameters of a checkpoint.
    pub(crate) fn load_parameters(
        &self,
        checkpoint: &str,
        model: &mut impl Trainable,
        losses: &LossLayers<'_>,
    ) -> Result<(), TrainError> {
        let folder = self.folder.join(checkpoint);
        let unusable = |reason| TrainError::Checkpoint { folder: folder.clone(), reason };
        let ours = read_state(&folder)?.map_err(unusable)?;
        let path = folder.join(TENSORS_FILE);
        let parts = optional(&ours.state, &ours.run);
        state_file::read_parameters(&path, model, parts, &ours.tensors_xxh3)?.map_err(unusable)?;
        let of_losses = each_loss(losses, &ours, |mut layer, name, checksum| {
            state_file::read_parameters(&folder.join(name), &mut layer, parts, checksum)
        })?;
        of_losses.map_err(unusable)
    }

    /// Appends the summary of the complete run to the log.
    pub(crate) fn log_summary(&mut self, summary: &RunSummary) -> Result<(), TrainError> {
        self.log.append_summary(summary)
    }

    /// Appends a row to the log.
    pub(crate) fn log(&mut self, row: &LogRow) -> Result<(), TrainError> {
        self.log.append(row)
    }
}

/// Returns the optional parts of the tensors of a state.
fn optional(state: &State, run: &Identity) -> Optional {
    let Position { step, open, .. } = state.position;
    Optional { average: run.arguments.ema_decay.is_some() && step > 0, gradients: open > 0 }
}

/// Returns the name of the file of a layer that a loss owns.
fn loss_file(number: usize) -> String {
    format!("loss_state_{number}.safetensors")
}

/// Calls `read` with each layer that a loss owns, its file and the checksum. Returns the fault of
/// the first invalid file; the outer error is one of the system.
fn each_loss(
    losses: &LossLayers<'_>,
    ours: &Ours,
    mut read: impl FnMut(&LinearLayer, &str, &str) -> Result<Result<(), String>, TrainError>,
) -> Result<Result<(), String>, TrainError> {
    for (number, layer) in losses.iter().enumerate() {
        let name = loss_file(number);
        let result = match ours.loss_xxh3.get(number) {
            Some(checksum) => read(layer, &name, checksum)?,
            None => Err(format!("it has no {name}")),
        };
        if result.is_err() {
            return Ok(result);
        }
    }
    Ok(Ok(()))
}

/// Calls `work` with the averaged parameters in the place of the parameters of the model and of the
/// losses, if there is an average.
pub(crate) fn with_average<M: Trainable, T>(
    model: &mut M,
    losses: &LossLayers<'_>,
    averaged: bool,
    work: impl FnOnce(&M) -> T,
) -> T {
    let swap = |model: &mut M| {
        if averaged {
            model.swap_average();
            losses.swap_average();
        }
    };
    swap(model);
    let result = work(model);
    swap(model);
    result
}

/// Returns the checkpoints of a folder, oldest first.
fn names(folder: &Path) -> Result<Vec<Name>, TrainError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(TrainError::io("cannot read", folder))? {
        let entry = entry.map_err(TrainError::io("cannot read", folder))?;
        names.extend(entry.file_name().to_str().and_then(Name::parse));
    }
    names.sort();
    Ok(names)
}

/// Removes the remains of an interrupted write or removal, including those of earlier versions.
fn clear_leftovers(folder: &Path) -> Result<(), TrainError> {
    maana_files::remove_leftovers(folder);
    for entry in fs::read_dir(folder).map_err(TrainError::io("cannot read", folder))? {
        let entry = entry.map_err(TrainError::io("cannot read", folder))?;
        let name = entry.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".writing").or(name.strip_suffix(".removing")));
        if stem.and_then(Name::parse).is_some() {
            fs::remove_dir_all(entry.path()).map_err(TrainError::io("cannot remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Renames an unusable checkpoint, so that it is ignored and can still be inspected.
fn set_aside(checkpoint: &Path) -> Result<PathBuf, TrainError> {
    let name = file_name(checkpoint);
    let free = (1..).map(|number| match number {
        1 => checkpoint.with_file_name(format!("{name}.corrupt")),
        _ => checkpoint.with_file_name(format!("{name}.corrupt-{number}")),
    });
    let aside = free.into_iter().find(|aside| !aside.exists()).expect("some number is free");
    maana_files::rename(checkpoint, &aside).map_err(TrainError::io("cannot rename", checkpoint))?;
    Ok(aside)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads the state of a checkpoint, or returns the reason why it is unusable. The outer error is
/// one of the system.
fn read_state(checkpoint: &Path) -> Result<Result<Ours, String>, TrainError> {
    let path = checkpoint.join(STATE_FILE);
    let Some(bytes) = maana_files::read_optional(&path).map_err(TrainError::io("cannot read", &path))? else {
        return Ok(Err(format!("it has no {STATE_FILE}")));
    };
    let state: Value = match serde_json::from_slice(&bytes) {
        Ok(state) => state,
        Err(fault) => return Ok(Err(format!("{STATE_FILE} is damaged: {fault}"))),
    };
    let ours = &state["maana"];
    if ours["format"].as_u64().is_some_and(|format| format != FORMAT) {
        return Ok(Err(format!("{STATE_FILE} is of format {}, and this version reads {FORMAT}", ours["format"])));
    }
    Ok(Ours::deserialize(ours).map_err(|fault| format!("{STATE_FILE} is damaged: {fault}")))
}

/// Returns the state in the format of the Hugging Face trainer, with our part under `maana`.
fn trainer_state(ours: Ours) -> Value {
    let record = &ours.state.record;
    let history: Vec<Value> = record.rows.iter().map(history_row).collect();
    json!({
        "best_metric": record.best_value,
        "best_model_checkpoint": ours.state.best_checkpoint,
        "epoch": ours.state.position.shown_epoch,
        "global_step": ours.state.position.step,
        "log_history": history,
        "logging_steps": ours.run.arguments.log_every,
        "train_batch_size": ours.run.arguments.batch_size,
        "maana": ours,
    })
}

/// Returns a row in the form of the Hugging Face trainer's log. JSON has no NaN.
fn history_row(row: &LogRow) -> Value {
    let mut values: serde_json::Map<_, _> =
        row.logged().into_iter().map(|(name, value)| (name, json!(value))).collect();
    values.insert("step".into(), json!(row.step()));
    values.into()
}
