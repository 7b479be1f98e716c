//! Evaluation sets in a folder, and the kind of a set from its files.
//!
//! Recognised at any depth: a folder with queries, corpus and judgements (retrieval); a folder with
//! `sentences.tsv` and `duplicates.tsv` (paraphrase mining; ids and texts, pairs of ids); files
//! `NAME.train.tsv` and `NAME.test.tsv` (classification and clustering; a text and its label per
//! line); `dev.jsonl` or `test.jsonl` (pairs, triplets or lists, by their columns).

use super::error::EvaluationError;
use super::lists;
use super::spec::{SetSpec, listed};
use maana_data::{Dataset, ReadOptions, RetrievalSet, Source, Table};
use maana_eval::Kind;
use maana_files::FileError;
use std::path::{Path, PathBuf};

/// Files of a set for paraphrase mining.
pub(super) const SENTENCES: &str = "sentences.tsv";
pub(super) const DUPLICATES: &str = "duplicates.tsv";

/// Deepest folder in which sets are sought.
const DEEPEST: usize = 4;

/// Finds the sets of a folder, in the order of their paths.
///
/// # Errors
/// If a folder cannot be read, or there are no sets.
pub fn find(folder: &Path) -> Result<Vec<SetSpec>, EvaluationError> {
    let mut sets = Vec::new();
    walk(folder, 0, &mut sets)?;
    if sets.is_empty() { Err(EvaluationError::Empty(folder.to_owned())) } else { Ok(sets) }
}

fn walk(folder: &Path, depth: usize, sets: &mut Vec<SetSpec>) -> Result<(), EvaluationError> {
    let io = FileError::at(folder);
    if let Some(kind) = of_folder(folder) {
        sets.push(SetSpec { kind: Some(kind), ..SetSpec::of(folder) });
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
            if depth < DEEPEST {
                walk(&path, depth + 1, sets)?;
            }
        } else if let Some(train) = training_part(&path) {
            sets.push(SetSpec { kind: Some(Kind::Labels), files: vec![train, path], ..SetSpec::default() });
        } else if name == "dev.jsonl" || name == "test.jsonl" {
            sets.push(pairs_of_suite(path)?);
        }
    }
    Ok(())
}

/// Returns the set of a file in a suite, which may have further columns than `anchor` and
/// `positive`.
fn pairs_of_suite(path: PathBuf) -> Result<SetSpec, EvaluationError> {
    let table = Table::open(&path, None)?;
    let has = |names: &[&str]| names.iter().all(|name| table.has(name));
    let is_pair = has(&["anchor", "positive"]) && !table.has("negative");
    let columns = is_pair.then(|| ["anchor", "positive"].map(String::from).to_vec());
    Ok(SetSpec { columns, kind: is_pair.then_some(Kind::Translation), ..SetSpec::of(path) })
}

/// Returns the kind of a folder that is one set.
fn of_folder(folder: &Path) -> Option<Kind> {
    let has = |name: &str| folder.join(name).exists();
    if RetrievalSet::is_at(folder) {
        Some(Kind::Retrieval)
    } else if has(SENTENCES) && has(DUPLICATES) {
        Some(Kind::Mining)
    } else {
        None
    }
}

/// Returns `NAME.train.tsv` for an existing pair with `NAME.test.tsv`.
pub fn training_part(test: &Path) -> Option<PathBuf> {
    let name = test.file_name()?.to_string_lossy().into_owned();
    let train = test.with_file_name(format!("{}.train.tsv", name.strip_suffix(".test.tsv")?));
    train.exists().then_some(train)
}

/// Opens the rows of a set's files.
pub(super) fn rows(spec: &SetSpec) -> Result<Dataset, EvaluationError> {
    let classes = spec.classes.clone();
    let options = ReadOptions { columns: spec.columns.clone(), classes, ..ReadOptions::default() };
    Ok(Dataset::open(&spec.files, options)?)
}

/// Returns the kind of a set by its files and columns, and its rows if they were opened.
pub(super) fn kind(spec: &SetSpec) -> Result<(Kind, Option<Dataset>), EvaluationError> {
    let files = listed(&spec.files);
    let unknown = |found: String| EvaluationError::UnknownKind { files: files.clone(), found };
    if let [path] = &spec.files[..] {
        if path.is_dir() {
            let unknown = || unknown("a folder without queries and corpus, or sentences.tsv and duplicates.tsv".into());
            return Ok((of_folder(path).ok_or_else(unknown)?, None));
        }
        if training_part(path).is_some() {
            return Ok((Kind::Labels, None));
        }
    }
    if let ([path, ..], None) = (&spec.files[..], &spec.columns) {
        let table = Table::open(path, None)?;
        if lists::columns(&table).is_some() {
            return Ok((Kind::Reranking, None));
        }
    }
    let rows = rows(spec)?;
    let scores = rows.scores();
    let kind = match (rows.columns().len(), rows.has_labels()) {
        (2, true) if spec.classes.len() > 1 => Kind::Classification,
        (2, true) if !scores.is_empty() && scores.iter().all(|&score| score == 0.0 || score == 1.0) => Kind::Binary,
        (2, true) => Kind::Similarity,
        (2, false) => Kind::Translation,
        (3, false) => Kind::Triplet,
        (columns, labels) => {
            let labels = if labels { "a label" } else { "no label" };
            return Err(unknown(format!("{columns} columns of texts ({}) and {labels}", rows.columns().join(", "))));
        }
    };
    Ok((kind, Some(rows)))
}
