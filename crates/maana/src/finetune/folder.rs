//! The folder of a run: recipe, log, checkpoints, measures and, at the end, the model with card and report.

use super::FinetuneError;
use crate::card::{self, CardFacts};
use crate::recipe::LocatedRecipe;
use crate::report;
use maana_eval::Scores;
use maana_model::SentenceModel;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The file that the process which trains holds locked.
const LOCK: &str = "lock";

/// Keeps other processes out of the folder of a run, until it is dropped or the process ends.
pub(super) struct RunLock {
    _file: Option<File>,
}

/// The folder of a run.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, or takes it up again if `resume`. Other processes are kept out of it while the lock is held.
    pub(super) fn begin(&self, located: &LocatedRecipe, resume: bool) -> Result<RunLock, FinetuneError> {
        let recipe = self.path.join("recipe.toml");
        let place = self.path.display();
        if self.path.exists() && !self.path.is_dir() {
            return Err(FinetuneError::Fit(format!("{place}: is a file; give a folder for the run")));
        }
        let occupied = self.path.is_dir() && {
            let entries = std::fs::read_dir(&self.path).map_err(|source| self.io(&self.path, source))?;
            // A run that was killed before its recipe stood leaves no more than this.
            let leftover = |name: &str| name == LOCK || (name.starts_with('.') && name.ends_with(".incomplete"));
            entries.flatten().any(|entry| !entry.file_name().to_str().is_some_and(leftover))
        };
        if occupied && !recipe.exists() {
            let reason = "is there already and is not the folder of a run; choose another with --out";
            return Err(FinetuneError::Fit(format!("{place}: {reason}")));
        }
        if occupied && !resume {
            let reason = "holds an earlier run; go on with --resume, or choose another folder with --out";
            return Err(FinetuneError::Fit(format!("{place}: {reason}")));
        }
        if resume && !occupied {
            return Err(FinetuneError::Fit(format!(
                "{place}: there is no run to resume; leave out --resume to begin one"
            )));
        }
        std::fs::create_dir_all(&self.path).map_err(|source| self.io(&self.path, source))?;
        let lock = self.lock()?;
        if !occupied {
            self.write("recipe.toml", located.to_toml().as_bytes())?;
        }
        Ok(lock)
    }

    fn lock(&self) -> Result<RunLock, FinetuneError> {
        let path = self.path.join(LOCK);
        let file = maana_files::open_to_append(&path).map_err(|source| self.io(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(FinetuneError::Fit(format!(
                "{}: another process trains in this folder; wait for its end, or choose another folder with --out",
                self.path.display()
            ))),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(RunLock { _file: None }),
        }
    }

    /// Scores that were written earlier.
    pub(super) fn read_scores(&self, when: &str) -> Result<Option<Vec<Scores>>, FinetuneError> {
        let path = self.path.join("evaluation").join(format!("{when}.scores.json"));
        match maana_files::read(&path) {
            // What cannot be read is measured again.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io(&path, source)),
        }
    }

    /// Writes scores for people and programs: the reference's keys as JSON, and everything for ourselves.
    pub(super) fn write_scores(&self, when: &str, scores: &[Scores]) -> Result<(), FinetuneError> {
        let folder = self.path.join("evaluation");
        std::fs::create_dir_all(&folder).map_err(|source| self.io(&folder, source))?;
        let pretty = |json: &serde_json::Value| format!("{json:#}\n").into_bytes();
        self.write(&format!("evaluation/{when}.json"), &pretty(&maana_eval::to_json(scores).into()))?;
        self.write(&format!("evaluation/{when}.scores.json"), &pretty(&serde_json::json!(scores)))
    }

    /// Writes the model with its card and report, and the report once more where it is found at once.
    pub(super) fn publish(&self, model: &SentenceModel, facts: &CardFacts) -> Result<PathBuf, FinetuneError> {
        let folder = self.path.join("model");
        let (card, report) = (card::render(facts), report::render(facts));
        model.save(&folder, &[("README.md", card.as_bytes()), ("report.html", report.as_bytes())])?;
        self.write("report.html", report.as_bytes())?;
        self.write("quality.svg", report::metric_chart_svg(facts).as_bytes())?;
        self.write("loss.svg", report::loss_chart_svg(facts).as_bytes())?;
        Ok(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FinetuneError> {
        let path = self.path.join(name);
        maana_files::write(&path, bytes).map_err(|source| self.io(&path, source))
    }

    fn io(&self, path: &Path, source: std::io::Error) -> FinetuneError {
        FinetuneError::Io { path: path.to_owned(), source }
    }
}
