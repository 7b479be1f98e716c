//! Reads every byte of a store and says what is not as it was written.

use super::manifest::{Manifest, hex};
use super::sections::{Kind, check};
use super::{Store, StoreError};
use std::collections::HashSet;
use std::path::Path;

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its name in the directory.
    pub file: String,
    /// The fault.
    pub what: String,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that the manifest names, the manifest, and the graph if there is one.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The damage; empty for a whole store.
    pub damages: Vec<Damage>,
}

/// Reads every file of a store.
///
/// # Errors
/// No store; a format that is later than this program; what the system refuses. Damage is no error:
/// it is what is asked for.
pub fn verify(folder: impl AsRef<Path>) -> Result<Verified, StoreError> {
    let folder = folder.as_ref();
    let mut verified = Verified { files: 1, ..Verified::default() };
    let mut note = |file: &str, outcome: Result<(), StoreError>| match outcome {
        Err(StoreError::Damaged { what, .. }) => {
            verified.damages.push(Damage { file: file.to_owned(), what });
            Ok(())
        }
        Err(StoreError::Missing { .. }) => {
            verified.damages.push(Damage { file: file.to_owned(), what: "missing".to_owned() });
            Ok(())
        }
        other => other,
    };
    let manifest = match Manifest::read(folder) {
        Ok(manifest) => manifest,
        Err(error) => {
            note("manifest", Err(error))?;
            return Ok(verified);
        }
    };
    let (mut files, mut bytes) = (1, 0);
    for entry in &manifest.segments {
        let dead = entry.dead.iter().map(|dead| (&dead.file, &dead.checksum, Kind::Dead));
        for (file, checksum, kind) in std::iter::once((&entry.file, &entry.checksum, Kind::Segment)).chain(dead) {
            let path = folder.join(file);
            let outcome = check(&path, &[kind]).and_then(|written| {
                bytes += written.bytes;
                let same = hex(&written.checksum.to_be_bytes()) == *checksum;
                if same {
                    Ok(())
                } else {
                    Err(StoreError::damaged(&path, "it is not the file that the manifest names"))
                }
            });
            files += 1;
            note(file, outcome)?;
        }
    }
    let graph = folder.join(super::GRAPH);
    if graph.exists() {
        let outcome = check(&graph, &super::GRAPH_KINDS).map(|written| bytes += written.bytes);
        files += 1;
        note(super::GRAPH, outcome)?;
    }
    if manifest.unfinished {
        let what =
            "not all documents have come into the store: `maana index` was stopped, or is still at work".to_owned();
        verified.damages.push(Damage { file: "manifest".to_owned(), what });
    }
    if verified.damages.is_empty() {
        // Whole files may still contradict each other, if a program wrote them so.
        let store = match Store::open(folder) {
            Ok(store) => store,
            Err(StoreError::Damaged { path, what }) => {
                let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                verified.damages.push(Damage { file, what });
                return Ok(Verified { files, bytes, ..verified });
            }
            Err(error) => return Err(error),
        };
        let mut ids = HashSet::new();
        for row in store.rows() {
            let id = store.document(row)?.id;
            if !ids.insert(id) {
                let what = format!("the id `{id}` occurs twice");
                verified.damages.push(Damage { file: "manifest".to_owned(), what });
            }
        }
        store.check_unchanged()?;
    }
    Ok(Verified { files, bytes, ..verified })
}
