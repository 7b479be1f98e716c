//! `maana evaluate`

use crate::precision::Choice;
use anyhow::{Context as _, Result, bail};
use maana::data::RetrievalSet;
use maana::eval::RetrievalOptions;
use maana::kernels::Context;
use maana::model::{Role, TextEncoder, WeightStorage};
use std::path::{Path, PathBuf};

/// Evaluate a model on data sets at several dimensions, with one encoding.
#[derive(clap::Args)]
#[command(after_help = "\
DATASET is a folder in the layout of BEIR: queries.jsonl, corpus.jsonl, and qrels.tsv or qrels/test.tsv. Queries and corpus may \
also be .json, .csv, .tsv or .parquet files; relevance judgements may be in the format of TREC.

A suite is a folder that contains, at any depth: such folders (retrieval); folders with sentences.tsv (id, text) and \
duplicates.tsv (two ids; paraphrase mining); files NAME.train.tsv and NAME.test.tsv (text, label; classification and clustering); \
dev.jsonl or test.jsonl with anchor and positive (matching in both directions).

Examples:
  maana evaluate MODEL swahili/dev --dims 768,512,256,128,64
  maana evaluate MODEL swahili/dev --json scores.json --csv scores/
  maana evaluate MODEL --suite swahili --dims 768,256,64 --precisions f32,int8 --chart suite.svg")]
pub(crate) struct Evaluate {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    #[command(flatten)]
    queries: crate::prompts::QueryPromptArgument,
    #[command(flatten)]
    documents: crate::prompts::DocumentPromptArgument,
    /// Folders of retrieval sets
    #[arg(required_unless_present = "suite", value_name = "DATASET")]
    datasets: Vec<PathBuf>,
    /// Folder of data sets of several kinds, each evaluated with its own metrics
    #[arg(long, value_name = "DIR", conflicts_with_all = ["datasets", "csv"])]
    suite: Option<PathBuf>,
    /// Evaluate the suite in each of these precisions [default: that of --precision]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "NAME,…",
        requires = "suite",
        conflicts_with = "precision",
        hide_possible_values = true
    )]
    precisions: Vec<Choice>,
    /// Draw the suite's scores by dimension, and by precision if there are several (.svg)
    #[arg(long, value_name = "FILE", requires = "suite")]
    chart: Option<PathBuf>,
    /// Dimensions to evaluate [default: the model's full dimension]
    #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
    dims: Vec<usize>,
    /// Write the scores as JSON, with the key names of Sentence Transformers
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Append the scores to CSV files in this folder, named as by Sentence Transformers
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
}

impl Evaluate {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let sets = self.datasets.iter().chain(&self.suite).map(PathBuf::as_path);
        let inputs: Vec<&Path> = sets.chain([Path::new(&self.model)]).collect();
        crate::outputs::check(&inputs, &[("--json", self.json.as_deref()), ("--chart", self.chart.as_deref())])?;
        if let Some(folder) = &self.suite {
            return self.run_suite(folder, context);
        }
        let sets = self.datasets.iter().map(RetrievalSet::open).collect::<Result<Vec<_>, _>>()?;
        sets.iter().flat_map(RetrievalSet::notes).for_each(|note| errln!("note: {note}"));
        let opened =
            crate::terminal::open_model(WeightStorage::Packed, &self.model, context, self.precision.precision)?;
        let embedder = self.embedder(&opened)?;
        crate::prompts::print_prompts(&embedder, &[Role::Query, Role::Document]);
        let dims = if self.dims.is_empty() { vec![embedder.dimension()] } else { self.dims };
        let start = std::time::Instant::now();
        let scores = maana::evaluate::evaluate(&embedder, context, &sets, &dims, &RetrievalOptions::default())?;
        crate::terminal::print(format_args!("{}", maana::evaluate::table(&scores)))?;
        errln!("{:.1} s", start.elapsed().as_secs_f64());
        if let Some(path) = &self.json {
            let json = serde_json::Value::from(maana::eval::to_json(&scores));
            crate::terminal::write_lines(Some(path), std::iter::once(Ok(format!("{json:#}"))))?;
        }
        if let Some(folder) = &self.csv {
            for path in maana::eval::write_csv(folder, &scores, None, None)? {
                errln!("{}", path.display());
            }
        }
        Ok(())
    }

    fn embedder(&self, opened: &crate::terminal::Opened) -> Result<TextEncoder> {
        let embedder = opened.model.clone();
        let (query, document) = (self.queries.query_prompt.as_deref(), self.documents.document_prompt.as_deref());
        crate::prompts::with_prompts(embedder, query, document)
    }

    fn run_suite(&self, folder: &Path, context: &Context) -> Result<()> {
        let sets = maana::suite::find(folder)?;
        let precisions = if self.precisions.is_empty() {
            vec![self.precision.precision]
        } else {
            self.precisions.iter().copied().map(Some).collect()
        };
        let mut dims = self.dims.clone();
        let mut runs = Vec::new();
        for choice in precisions {
            let opened = crate::terminal::open_model(WeightStorage::Packed, &self.model, context, choice)?;
            let embedder = self.embedder(&opened)?;
            if runs.is_empty() {
                crate::prompts::print_prompts(&embedder, &[Role::Query, Role::Document]);
            }
            let whole = embedder.dimension();
            if dims.is_empty() {
                dims.push(whole);
            }
            if let Some(dim) = dims.iter().find(|dim| **dim == 0 || **dim > whole) {
                bail!("--dims {dim}: the model's embeddings have {whole} dimensions; use 1 to {whole}");
            }
            let mut measures = Vec::new();
            for set in &sets {
                let start = std::time::Instant::now();
                measures.extend(set.measure(&embedder, context, &dims).with_context(|| set.name())?);
                errln!("{}: {:.1} s", set.name(), start.elapsed().as_secs_f64());
            }
            let precision = opened.model.precision().name().to_owned();
            if self.precisions.len() > 1 {
                crate::terminal::print(format_args!("{precision}\n"))?;
            }
            crate::terminal::print(format_args!("{}", maana::suite::table(&measures, &dims)))?;
            runs.push(maana::suite::InPrecision { precision, measures });
        }
        if let Some(path) = &self.json {
            let json = serde_json::json!({"model": self.model, "dims": dims, "measured": runs});
            crate::terminal::write_lines(Some(path), std::iter::once(Ok(format!("{json:#}"))))?;
        }
        if let Some(path) = &self.chart {
            let chart = maana::suite::chart(&runs, &dims, &self.model);
            crate::terminal::write_lines(Some(path), std::iter::once(Ok(chart)))?;
        }
        Ok(())
    }
}
