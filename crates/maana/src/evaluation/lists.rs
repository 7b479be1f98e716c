//! Queries with candidates to be ordered: rows of a query, relevant texts and other texts.

use super::error::EvaluationError;
use maana_data::{DataError, Record, Table, Value};
use maana_eval::Candidates;
use std::path::PathBuf;

/// Columns by default, in the order of their roles.
pub(super) const COLUMNS: [&str; 3] = ["query", "positive", "negative"];

/// Queries and their candidates, those of a query one after the other, relevant ones first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lists {
    pub(super) queries: Vec<String>,
    pub(super) documents: Vec<String>,
    pub(super) candidates: Vec<Candidates>,
}

impl Lists {
    /// Reads files with a query and two lists of texts, or two texts, in each row.
    pub(super) fn read(files: &[PathBuf], columns: &[String]) -> Result<Self, EvaluationError> {
        let mut lists = Self::default();
        for path in files {
            for record in Table::open(path, None)?.read(columns)? {
                let record = record?;
                lists.queries.push(record.required(0)?);
                let (positives, negatives) = (texts(&record, 1)?, texts(&record, 2)?);
                lists.candidates.push(Candidates { positives: positives.len(), negatives: negatives.len() });
                lists.documents.extend(positives.into_iter().chain(negatives));
            }
        }
        if lists.queries.is_empty() {
            let path = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(DataError::NoRows { path }.into());
        }
        Ok(lists)
    }

    /// Returns the number of queries without relevant or without other candidates, which the
    /// reference skips.
    pub(super) fn skipped(&self) -> usize {
        self.candidates.iter().filter(|of| of.positives == 0 || of.negatives == 0).count()
    }
}

/// Returns a list of texts; a single text is a list of one, and an empty list of JSON has no
/// element that would show its kind.
fn texts(record: &Record, column: usize) -> Result<Vec<String>, DataError> {
    match &record.values()[column] {
        Value::List(texts) => Ok(texts.clone()),
        Value::Other { written: Some(written), .. } if written.trim() == "[]" => Ok(Vec::new()),
        _ => Ok(vec![record.text(column)?]),
    }
}
