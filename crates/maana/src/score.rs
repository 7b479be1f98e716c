//! The workflow of `maana score`: the rows of a file with a cross-encoder's scores for their texts,
//! streamed.

use crate::rerank::check_ranks;
use maana_data::{Column, DataError, Record, RecordStream, Table, Value};
use maana_model::{CrossEncoder, ModelError};
use serde_json::{Map, json};

/// Name of the field that holds the score.
pub const FIELD: &str = "score";

/// Rows that are read and scored together.
const ROWS: usize = 1024;

/// Settings of the scoring of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreOptions {
    /// Columns of texts: that of the first texts of the pairs, then one or several of second
    /// texts. By default the first two columns of texts.
    pub columns: Option<Vec<String>>,
    /// Writes logits instead of scores.
    pub logits: bool,
}

/// An error of scoring a file.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file without two columns of texts.
    #[error(
        "{path}: a pair needs two columns of texts, and there {}; name them with --columns (query,document)",
        match &present[..] { [] => "are no columns".into(), names => format!("are the columns {}", names.join(", ")) }
    )]
    NoPair {
        /// The file.
        path: String,
        /// Its columns; those of lists with a remark.
        present: Vec<String>,
    },
    /// One column, or the same column twice.
    #[error("--columns {}: expected the column of first texts and one or several other columns", .0.join(","))]
    Columns(Vec<String>),
    /// A score that is NaN or infinite.
    #[error("row {row}: the score is not finite; the model's weights are damaged")]
    NotFinite {
        /// Number of the row, from 1.
        row: u64,
    },
}

/// The rows of a file as JSON objects, each with a field `score` behind its own fields. It is a
/// number, or a list of numbers: one for each label, or one for each second text if there are
/// several columns of them.
pub struct ScoredRows<'a> {
    encoder: &'a CrossEncoder,
    logits: bool,
    records: RecordStream,
    /// Names of all columns.
    columns: Vec<String>,
    /// Places of the columns of texts.
    texts: Vec<usize>,
    ready: std::vec::IntoIter<String>,
    done: bool,
}

impl<'a> ScoredRows<'a> {
    /// Prepares the scoring of a table.
    ///
    /// # Errors
    /// If a column does not exist or there are not two, or if there are several columns of second
    /// texts and the model has several labels.
    pub fn of(encoder: &'a CrossEncoder, table: Table, options: &ScoreOptions) -> Result<Self, ScoreError> {
        let names = match &options.columns {
            Some(names) => names.clone(),
            None => first_two(&table)?,
        };
        let distinct = names.iter().enumerate().all(|(place, name)| !names[..place].contains(name));
        if names.len() < 2 || !distinct {
            return Err(ScoreError::Columns(names));
        }
        if names.len() > 2 {
            check_ranks(encoder)?;
        }
        let mut columns: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
        // A stream of JSON may have columns that its first object lacks.
        columns.extend(names.iter().filter(|name| !table.has(name)).cloned());
        let place = |name: &String| columns.iter().position(|column| column == name);
        let texts = names.iter().filter_map(place).collect();
        let records = table.read(&columns)?;
        let ready = Vec::new().into_iter();
        Ok(Self { encoder, logits: options.logits, records, columns, texts, ready, done: false })
    }

    /// Names of the columns of texts.
    pub fn text_columns(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|place| self.columns[*place].as_str())
    }

    /// Returns whether the file has a field of the score's name, which is replaced.
    pub fn replaces_field(&self) -> bool {
        self.columns.iter().any(|column| column == FIELD)
    }

    /// Reads and scores the next rows; none at the end.
    fn next_lines(&mut self) -> Result<Vec<String>, ScoreError> {
        let records: Vec<Record> = self.records.by_ref().take(ROWS).collect::<Result<_, _>>()?;
        let text = |record: &Record, place: usize| record.text(place);
        let [first, seconds @ ..] = &self.texts[..] else { unreachable!("two or more columns") };
        let mut texts = Vec::with_capacity(records.len() * seconds.len());
        for record in &records {
            let query = text(record, *first)?;
            for second in seconds {
                texts.push((query.clone(), text(record, *second)?));
            }
        }
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(first, second)| (first.as_str(), second.as_str())).collect();
        let scores = if self.logits { self.encoder.logits(&pairs)? } else { self.encoder.score(&pairs)? };
        let per_row = seconds.len() * scores.columns();
        let lines = records.iter().zip(scores.data().chunks_exact(per_row.max(1))).map(|(record, scores)| {
            if scores.iter().any(|score| !score.is_finite()) {
                return Err(ScoreError::NotFinite { row: record.number() });
            }
            Ok(self.line(record, scores))
        });
        lines.collect()
    }

    fn line(&self, record: &Record, scores: &[f32]) -> String {
        let mut fields = Map::new();
        for (name, value) in self.columns.iter().zip(record.values()).filter(|(name, _)| *name != FIELD) {
            if let Some(value) = json_of(value) {
                fields.insert(name.clone(), value);
            }
        }
        let score = match scores {
            [score] => number(*score),
            scores => scores.iter().copied().map(number).collect(),
        };
        fields.insert(FIELD.into(), score);
        serde_json::Value::Object(fields).to_string()
    }
}

impl Iterator for ScoredRows<'_> {
    type Item = Result<String, ScoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(line) = self.ready.next() {
            return Some(Ok(line));
        }
        if self.done {
            return None;
        }
        match self.next_lines() {
            Ok(lines) => {
                self.done = lines.is_empty();
                self.ready = lines.into_iter();
                self.ready.next().map(Ok)
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

fn first_two(table: &Table) -> Result<Vec<String>, ScoreError> {
    let texts = table.columns().iter().filter(|column| column.holds_texts() && column.name != FIELD);
    let names: Vec<String> = texts.take(2).map(|column| column.name.clone()).collect();
    if names.len() == 2 {
        return Ok(names);
    }
    let described = |column: &Column| match column.holds_lists() {
        true => format!("{} (lists of texts: write a row for each of them)", column.name),
        false => column.name.clone(),
    };
    let present = table.columns().iter().map(described).collect();
    Err(ScoreError::NoPair { path: table.path().to_owned(), present })
}

/// Returns a number with the fewest digits that give the same f32.
fn number(value: f32) -> serde_json::Value {
    value.to_string().parse::<f64>().map_or(json!(value), |value| json!(value))
}

/// Returns a value as JSON; none for a missing one.
fn json_of(value: &Value) -> Option<serde_json::Value> {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    Some(match value {
        Value::Missing => return None,
        Value::Null => serde_json::Value::Null,
        Value::Text(text) => json!(text),
        Value::Number(digits) => parsed(digits),
        Value::Truth(truth) => json!(truth),
        Value::List(texts) => json!(texts),
        Value::Other { written, .. } => written.as_deref().map_or(serde_json::Value::Null, parsed),
    })
}
