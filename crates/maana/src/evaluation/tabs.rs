//! Tab-separated files of two columns with an optional header.

use super::error::EvaluationError;
use crate::texts::{Columns, Texts, read};
use maana_data::{Blanks, DataError};
use std::path::Path;

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
pub(super) fn read_tabs(path: &Path, names: [&str; 2], text: &str) -> Result<Texts, EvaluationError> {
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
            return Err(EvaluationError::Header { path: path.to_owned(), names: names.join(" and ") });
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
