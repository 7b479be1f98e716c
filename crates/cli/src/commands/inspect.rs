//! `maana inspect`

use anyhow::Result;
use maana::inspect::{Options, inspect, text};
use maana::kernels::Context;
use maana::model::WeightStorage;
use maana::train::LossName;
use std::path::PathBuf;

/// Describe training data before a run, and warn of duplicates, leaks, false negatives and cut
/// texts.
#[derive(clap::Args)]
#[command(after_help = "\
Shows rows, columns and their roles for the loss, lengths, scripts, repeated and nearly repeated texts, texts of evaluation sets that \
are also in the data, and how often a row meets a false negative in its batch. Each warning has its remedy. Near-duplicates are found \
without a model: texts whose sets of five-letter sequences are equal by 80 %, as estimated by MinHash.

Examples:
  maana inspect train.jsonl
  maana inspect train.jsonl --columns anchor,positive --against dev/ test.jsonl
  maana inspect 'data/*.parquet' --model sentence-transformers/all-MiniLM-L6-v2 --batch-size 64 --json")]
pub(crate) struct Inspect {
    /// Training data: files, folders or patterns
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Evaluation sets whose texts should not be in the data: files or folders
    #[arg(long, value_name = "DEV", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Model, for lengths in its tokens and for false negatives: a folder, a name on the hub, or
    /// name@revision
    #[arg(long)]
    model: Option<String>,
    /// Columns in the order of the loss [default: all, in file order]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Loss that determines the roles of the columns [default: multiple_negatives_ranking, or
    /// cosent for labelled pairs]
    #[arg(long, value_name = "NAME", value_parser = loss)]
    loss: Option<LossName>,
    /// Rows of a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Maximum number of rows to read
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    limit: Option<usize>,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads the name of a loss as in recipes.
fn loss(name: &str) -> Result<LossName, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

impl Inspect {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let start = std::time::Instant::now();
        let model =
            |name: &String| crate::terminal::open_model(WeightStorage::Packed, name, context, self.precision.precision);
        let opened = self.model.as_ref().map(model).transpose()?;
        let options = Options {
            columns: self.columns,
            limit: self.limit,
            loss: self.loss,
            batch_size: self.batch_size,
            against: self.against,
        };
        let inspection = inspect(&self.data, &options, opened.as_ref().map(|opened| &opened.model), context)?;
        match self.json {
            true => outln!("{}", serde_json::to_string_pretty(&inspection)?)?,
            false => crate::terminal::print(format_args!("{}", text(&inspection)))?,
        }
        errln!("{:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}
