//! Errors of a store, with the file, the fault and the remedy.

use super::manifest::hex;
use crate::error::VectorsError;
use std::path::{Path, PathBuf};

/// An error of a store. Whatever it says, the store on disk is in the state before or after the
/// call, never between.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A directory without a manifest.
    #[error("{path}: no store is here (no file `manifest`); create one first")]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A store where one was to be created.
    #[error("{path}: a store is here already; open it, or take another directory")]
    AlreadyExists {
        /// The directory.
        path: PathBuf,
    },
    /// Files where a store was to be created that it would write over.
    #[error(
        "{path}: the file `{file}` is in the way, a store would write one of this name; take another directory, or move it"
    )]
    InTheWay {
        /// The directory.
        path: PathBuf,
        /// The first such file.
        file: String,
    },
    /// A store into which not all documents have come.
    #[error(
        "{path}: not all documents have come into this store yet; wait until `maana index` is done, or if it was stopped, run the \
         same command again: it continues from there"
    )]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// A second writer.
    #[error("{path}: another process is writing to this store; wait until it is done")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file of a later version of this program.
    #[error("{path}: format version {version}, and this program reads up to {known}; use a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The last version known here.
        known: u32,
    },
    /// A file that is not as it was written.
    #[error("{path}: damaged: {what}; {}", remedy(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// A file that the manifest names and that is not there.
    #[error("{path}: missing, though the manifest names it; restore it from a copy, or index again")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Vectors that cannot be kept or searched for.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// One id twice in one batch.
    #[error("the id `{id}` occurs twice in one batch; ids in a batch must be distinct")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// Documents and vectors that are not as many.
    #[error("{documents} documents with {rows} vectors; each needs one")]
    Count {
        /// Documents of the batch.
        documents: usize,
        /// Its vectors.
        rows: usize,
    },
    /// Vectors of another model.
    #[error(
        "{path}: this store holds vectors of `{stored}`, not of `{given}`; use that model, or index again with this one"
    )]
    OtherModel {
        /// The directory.
        path: PathBuf,
        /// The model of the store.
        stored: String,
        /// The other one.
        given: String,
    },
    /// A writer whose last change may or may not be on the disk.
    #[error(
        "{path}: an earlier change failed when it was being made public; open the store again to see whether it is there"
    )]
    Reopen {
        /// The directory.
        path: PathBuf,
    },
}

/// Returns the remedy for a damaged file. Without its graph a store is whole, and a segment may be
/// one of many.
fn remedy(path: &Path) -> &'static str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        super::names::GRAPH => "no document is in it: `maana compact --graph always` makes it anew",
        "manifest" => "restore it from a copy, or index again",
        _ => "restore it from a copy, or save the documents that are whole with `maana index-salvage`",
    }
}

impl StoreError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

/// Checks that vectors of a store, with the fingerprint (in hexadecimal digits) and the name of
/// what made them, and those that are given, with theirs, have one maker.
///
/// # Errors
/// They have not.
pub fn expect_maker(place: &Path, stored: (&str, &str), given: (&[u8], &str)) -> Result<(), StoreError> {
    let (fingerprint, digits) = (stored.0, hex(given.0));
    if fingerprint == digits {
        return Ok(());
    }
    // Two states of one model have one name: then their fingerprints tell them apart.
    let (stored, given) = if stored.1 == given.1 {
        (format!("{} ({fingerprint})", stored.1), format!("{} ({digits})", given.1))
    } else {
        (stored.1.to_owned(), given.1.to_owned())
    };
    Err(StoreError::OtherModel { path: place.to_owned(), stored, given })
}
