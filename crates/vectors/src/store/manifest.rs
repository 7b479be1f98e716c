//! The manifest: which files make the store. Text, so that people can read it: the format's
//! version, the checksum of what follows, JSON. Replaced whole by a rename.

use super::sections::begins_as_ours;
use super::{Disk, Kind, StoreError};
use crate::search::Metric;
pub(super) use maana_files::hex;
use serde::{Deserialize, Serialize};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const NAME: &str = "manifest";
const TEMPORARY: &str = "manifest.new";
const GRAPH_TEMPORARY: &str = "graph.new";
const TITLE: &str = "maana store";
/// The version that is written, and the last that is read.
const VERSION: u32 = 1;

/// Data type of stored vectors.
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

/// Properties of a store that never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHeader {
    /// Dims of a vector.
    pub dims: usize,
    /// Metric of the vectors.
    pub metric: Metric,
    /// Data type of the stored vectors.
    pub stored: Stored,
    /// Fingerprint of the model that made them, in hexadecimal digits; opaque.
    pub fingerprint: String,
    /// Name of that model, for messages.
    pub made_by: String,
    /// Precision of the products that made them, if it was recorded; for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Prompt of the documents, if it was recorded.
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

    /// Records the prompt of the documents.
    pub fn with_document_prompt(self, prompt: &str) -> Self {
        Self { document_prompt: Some(prompt.to_owned()), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Counts changes.
    pub(super) generation: u64,
    /// The number of the next file.
    pub(super) next: u64,
    pub(super) header: StoreHeader,
    pub(super) segments: Vec<SegmentEntry>,
    /// More documents are to come before the store is complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unfinished: bool,
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
    pub(super) fn new(header: StoreHeader, unfinished: bool) -> Self {
        Self { generation: 0, next: 1, header, segments: Vec::new(), unfinished }
    }

    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(NAME);
        let bytes = maana_files::read(&path).map_err(|error| match error.kind() {
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
        let manifest: Self =
            serde_json::from_str(json).map_err(|error| damaged(&format!("it cannot be understood: {error}")))?;
        manifest.check_names().map_err(|name| damaged(&format!("it names a file `{name}`, which no store writes")))?;
        Ok(manifest)
    }

    /// Files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.segments.iter().flat_map(|entry| {
            let dead = entry.dead.as_ref().map(|dead| (Kind::Dead, dead.file.as_str()));
            std::iter::once((Kind::Segment, entry.file.as_str())).chain(dead)
        })
    }

    /// Checks that all names are of files that a store makes in its own folder, each once. Anybody
    /// may have written them.
    fn check_names(&self) -> Result<(), String> {
        let mut seen = std::collections::HashSet::new();
        let wrong = self.files().find(|(kind, name)| numbered(name) != Some(*kind) || !seen.insert(*name));
        wrong.map_or(Ok(()), |(_, name)| Err(name.to_owned()))
    }

    /// Writes the manifest next to the old one, then replaces that. An error comes with whether
    /// it came when the manifest was being made public: it may be there or not.
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

    /// Returns true for a file of the folder that a store has made and this manifest does not name.
    pub(super) fn is_leftover(&self, folder: &Path, name: &str) -> bool {
        let named = self.files().any(|(_, file)| file == name);
        !named && (is_temporary(folder, name) || (numbered(name).is_some() && begins_as_ours(&folder.join(name))))
    }

    /// A file of the folder that a new store would write over, or take for its own.
    pub(super) fn in_the_way(folder: &Path) -> Result<Option<String>, StoreError> {
        let entries = std::fs::read_dir(folder).map_err(StoreError::io(folder, "list it"))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names.into_iter().find(|name| {
            let of_a_store = numbered(name).is_some() || name == super::GRAPH;
            of_a_store || ([TEMPORARY, GRAPH_TEMPORARY].contains(&name.as_str()) && !is_temporary(folder, name))
        }))
    }
}

/// The kind of a file that a store numbers: its name and eight digits or more.
fn numbered(name: &str) -> Option<Kind> {
    let (kind, number) = name.split_once('-')?;
    let kind = [Kind::Segment, Kind::Dead].into_iter().find(|other| other.prefix() == kind)?;
    (number.len() >= 8 && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(kind)
}

/// Returns true for a file under a temporary name, written as far as it is by a store.
fn is_temporary(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    match name {
        TEMPORARY => maana_files::read(&path).is_ok_and(|bytes| {
            let title = TITLE.as_bytes();
            title.starts_with(&bytes[..bytes.len().min(title.len())])
        }),
        GRAPH_TEMPORARY => begins_as_ours(&path),
        _ => false,
    }
}

fn sum(json: &str) -> String {
    hex(&xxh3_64(json.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_store_writes() {
        let header = StoreHeader::new(2, Metric::Cosine, Stored::F32, b"x", "a model");
        let named = |file: &str, dead: &str| {
            let dead = DeadEntry { file: dead.to_owned(), rows: 1, checksum: String::new() };
            let entry =
                SegmentEntry { file: file.to_owned(), rows: 2, bytes: 1, checksum: String::new(), dead: Some(dead) };
            Manifest { segments: vec![entry], ..Manifest::new(header.clone(), false) }.check_names()
        };
        assert_eq!(named("segment-00000001", "dead-123456789"), Ok(()));
        for wrong in ["segment-/../../victim", "segment-00000001/x", "", "manifest", "segment-1", "segment-0000000a"] {
            assert_eq!(named(wrong, "dead-00000001"), Err(wrong.to_owned()));
            assert_eq!(named("segment-00000001", wrong), Err(wrong.to_owned()));
        }
        assert!(named("segment-00000001", "segment-00000001").is_err());
        assert!(named("dead-00000001", "dead-00000002").is_err());
    }

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
