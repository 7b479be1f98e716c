//! Errors of a run, each with its remedy.

use crate::BatchSampler;
use std::path::PathBuf;

/// An error of a closure or an observer of the caller.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An error that prevents or ends a run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting is invalid.
    #[error("`{field}` is {value}, but has to be {wanted}")]
    Argument {
        /// Field of the recipe.
        field: String,
        /// Its value.
        value: String,
        /// Allowed values.
        wanted: String,
    },
    /// The system refuses the thread for reading batches.
    #[error("the system refuses a thread to read batches: {0}; allow more (ulimit -u), or end other programs")]
    Thread(std::io::Error),
    /// There are too few rows for one batch, or they share too many texts.
    #[error("no batch comes of the data: {}", no_batch(*rows, *batch_size, *drop_last, *sampler))]
    NoBatch {
        /// Rows of the data.
        rows: usize,
        /// Rows of a batch.
        batch_size: usize,
        /// True if smaller batches are dropped.
        drop_last: bool,
        /// Sampler of the batches.
        sampler: BatchSampler,
    },
    /// The data do not have the columns or labels that the loss requires.
    #[error(
        "the loss `{loss}` needs {needed}, but the data have {found}; {}name the columns to be read in `columns`, or \
         choose another loss",
        file.as_ref().map(|file| format!("correct {file}, ")).unwrap_or_default()
    )]
    Columns {
        /// The loss.
        loss: String,
        /// Required columns and labels.
        needed: String,
        /// Columns and labels of the data.
        found: String,
        /// The file, if it is known.
        file: Option<Box<maana_data::Place>>,
    },
    /// A label has a value that the loss does not accept.
    #[error("{place}: the label is {value}, but the loss `{loss}` needs {needed}; correct it, or choose another loss")]
    Label {
        /// Place of the row.
        place: maana_data::Place,
        /// The loss.
        loss: String,
        /// The label.
        value: f32,
        /// Accepted labels.
        needed: &'static str,
    },
    /// All rows have one class.
    #[error(
        "{file}: all rows have the same label (`{column}`), but the loss `{loss}` compares texts of different classes; \
         add rows of others"
    )]
    OneClass {
        /// The file.
        file: maana_data::Place,
        /// The column of labels.
        column: String,
        /// The loss.
        loss: String,
    },
    /// All rows have one label.
    #[error(
        "{file}: all rows have the same label (`{column}`), from which the loss `{loss}` learns nothing; add rows with \
         other labels"
    )]
    OneLabel {
        /// The file.
        file: maana_data::Place,
        /// The column of labels.
        column: String,
        /// The loss.
        loss: String,
    },
    /// A label is not a class of the model.
    #[error(
        "{place}: the label is {value}, but the model has {classes} labels, so that the loss `{loss}` needs a whole \
         number from 0 to {}; correct it, or set [model] num_labels", classes.saturating_sub(1)
    )]
    NoSuchClass {
        /// Place of the row.
        place: maana_data::Place,
        /// The loss.
        loss: String,
        /// The label.
        value: f32,
        /// Labels of the model.
        classes: usize,
    },
    /// A row cannot be read.
    #[error("row {row} of the training data cannot be read")]
    Data {
        /// The row, from 0.
        row: usize,
        /// Error of the reader.
        #[source]
        source: maana_data::DataError,
    },
    /// A row has no label, although the data have labels.
    #[error("row {row} of the training data has no label; give it one or leave it out")]
    NoLabel {
        /// The row, from 0.
        row: usize,
    },
    /// A batch cannot be tokenized.
    #[error("column `{column}` of rows {} cannot be tokenised", listed(rows))]
    Tokenize {
        /// The column.
        column: String,
        /// The rows of the batch, from 0.
        rows: Vec<usize>,
        /// Error of the tokenizer.
        #[source]
        source: Failure,
    },
    /// A text has no tokens, so that there is nothing to embed.
    #[error("column `{column}` of row {row} has no tokens; give it a text or leave the row out")]
    NoTokens {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
    },
    /// An error of one of several data sets.
    #[error("in the data set `{set}`")]
    InSet {
        /// Name of the set.
        set: String,
        /// The error.
        #[source]
        source: Box<TrainError>,
    },
    /// The loss or the gradient is NaN or infinite.
    #[error(
        "the {what} became {value} at update {update}, epoch {epoch:.4}, in the batch of {}. {} \
         A lower `learning_rate`, a longer warmup or a look at these rows would help", rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), kept(last_checkpoint.as_ref())
    )]
    NotANumber {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The current update, from 1.
        update: u64,
        /// Completed epochs.
        epoch: f64,
        /// Rows of the micro-batch (for the loss) or of all micro-batches of the update.
        rows: Vec<RowsOfSet>,
        /// The newest checkpoint, which is valid.
        last_checkpoint: Option<PathBuf>,
    },
    /// A batch cannot be embedded for the dev loss.
    #[error("the dev loss cannot be computed")]
    DevLoss(#[source] Failure),
    /// The evaluation failed.
    #[error("the evaluation at update {step} failed")]
    Evaluation {
        /// Completed updates.
        step: u64,
        /// The error.
        #[source]
        source: Failure,
    },
    /// The deciding metric is not among the metrics of the evaluation.
    #[error("`keep_best` is `{metric}`, but the evaluation measures {}", measured.join(", "))]
    NoSuchMetric {
        /// The metric.
        metric: String,
        /// The existing metrics.
        measured: Vec<String>,
    },
    /// A file or folder cannot be written or read.
    #[error("{doing} {}", path.display())]
    Io {
        /// The failed action, for example `cannot write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The model cannot be written to a checkpoint.
    #[error("the model cannot be saved in {}", folder.display())]
    SaveModel {
        /// The folder.
        folder: PathBuf,
        /// The error.
        #[source]
        source: Failure,
    },
    /// A new run would mix its checkpoints with those of another.
    #[error("{} holds checkpoints of an earlier run; resume it, or choose another folder", folder.display())]
    EarlierRun {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// A checkpoint is unusable.
    #[error("the checkpoint {} cannot be used: {reason}", folder.display())]
    Checkpoint {
        /// Its folder.
        folder: PathBuf,
        /// Reason.
        reason: String,
    },
    /// No checkpoint of the folder can be used.
    #[error("no checkpoint in {} can be used: {}. Move them away to start anew", folder.display(), reasons.join("; "))]
    NoUsableCheckpoint {
        /// The folder of the run.
        folder: PathBuf,
        /// Reasons.
        reasons: Vec<String>,
    },
    /// The checkpoint belongs to a run with other settings.
    #[error("the run in {} cannot be resumed, for it differs: {}", folder.display(), differences.join("; "))]
    OtherRun {
        /// The checkpoint.
        folder: PathBuf,
        /// Differences, each with both values.
        differences: Vec<String>,
    },
}

/// Rows of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsOfSet {
    /// Name of the set; empty if it has none.
    pub set: String,
    /// The rows, from 0.
    pub rows: Vec<usize>,
}

impl std::fmt::Display for RowsOfSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "rows {}", listed(&self.rows))?;
        if self.set.is_empty() { Ok(()) } else { write!(formatter, " of `{}`", self.set) }
    }
}

impl TrainError {
    /// Creates the error of an invalid setting.
    pub(crate) fn argument(field: impl Into<String>, value: impl ToString, wanted: impl Into<String>) -> Self {
        Self::Argument { field: field.into(), value: value.to_string(), wanted: wanted.into() }
    }

    /// Converts an `io::Error`, for use with `map_err`.
    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}

fn no_batch(rows: usize, batch_size: usize, drop_last: bool, sampler: BatchSampler) -> String {
    match rows {
        0 => "there are no rows".to_string(),
        _ if drop_last && rows < batch_size => {
            format!("{rows} rows do not fill a batch of {batch_size}, and `drop_last` leaves out smaller ones")
        }
        _ if drop_last && sampler == BatchSampler::GroupByLabel => format!(
            "the rows that `group_by_label` takes, two of each label in turn until one label is left, do not fill a \
             batch of {batch_size}, and `drop_last` leaves out smaller ones. Set `drop_last = false` or a smaller \
             `batch_size`"
        ),
        // Of the other samplers only that without duplicates leaves out rows.
        _ if drop_last => format!(
            "the texts of the {rows} rows repeat so often that `no_duplicates` cannot fill a batch of {batch_size}, and \
             `drop_last` leaves out smaller ones. Set `drop_last = false`, a smaller `batch_size` or `batch_sampler = \"shuffle\"`"
        ),
        _ => format!("no batch of {batch_size} could be drawn from {rows} rows"),
    }
}

fn kept(checkpoint: Option<&PathBuf>) -> String {
    match checkpoint {
        Some(folder) => format!("The last good checkpoint is {}.", folder.display()),
        None => "There was no checkpoint yet.".to_string(),
    }
}

/// Formats rows for a message: up to 64 of them, then their number.
fn listed(rows: &[usize]) -> String {
    let shown: Vec<String> = rows.iter().take(64).map(ToString::to_string).collect();
    match rows.len() {
        0..=64 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 64),
    }
}
