//! What can go wrong in a run, each with what would mend it.

use std::path::PathBuf;

/// Whatever a closure or an observer of the caller says went wrong.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting that makes no sense.
    #[error("`{field}` is {value}, but has to be {wanted}")]
    Argument {
        /// The field of the recipe.
        field: String,
        /// What it says.
        value: String,
        /// What it may say.
        wanted: String,
    },
    /// The system refuses the thread that reads batches.
    #[error("the system refuses a thread to read batches: {0}; allow more (ulimit -u), or end other programs")]
    Thread(std::io::Error),
    /// The rows are too few for one batch, or have too many texts in common.
    #[error("no batch comes of the data: {}", no_batch(*rows, *batch_size, *drop_last))]
    NoBatch {
        /// Rows of the data.
        rows: usize,
        /// Rows of a batch.
        batch_size: usize,
        /// Whether smaller batches are left out.
        drop_last: bool,
    },
    /// The data have not the columns or labels that the loss works on.
    #[error("the loss `{loss}` needs {needed}, but the data have {found}")]
    Columns {
        /// The loss.
        loss: String,
        /// What it needs.
        needed: String,
        /// What there is.
        found: String,
    },
    /// A row could not be read.
    #[error("row {row} of the training data cannot be read")]
    Data {
        /// The row, from 0.
        row: usize,
        /// What the reader said.
        #[source]
        source: maana_data::DataError,
    },
    /// A row has no label although the data have labels.
    #[error("row {row} of the training data has no label; give it one or leave it out")]
    NoLabel {
        /// The row, from 0.
        row: usize,
    },
    /// A batch could not be tokenised.
    #[error("column `{column}` of rows {} cannot be tokenised", listed(rows))]
    Tokenize {
        /// The column.
        column: String,
        /// The rows of the batch, from 0.
        rows: Vec<usize>,
        /// What the tokenizer said.
        #[source]
        source: Failure,
    },
    /// A text has no tokens at all, so that there is nothing to embed.
    #[error("column `{column}` of row {row} has no tokens; give it a text or leave the row out")]
    NoTokens {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
    },
    /// The loss or the gradient is no longer a number.
    #[error(
        "the {what} became {value} at update {update}, epoch {epoch:.4}, in the batch of rows {}. {} \
         A lower `learning_rate`, a longer warmup or a look at these rows would help", listed(rows), kept(last_checkpoint.as_ref())
    )]
    NotANumber {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// What it became.
        value: f64,
        /// The update that was being made, from 1.
        update: u64,
        /// Epochs made so far.
        epoch: f64,
        /// Rows of the micro-batch (for the loss) or of all micro-batches of the update, from 0.
        rows: Vec<usize>,
        /// The newest checkpoint, which is sound.
        last_checkpoint: Option<PathBuf>,
    },
    /// Measuring the model failed.
    #[error("the evaluation at update {step} failed")]
    Evaluation {
        /// Updates made.
        step: u64,
        /// What was said.
        #[source]
        source: Failure,
    },
    /// The measure that should choose is none of those that were taken.
    #[error("`keep_best` is `{metric}`, but the evaluation measures {}", measured.join(", "))]
    NoSuchMetric {
        /// The measure.
        metric: String,
        /// Those that there are.
        measured: Vec<String>,
    },
    /// A file or folder could not be written or read.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, for example `cannot write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The model could not be written into a checkpoint.
    #[error("the model cannot be saved in {}", folder.display())]
    SaveModel {
        /// The folder.
        folder: PathBuf,
        /// What was said.
        #[source]
        source: Failure,
    },
    /// A new run would mix its checkpoints with those of another.
    #[error("{} holds checkpoints of an earlier run; resume it, or choose another folder", folder.display())]
    EarlierRun {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// A checkpoint that cannot be used.
    #[error("the checkpoint {} cannot be used: {reason}", folder.display())]
    Checkpoint {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No checkpoint of the folder can be used.
    #[error("no checkpoint in {} can be used: {}. Move them away to start anew", folder.display(), reasons.join("; "))]
    NoUsableCheckpoint {
        /// The folder of the run.
        folder: PathBuf,
        /// What is wrong with each.
        reasons: Vec<String>,
    },
    /// The run to be resumed is not the one that is asked for.
    #[error("the run in {} cannot be resumed, for it differs: {}", folder.display(), differences.join("; "))]
    OtherRun {
        /// The checkpoint.
        folder: PathBuf,
        /// What differs, each with both values.
        differences: Vec<String>,
    },
}

impl TrainError {
    /// To be put behind an `io::Error` with `map_err`.
    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}

fn no_batch(rows: usize, batch_size: usize, drop_last: bool) -> String {
    match rows {
        0 => "there are no rows".to_string(),
        _ if drop_last && rows < batch_size => {
            format!("{rows} rows do not fill a batch of {batch_size}, and `drop_last` leaves out smaller ones")
        }
        // Only the sampler without duplicates leaves rows over.
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

/// Rows for a message: all of them up to 64, then their number.
fn listed(rows: &[usize]) -> String {
    let shown: Vec<String> = rows.iter().take(64).map(ToString::to_string).collect();
    match rows.len() {
        0..=64 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 64),
    }
}
