//! Opens evaluation sets from files.

use super::content::{Content, Labelled};
use super::error::EvaluationError;
use super::find;
use super::lists::{self, Lists};
use super::set::EvaluationSet;
use super::spec::{AT_K, SetSpec, listed};
use super::tabs::read_tabs;
use crate::texts::{Columns, Texts, read};
use maana_data::{Blanks, RetrievalSet, Source, Table};
use maana_eval::Kind;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl EvaluationSet {
    /// Opens a set.
    ///
    /// # Errors
    /// If a file cannot be read, or the files do not fit the kind or do not determine it.
    pub fn open(spec: &SetSpec) -> Result<Self, EvaluationError> {
        let (kind, rows) = spec.kind.map_or_else(|| find::kind(spec), |kind| Ok((kind, None)))?;
        let unfit = |needed| {
            let found = format!("{} files are named", spec.files.len());
            EvaluationError::Unfit { files: listed(&spec.files), kind: kind.name(), needed, found }
        };
        let mut notes = Vec::new();
        let content = match (kind, &spec.files[..]) {
            (_, []) => return Err(unfit("files")),
            (Kind::Retrieval, [folder]) if !folder.is_file() => {
                let set = RetrievalSet::open(folder)?;
                notes = set.notes();
                Content::Retrieval(set)
            }
            (Kind::Mining, [folder]) if folder.is_dir() => mining(folder)?,
            (Kind::Labels, [test]) => {
                let train = find::training_part(test);
                let train =
                    train.ok_or_else(|| unfit("two files: texts with labels for training, then for testing"))?;
                Content::Labels { train: labelled(&train, spec)?, test: labelled(test, spec)? }
            }
            (Kind::Labels, [train, test]) => {
                Content::Labels { train: labelled(train, spec)?, test: labelled(test, spec)? }
            }
            (Kind::Labels, _) => return Err(unfit("two files: texts with labels for training, then for testing")),
            (Kind::Reranking, files) => {
                let columns = match &spec.columns {
                    Some(columns) => columns.clone(),
                    None => {
                        let table = Table::open(&files[0], None)?;
                        lists::columns(&table).unwrap_or(lists::COLUMNS).map(String::from).to_vec()
                    }
                };
                if columns.len() != lists::COLUMNS.len() {
                    return Err(unfit("three columns: query, positive, and negative or documents"));
                }
                let lists = Lists::read(files, &columns)?;
                if lists.skipped() > 0 {
                    notes.push(format!(
                        "{}: {} of {} queries have only relevant or only other candidates; measures of embeddings skip them",
                        listed(files),
                        lists.skipped(),
                        lists.queries.len()
                    ));
                }
                Content::Reranking { lists, at_k: spec.at_k.unwrap_or(AT_K) }
            }
            (_, files) => {
                let rows: Arc<dyn Source> = Arc::new(rows.map_or_else(|| find::rows(spec), Ok)?);
                Content::of_rows(kind, &rows, &listed(files))?
            }
        };
        let name = Some(spec.name.clone().unwrap_or_else(|| name(&spec.files)));
        Ok(Self { name, content, notes })
    }
}

/// Returns the name of a set from the last of its files: that of a folder, the stem of a file, or
/// `folder/dev` for stems that every set has.
fn name(files: &[PathBuf]) -> String {
    let Some(path) = files.last() else { return String::new() };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_dir() {
        return of(&path);
    }
    let name = of(&path);
    let stem = name.strip_suffix(".test.tsv").or(name.split_once('.').map(|(stem, _)| stem)).unwrap_or(&name);
    match stem {
        "dev" | "test" | "train" | "validation" => format!("{}/{stem}", path.parent().map(of).unwrap_or_default()),
        stem => stem.to_owned(),
    }
}

/// Opens the sentences and the pairs of duplicates of a folder.
fn mining(folder: &Path) -> Result<Content, EvaluationError> {
    let sentences = read_tabs(&folder.join(find::SENTENCES), ["id", "text"], "text")?;
    let ids: HashMap<&str, usize> =
        sentences.labels.iter().enumerate().map(|(row, labels)| (labels[0].as_str(), row)).collect();
    let path = folder.join(find::DUPLICATES);
    let pairs = read_tabs(&path, ["first", "second"], "second")?;
    let mut known = HashSet::new();
    for (second, labels) in pairs.texts.iter().zip(&pairs.labels) {
        let row = |id: &str| {
            ids.get(id).copied().ok_or_else(|| EvaluationError::UnknownId { path: path.clone(), id: id.to_owned() })
        };
        let (a, b) = (row(&labels[0])?, row(second)?);
        known.insert((a.min(b), a.max(b)));
    }
    drop(ids);
    Ok(Content::Mining { texts: sentences.texts, known })
}

/// Reads texts with labels: a TSV file with or without a header, or another file with a column
/// `label`, or with the named columns of texts and labels.
fn labelled(path: &Path, spec: &SetSpec) -> Result<Labelled, EvaluationError> {
    let is_tsv = path.extension().is_some_and(|extension| extension == "tsv");
    let Texts { texts, labels, .. } = match spec.columns.as_deref() {
        None if is_tsv => read_tabs(path, ["text", "label"], "text")?,
        None => read(path, &Columns::default(), &["label"], Blanks::Refuse)?,
        Some([text, label]) => {
            read(path, &Columns { text: Some(text.clone()), header: None }, &[label], Blanks::Refuse)?
        }
        Some(columns) => {
            let found = format!("the columns {} are named", columns.join(", "));
            let needed = "two columns: texts and labels";
            let files = path.display().to_string();
            return Err(EvaluationError::Unfit { files, kind: Kind::Labels.name(), needed, found });
        }
    };
    let labels = labels.into_iter().map(|mut labels| labels.remove(0)).collect();
    Ok(Labelled { texts, labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files() {
        let named = |path: &str| name(&[PathBuf::from(path)]);
        assert_eq!(named("a/sts.jsonl.gz"), "sts");
        assert_eq!(named("a/topic.test.tsv"), "topic");
        assert_eq!(named("a/dev.jsonl"), "a/dev");
        assert_eq!(named("a/stsb_dev.csv"), "stsb_dev");
    }
}
