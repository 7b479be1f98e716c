//! `maana score`

use crate::cross_encoder::{CrossEncoderArguments, print_truncated};
use crate::terminal::{self, write_lines};
use anyhow::Result;
use maana::data::Table;
use maana::kernels::Context;
use maana::score::{ScoreOptions, ScoredRows};
use std::path::{Path, PathBuf};

/// Score pairs of texts with a cross-encoder.
#[derive(clap::Args)]
#[command(after_help = "\
FILE contains pairs of texts (.jsonl, .json, .csv, .tsv or .parquet), or is - for standard input. Writes each row as a line of \
JSON with its fields and a field `score`: a number; with several labels a list, one number for each label; with more than two \
columns a list, one number for each column behind the first, as training with scores of several documents reads it.

Examples:
  maana score MODEL pairs.jsonl --output scores.jsonl
  maana score MODEL triplets.jsonl --columns anchor,positive,negative --logits --output scores.jsonl")]
pub(crate) struct Score {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    /// File of pairs, or - for standard input
    file: PathBuf,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Columns of texts: the first texts, then one or several of second texts [default: the first
    /// two columns of texts]
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Column names for a .csv or .tsv file without header; quotes in such a .tsv are ordinary
    /// characters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    header: Option<Vec<String>>,
    /// Write logits, without the model's activation
    #[arg(long)]
    logits: bool,
    #[command(flatten)]
    encoder: CrossEncoderArguments,
}

impl Score {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let inputs = [&self.file, Path::new(&self.model)];
        crate::outputs::check(&inputs, &[("--output", self.output.as_deref())])?;
        let table = Table::open(&self.file, self.header.as_deref())?;
        let encoder = self.encoder.open(&self.model, context)?;
        let options = ScoreOptions { columns: self.columns, logits: self.logits };
        let rows = ScoredRows::of(&encoder, table, &options)?;
        let names: Vec<String> = rows.text_columns().map(|name| format!("`{name}`")).collect();
        errln!("pairs of {}", names.join(" and "));
        if rows.replaces_field() {
            errln!("note: the field `{}` of the file is replaced", maana::score::FIELD);
        }
        let progress = terminal::count("rows");
        let mut written = 0;
        let counted = rows.map(|line| {
            written += 1;
            progress.set_position(written);
            Ok(line?)
        });
        write_lines(self.output.as_deref(), counted)?;
        progress.finish_and_clear();
        print_truncated(&encoder);
        errln!("{written} rows");
        Ok(())
    }
}
