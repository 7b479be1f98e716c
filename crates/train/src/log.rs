//! The log of a run on disk: `record.jsonl` with one row per line and, on request, the same for
//! TensorBoard.

use crate::summary::RunSummary;
use crate::tensorboard::EventFile;
use crate::{Arguments, LogRow, TrainError, TrainingRecord};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The open log of a run.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    events: Option<EventFile>,
}

impl Log {
    /// Replaces the log by the rows of `record`, and opens it for appending.
    pub(crate) fn write(folder: &Path, arguments: &Arguments, record: &TrainingRecord) -> Result<Self, TrainError> {
        let path = folder.join("record.jsonl");
        let text: String = record.rows.iter().map(line).collect();
        let file = maana_files::write(&path, text).and_then(|()| maana_files::open_to_append(&path));
        let file = file.map_err(TrainError::io("cannot write", &path))?;
        let events = || EventFile::create(folder, arguments, &record.rows, record.seconds);
        Ok(Self { path, file, events: arguments.tensorboard.then(events).transpose()? })
    }

    /// Appends a row.
    pub(crate) fn append(&mut self, row: &LogRow) -> Result<(), TrainError> {
        self.file.write_all(line(row).as_bytes()).map_err(TrainError::io("cannot write", &self.path))?;
        self.events.as_mut().map_or(Ok(()), |events| events.append(row))
    }

    /// Appends the summary of the complete run, which only TensorBoard has.
    pub(crate) fn append_summary(&mut self, summary: &RunSummary) -> Result<(), TrainError> {
        self.events.as_mut().map_or(Ok(()), |events| events.append_summary(summary))
    }

    /// Waits until `record.jsonl` is on the disk. A resumed run writes the events again.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io("cannot write", &self.path))
    }
}

fn line(row: &LogRow) -> String {
    let mut line = serde_json::to_string(row).expect("a row is plain data");
    line.push('\n');
    line
}
