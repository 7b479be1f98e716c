//! Texts of evaluation sets that are also in the training data, equal or nearly.

use super::error::InspectError;
use super::minhash::{self, BandIndex, Signature, text_of};
use crate::evaluation::{EvaluationSet, SetSpec, find};
use maana_data::{RetrievalSet, Source, Table};
use maana_kernels::Context;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Pairs that are shown for each part.
const SHOWN: usize = 3;

/// Texts of one part of an evaluation set that occur in the training data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaks {
    /// The file or folder.
    pub set: String,
    /// The part: `queries`, `documents`, `training texts`, `test texts` or `texts`.
    pub part: &'static str,
    /// Distinct texts of the part.
    pub texts: usize,
    /// Those that are equal to a text of the training data.
    pub equal: usize,
    /// Those that are near-duplicates of one.
    pub near: usize,
    /// Rows of the training data, from 1, in which the equal or near texts occur first.
    pub rows: Vec<usize>,
    /// Some of them.
    pub examples: Vec<LeakExample>,
}

/// A text of an evaluation set and one of the training data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeakExample {
    /// The text of the set.
    pub text: String,
    /// The text of the training data.
    pub training_text: String,
    /// Row of the training data, from 1.
    pub row: usize,
    /// Estimated Jaccard similarity; 1 for equal texts.
    pub similarity: f64,
}

/// A text of the sets that a training text equals or resembles.
pub(super) struct Match {
    dev: usize,
    similarity: f64,
    is_equal: bool,
}

/// The training text most similar to a text of the sets.
#[derive(Clone, Copy)]
struct Found {
    key: u32,
    row: u32,
    similarity: f64,
    is_equal: bool,
}

/// The texts of all sets.
pub(super) struct DevTexts {
    parts: Vec<(String, &'static str, Vec<usize>)>,
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
    signatures: Vec<Option<Signature>>,
    index: BandIndex,
    found: Vec<Option<Found>>,
}

impl DevTexts {
    /// Reads the texts of files and folders of evaluation sets.
    pub(super) fn open(paths: &[PathBuf], context: &Context) -> Result<Self, InspectError> {
        let mut dev = Self {
            parts: Vec::new(),
            texts: Vec::new(),
            numbers: HashMap::new(),
            signatures: Vec::new(),
            index: BandIndex::new(&[]),
            found: Vec::new(),
        };
        for path in paths {
            dev.read(path)?;
        }
        dev.signatures = dev.texts.iter().map(|_| None).collect();
        let texts = &dev.texts;
        context.for_each_chunk(&mut dev.signatures, 1, |number, signature| {
            signature[0] = minhash::signature(&texts[number]);
        });
        dev.index = BandIndex::new(&dev.signatures);
        dev.found = vec![None; dev.texts.len()];
        Ok(dev)
    }

    fn read(&mut self, path: &Path) -> Result<(), InspectError> {
        let name = path.display().to_string();
        if !path.is_dir() {
            let table = Table::open(path, None)?;
            let columns: Vec<String> = table
                .columns()
                .iter()
                .filter(|column| column.holds_texts())
                .map(|column| column.name.clone())
                .collect();
            if columns.is_empty() {
                table.text_column(&[])?;
            }
            let mut texts = Vec::new();
            for record in table.read(&columns)? {
                let record = record?;
                for column in 0..columns.len() {
                    texts.extend(record.field(column)?);
                }
            }
            self.add(name, "texts", texts.iter().map(String::as_str));
            return Ok(());
        }
        let sets = match RetrievalSet::is_at(path) {
            true => vec![SetSpec::of(path)],
            false => find(path)?,
        };
        for spec in sets {
            let set = EvaluationSet::open(&spec)?;
            let name = spec.files.last().map_or_else(|| name.clone(), |path| path.display().to_string());
            for (part, texts) in set.texts() {
                self.add(name.clone(), part, texts.into_iter());
            }
        }
        Ok(())
    }

    fn add<'a>(&mut self, set: String, part: &'static str, texts: impl Iterator<Item = &'a str>) {
        let mut numbers: Vec<usize> = Vec::new();
        for text in texts.filter(|text| !text.trim().is_empty()) {
            let next = self.texts.len();
            let number = *self.numbers.entry(text.to_owned()).or_insert(next);
            if number == next {
                self.texts.push(text.to_owned());
            }
            numbers.push(number);
        }
        numbers.sort_unstable();
        numbers.dedup();
        self.parts.push((set, part, numbers));
    }

    /// Returns the texts of the sets that a training text equals or resembles.
    pub(super) fn matches(&self, text: &str, signature: Option<&Signature>) -> Vec<Match> {
        if self.texts.is_empty() {
            return Vec::new();
        }
        let equal = self.numbers.get(text).map(|&dev| Match { dev, similarity: 1.0, is_equal: true });
        let near = signature.map_or_else(Vec::new, |signature| self.index.near(&self.signatures, signature));
        let near = near.into_iter().map(|(dev, similarity)| Match { dev, similarity, is_equal: false });
        equal.into_iter().chain(near).collect()
    }

    /// Notes the matches of the training text with this key, which occurs first in `row`.
    pub(super) fn note(&mut self, matches: &[Match], key: u32, row: u32) {
        for &Match { dev, similarity, is_equal } in matches {
            let is_better = |found: &Found| (is_equal, similarity) > (found.is_equal, found.similarity);
            if self.found[dev].as_ref().is_none_or(is_better) {
                self.found[dev] = Some(Found { key, row, similarity, is_equal });
            }
        }
    }

    /// Summarises the matches by set and part.
    pub(super) fn leaks(&self, source: &dyn Source) -> Result<Vec<Leaks>, InspectError> {
        let leaks = |(set, part, numbers): &(String, &'static str, Vec<usize>)| -> Result<Leaks, InspectError> {
            let found: Vec<(usize, Found)> = numbers.iter().filter_map(|&dev| Some((dev, self.found[dev]?))).collect();
            let equal = found.iter().filter(|(_, found)| found.is_equal).count();
            let example = |&(dev, found): &(usize, Found)| -> Result<LeakExample, InspectError> {
                Ok(LeakExample {
                    text: self.texts[dev].clone(),
                    training_text: text_of(source, found.key, found.row)?,
                    row: found.row as usize + 1,
                    similarity: found.similarity,
                })
            };
            let mut rows: Vec<usize> = found.iter().map(|(_, found)| found.row as usize + 1).collect();
            rows.sort_unstable();
            rows.dedup();
            // Near texts first: equal ones say nothing beyond their number.
            let mut order: Vec<&(usize, Found)> = found.iter().collect();
            order.sort_by_key(|(_, found)| found.is_equal);
            Ok(Leaks {
                set: set.clone(),
                part,
                texts: numbers.len(),
                equal,
                near: found.len() - equal,
                rows,
                examples: order.into_iter().take(SHOWN).map(example).collect::<Result<_, _>>()?,
            })
        };
        self.parts.iter().map(leaks).collect()
    }
}
