//! Queries with candidates to be ordered: rows of a query, relevant texts, and other texts or all
//! documents in an order that is to become better.

use super::error::EvaluationError;
use maana_data::{DataError, Record, Source, Table, Value};
use maana_eval::Candidates;
use std::path::PathBuf;

/// Columns by default, in the order of their roles.
pub(super) const COLUMNS: [&str; 3] = ["query", "positive", "negative"];

/// Name of a third column with all documents in the order of another ranking.
pub(super) const DOCUMENTS: &str = "documents";

/// Returns the default columns of a table that has them.
pub(super) fn columns(table: &Table) -> Option<[&'static str; 3]> {
    let [query, positive, negative] = COLUMNS;
    let candidates = [[query, positive, negative], [query, positive, DOCUMENTS]];
    candidates.into_iter().find(|columns| columns.iter().all(|name| table.has(name)))
}

/// Queries and their candidates, those of a query one after the other, relevant ones first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lists {
    pub(super) queries: Vec<String>,
    pub(super) documents: Vec<String>,
    pub(super) candidates: Vec<Candidates>,
    /// Relevance of each query's candidates in the order of the column of documents, behind which
    /// are the relevant ones that it lacks; empty without that column.
    pub(super) orders: Vec<Vec<bool>>,
}

impl Lists {
    /// Reads files with a query and two lists of texts, or two texts, in each row. A third column
    /// called `documents` holds all documents in an order.
    pub(super) fn read(files: &[PathBuf], columns: &[String]) -> Result<Self, EvaluationError> {
        let mut lists = Self::default();
        for path in files {
            for record in Table::open(path, None)?.read(columns)? {
                let record = record?;
                lists.queries.push(record.required(0)?);
                let (positives, mut negatives) = (texts(&record, 1)?, texts(&record, 2)?);
                if columns[2] == DOCUMENTS {
                    lists.orders.push(order(&positives, &negatives));
                    negatives.retain(|text| !positives.contains(text));
                }
                lists.push_candidates(positives, negatives);
            }
        }
        if lists.queries.is_empty() {
            let path = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(DataError::NoRows { path }.into());
        }
        Ok(lists)
    }

    /// Makes lists of rows of training data: a query, its document and negatives, or a list of
    /// documents, of which those with a label above 0 are relevant.
    pub(super) fn of_rows(rows: &dyn Source) -> Result<Self, EvaluationError> {
        let mut lists = Self::default();
        for row in 0..rows.len() {
            let example = rows.get(row)?;
            let mut texts = example.texts.into_iter();
            lists.queries.extend(texts.next());
            let label = example.label.filter(|_| rows.has_lists());
            let is_relevant = |place: usize| label.as_ref().map_or(place == 0, |label| label[place] > 0.0);
            let (positives, negatives): (Vec<_>, Vec<_>) =
                texts.enumerate().partition(|(place, _)| is_relevant(*place));
            let texts = |texts: Vec<(usize, String)>| texts.into_iter().map(|(_, text)| text).collect();
            lists.push_candidates(texts(positives), texts(negatives));
        }
        Ok(lists)
    }

    fn push_candidates(&mut self, positives: Vec<String>, negatives: Vec<String>) {
        self.candidates.push(Candidates { positives: positives.len(), negatives: negatives.len() });
        self.documents.extend(positives.into_iter().chain(negatives));
    }

    /// Returns the number of queries without relevant or without other candidates, which the
    /// reference skips.
    pub(super) fn skipped(&self) -> usize {
        self.candidates.iter().filter(|of| of.positives == 0 || of.negatives == 0).count()
    }
}

/// Returns the relevance of documents in their order, behind them the relevant texts that they
/// lack, as in the reference: none if no document is relevant.
fn order(positives: &[String], documents: &[String]) -> Vec<bool> {
    let mut order: Vec<bool> = documents.iter().map(|text| positives.contains(text)).collect();
    let found = order.iter().filter(|relevant| **relevant).count();
    if found > 0 {
        order.extend(std::iter::repeat_n(true, positives.len().saturating_sub(found)));
    }
    order
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
