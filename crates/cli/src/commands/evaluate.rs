//! `maana evaluate`

mod suite;

use crate::precision::Choice;
use anyhow::{Context as _, Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use maana::eval::{Kind, Scores};
use maana::evaluation::{
    EvaluationError, EvaluationSet, FirstRanking, FirstStage, Measuring, PairMeasuring, SetSpec, training_part,
};
use maana::finetune::SetLoss;
use maana::kernels::Context;
use maana::model::{CrossEncoder, InferenceModel, Role, RoleSpecs, Task, TextEncoder, WeightStorage};
use maana::recipe::LocatedRecipe;
use std::path::{Path, PathBuf};

/// Evaluate a model on data sets of any kind at several dimensions, with one encoding.
#[derive(clap::Args)]
#[command(after_help = "\
DATASET is a file or folder. Its kind follows from its columns, unless --kind names it:
  retrieval       a folder in the layout of BEIR (queries.jsonl, corpus.jsonl, and qrels.tsv or
                  qrels/test.tsv; also other formats, and judgements of TREC), or pairs of texts
  similarity      pairs of texts with a score
  binary          pairs of texts with a label, 1 (alike) or 0
  classification  pairs of texts with a class: a number or the name of a label
  triplet         anchor, positive, negative
  reranking       query, positive, and negative or documents; the last two are lists of texts
  translation     pairs of texts, each to be found among all of the other side
  mining          a folder with sentences.tsv (id, text) and duplicates.tsv (two ids), or pairs
  labels          two files of texts with labels: NAME.train.tsv, NAME.test.tsv
  loss            rows as training data, with the loss of --recipe

A cross-encoder is measured on sets of the kinds similarity, binary, classification, reranking, retrieval and loss; a suite \
skips others. For retrieval it reorders the first --candidates documents of each query; measures that begin with base_ are \
those of their order before.

A suite is a folder that contains, at any depth: folders for retrieval and mining, NAME.train.tsv next to NAME.test.tsv, and \
dev.jsonl or test.jsonl with pairs, triplets or lists.

Examples:
  maana evaluate MODEL swahili/dev --dims 768,512,256,128,64
  maana evaluate MODEL sts.csv --columns sentence1,sentence2,score --json scores.json --csv scores/
  maana evaluate MODEL dev.jsonl --kind retrieval
  maana evaluate MODEL --suite swahili --dims 768,256,64 --precisions f32,int8 --chart suite.svg
  maana evaluate CROSS_ENCODER --suite swahili --candidates-from MODEL --candidates 50")]
pub(crate) struct Evaluate {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    #[command(flatten)]
    queries: crate::prompts::QueryPromptArgument,
    #[command(flatten)]
    documents: crate::prompts::DocumentPromptArgument,
    /// Files or folders of evaluation sets
    #[arg(required_unless_present = "suite", value_name = "DATASET")]
    datasets: Vec<PathBuf>,
    /// Kind of the data sets [default: from their columns]
    #[arg(long, value_parser = kinds(), hide_possible_values = true)]
    kind: Option<Kind>,
    /// Columns of the data sets in the order of their roles [default: all, in file order]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Ranking whose first documents a cross-encoder reorders in sets of the kind retrieval: bm25,
    /// or the name or folder of a bi-encoder [default: bm25]
    #[arg(long, value_name = "bm25|MODEL")]
    candidates_from: Option<String>,
    /// Number of these documents for each query [default: 100]
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    candidates: Option<usize>,
    /// Candidates up to which MRR and nDCG of reranking count [default: 10]
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    at_k: Option<usize>,
    /// Recipe with the loss and the batch size for --kind loss
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Folder of data sets of several kinds, each evaluated with its own metrics
    #[arg(long, value_name = "DIR", conflicts_with_all = ["datasets", "csv", "kind", "columns", "recipe"])]
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

/// Reads the name of a kind.
fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).map(|name| {
        let named = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        named.expect("the parser accepts only names of kinds")
    })
}

impl Evaluate {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        // Texts to train a classifier are found by the name of those to test it.
        let training_parts: Vec<PathBuf> = self.datasets.iter().filter_map(|path| training_part(path)).collect();
        let files = self.datasets.iter().chain(&training_parts).chain(&self.suite).chain(&self.recipe);
        let inputs: Vec<&Path> = files.map(PathBuf::as_path).chain([Path::new(&self.model)]).collect();
        crate::outputs::check(&inputs, &[("--json", self.json.as_deref()), ("--chart", self.chart.as_deref())])?;
        if let Some(folder) = &self.suite {
            return self.run_suite(folder, context);
        }
        let of_suites = [("--chart", self.chart.is_some()), ("--precisions", !self.precisions.is_empty())];
        if let Some((option, _)) = of_suites.iter().find(|(_, given)| *given) {
            anyhow::bail!("{option} has an effect only with --suite");
        }
        let recipe = self.recipe.as_deref().map(|path| LocatedRecipe::read(path, &[])).transpose()?;
        let choice = self.precision.precision;
        let model = crate::terminal::open_any(WeightStorage::Packed, &self.model, context, choice)?.model;
        if choice.is_none() && !model.is_static() {
            crate::precision::suggest_faster_when_long();
        }
        let mut sets = self.sets(&classes(&model))?;
        sets.iter().flat_map(EvaluationSet::notes).for_each(|note| errln!("note: {note}"));
        let start = std::time::Instant::now();
        let scores = match model.spec().task() {
            Task::Embed => {
                self.of_embeddings(TextEncoder::new(model, context)?, &mut sets, recipe.as_ref(), context)?
            }
            Task::Score(_) => self.of_pairs(CrossEncoder::new(model, context)?, &mut sets, recipe.as_ref(), context)?,
        };
        crate::terminal::print(format_args!("{}", maana::evaluation::table(&scores)))?;
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

    fn of_embeddings(
        &self,
        encoder: TextEncoder,
        sets: &mut [EvaluationSet],
        recipe: Option<&LocatedRecipe>,
        context: &Context,
    ) -> Result<Vec<Scores>> {
        self.check_of_embeddings()?;
        let encoder = self.text_encoder(&encoder)?;
        crate::prompts::print_prompts(&encoder, &[Role::Query, Role::Document]);
        let dims = if self.dims.is_empty() { vec![encoder.dimension()] } else { self.dims.clone() };
        let mut scores = Vec::new();
        for set in sets {
            let loss = match recipe {
                Some(located) => SetLoss::named(located, set, encoder.role_specs())?,
                None => None,
            };
            let batch_size = recipe.map_or(1, |located| located.recipe.training.batch_size);
            let loss = loss.as_ref().map(|loss| loss.dev_loss(batch_size));
            scores.extend(set.measure(&Measuring { loss, ..Measuring::new(&encoder, context, &dims) })?);
        }
        Ok(scores)
    }

    fn of_pairs(
        &self,
        encoder: CrossEncoder,
        sets: &mut [EvaluationSet],
        recipe: Option<&LocatedRecipe>,
        context: &Context,
    ) -> Result<Vec<Scores>> {
        let encoder = self.pair_encoder(encoder)?;
        let first_stage = self.first_stage(sets, context)?;
        let mut scores = Vec::new();
        for set in sets {
            let loss = match recipe {
                Some(located) => SetLoss::named(located, set, RoleSpecs::single(encoder.spec()))?,
                None => None,
            };
            let arguments = recipe.map(|located| &located.recipe.training);
            let loss = loss.as_ref().zip(arguments);
            let loss = loss.map(|(loss, arguments)| loss.pair_dev_loss(arguments.batch_size, arguments.seed));
            let first_stage = Some(&first_stage);
            scores.push(set.measure_pairs(&PairMeasuring { encoder: &encoder, context, loss, first_stage })?);
        }
        crate::cross_encoder::print_truncated(&encoder);
        Ok(scores)
    }

    /// Returns a cross-encoder with the prompt of the arguments.
    fn pair_encoder(&self, encoder: CrossEncoder) -> Result<CrossEncoder> {
        ensure!(self.dims.is_empty(), "--dims: a cross-encoder has no embeddings; omit it");
        ensure!(
            self.chart.is_none(),
            "--chart: it draws scores by dimension, and a cross-encoder has no embeddings; omit it"
        );
        let none = self.documents.document_prompt.is_none();
        ensure!(none, "--document-prompt: a cross-encoder has one prompt, in front of the first text: --query-prompt");
        Ok(match &self.queries.query_prompt {
            Some(prompt) => {
                let prompt = encoder.spec().prompt_or_text(prompt)?;
                encoder.with_prompt(&prompt)?
            }
            None => encoder,
        })
    }

    /// Returns the first stage of retrieval. Its model is opened only if there is a set for it.
    fn first_stage(&self, sets: &[EvaluationSet], context: &Context) -> Result<FirstStage> {
        let FirstStage { ranking, candidates } = FirstStage::default();
        let ranking = match self.candidates_from.as_deref() {
            None | Some("bm25") => ranking,
            Some(_) if sets.iter().all(|set| set.kind() != Kind::Retrieval) => ranking,
            Some(name) => {
                let opened =
                    crate::terminal::open_model(WeightStorage::Packed, name, context, self.precision.precision);
                FirstRanking::Encoder(opened.context("--candidates-from")?.model)
            }
        };
        Ok(FirstStage { ranking, candidates: self.candidates.unwrap_or(candidates) })
    }

    /// Refuses arguments that belong to cross-encoders.
    fn check_of_embeddings(&self) -> Result<()> {
        let given =
            [("--candidates-from", self.candidates_from.is_some()), ("--candidates", self.candidates.is_some())];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => anyhow::bail!(
                "{option} belongs to cross-encoders, and the model embeds single texts, and finds them among all documents; omit it"
            ),
        }
    }

    /// Opens the sets: one for each path, or one for both files of labels. `classes` are the names
    /// of the labels of a cross-encoder with several.
    fn sets(&self, classes: &[String]) -> Result<Vec<EvaluationSet>, EvaluationError> {
        let spec = |files: Vec<PathBuf>| SetSpec {
            kind: self.kind,
            files,
            columns: self.columns.clone(),
            at_k: self.at_k,
            classes: classes.to_vec(),
            ..SetSpec::default()
        };
        if self.kind == Some(Kind::Labels) {
            return Ok(vec![EvaluationSet::open(&spec(self.datasets.clone()))?]);
        }
        let open = |path: &PathBuf| EvaluationSet::open(&spec(vec![path.clone()]));
        let mut sets = self.datasets.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        // As in a run with one set, measures of a single retrieval set begin with the dimension.
        if let Some(set) = sets.pop_if(|set| set.kind() == Kind::Retrieval && self.datasets.len() == 1) {
            sets.push(set.with_name(None));
        }
        Ok(sets)
    }

    fn text_encoder(&self, encoder: &TextEncoder) -> Result<TextEncoder> {
        let encoder = encoder.clone();
        let (query, document) = (self.queries.query_prompt.as_deref(), self.documents.document_prompt.as_deref());
        crate::prompts::with_prompts(encoder, query, document)
    }
}

/// Returns the names of the labels of a cross-encoder with several, by which labels may be named.
fn classes(model: &InferenceModel) -> Vec<String> {
    match model.spec().task().scoring() {
        Some(scoring) if scoring.labels.len() > 1 => scoring.labels.clone(),
        _ => Vec::new(),
    }
}
