//! The workflow of `maana evaluate --suite`: evaluates a folder of data sets of several kinds at
//! several dimensions from one encoding, with one table and one chart.
//!
//! Recognised at any depth: a folder with queries, corpus and judgements (retrieval); a folder with
//! `sentences.tsv` and `duplicates.tsv` (paraphrase mining; ids and texts, pairs of ids); files
//! `NAME.train.tsv` and `NAME.test.tsv` (classification and clustering; a text and its label per
//! line); `dev.jsonl` or `test.jsonl` with `anchor` and `positive` (matching in both directions, as
//! for translations).

use crate::similarity::unit;
use crate::texts::{Columns, Texts, TextsError, embed, read, read_pairs};
use maana_chart::{Chart, Series};
use maana_data::{Blanks, DataError, RetrievalSet, Table};
use maana_eval::{EvalError, RetrievalOptions, paraphrase_mining, translation};
use maana_files::FileError;
use maana_kernels::Context;
use maana_model::{Role, TextEncoder};
use maana_vectors::VectorsError;
use maana_vectors::classify::{Confusion, Logistic, LogisticSettings};
use maana_vectors::cluster::{KMeans, kmeans, v_measure};
use maana_vectors::pairs::{Mining, paraphrase_mining as mine};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// An error of a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Texts or their embeddings.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// A retrieval set.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// A folder that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No data sets.
    #[error("{0}: no known data sets; `maana evaluate --help` describes the layout of a suite")]
    Empty(PathBuf),
    /// A first line that may be a header or an example.
    #[error("{path}: the first line looks like a header, but not of {names}; name the columns so, or remove the line")]
    Header {
        /// The file.
        path: PathBuf,
        /// The names of the columns.
        names: String,
    },
    /// A pair with an unknown id.
    #[error("{path}: the id `{id}` is not among the sentences")]
    UnknownId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
}

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// A retrieval set.
    Retrieval(PathBuf),
    /// Sentences and which of them are duplicates.
    Mining(PathBuf),
    /// Labelled texts for training and testing.
    Labels {
        /// Training texts.
        train: PathBuf,
        /// Test texts.
        test: PathBuf,
    },
    /// Pairs of related texts.
    Pairs(PathBuf),
}

/// A metric of a set at each dimension.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// The set.
    pub set: String,
    /// The task.
    pub task: &'static str,
    /// The metric.
    pub measure: String,
    /// Value at each dimension.
    pub values: Vec<f64>,
}

/// Finds the sets of a folder, in the order of their paths.
///
/// # Errors
/// If a folder cannot be read, or there are no sets.
pub fn find(folder: &Path) -> Result<Vec<Set>, SuiteError> {
    let mut sets = Vec::new();
    walk(folder, 0, &mut sets)?;
    if sets.is_empty() { Err(SuiteError::Empty(folder.to_owned())) } else { Ok(sets) }
}

fn walk(folder: &Path, depth: usize, sets: &mut Vec<Set>) -> Result<(), SuiteError> {
    let io = FileError::at(folder);
    let has = |name: &str| folder.join(name).exists();
    if RetrievalSet::is_at(folder) {
        sets.push(Set::Retrieval(folder.to_owned()));
        return Ok(());
    }
    if has("sentences.tsv") && has("duplicates.tsv") {
        sets.push(Set::Mining(folder.to_owned()));
        return Ok(());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(&io)? {
        paths.push(entry.map_err(&io)?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if depth < 4 {
                walk(&path, depth + 1, sets)?;
            }
        } else if let Some(stem) = name.strip_suffix(".test.tsv") {
            let train = folder.join(format!("{stem}.train.tsv"));
            if train.exists() {
                sets.push(Set::Labels { train, test: path });
            }
        } else if name == "dev.jsonl" || name == "test.jsonl" {
            sets.push(Set::Pairs(path));
        }
    }
    Ok(())
}

impl Set {
    /// Returns the name of the set.
    pub fn name(&self) -> String {
        let path = match self {
            Self::Retrieval(path) | Self::Mining(path) | Self::Pairs(path) => path,
            Self::Labels { test, .. } => test,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(".test.tsv").trim_end_matches(".jsonl");
        match self {
            // `dev` would not be specific.
            Self::Pairs(_) => {
                let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
                format!("{folder}/{name}")
            }
            _ => name.to_owned(),
        }
    }

    /// Evaluates a model on the set.
    ///
    /// # Errors
    /// If the set cannot be read or a text cannot be embedded.
    pub fn measure(
        &self,
        embedder: &TextEncoder,
        context: &Context,
        dims: &[usize],
    ) -> Result<Vec<Measured>, SuiteError> {
        match self {
            Self::Retrieval(folder) => self.retrieval(folder, embedder, context, dims),
            Self::Mining(folder) => self.mining(folder, embedder, context, dims),
            Self::Labels { train, test } => self.labels(train, test, embedder, context, dims),
            Self::Pairs(file) => self.pairs(file, embedder, dims),
        }
    }

    fn measured(&self, task: &'static str, measure: impl Into<String>, values: Vec<f64>) -> Measured {
        Measured { set: self.name(), task, measure: measure.into(), values }
    }

    fn retrieval(
        &self,
        folder: &Path,
        embedder: &TextEncoder,
        context: &Context,
        dims: &[usize],
    ) -> Result<Vec<Measured>, SuiteError> {
        let set = RetrievalSet::open(folder)?;
        let scores = maana_eval::evaluate_retrieval(context, embedder, &set, dims, &RetrievalOptions::default())?;
        let measures = ["ndcg@10", "accuracy@1"].map(|measure| {
            let name = scores.first().and_then(|first| first.values.iter().find(|(key, _)| key.ends_with(measure)));
            let name = name.map_or_else(String::new, |(key, _)| key.clone());
            let values = scores.iter().map(|scores| scores.get(&name).unwrap_or(f64::NAN)).collect();
            self.measured("retrieval", name, values)
        });
        Ok(measures.to_vec())
    }

    fn mining(
        &self,
        folder: &Path,
        embedder: &TextEncoder,
        context: &Context,
        dims: &[usize],
    ) -> Result<Vec<Measured>, SuiteError> {
        let sentences = read_tabs(&folder.join("sentences.tsv"), ["id", "text"], "text")?;
        let ids: HashMap<&str, usize> =
            sentences.labels.iter().enumerate().map(|(row, labels)| (labels[0].as_str(), row)).collect();
        let path = folder.join("duplicates.tsv");
        let pairs = read_tabs(&path, ["first", "second"], "second")?;
        let mut known = HashSet::new();
        for (second, labels) in pairs.texts.iter().zip(&pairs.labels) {
            let row = |id: &str| {
                ids.get(id).copied().ok_or_else(|| SuiteError::UnknownId { path: path.clone(), id: id.to_owned() })
            };
            let (a, b) = (row(&labels[0])?, row(second)?);
            known.insert((a.min(b), a.max(b)));
        }
        let rows = embed(embedder, &sentences.texts, embedder.default_prompt(), &mut |_| {})?;
        let (mut precision, mut f1) = (Vec::new(), Vec::new());
        for dim in dims {
            let mined = mine(context, rows.view(), &Mining { dim: Some(*dim), ..Mining::default() })?;
            let mined: Vec<_> = mined.into_iter().map(|pair| (pair.score, pair.first, pair.second)).collect();
            let scores: HashMap<String, f64> = paraphrase_mining(&mined, &known).into_iter().collect();
            precision.push(scores["average_precision"]);
            f1.push(scores["f1"]);
        }
        let task = "paraphrase mining";
        Ok(vec![self.measured(task, "average_precision", precision), self.measured(task, "f1", f1)])
    }

    fn labels(
        &self,
        train: &Path,
        test: &Path,
        embedder: &TextEncoder,
        context: &Context,
        dims: &[usize],
    ) -> Result<Vec<Measured>, SuiteError> {
        let (train, test) = (read_tabs(train, ["text", "label"], "text")?, read_tabs(test, ["text", "label"], "text")?);
        let mut names: Vec<&str> = train.labels.iter().chain(&test.labels).map(|labels| labels[0].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let number = |labels: &Vec<String>| names.binary_search(&labels[0].as_str()).expect("the list has all labels");
        let numbers = |labels: &[Vec<String>]| labels.iter().map(number).collect::<Vec<_>>();
        let (learnt, truth) = (numbers(&train.labels), numbers(&test.labels));
        let prompt = embedder.default_prompt();
        let examples = embed(embedder, &train.texts, prompt, &mut |_| {})?;
        let rows = embed(embedder, &test.texts, prompt, &mut |_| {})?;
        let [mut accuracy, mut macro_f1, mut groups] = [(); 3].map(|()| Vec::new());
        for dim in dims {
            let (examples, rows) =
                (unit(context, examples.view().prefix(*dim)), unit(context, rows.view().prefix(*dim)));
            let settings = LogisticSettings { tolerance: 1e-6, ..LogisticSettings::default() };
            let (model, _) = Logistic::fit(context, examples.view(), &learnt, names.len(), &settings)?;
            let found = model.probabilities(context, rows.view())?.labels();
            let confusion = Confusion::new(&truth, &found, names.len());
            accuracy.push(confusion.accuracy());
            macro_f1.push(confusion.macro_f1());
            let k = truth.iter().collect::<HashSet<_>>().len();
            let clusters = kmeans(context, rows.view(), &KMeans { k, starts: 10, ..KMeans::default() })?;
            groups.push(v_measure(&truth, &clusters.labels).v_measure);
        }
        Ok(vec![
            self.measured("classification", "accuracy", accuracy),
            self.measured("classification", "macro_f1", macro_f1),
            self.measured("clustering", "v_measure", groups),
        ])
    }

    fn pairs(&self, file: &Path, embedder: &TextEncoder, dims: &[usize]) -> Result<Vec<Measured>, SuiteError> {
        let pairs = read_pairs(Table::open(file, None)?, ["anchor", "positive"], Blanks::Refuse)?.pairs;
        let anchors: Vec<&str> = pairs.iter().map(|[anchor, _]| anchor.as_str()).collect();
        let positives: Vec<&str> = pairs.iter().map(|[_, positive]| positive.as_str()).collect();
        let a = embed(embedder, &anchors, embedder.role_prompt(Role::Query), &mut |_| {})?;
        let b = embed(embedder, &positives, embedder.role_prompt(Role::Document), &mut |_| {})?;
        let scores: Vec<Vec<(String, f64)>> = dims
            .iter()
            .map(|dim| translation(a.view().prefix(*dim), b.view().prefix(*dim), &anchors, &positives))
            .collect();
        let measured = |name: &str| {
            let at = |scores: &Vec<(String, f64)>| {
                scores.iter().find(|(key, _)| key == name).map_or(f64::NAN, |(_, value)| *value)
            };
            self.measured("matching", name, scores.iter().map(at).collect())
        };
        Ok(["mean_accuracy", "src2trg_f1", "trg2src_f1"].map(measured).into())
    }
}

/// Column names in the header of a suite's file.
const HEADERS: [(&str, &[&str]); 5] = [
    ("id", &["id", "sid", "qid", "sentence_id"]),
    ("text", &["text", "texts", "sentence", "content", "document"]),
    ("label", &["label", "labels", "class", "category", "topic", "intent"]),
    ("first", &["first", "id1", "qid1", "sid1", "sentence1"]),
    ("second", &["second", "id2", "qid2", "sid2", "sentence2"]),
];

/// Reads a tab-separated file of two columns with an optional header. `text` is the column of
/// texts, the other one of labels.
fn read_tabs(path: &Path, names: [&str; 2], text: &str) -> Result<Texts, SuiteError> {
    let labels: Vec<&str> = names.into_iter().filter(|name| *name != text).collect();
    let columns = Columns { text: Some(text.into()), header: Some(names.map(String::from).to_vec()) };
    let mut read = read(path, &columns, &labels, Blanks::Refuse)?;
    let is_header = |name: &str, field: &str| {
        let known = HEADERS.iter().find(|(column, _)| *column == name).map_or(&[][..], |(_, words)| words);
        known.contains(&field.trim().to_lowercase().as_str())
    };
    let first = [is_header(text, &read.texts[0]), is_header(labels[0], &read.labels[0][0])];
    if read.numbers[0] == 1 && first.contains(&true) {
        if first.contains(&false) {
            return Err(SuiteError::Header { path: path.to_owned(), names: names.join(" and ") });
        }
        read.texts.remove(0);
        read.labels.remove(0);
        read.numbers.remove(0);
    }
    match read.texts.is_empty() {
        true => Err(DataError::NoRows { path: path.display().to_string() }.into()),
        false => Ok(read),
    }
}

/// Formats the metrics as a table: a row per metric, a column per dimension.
pub fn table(measured: &[Measured], dims: &[usize]) -> String {
    let width = |name: fn(&Measured) -> &str| measured.iter().map(|row| name(row).len()).max().unwrap_or(0);
    let (sets, tasks, measures) = (width(|row| &row.set), width(|row| row.task), width(|row| &row.measure));
    let header: String = dims.iter().map(|dim| format!("{dim:>9}")).collect();
    let mut text = format!("{:sets$}  {:tasks$}  {:measures$}{header}\n", "", "", "dimension");
    for row in measured {
        let cells: String = row.values.iter().map(|value| format!("{value:>9.4}")).collect();
        text += &format!("{:sets$}  {:tasks$}  {:measures$}{cells}\n", row.set, row.task, row.measure);
    }
    text
}

/// Metrics in one precision.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct InPrecision {
    /// Precision of the matrix products.
    pub precision: String,
    /// The metrics.
    pub measures: Vec<Measured>,
}

/// Draws the first metric of each set and task by dimension: one chart per precision, side by side.
pub fn chart(measured: &[InPrecision], dims: &[usize], title: &str) -> String {
    let of = |run: &InPrecision| {
        let mut first = HashSet::new();
        let rows = run.measures.iter().filter(|row| first.insert((&row.set, row.task)));
        let series = rows.map(|row| Series {
            name: format!("{}: {}", row.set, row.measure),
            points: row.values.iter().rev().enumerate().map(|(index, value)| (index as f64, *value)).collect(),
            labelled: false,
        });
        Chart {
            id: format!("suite-{}", run.precision),
            title: format!("{title} in {}", run.precision),
            description: "Metrics of every set by dimension".into(),
            x_label: "dimensions".into(),
            y_label: "metric".into(),
            x_names: Some(dims.iter().rev().map(ToString::to_string).collect()),
            from_zero: true,
            series: series.collect(),
        }
    };
    Chart::lines_side_by_side(&measured.iter().map(of).collect::<Vec<_>>())
}
