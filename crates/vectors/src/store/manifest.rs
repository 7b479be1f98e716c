//! The manifest: which files make the store. Text, so that people can read it: the format's version, the checksum of what
//! follows, JSON. Replaced whole by a rename.

use super::{Disk, StoreError};
use crate::search::Metric;
use serde::{Deserialize, Serialize};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "manifest";
const TEMPORARY: &str = "manifest.new";
const TITLE: &str = "maana store";
/// The version that is written, and the last that is read.
const VERSION: u32 = 1;

/// How vectors are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// Four bytes a value, as they came.
    F32,
    /// Two bytes a value, rounded to the nearest.
    Bf16,
}

impl Stored {
    /// Bytes of a value.
    pub fn value_bytes(self) -> usize {
        match self {
            Stored::F32 => 4,
            Stored::Bf16 => 2,
        }
    }
}

/// What holds for a whole store and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHeader {
    /// Dims of a vector.
    pub dims: usize,
    /// How vectors are meant to be compared.
    pub metric: Metric,
    /// How they are kept.
    pub stored: Stored,
    /// What made them, in hexadecimal digits; compared, never understood.
    pub fingerprint: String,
    /// A name for it, told to people.
    pub made_by: String,
    /// Precision of the products that made them, if it was noted; told to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// The text that stood before every document when it was embedded, if it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_prompt: Option<String>,
}

impl StoreHeader {
    /// A header; the fingerprint is any bytes.
    pub fn new(dims: usize, metric: Metric, stored: Stored, fingerprint: &[u8], made_by: &str) -> Self {
        Self {
            dims,
            metric,
            stored,
            fingerprint: hex(fingerprint),
            made_by: made_by.to_owned(),
            precision: None,
            document_prompt: None,
        }
    }

    /// Notes the precision of the products that make the vectors.
    pub fn with_precision(self, name: &str) -> Self {
        Self { precision: Some(name.to_owned()), ..self }
    }

    /// Notes the text that stands before every document when it is embedded.
    pub fn with_document_prompt(self, prompt: &str) -> Self {
        Self { document_prompt: Some(prompt.to_owned()), ..self }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Counts changes.
    pub(super) generation: u64,
    /// The number of the next file.
    pub(super) next: u64,
    pub(super) header: StoreHeader,
    pub(super) segments: Vec<SegmentEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentEntry {
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// The checksum in the file's header, in hexadecimal digits.
    pub(super) checksum: String,
    /// Deleted rows, if there are any.
    pub(super) dead: Option<DeadEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeadEntry {
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) checksum: String,
}

impl Manifest {
    pub(super) fn new(header: StoreHeader) -> Self {
        Self { generation: 0, next: 1, header, segments: Vec::new() }
    }

    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(NAME);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StoreError::NotAStore { path: folder.to_owned() },
            _ => StoreError::io(&path, "read it")(error),
        })?;
        let damaged = |what: &str| StoreError::damaged(&path, what);
        let text = str::from_utf8(&bytes).map_err(|_| damaged("it is no text"))?;
        let mut lines = text.splitn(3, '\n');
        let (title, checksum, json) = (lines.next(), lines.next(), lines.next());
        let version = title.and_then(|title| title.strip_prefix(TITLE)?.trim_start().parse::<u32>().ok());
        let version = version.filter(|version| *version > 0);
        let version = version.ok_or_else(|| damaged("it does not begin as a manifest does"))?;
        if version > VERSION {
            return Err(StoreError::Newer { path, version, known: VERSION });
        }
        let (Some(checksum), Some(json)) = (checksum, json) else { return Err(damaged("it is cut short")) };
        if checksum != sum(json) || title != Some(&format!("{TITLE} {version}")) {
            return Err(damaged("its checksum is wrong"));
        }
        serde_json::from_str(json).map_err(|error| damaged(&format!("it cannot be understood: {error}")))
    }

    /// Writes the manifest beside the old one, which it then replaces. An error comes with whether it came when the
    /// manifest was being made public: it may be there or not.
    pub(super) fn replace(&self, disk: &Disk, folder: &Path) -> Result<(), (bool, StoreError)> {
        let path = folder.join(TEMPORARY);
        let json = serde_json::to_string_pretty(self).expect("a manifest is plain data") + "\n";
        let text = format!("{TITLE} {VERSION}\n{}\n{json}", sum(&json));
        let write = || {
            let mut file = disk.create(&path)?;
            disk.write(&mut file, &path, text.as_bytes())?;
            disk.sync(&file, &path)
        };
        write().map_err(|error| (false, error))?;
        disk.rename(&path, &folder.join(NAME)).and_then(|()| disk.sync_folder(folder)).map_err(|error| (true, error))
    }

    /// Whether a file of the folder is one that a store makes and this manifest does not name.
    pub(super) fn is_leftover(&self, name: &str) -> bool {
        let temporary = name == TEMPORARY || name.strip_prefix(super::GRAPH) == Some(".new");
        let ours = temporary || name.starts_with("segment-") || name.starts_with("dead-");
        let dead = |entry: &SegmentEntry| entry.dead.as_ref().is_some_and(|dead| dead.file == name);
        ours && !self.segments.iter().any(|entry| entry.file == name || dead(entry))
    }
}

fn sum(json: &str) -> String {
    hex(&xxh3_64(json.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_precision_and_prompt_is_read_and_one_with_them_keeps_them() {
        let header = StoreHeader::new(2, Metric::Cosine, Stored::F32, b"x", "a model");
        let json = serde_json::to_string(&header).unwrap();
        assert!(!json.contains("precision") && !json.contains("prompt"), "{json}");
        assert_eq!(serde_json::from_str::<StoreHeader>(&json).unwrap(), header);
        let header = header.with_precision("bf16").with_document_prompt("passage: ");
        let json = serde_json::to_string(&header).unwrap();
        assert_eq!(serde_json::from_str::<StoreHeader>(&json).unwrap(), header, "{json}");
    }
}
