//! One model in the cache, in the layout of Python's `huggingface_hub`: `blobs` named by ETag,
//! `snapshots/<commit>` with links to them, `refs/<revision>` with the commit, and locks. A
//! snapshot appears completely or not at all.

use super::names::is_component;
use super::repository::{MODULES, Module, Weights, is_weights, shards, small_files};
use super::{EventHandler, HubError, HubEvent};
use maana_files::NewFolder;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of a model in the cache, which may not exist yet.
pub(super) struct CachedModel {
    pub(super) folder: PathBuf,
    locks: PathBuf,
}

/// State of a revision in the cache.
pub(super) enum Found {
    /// Complete.
    Whole(Snapshot),
    /// An encoder without `modules.json`, and no record of whether the model has one.
    Plain(Snapshot),
    /// Incomplete; describes the missing file.
    Lacking(String),
}

/// The folder of one commit.
pub(super) struct Snapshot {
    pub(super) folder: PathBuf,
    pub(super) commit: String,
}

/// A file of a snapshot and the blob that holds its bytes.
pub(super) struct Link {
    pub(super) file: String,
    /// Name of the blob.
    pub(super) blob: String,
}

impl CachedModel {
    pub(super) fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, name: &str) -> PathBuf {
        self.folder.join("blobs").join(name)
    }

    fn no_exist(&self, commit: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(MODULES)
    }

    /// Determines the state of a revision. Does not write.
    pub(super) fn find(&self, revision: &str) -> Found {
        let reference = self.folder.join("refs").join(revision);
        let commit = maana_files::read_to_string(&reference).unwrap_or_else(|_| revision.to_owned());
        let commit = commit.trim().to_owned();
        let folder = self.snapshot(&commit);
        if !is_component(&commit) || !folder.is_dir() {
            return Found::Lacking(if self.folder.is_dir() {
                format!("other revisions than `{revision}`")
            } else {
                "no files".into()
            });
        }
        let listed = self.listed(&commit);
        let (modules, known) = match maana_files::read(folder.join(MODULES)) {
            Ok(json) => (Module::list(&json), true),
            Err(_) => {
                let absent = listed.as_ref().is_some_and(|files| !files.iter().any(|file| file == MODULES));
                (Module::plain(), absent || self.no_exist(&commit).exists())
            }
        };
        let mut modules: Vec<Module> =
            modules.into_iter().map(|module| module.or_adapter(|file| folder.join(file).exists())).collect();
        let routed = modules.iter().flat_map(|module| {
            let list = module.further_modules().and_then(|file| maana_files::read(folder.join(file)).ok());
            module.routed(&list.unwrap_or_default())
        });
        modules.extend(routed.collect::<Vec<_>>());
        match missing(&folder, &modules, listed.as_deref().unwrap_or_default()) {
            Some(file) => Found::Lacking(format!("{file} is missing in {}", folder.display())),
            None if known => Found::Whole(Snapshot { folder, commit }),
            None => Found::Plain(Snapshot { folder, commit }),
        }
    }

    /// Returns the files of the repository if a recent version of the Python library has recorded
    /// them.
    fn listed(&self, commit: &str) -> Option<Vec<String>> {
        let bytes = maana_files::read(self.folder.join("trees").join(format!("{commit}.json"))).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let files = json["files"].as_object().filter(|_| json["format_version"] == 1)?;
        Some(files.keys().cloned().collect())
    }

    /// Locks the model against other processes of this program. The lock ends when the file is
    /// dropped, or with the process.
    pub(super) fn lock(&self, notify: &mut EventHandler<'_>) -> Result<File, HubError> {
        self.lock_file("maana.lock", &mut || {
            notify(HubEvent::Notice("another process is fetching this model into the cache; waiting for it"));
        })
    }

    /// Locks a blob; Python's library uses the same lock.
    pub(super) fn lock_blob(&self, name: &str) -> Result<File, HubError> {
        self.lock_file(&format!("{name}.lock"), &mut || {})
    }

    fn lock_file(&self, name: &str, wait: &mut dyn FnMut()) -> Result<File, HubError> {
        create_folder(&self.locks)?;
        let path = self.locks.join(name);
        let file = maana_files::open_to_append(&path).map_err(HubError::io(&path))?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            wait();
            while file.lock().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
        }
        // Some file systems have no locks. The checksums still detect damage.
        Ok(file)
    }

    /// Publishes the fetched files as the snapshot of a commit, and points `revision` to it. The
    /// caller holds the lock.
    pub(super) fn publish(
        &self,
        commit: &str,
        revision: &str,
        links: &[Link],
        with_links: bool,
    ) -> Result<(), HubError> {
        let staging = self.staging(commit)?;
        for Link { file, blob } in links {
            let path = staging.path().join(file);
            create_folder(path.parent().unwrap_or(staging.path()))?;
            // Relative to the final location of the file.
            let up = "../".repeat(2 + file.matches('/').count());
            if !(with_links && link(&format!("{up}blobs/{blob}"), &path)) {
                let blob = self.blob(blob);
                std::fs::hard_link(&blob, &path)
                    .or_else(|_| std::fs::copy(&blob, &path).map(|_| ()))
                    .map_err(HubError::io(&path))?;
            }
        }
        maana_files::sync_tree(staging.path()).map_err(HubError::io(staging.path()))?;
        self.publish_folder(staging.path(), commit, links.iter().map(|link| link.file.as_str()))?;
        if !self.snapshot(commit).join(MODULES).exists() {
            let path = self.no_exist(commit);
            create_folder(path.parent().unwrap_or(&self.folder))?;
            maana_files::write(&path, "").map_err(HubError::io(&path))?;
        }
        if revision != commit { self.refer(revision, commit) } else { Ok(()) }
    }

    /// Moves a finished folder to the snapshot of a commit, or only its files if the snapshot
    /// exists partially.
    pub(super) fn publish_folder<'a>(
        &self,
        finished: &Path,
        commit: &str,
        files: impl Iterator<Item = &'a str>,
    ) -> Result<(), HubError> {
        let snapshot = self.snapshot(commit);
        create_folder(snapshot.parent().unwrap_or(&self.folder))?;
        if !snapshot.exists() {
            return maana_files::rename(finished, &snapshot).map_err(HubError::io(&snapshot));
        }
        // Files that make a snapshot complete come last.
        let mut files: Vec<&str> = files.collect();
        files.sort_by_key(|file| (*file == MODULES, *file == "config.json", is_weights(file)));
        for file in files {
            let path = snapshot.join(file);
            create_folder(path.parent().unwrap_or(&snapshot))?;
            maana_files::rename(&finished.join(file), &path).map_err(HubError::io(&path))?;
        }
        Ok(())
    }

    /// Records the commit of a branch or tag.
    pub(super) fn refer(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.folder.join("refs").join(revision);
        create_folder(path.parent().unwrap_or(&self.folder))?;
        maana_files::write(&path, commit).map_err(HubError::io(&path))
    }

    /// Creates a folder next to the snapshots for unfinished work; it is removed when it is
    /// dropped.
    pub(super) fn staging(&self, name: &str) -> Result<NewFolder, HubError> {
        create_folder(&self.folder)?;
        let path = self.folder.join(name);
        NewFolder::create(&path).map_err(HubError::io(&path))
    }
}

/// Returns the first required file that the folder lacks.
fn missing(folder: &Path, modules: &[Module], listed: &[String]) -> Option<String> {
    let here = |file: &str| folder.join(file).exists();
    for module in modules {
        if let Some(config) = module.config().filter(|file| !here(file)) {
            return Some(config);
        }
        let tokenizers = module.tokenizers();
        if !tokenizers.is_empty() && !tokenizers.iter().any(|file| here(file)) {
            return tokenizers.into_iter().next();
        }
        match Weights::of(module, here) {
            Weights::None | Weights::Whole(_) => {}
            Weights::Sharded(index, ending) => {
                let json = maana_files::read(folder.join(index)).unwrap_or_default();
                let shards = shards(&json, ending).unwrap_or_default();
                if let Some(shard) = shards.iter().find(|shard| !here(&module.file(shard))) {
                    return Some(module.file(shard));
                }
            }
            Weights::Missing { wanted, .. } => return Some(wanted),
        }
    }
    small_files(listed.iter().map(String::as_str), modules).into_iter().find(|file| !here(file)).map(Into::into)
}

pub(super) fn create_folder(path: &Path) -> Result<(), HubError> {
    std::fs::create_dir_all(path).map_err(HubError::io(path))
}

/// Creates a symbolic link; returns whether it succeeded.
fn link(target: &str, path: &Path) -> bool {
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, path);
    #[cfg(windows)]
    let made = std::os::windows::fs::symlink_file(target.replace('/', "\\"), path);
    #[cfg(not(any(unix, windows)))]
    let made: std::io::Result<()> = Err(ErrorKind::Unsupported.into());
    made.is_ok()
}
