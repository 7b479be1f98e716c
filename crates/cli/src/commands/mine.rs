//! `maana mine`, `dedupe` and `hard-negatives`: pairs of texts with similar meaning.

use crate::precision::PrecisionArgument;
use crate::terminal::{self, is_jsonl, tab_cell, write_lines};
use anyhow::{Context as _, Result, bail};
use maana::data::{Blanks, Table};
use maana::kernels::{Context, Matrix};
use maana::model::{Role, TextEncoder, WeightStorage};
use maana::roles;
use maana::texts::{Columns, Texts};
use maana::vectors::pairs::{
    Bitext, HardNegatives, Mining, Sampling, bitext, dedupe, hard_negatives, paraphrase_mining,
};
use std::collections::HashMap;
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

    pub(crate) fn embedder(&self, opened: &crate::terminal::Opened) -> Result<TextEncoder> {
        terminal::embedder(opened, self.dim)
    }
}

pub(crate) fn embed<T: AsRef<str>>(embedder: &TextEncoder, texts: &[T], prompt: &str) -> Result<Matrix> {
    let progress = terminal::count("texts");
    let matrix = maana::texts::embed(embedder, texts, prompt, &mut |done| progress.set_position(done))?;
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
        let embedder = self.reading.embedder(&opened)?;
        let prompt = embedder.default_prompt();
        let rows = embed(&embedder, &first.texts, prompt)?;
        let pairs: Vec<(f32, usize, usize)> = match &second {
            None => {
                let top_k = self.top_k.unwrap_or(100);
                let settings = Mining { top_k, max_pairs: self.max_pairs, dim: None };
                let pairs = paraphrase_mining(context, rows.view(), &settings)?;
                pairs.into_iter().map(|pair| (pair.score, pair.first, pair.second)).collect()
            }
            Some(second) => {
                let others = embed(&embedder, &second.texts, prompt)?;
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
        let embedder = self.reading.embedder(&opened)?;
        let rows = embed(&embedder, &texts, embedder.default_prompt())?;
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

/// Find hard negatives for training: texts similar to the anchor of a pair that do not answer it.
#[derive(clap::Args)]
#[command(after_help = "\
FILE contains pairs of a query and its document. As in training, columns are taken by position: the first is the query. \
Candidates are the documents of all pairs and the texts of --corpus. The options are those of mine_hard_negatives of \
Sentence Transformers. The output has the columns anchor (the query), positive (the document) and negative.

Example:
  maana hard-negatives pairs.jsonl --model MODEL --relative-margin 0.05 --output triplets.jsonl")]
pub(crate) struct HardNegativesCommand {
    /// File of pairs
    file: PathBuf,
    /// Model: a folder, a name on the hub, or name@revision
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Column with the queries [default: `anchor`, else the first of two columns of texts]
    #[arg(long, value_name = "NAME")]
    anchor: Option<String>,
    /// Column with the documents [default: `positive`, else the second column of texts]
    #[arg(long, value_name = "NAME")]
    positive: Option<String>,
    /// File of further texts to choose negatives from
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Output file for the triplets (JSON lines)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Number of negatives per pair
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = crate::number::one_or_more)]
    negatives: usize,
    /// Skip this many of the nearest candidates
    #[arg(long, value_name = "N", default_value_t = 0)]
    range_min: usize,
    /// Consider at most this many of the nearest candidates [default: as many as needed]
    #[arg(long, value_name = "N")]
    range_max: Option<usize>,
    /// Minimum difference between the scores of positive and negative
    #[arg(long, value_name = "SCORE", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    absolute_margin: Option<f32>,
    /// Minimum difference between the scores, as a share of the positive's score
    #[arg(long, value_name = "SHARE", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    relative_margin: Option<f32>,
    /// Maximum score of a negative
    #[arg(long, value_name = "SCORE", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    max_score: Option<f32>,
    /// Minimum score of a negative
    #[arg(long, value_name = "SCORE", value_parser = crate::number::finite::<f32>, allow_negative_numbers = true)]
    min_score: Option<f32>,
    /// Draw negatives at random from the range, with this seed, instead of taking the nearest
    #[arg(long, value_name = "SEED")]
    random: Option<u64>,
    /// Write one row per pair with all its negatives, instead of one row per negative
    #[arg(long)]
    tuples: bool,
    /// Use only the first N dimensions of every embedding
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl HardNegativesCommand {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let corpus = self.corpus.as_deref().unwrap_or(&self.file);
        let inputs = [&self.file, corpus, Path::new(&self.model)];
        crate::outputs::check(&inputs, &[("--output", Some(&self.output))])?;
        let table = Table::open(&self.file, None)?;
        let present: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
        let path = self.file.display().to_string();
        let (query, document) = roles::pair(&path, &present, self.anchor.as_deref(), self.positive.as_deref())
            .context("name the column of queries with --anchor and the column of documents with --positive")?;
        errln!("columns by position: query = `{query}`, document = `{document}`");
        let pairs = maana::texts::read_pairs(table, [&query, &document], Blanks::Skip)?;
        if pairs.skipped > 0 {
            errln!("note: {} pairs with a blank text were skipped", pairs.skipped);
        }
        let (mut queries, mut answers) = (Distinct::default(), Distinct::default());
        let mut positives: Vec<Vec<usize>> = Vec::new();
        for [anchor, positive] in pairs.pairs {
            let query = queries.add(anchor);
            let answer = answers.add(positive);
            positives.resize(queries.texts.len(), Vec::new());
            if !positives[query].contains(&answer) {
                positives[query].push(answer);
            }
        }
        if let Some(path) = &self.corpus {
            let corpus = maana::texts::read(path, &Columns::default(), &[], Blanks::Skip)?;
            terminal::print_skipped(corpus.skipped);
            if let Some(chosen) = &corpus.chosen {
                errln!("note: {}: {chosen}", path.display());
            }
            corpus.texts.into_iter().for_each(|text| {
                answers.add(text);
            });
        }
        let opened = terminal::open_model(WeightStorage::Packed, &self.model, context, self.precision.precision)?;
        let embedder = terminal::embedder(&opened, self.dim)?;
        let anchors = embed(&embedder.for_role(Role::Query), &queries.texts, embedder.role_prompt(Role::Query))?;
        let corpus = embed(&embedder.for_role(Role::Document), &answers.texts, embedder.role_prompt(Role::Document))?;
        let settings = HardNegatives {
            negatives: self.negatives,
            range_min: self.range_min,
            range_max: self.range_max,
            absolute_margin: self.absolute_margin,
            relative_margin: self.relative_margin,
            max_score: self.max_score,
            min_score: self.min_score,
            sampling: self.random.map_or(Sampling::Top, |seed| Sampling::Random { seed }),
            metric: maana::search::metric(embedder.similarity()),
            ..HardNegatives::default()
        };
        let mined = hard_negatives(context, anchors.view(), corpus.view(), &positives, &settings)?;
        let mut lines = Vec::new();
        for (query, mined) in mined.iter().enumerate() {
            let anchor = &queries.texts[query];
            if self.tuples {
                for positive in mined.positives.iter().filter(|_| mined.negatives.len() == self.negatives) {
                    let mut row = serde_json::Map::new();
                    row.insert("anchor".into(), anchor.as_str().into());
                    row.insert("positive".into(), answers.texts[positive.row].as_str().into());
                    for (number, negative) in mined.negatives.iter().enumerate() {
                        row.insert(format!("negative_{}", number + 1), answers.texts[negative.row].as_str().into());
                    }
                    lines.push(serde_json::Value::Object(row).to_string());
                }
                continue;
            }
            lines.extend(mined.pairs().map(|(positive, negative)| {
                let (positive, negative) = (&answers.texts[positive.row], &answers.texts[negative.row]);
                serde_json::json!({"anchor": anchor, "positive": positive, "negative": negative}).to_string()
            }));
        }
        if lines.is_empty() {
            bail!("no pair has a negative within these bounds; widen the range or relax the margins");
        }
        let requested: usize = positives.iter().map(Vec::len).sum::<usize>() * self.negatives;
        let found: usize = mined.iter().map(|mined| mined.positives.len() * mined.negatives.len()).sum();
        errln!("{} rows; {found} of the {requested} requested negatives", lines.len());
        write_lines(Some(&self.output), lines.into_iter().map(Ok))
    }
}

/// Distinct texts, numbered in the order of their first occurrence.
#[derive(Default)]
struct Distinct {
    texts: Vec<String>,
    positions: HashMap<String, usize>,
}

impl Distinct {
    fn add(&mut self, text: String) -> usize {
        let next = self.texts.len();
        *self.positions.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }
}
