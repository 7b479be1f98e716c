//! The facts of an inspection.

use super::error::InspectError;
use super::leaks::Leaks;
use super::lengths::{Lengths, Unit};
use super::minhash::Near;
use super::negatives::Negatives;
use super::repeats::Repeats;
use super::scan::Scanned;
use super::scripts::{ScriptShare, shares};
use maana_data::Source;
use maana_model::TextEncoder;
use maana_train::LossName;
use serde::Serialize;

/// Rows whose tokens are examined for unknown ones.
const SAMPLED: usize = 2000;
/// Longest rows that are shown.
const SHOWN: usize = 3;
/// Names of the token for unknown text.
const UNKNOWN: [&str; 3] = ["[UNK]", "<unk>", "UNK"];

/// Training data, as `maana inspect` describes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Number of rows.
    pub rows: usize,
    /// The columns of texts in the order of the loss.
    pub columns: Vec<ColumnFacts>,
    /// Name of the loss that determines the roles.
    pub loss: String,
    /// The labels, if the data have labels.
    pub labels: Option<LabelFacts>,
    /// Repeated rows and texts.
    pub repeats: Repeats,
    /// Near-duplicates.
    pub near: Near,
    /// Texts of evaluation sets in the data.
    pub leaks: Vec<Leaks>,
    /// Probable false negatives by the model's similarities, with a model.
    pub negatives: Option<Negatives>,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Share of tokens that are unknown to the model, with a model.
    pub unknown_tokens: Option<f64>,
    /// The longest rows.
    pub longest: Vec<LongRow>,
    /// Unit of all lengths.
    pub unit: Unit,
    /// Tokens of a text that the model reads; none without a model, or if texts of any length are.
    pub max_seq_length: Option<usize>,
    /// Problems with their remedies.
    pub warnings: Vec<Warning>,
}

/// A column of texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its role for the loss.
    pub role: String,
    /// Number of distinct texts.
    pub distinct: usize,
    /// Occurrences of the most frequent text.
    pub most_frequent: usize,
    /// Lengths.
    pub lengths: Lengths,
    /// Texts that the model cuts, with a model.
    pub cut: Option<usize>,
    /// Texts by main script.
    pub scripts: Vec<ScriptShare>,
}

/// Labels of single numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelFacts {
    /// Numbers of a label.
    pub length: usize,
    /// Smallest label of a single number.
    pub min: f32,
    /// Greatest.
    pub max: f32,
    /// Mean.
    pub mean: f64,
    /// Number of distinct labels.
    pub distinct: usize,
}

/// A long row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LongRow {
    /// Place in its file.
    pub place: String,
    /// Length of each text.
    pub lengths: Vec<u32>,
    /// Beginning of the longest text.
    pub begins: String,
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The problem.
    pub problem: String,
    /// The remedy.
    pub remedy: String,
}

/// Describes each column. Texts of more than `longest` tokens are cut.
pub(super) fn columns(
    source: &dyn Source,
    scanned: &Scanned,
    loss: LossName,
    longest: Option<usize>,
) -> Vec<ColumnFacts> {
    let (names, keys) = (source.columns(), source.text_keys());
    let roles = crate::roles::of_loss(loss, names.len());
    let column = |(place, (name, role)): (usize, (&String, String))| {
        let keys = || keys.iter().skip(place).step_by(names.len()).map(|&key| key as usize);
        let mut counts = vec![0_usize; scanned.lengths.len()];
        keys().for_each(|key| counts[key] += 1);
        ColumnFacts {
            name: name.clone(),
            role,
            distinct: counts.iter().filter(|count| **count > 0).count(),
            most_frequent: counts.iter().copied().max().unwrap_or(0),
            lengths: Lengths::of(keys().map(|key| scanned.lengths[key]).collect()),
            cut: longest.map(|longest| keys().filter(|key| scanned.lengths[*key] as usize > longest).count()),
            scripts: shares(keys().map(|key| scanned.scripts[key])),
        }
    };
    names.iter().zip(roles).enumerate().map(column).collect()
}

/// Describes the labels.
pub(super) fn labels(source: &dyn Source) -> Option<LabelFacts> {
    if !source.has_labels() {
        return None;
    }
    let mut scores = source.scores().to_vec();
    scores.sort_by(f32::total_cmp);
    let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
    let mean = sum / scores.len().max(1) as f64;
    let (min, max) = (scores.first().copied().unwrap_or(0.0), scores.last().copied().unwrap_or(0.0));
    scores.dedup();
    Some(LabelFacts { length: source.label_length(), min, max, mean, distinct: scores.len() })
}

/// Returns the rows with most tokens or words.
pub(super) fn longest(source: &dyn Source, scanned: &Scanned) -> Result<Vec<LongRow>, InspectError> {
    let (keys, columns) = (source.text_keys(), source.columns().len());
    let lengths = |row: usize| keys[row * columns..][..columns].iter().map(|&key| scanned.lengths[key as usize]);
    let mut longest: Vec<(u32, usize)> = Vec::new();
    for row in 0..source.len() {
        let length = lengths(row).sum();
        let place = longest.partition_point(|(other, _)| *other >= length);
        if place < SHOWN {
            longest.insert(place, (length, row));
            longest.truncate(SHOWN);
        }
    }
    let long_row = |&(_, row): &(u32, usize)| -> Result<LongRow, InspectError> {
        let texts = source.get(row)?.texts;
        let begins = texts.into_iter().max_by_key(String::len).unwrap_or_default();
        Ok(LongRow { place: source.place(row).to_string(), lengths: lengths(row).collect(), begins })
    };
    longest.iter().map(long_row).collect()
}

/// Returns the share of unknown tokens of rows that are spread over the data.
pub(super) fn unknown_tokens(source: &dyn Source, model: &TextEncoder) -> Result<f64, InspectError> {
    let tokenizer = model.spec().tokenizer();
    let sampled = SAMPLED.min(source.len());
    let (mut all, mut unknown) = (0_usize, 0_usize);
    for number in 0..sampled {
        let texts = source.get(number * source.len() / sampled)?.texts;
        for text in texts.iter().filter(|text| !text.trim().is_empty()) {
            let tokens = tokenizer.encode(&[text], model.spec().settings().max_seq_length)?;
            let decoded = tokenizer.decode(tokens.sequence(0), false)?;
            all += tokens.tokens();
            unknown += UNKNOWN.iter().map(|name| decoded.matches(name).count()).max().unwrap_or(0);
        }
    }
    Ok(unknown as f64 / all.max(1) as f64)
}
