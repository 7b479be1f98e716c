//! `maana hard-negatives`: texts for training that are similar to the query of a pair and do not
//! answer it.

use super::mine::embed;
use crate::precision::PrecisionArgument;
use crate::terminal::{self, write_lines};
use anyhow::{Context as _, Result, bail};
use maana::data::{Blanks, Table};
use maana::kernels::Context;
use maana::model::{Role, WeightStorage};
use maana::rerank::check_ranks;
use maana::roles;
use maana::texts::Columns;
use maana::vectors::pairs::{HardNegatives, Sampling, hard_negatives, rescored_hard_negatives};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Find hard negatives for training: texts similar to the anchor of a pair that do not answer it.
#[derive(clap::Args)]
#[command(after_help = "\
FILE contains pairs of a query and its document. The columns `anchor` and `positive` are read, or else the first two \
columns of texts, the query first. Candidates are the documents of all pairs and the texts of --corpus. The options are \
those of mine_hard_negatives of Sentence Transformers. The output has the columns anchor (the query), positive (the \
document) and negative.

Examples:
  maana hard-negatives pairs.jsonl --model MODEL --relative-margin 0.05 --output triplets.jsonl
  maana hard-negatives pairs.jsonl --model MODEL --rescore CROSS_ENCODER --max-score 0.3 --output triplets.jsonl")]
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
    /// Consider at most this many of the nearest candidates [default: one for each negative, or ten
    /// with a margin or a maximum score]
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
    /// Score candidates and positives again with this cross-encoder; bounds and margins are then in
    /// its scores
    #[arg(long, value_name = "MODEL")]
    rescore: Option<String>,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl HardNegativesCommand {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let corpus = self.corpus.as_deref().unwrap_or(&self.file);
        let rescore = Path::new(self.rescore.as_deref().unwrap_or(&self.model));
        let inputs = [&self.file, corpus, Path::new(&self.model), rescore];
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
        let precision = self.precision.precision;
        let cross_encoder = match &self.rescore {
            Some(name) => {
                let encoder = terminal::open_cross_encoder(name, context, precision)?.model;
                check_ranks(&encoder).with_context(|| format!("model `{name}`"))?;
                Some(encoder)
            }
            None => None,
        };
        let opened = terminal::open_model(WeightStorage::Packed, &self.model, context, precision)?;
        let encoder = terminal::encoder(&opened, self.dim)?;
        let anchors = embed(&encoder.for_role(Role::Query), &queries.texts, encoder.role_prompt(Role::Query))?;
        let corpus = embed(&encoder.for_role(Role::Document), &answers.texts, encoder.role_prompt(Role::Document))?;
        let settings = HardNegatives {
            negatives: self.negatives,
            range_min: self.range_min,
            range_max: self.range_max,
            absolute_margin: self.absolute_margin,
            relative_margin: self.relative_margin,
            max_score: self.max_score,
            min_score: self.min_score,
            sampling: self.random.map_or(Sampling::Top, |seed| Sampling::Random { seed }),
            metric: maana::search::metric(encoder.similarity()),
            ..HardNegatives::default()
        };
        let mined = match &cross_encoder {
            None => hard_negatives(context, anchors.view(), corpus.view(), &positives, &settings)?,
            Some(cross_encoder) => {
                let progress = terminal::count("queries");
                let rescore = |query: usize, rows: &[usize]| -> Result<Vec<f32>> {
                    let documents: Vec<&str> = rows.iter().map(|row| answers.texts[*row].as_str()).collect();
                    let scores = cross_encoder.score_documents(&queries.texts[query], &documents)?;
                    progress.inc(1);
                    Ok(scores.data().to_vec())
                };
                let (anchors, corpus) = (anchors.view(), corpus.view());
                let mined = rescored_hard_negatives(context, anchors, corpus, &positives, &settings, rescore)?;
                progress.finish_and_clear();
                crate::cross_encoder::print_truncated(cross_encoder);
                mined
            }
        };
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
        let few = mined.iter().filter(|mined| mined.negatives.len() < self.negatives).count();
        if few > 0 {
            let omitted = if self.tuples { " and no row" } else { "" };
            errln!(
                "note: {few} of {} queries have fewer negatives within these bounds{omitted}; a larger --range-max or \
                 smaller margins allow more",
                mined.len()
            );
        }
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
