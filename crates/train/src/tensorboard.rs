//! The event file for TensorBoard in `tensorboard/` of a run's folder: the log under the tags of
//! the Hugging Face trainer, its summary at the end, and the settings of the run as a text.
//!
//! A resumed run cuts the file after the rows of its checkpoint and appends. Because it logs the
//! same values again, and the encoding of a row has the same length at any time, a TensorBoard that
//! has read more than the checkpoint's rows finds the next row where it stopped.

mod event;
mod frame;

use crate::summary::RunSummary;
use crate::{Arguments, LogRow, TrainError};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const FOLDER: &str = "tensorboard";
/// TensorBoard recognises its files by the beginning of the name.
const NAME: &str = "events.out.tfevents.0000000001.maana";

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
    /// Creates or cuts the file of a run that has logged these rows in this number of seconds.
    pub(crate) fn create(run: &Path, arguments: &Arguments, rows: &[LogRow], seconds: f64) -> Result<Self, TrainError> {
        let folder = run.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(TrainError::io("cannot make the folder", &folder))?;
        maana_files::remove_leftovers(&folder);
        let path = folder.join(NAME);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let start = now - seconds;
        let mut scalars = Scalars { start, seconds: 0.0, step: None };
        let settings = serde_json::to_string_pretty(arguments).expect("settings are plain data");
        let mut bytes = Vec::new();
        frame::write(&event::file_version(start), &mut bytes);
        frame::write(&event::text(start, 0, "args/text_summary", &settings), &mut bytes);
        for row in rows {
            bytes.extend(scalars.events(row));
        }
        let file = open(&path, &bytes).map_err(TrainError::io("cannot write", &path))?;
        Ok(Self { path, file, scalars })
    }

    /// Appends a row of the log.
    pub(crate) fn append(&mut self, row: &LogRow) -> Result<(), TrainError> {
        let bytes = self.scalars.events(row);
        self.file.write_all(&bytes).map_err(TrainError::io("cannot write", &self.path))
    }

    /// Appends the summary of the complete run.
    pub(crate) fn append_summary(&mut self, summary: &RunSummary) -> Result<(), TrainError> {
        let bytes = self.scalars.summary_events(summary);
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
        let logged = row.logged();
        self.scalars(row.step(), logged.iter().map(|(name, value)| (name.as_str(), *value)))
    }

    /// Returns the records of the summary, and advances to the end of the run.
    fn summary_events(&mut self, summary: &RunSummary) -> Vec<u8> {
        self.seconds = self.seconds.max(summary.seconds);
        self.scalars(summary.step, summary.logged().into_iter())
    }

    /// Returns the records of values after an update.
    fn scalars<'n>(&mut self, step: u64, logged: impl Iterator<Item = (&'n str, f64)>) -> Vec<u8> {
        // Further values of an update have the same epoch.
        let repeats = self.step.replace(step) == Some(step);
        let mut bytes = Vec::new();
        for (name, value) in logged.filter(|(name, _)| !(repeats && *name == "epoch")) {
            frame::write(&event::scalar(self.start + self.seconds, step, &tag(name), value), &mut bytes);
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

/// Opens a file with these records for appending: cuts the one that begins with them, or replaces
/// any other.
fn open(path: &Path, records: &[u8]) -> std::io::Result<File> {
    let begins = maana_files::read_optional(path)?.is_some_and(|found| begins_with(&found, records));
    if !begins {
        maana_files::write(path, records)?;
    }
    let file = maana_files::open_to_append(path)?;
    file.set_len(records.len() as u64)?;
    Ok(file)
}

/// Returns whether a file begins with these records, whatever their times and checksums.
fn begins_with(file: &[u8], records: &[u8]) -> bool {
    let mut rest = (file, records);
    while !rest.1.is_empty() {
        let (Some((one, after)), Some((other, others))) = (frame::split(rest.0), frame::split(rest.1)) else {
            return false;
        };
        if event::without_time(one) != event::without_time(other) {
            return false;
        }
        rest = (after, others);
    }
    true
}
