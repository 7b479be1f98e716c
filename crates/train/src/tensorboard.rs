//! Event files for TensorBoard in `tensorboard/` of a run's folder: the log under the tags of the
//! Hugging Face trainer, and the settings of the run as a text.
//!
//! A resumed run writes a new file with its whole log so far, and removes the earlier one, which
//! may have rows after the checkpoint. The new file begins with the start of a session at step 0,
//! so that a TensorBoard that has read the earlier file drops its rows.

mod event;
mod frame;

use crate::{Arguments, LogRow, TrainError};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const FOLDER: &str = "tensorboard";
/// TensorBoard recognises its files by this beginning, and reads them in the order of their names.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".maana";

/// The event file of a run.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
    scalars: Scalars,
}

/// Converts rows to events, with the times of one run without pauses.
#[derive(Debug)]
struct Scalars {
    /// Unix time of the start of the run, if it had not been interrupted.
    start: f64,
    /// Seconds from the start to the last row.
    seconds: f64,
    /// Update of the last row.
    step: Option<u64>,
}

impl EventFile {
    /// Creates the file of a run that has logged these rows in this number of seconds.
    pub(crate) fn create(run: &Path, arguments: &Arguments, rows: &[LogRow], seconds: f64) -> Result<Self, TrainError> {
        let folder = run.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(TrainError::io("cannot make the folder", &folder))?;
        maana_files::remove_leftovers(&folder);
        let earlier = files(&folder)?;
        let number = earlier.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
        let path = folder.join(format!("{PREFIX}{number:010}{SUFFIX}"));

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let start = now - seconds;
        let mut scalars = Scalars { start, seconds: 0.0, step: None };
        let settings = serde_json::to_string_pretty(arguments).expect("settings are plain data");
        let mut bytes = Vec::new();
        for event in [
            event::file_version(start),
            event::session_start(start, 0),
            event::text(start, 0, "args/text_summary", &settings),
        ] {
            frame::write(&event, &mut bytes);
        }
        for row in rows {
            bytes.extend(scalars.events(row));
        }
        let file = maana_files::write(&path, bytes).and_then(|()| maana_files::open_to_append(&path));
        let file = file.map_err(TrainError::io("cannot write", &path))?;
        for (_, old) in earlier {
            std::fs::remove_file(&old).map_err(TrainError::io("cannot remove", &old))?;
        }
        Ok(Self { path, file, scalars })
    }

    /// Appends a row of the log.
    pub(crate) fn append(&mut self, row: &LogRow) -> Result<(), TrainError> {
        let bytes = self.scalars.events(row);
        self.file.write_all(&bytes).map_err(TrainError::io("cannot write", &self.path))
    }
}

impl Scalars {
    /// Returns the records of a row, and advances to its time.
    fn events(&mut self, row: &LogRow) -> Vec<u8> {
        self.seconds = match row {
            LogRow::Training { seconds, .. } => *seconds,
            LogRow::Evaluation { seconds, .. } => self.seconds + seconds,
        };
        // An evaluation after a row of training has the same epoch.
        let repeats = self.step.replace(row.step()) == Some(row.step());
        let mut bytes = Vec::new();
        for (name, value) in row.logged().into_iter().filter(|(name, _)| !(repeats && name == "epoch")) {
            let event = event::scalar(self.start + self.seconds, row.step(), &tag(&name), value);
            frame::write(&event, &mut bytes);
        }
        bytes
    }
}

/// Returns the tag that the Hugging Face trainer gives to a name of its log.
fn tag(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(metric) => format!("eval/{metric}"),
        None => format!("train/{name}"),
    }
}

/// Returns the event files of earlier calls with their numbers.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(TrainError::io("cannot read", folder))? {
        let entry = entry.map_err(TrainError::io("cannot read", folder))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        files.extend(number.map(|number| (number, entry.path())));
    }
    Ok(files)
}
