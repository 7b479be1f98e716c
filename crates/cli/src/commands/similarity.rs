//! `maana similarity`

use crate::terminal::{is_jsonl, tab_cell, write_lines};
use anyhow::{Result, bail};
use maana::data::{Column, DataError, Table};
use maana::kernels::Context;
use maana::model::{TextEncoder, WeightStorage};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Compare texts with each other, or the pairs of a file.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana similarity MODEL --pairs pairs.tsv --columns question,answer --output scores.jsonl
  maana similarity MODEL \"Mwanamke anashona.\" \"Mama anashona nguo.\" \"Bei imepanda.\"")]
pub(crate) struct Similarity {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// The texts
    #[arg(required_unless_present = "pairs", conflicts_with = "pairs", num_args = 2.., value_name = "TEXT")]
    texts: Vec<String>,
    /// File of pairs to compare (.jsonl, .csv, .tsv, .parquet); the output keeps its order
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// The two columns of the pairs [default: the first two columns of texts]
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "pairs")]
    columns: Vec<String>,
    /// Column names for a .csv or .tsv file without header; quotes in such a .tsv are ordinary
    /// characters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',', requires = "pairs")]
    header: Option<Vec<String>>,
    /// Write to this file instead of standard output: .jsonl as JSON lines, else tab-separated
    #[arg(long, value_name = "FILE", requires = "pairs")]
    output: Option<PathBuf>,
    /// Compare blank texts too instead of refusing them
    #[arg(long, requires = "pairs")]
    allow_blank: bool,
    /// Use only the first N dimensions of every embedding
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Similarity {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let pairs = self.pairs.as_deref().into_iter();
        let inputs: Vec<&Path> = pairs.chain([Path::new(&self.model)]).collect();
        crate::outputs::check(&inputs, &[("--output", self.output.as_deref())])?;
        let storage = match self.pairs {
            Some(_) => WeightStorage::Packed,
            None => crate::terminal::storage_for(self.texts.iter().map(String::len).sum()),
        };
        let opened = crate::terminal::open_model(storage, &self.model, context, self.precision.precision)?;
        let encoder = crate::terminal::encoder(&opened, self.dim)?;
        if let Some(path) = &self.pairs {
            return self.pairs(path, &encoder);
        }
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let matrix = maana::similarity::similarities(&encoder, context, &texts)?;
        if self.json {
            let rows: Vec<&[f32]> = (0..matrix.rows()).map(|row| matrix.row(row)).collect();
            outln!("{}", serde_json::json!({"texts": texts, "similarities": rows}))?;
            return Ok(());
        }
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let header: String = (1..=texts.len()).map(|number| format!("{number:>8}")).collect();
        outln!("    {header}")?;
        for (row, text) in texts.iter().enumerate() {
            let cells: String = matrix.row(row).iter().map(|value| cell(*value, coloured)).collect();
            outln!("{:>3} {cells}  {text}", row + 1)?;
        }
        Ok(())
    }

    fn pairs(&self, path: &Path, encoder: &TextEncoder) -> Result<()> {
        let table = Table::open(path, self.header.as_deref())?;
        let texts = table.columns().iter().filter(|column| column.holds_texts());
        let columns: Vec<String> = match self.columns.as_slice() {
            [] => texts.take(2).map(|column: &Column| column.name.clone()).collect(),
            given => given.to_vec(),
        };
        if columns.len() != 2 {
            bail!("{}: expected two columns of texts; name them with --columns A,B", path.display());
        }
        let mut records = table.read(&columns)?.peekable();
        if records.peek().is_none() {
            return Err(DataError::NoRows { path: path.display().to_string() }.into());
        }
        let json = self.json || is_jsonl(self.output.as_deref());
        let lines = maana::similarity::pairs(encoder, records, self.allow_blank).map(|pair| {
            let pair = pair?;
            let [a, b] = &pair.texts;
            Ok(match json {
                true => serde_json::json!({"score": pair.score, "text1": a, "text2": b}).to_string(),
                false => format!("{:.4}\t{}\t{}", pair.score, tab_cell(a), tab_cell(b)),
            })
        });
        write_lines(self.output.as_deref(), lines)
    }
}

/// Formats a number in eight characters, with a background from dark to bright by its value.
fn cell(value: f32, coloured: bool) -> String {
    let text = format!("{value:>8.4}");
    if !coloured {
        return text;
    }
    // Colours 232 to 255 of the terminal are greys; black is more legible on the brighter half.
    let level = (value.clamp(0.0, 1.0) * 23.0).round() as u8;
    let ink = if level > 11 { 16 } else { 231 };
    format!("\x1b[48;5;{}m\x1b[38;5;{ink}m{text}\x1b[0m", 232 + level)
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_eight_wide_and_coloured_on_demand() {
        assert_eq!(cell(-0.12345, false), " -0.1235");
        assert_eq!(cell(1.0, true), "\x1b[48;5;255m\x1b[38;5;16m  1.0000\x1b[0m");
        assert_eq!(cell(-1.0, true), "\x1b[48;5;232m\x1b[38;5;231m -1.0000\x1b[0m");
    }
}
