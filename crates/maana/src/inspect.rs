//! The workflow of `maana inspect`: describes training data before a run, and warns of duplicates,
//! texts of evaluation sets, false negatives and texts that are cut. Everything is a function of
//! the data and the options: the same on every machine.
//!
//! Memory: a hundred and fifty bytes for each distinct text, up to two million; texts themselves
//! are read once and not kept.

mod error;
mod facts;
mod fit;
mod leaks;
mod lengths;
mod minhash;
mod negatives;
mod repeats;
mod scan;
mod scripts;
mod show;
mod warnings;

pub use error::InspectError;
pub use facts::{ColumnFacts, Inspection, LabelFacts, LongRow, Warning};
pub use leaks::{LeakExample, Leaks};
pub use lengths::{Bucket, Lengths, Unit};
pub use minhash::{Near, NearPair};
pub use negatives::{FalseNegative, Negatives};
pub use repeats::Repeats;
pub use scripts::ScriptShare;
pub use show::text;

use maana_data::{Dataset, ReadOptions, Source};
use maana_kernels::Context;
use maana_model::TextEncoder;
use maana_train::LossName;
use std::path::PathBuf;

/// Options of an inspection.
#[derive(Clone, Debug)]
pub struct Options {
    /// Columns in the order of the loss. Default: all, in file order.
    pub columns: Option<Vec<String>>,
    /// Maximum number of rows to read.
    pub limit: Option<usize>,
    /// The loss that determines the roles. Default: by the columns and the label.
    pub loss: Option<LossName>,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Files and folders of evaluation sets.
    pub against: Vec<PathBuf>,
}

/// Inspects training data. With a model, lengths are in its tokens, and false negatives are found
/// by its similarities.
///
/// # Errors
/// If a file cannot be read, a text cannot be tokenised, or the batch has fewer than two rows.
pub fn inspect(
    inputs: &[PathBuf],
    options: &Options,
    model: Option<&TextEncoder>,
    context: &Context,
) -> Result<Inspection, InspectError> {
    if options.batch_size < 2 {
        return Err(InspectError::BatchSize(options.batch_size));
    }
    let read = ReadOptions {
        columns: options.columns.clone(),
        limit: options.limit,
        allow_blank: true,
        ..ReadOptions::default()
    };
    let source = Dataset::open(inputs, read)?;
    let mut dev = leaks::DevTexts::open(&options.against, context)?;
    let scanned = scan::scan(&source, model, context, &mut dev)?;
    let negatives = model.map(|model| negatives::measure(&source, model, context, options.batch_size)).transpose()?;
    let near = minhash::near(&scanned.signatures, &scanned.first_rows, &source)?;
    let loss = options.loss.unwrap_or(match (source.columns().len(), source.has_labels()) {
        (2, true) => LossName::Cosent,
        _ => LossName::MultipleNegativesRanking,
    });
    let loss_name =
        serde_json::to_value(loss).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default();
    let refusal = fit::refusal(loss, &loss_name, &source);
    let max_seq_length = model.and_then(|model| model.spec().longest_text());
    let mut inspection = Inspection {
        rows: source.len(),
        columns: facts::columns(&source, &scanned, loss, max_seq_length),
        loss: loss_name,
        labels: facts::labels(&source),
        repeats: Repeats { blank: scanned.blank_rows, ..repeats::of(&source, options.batch_size) },
        near,
        leaks: dev.leaks(&source)?,
        negatives,
        batch_size: options.batch_size,
        unknown_tokens: model.map(|model| facts::unknown_tokens(&source, model)).transpose()?,
        longest: facts::longest(&source, &scanned)?,
        unit: scanned.unit,
        max_seq_length,
        warnings: Vec::new(),
    };
    inspection.warnings = warnings::of(&inspection, options.columns.is_some(), refusal);
    Ok(inspection)
}
