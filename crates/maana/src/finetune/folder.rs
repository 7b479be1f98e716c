//! The folder of a run: recipe, log, checkpoints, scores and, at the end, the model with card and
//! report.

use super::blending::BlendRecord;
use super::error::FinetuneError;
use crate::card::{self, CardFacts};
use crate::recipe::{EvaluationTable, LocatedRecipe};
use crate::report;
use maana_eval::Scores;
use maana_files::FileError;
use maana_model::TrainingModel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The file that the training process locks.
const LOCK: &str = "lock";

/// Locks the folder of a run until it is dropped or the process ends.
pub(super) struct RunLock {
    _file: Option<File>,
}

/// The sets that a run measures: `[evaluation]`, and the fingerprint of the content of each set and
/// guard by kind and name.
#[derive(Serialize, Deserialize)]
pub(super) struct MeasuredSets {
    evaluation: Value,
    sets: BTreeMap<String, String>,
}

impl MeasuredSets {
    pub(super) fn new(evaluation: &EvaluationTable, sets: impl Iterator<Item = (String, String)>) -> Self {
        Self { evaluation: json!(evaluation), sets: sets.collect() }
    }

    /// Returns the names of the sets whose content is another one now.
    fn changed<'a>(&self, now: &'a Self) -> Vec<&'a str> {
        let is_other = |(name, now): &(&String, &String)| self.sets.get(*name).is_some_and(|then| then != *now);
        now.sets.iter().filter(is_other).map(|(name, _)| name.as_str()).collect()
    }
}

/// The folder of a run.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates the folder's handle; the folder itself may not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder, or with `resume` opens the existing one, and locks it against other
    /// processes.
    pub(super) fn begin(&self, located: &LocatedRecipe, resume: bool) -> Result<RunLock, FinetuneError> {
        let recipe = self.path.join("recipe.toml");
        let path = self.path.display();
        if self.path.exists() && !self.path.is_dir() {
            return Err(FinetuneError::Fit(format!("{path}: is a file; name a folder for the run")));
        }
        let occupied = self.path.is_dir() && {
            let entries = std::fs::read_dir(&self.path).map_err(FileError::at(&self.path))?;
            // A run that was killed before it wrote its recipe leaves only these.
            let leftover = |name: &str| name == LOCK || (name.starts_with('.') && name.ends_with(".incomplete"));
            entries.flatten().any(|entry| !entry.file_name().to_str().is_some_and(leftover))
        };
        if occupied && !recipe.exists() {
            let reason = "exists and is not the folder of a run; choose another folder with --out";
            return Err(FinetuneError::Fit(format!("{path}: {reason}")));
        }
        if occupied && !resume {
            let reason = "contains an earlier run; continue it with --resume, or choose another folder with --out";
            return Err(FinetuneError::Fit(format!("{path}: {reason}")));
        }
        if resume && !occupied {
            return Err(FinetuneError::Fit(format!("{path}: there is no run to resume; omit --resume to start one")));
        }
        std::fs::create_dir_all(&self.path).map_err(FileError::at(&self.path))?;
        let lock = self.lock()?;
        if !occupied {
            self.write("recipe.toml", located.to_toml().as_bytes())?;
        }
        Ok(lock)
    }

    fn lock(&self) -> Result<RunLock, FinetuneError> {
        let path = self.path.join(LOCK);
        let file = maana_files::open_to_append(&path).map_err(FileError::at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(FinetuneError::Fit(format!(
                "{}: another process is training in this folder; wait until it ends, or choose another folder with --out",
                self.path.display()
            ))),
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => Ok(RunLock { _file: None }),
        }
    }

    /// Returns whether the run began with these evaluations.
    fn began_with(&self, now: &MeasuredSets) -> bool {
        let began = LocatedRecipe::read(&self.path.join("recipe.toml"), &[]);
        began.is_ok_and(|began| json!(began.recipe.evaluation) == now.evaluation)
    }

    /// Reads the scores of an earlier evaluation.
    pub(super) fn read_scores(&self, when: &str) -> Result<Option<Vec<Scores>>, FinetuneError> {
        read_json(self.path.join("evaluation").join(format!("{when}.scores.json")))
    }

    /// Writes scores as JSON with the keys of Sentence Transformers, and completely for this
    /// program.
    pub(super) fn write_scores(&self, when: &str, scores: &[Scores]) -> Result<(), FinetuneError> {
        let folder = self.path.join("evaluation");
        std::fs::create_dir_all(&folder).map_err(FileError::at(&folder))?;
        let pretty = |json: &Value| format!("{json:#}\n").into_bytes();
        self.write(&format!("evaluation/{when}.json"), &pretty(&maana_eval::to_json(scores).into()))?;
        self.write(&format!("evaluation/{when}.scores.json"), &pretty(&json!(scores)))
    }

    /// Returns whether the measurements of an earlier start are of the same `[evaluation]` and sets
    /// as those of this one, whose fingerprints are remembered.
    ///
    /// # Errors
    /// If only the content of sets has changed: names them.
    pub(super) fn has_measured(&self, now: &MeasuredSets, resume: bool) -> Result<bool, FinetuneError> {
        let folder = self.path.join("evaluation");
        let earlier: Option<MeasuredSets> = if resume { read_json(folder.join("sets.json"))? } else { None };
        let is_same = match &earlier {
            Some(earlier) if earlier.evaluation == now.evaluation => {
                let changed = earlier.changed(now);
                if !changed.is_empty() {
                    return Err(FinetuneError::Fit(format!(
                        "{}: the content of sets has changed since this run began, so that its measurements cannot be \
                         compared: {}; restore their files, or remove this folder to measure the base, and blends \
                         with it, again",
                        folder.display(),
                        changed.join(", ")
                    )));
                }
                true
            }
            Some(_) => false,
            // Versions without the file trusted the recipe.
            None => resume && self.began_with(now),
        };
        let before = folder.join("before.scores.json");
        if !is_same && before.exists() {
            // Before the fingerprints, which would vouch for them.
            std::fs::remove_file(&before).map_err(FileError::at(&before))?;
        }
        std::fs::create_dir_all(&folder).map_err(FileError::at(&folder))?;
        let json = serde_json::to_string_pretty(now).expect("names and fingerprints are plain data") + "\n";
        self.write("evaluation/sets.json", json.as_bytes())?;
        Ok(is_same)
    }

    /// Returns the path of the measured blends.
    pub(super) fn blends(&self) -> PathBuf {
        self.path.join("evaluation").join("blend.json")
    }

    /// Reads the blends that were measured earlier.
    pub(super) fn read_blends(&self) -> Result<Option<BlendRecord>, FinetuneError> {
        read_json(self.blends())
    }

    /// Writes the measured blends.
    pub(super) fn write_blends(&self, blends: &BlendRecord) -> Result<(), FinetuneError> {
        let json = serde_json::to_string_pretty(blends).expect("blends are plain data") + "\n";
        self.write("evaluation/blend.json", json.as_bytes())
    }

    /// Writes the model with its card and report, and copies of the report and its charts into the
    /// folder of the run.
    pub(super) fn publish(&self, model: &TrainingModel, facts: &CardFacts) -> Result<PathBuf, FinetuneError> {
        let folder = self.path.join("model");
        let (card, report) = (card::render(facts), report::render(facts));
        let curve = report::blend_chart_svg(facts);
        let mut further = vec![("README.md", card.as_bytes()), ("report.html", report.as_bytes())];
        further.extend(curve.iter().map(|curve| ("blend.svg", curve.as_bytes())));
        model.save(&folder, &further)?;
        if let Some(curve) = &curve {
            self.write("blend.svg", curve.as_bytes())?;
        }
        self.write("report.html", report.as_bytes())?;
        self.write("quality.svg", report::metric_chart_svg(facts).as_bytes())?;
        self.write("loss.svg", report::loss_chart_svg(facts).as_bytes())?;
        Ok(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FinetuneError> {
        let path = self.path.join(name);
        Ok(maana_files::write(&path, bytes).map_err(FileError::at(&path))?)
    }
}

/// Reads a file of evaluations. One that is missing or malformed is evaluated again.
fn read_json<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<Option<T>, FinetuneError> {
    let bytes = maana_files::read_optional(&path).map_err(FileError::at(path))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
