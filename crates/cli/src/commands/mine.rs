//! `maana mine` and `dedupe`: pairs of texts with the same meaning.

use crate::precision::PrecisionArgument;
use crate::terminal::{self, is_jsonl, tab_cell, write_lines};
use anyhow::Result;
use maana::data::Blanks;
use maana::kernels::{Context, Matrix};
use maana::model::{TextEncoder, WeightStorage};
use maana::texts::{Columns, Texts};
use maana::vectors::pairs::{Bitext, Mining, bitext, dedupe, paraphrase_mining};
use std::path::{Path, PathBuf};

/// The model and the options for reading texts, shared by these commands.
#[derive(clap::Args)]
pub(crate) struct Reading {
    /// Model: a folder, a name on the hub, or name@revision
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Column with the text [default: `text`, else the first column of texts]
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Option<String>,
    /// Column names for a .csv or .tsv file without header; quotes in such a .tsv are ordinary
    /// characters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    pub(crate) header: Option<Vec<String>>,
    /// Use only the first N dimensions of every embedding
    #[arg(long, value_name = "N")]
    pub(crate) dim: Option<usize>,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgument,
}

impl Reading {
    /// Reads the texts of a file and their labels. Blank texts are skipped; a note on standard
    /// error says how many.
    pub(crate) fn texts(&self, path: &Path, labels: &[&str]) -> Result<Texts> {
        let columns = Columns { text: self.column.clone(), header: self.header.clone() };
        let read = maana::texts::read(path, &columns, labels, Blanks::Skip)?;
        terminal::print_skipped(read.skipped);
        if let Some(chosen) = &read.chosen {
            errln!("note: {}: {chosen}; --column names another", path.display());
        }
        Ok(read)
    }

    pub(crate) fn open(&self, context: &Context) -> Result<crate::terminal::Opened> {
        terminal::open_model(WeightStorage::Packed, &self.model, context, self.precision.precision)
    }

    pub(crate) fn encoder(&self, opened: &crate::terminal::Opened) -> Result<TextEncoder> {
        terminal::encoder(opened, self.dim)
    }
}

pub(crate) fn embed<T: AsRef<str>>(encoder: &TextEncoder, texts: &[T], prompt: &str) -> Result<Matrix> {
    let progress = terminal::count("texts");
    let matrix = maana::texts::embed(encoder, texts, prompt, &mut |done| progress.set_position(done))?;
    progress.finish_and_clear();
    Ok(matrix)
}

/// Find pairs of texts with the same meaning: within one file, or translations across two.
#[derive(clap::Args)]
#[command(after_help = "\
With one file, prints the pairs with the highest cosines. With two files, prints for each text of the first its \
translation in the second, scored by margin: the cosine relative to the cosines of the nearest neighbours.

Examples:
  maana mine sentences.txt --model MODEL --min-score 0.8
  maana mine swahili.txt english.txt --model MODEL --min-score 1.06 --output pairs.jsonl")]
pub(crate) struct Mine {
    /// File of texts
    first: PathBuf,
    /// File of texts in the other language
    second: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Nearest neighbours to consider for each text [default: 100; with two files 4]
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    top_k: Option<usize>,
    /// Maximum number of pairs to print
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    max_pairs: usize,
    /// Omit pairs below this score: a cosine; with two files, a margin
    #[arg(long, value_name = "SCORE", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    min_score: Option<f32>,
    /// Write to this file instead of standard output: .jsonl as JSON lines, else tab-separated
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Mine {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let second = self.second.as_deref().unwrap_or(&self.first);
        let inputs = [&self.first, second, Path::new(&self.reading.model)];
        crate::outputs::check(&inputs, &[("--output", self.output.as_deref())])?;
        let first = self.reading.texts(&self.first, &[])?;
        let second = self.second.as_ref().map(|path| self.reading.texts(path, &[])).transpose()?;
        let opened = self.reading.open(context)?;
        let encoder = self.reading.encoder(&opened)?;
        let prompt = encoder.default_prompt();
        let rows = embed(&encoder, &first.texts, prompt)?;
        let pairs: Vec<(f32, usize, usize)> = match &second {
            None => {
                let top_k = self.top_k.unwrap_or(100);
                let settings = Mining { top_k, max_pairs: self.max_pairs, dim: None };
                let pairs = paraphrase_mining(context, rows.view(), &settings)?;
                pairs.into_iter().map(|pair| (pair.score, pair.first, pair.second)).collect()
            }
            Some(second) => {
                let others = embed(&encoder, &second.texts, prompt)?;
                let settings = Bitext { neighbours: self.top_k.unwrap_or(4), ..Bitext::default() };
                let pairs = bitext(context, rows.view(), others.view(), &settings)?;
                pairs.into_iter().map(|(a, b, margin)| (margin, a, b)).take(self.max_pairs).collect()
            }
        };
        let min_score = self.min_score.unwrap_or(f32::NEG_INFINITY);
        let other = second.as_ref().unwrap_or(&first);
        let json = is_jsonl(self.output.as_deref());
        let kept: Vec<_> = pairs.into_iter().filter(|(score, ..)| *score >= min_score).collect();
        errln!("{} pairs", kept.len());
        let line = |(score, a, b): &(f32, usize, usize)| {
            let (text1, text2) = (&first.texts[*a], &other.texts[*b]);
            let (a, b) = (first.numbers[*a], other.numbers[*b]);
            if json {
                let value =
                    serde_json::json!({"score": score, "first": a, "second": b, "text1": text1, "text2": text2});
                return value.to_string();
            }
            format!("{score:.4}\t{a}\t{b}\t{}\t{}", tab_cell(text1), tab_cell(text2))
        };
        write_lines(self.output.as_deref(), kept.iter().map(line).map(Ok))
    }
}

/// Remove texts with the same meaning as an earlier text.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana dedupe sentences.txt --model MODEL --threshold 0.95 --output unique.txt --groups groups.tsv")]
pub(crate) struct Dedupe {
    /// File of texts
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Cosine from which two texts count as duplicates
    #[arg(long, value_name = "COSINE", default_value_t = 0.95, value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    threshold: f32,
    /// Write the remaining texts to this file instead of standard output: .jsonl, else one per line
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the duplicates to this file: number of the kept text, number of the duplicate, its
    /// text
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
}

impl Dedupe {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let outputs = [("--output", self.output.as_deref()), ("--groups", self.groups.as_deref())];
        crate::outputs::check(&[&self.file, Path::new(&self.reading.model)], &outputs)?;
        let Texts { texts, numbers, .. } = self.reading.texts(&self.file, &[])?;
        let opened = self.reading.open(context)?;
        let encoder = self.reading.encoder(&opened)?;
        let rows = embed(&encoder, &texts, encoder.default_prompt())?;
        let duplicates = dedupe(context, rows.view(), self.threshold)?;
        let kept = duplicates.kept();
        errln!("{} of {} texts kept", kept.len(), texts.len());
        if let Some(path) = &self.groups {
            let groups = duplicates.groups();
            let members = groups.iter().flat_map(|group| group[1..].iter().map(|row| (group[0], *row)));
            write_lines(
                Some(path),
                members.map(|(a, b)| Ok(format!("{}\t{}\t{}", numbers[a], numbers[b], tab_cell(&texts[b])))),
            )?;
        }
        let json = is_jsonl(self.output.as_deref());
        let line = |row: usize| match json {
            true => serde_json::json!({"text": texts[row]}).to_string(),
            false => texts[row].replace(['\n', '\r'], " "),
        };
        write_lines(self.output.as_deref(), kept.into_iter().map(line).map(Ok))
    }
}
