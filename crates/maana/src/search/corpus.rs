//! Documents of a corpus file.

use super::error::SearchError;
use super::request::Content;
use crate::texts::ambiguity;
use maana_data::{DataError, RecordStream, Table};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Columns of a corpus and their purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Column of the id. By default `_id` or `id`; without such a column, documents are numbered by
    /// line.
    pub id: Option<String>,
    /// Column of the text. By default `text` (after `title`, if there is one, as in BEIR), else the
    /// first column of texts.
    pub text: Option<String>,
    /// Columns to store with the text.
    pub keep: Vec<String>,
    /// Names of the columns of a CSV or TSV file without a header.
    pub header: Option<Vec<String>>,
}

/// Documents that are read, embedded and written together.
pub(super) const CHUNK: usize = 2048;

/// Reads the documents of a file.
pub(super) struct Corpus {
    pub(super) path: String,
    records: RecordStream,
    /// `true` if the first field is the id.
    pub(super) has_id: bool,
    /// `true` if a title precedes the text.
    titled: bool,
    keep: Vec<String>,
    /// Ids that were read, with their lines.
    pub(super) seen: HashMap<String, u64>,
    /// Documents with a blank text.
    pub(super) skipped: usize,
    /// A note on the choice of the column of texts.
    pub(super) chosen: Option<String>,
    /// Offset of the numbers that are ids.
    pub(super) numbered_from: u64,
}

impl Corpus {
    pub(super) fn open(path: &Path, fields: &Fields) -> Result<Self, DataError> {
        let table = Table::open(path, fields.header.as_deref())?;
        let id = fields.id.clone().or_else(|| ["_id", "id"].into_iter().find(|name| table.has(name)).map(String::from));
        let mut others: Vec<&str> = fields.keep.iter().map(String::as_str).collect();
        others.extend(id.as_deref());
        let text = fields.text.clone().map_or_else(|| table.text_column(&others), Ok)?;
        let chosen = if fields.text.is_none() { ambiguity(&table, &text, &others) } else { None };
        // A title precedes the text even if it is also the id.
        let titled = fields.text.is_none() && text == "text" && table.has("title");
        let title = titled.then(|| "title".to_owned());
        let columns: Vec<String> =
            id.iter().cloned().chain([text]).chain(title).chain(fields.keep.iter().cloned()).collect();
        Ok(Self {
            path: path.display().to_string(),
            records: table.read(&columns)?,
            has_id: id.is_some(),
            titled,
            keep: fields.keep.clone(),
            seen: HashMap::new(),
            skipped: 0,
            chosen,
            numbered_from: 0,
        })
    }

    /// Reads the next documents; none at the end of the file.
    pub(super) fn next_chunk(&mut self) -> Result<Vec<(String, Content)>, SearchError> {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let Some(record) = self.records.next() else { break };
            let record = record?;
            let line = record.number();
            let text_column = usize::from(self.has_id);
            let keep_column = text_column + 1 + usize::from(self.titled);
            let mut text = record.text(text_column)?;
            if self.titled
                && let Some(title) = record.field(text_column + 1)?
            {
                text = format!("{title} {text}");
            }
            if text.trim().is_empty() {
                self.skipped += 1;
                continue;
            }
            let number = || self.numbered_from.saturating_add(line).to_string();
            let id = if self.has_id { record.required(0)? } else { number() };
            if let Some(first_line) = self.seen.insert(id.clone(), line) {
                return Err(DataError::DuplicateId { path: self.path.clone(), line, id, first_line }.into());
            }
            let mut fields = BTreeMap::new();
            for (column, name) in self.keep.iter().enumerate() {
                if let Some(value) = record.field(keep_column + column)? {
                    fields.insert(name.clone(), value);
                }
            }
            chunk.push((id, Content { text, fields }));
        }
        Ok(chunk)
    }
}
