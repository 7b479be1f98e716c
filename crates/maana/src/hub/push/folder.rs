//! The files of a model's folder that are pushed: not hidden ones, and not those that only training
//! needs.

use super::super::HubError;
use super::super::checksum::{git_blob, sha256};
use super::super::repository::stays_inside;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of a file from which the hub recognises binary files.
const SAMPLE_BYTES: u64 = 512;

/// Files that checkpoints of training runs have in addition to the model.
const TRAINING_FILES: [&str; 9] = [
    "lock",
    "optimizer.bin",
    "optimizer.pt",
    "record.jsonl",
    "scaler.pt",
    "scheduler.pt",
    "trainer_state.json",
    "training_args.bin",
    "training_state.safetensors",
];

/// Folders of logs and caches.
const OTHER_FOLDERS: [&str; 4] = ["__pycache__", "runs", "tensorboard", "wandb"];

/// A file to push.
pub(super) struct LocalFile {
    /// Path in the repository, with `/`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    modified: Option<SystemTime>,
    /// The bytes, if they differ from those of the file.
    edited: Option<Vec<u8>>,
    sha256: Option<String>,
}

/// The files of a folder.
pub(super) struct Listing {
    pub(super) files: Vec<LocalFile>,
    /// Files and folders that are not pushed.
    pub(super) left_out: Vec<String>,
}

impl Listing {
    /// Lists the folder of a model. Examples in its card open `id` instead of a placeholder.
    pub(super) fn of(folder: &Path, id: &str) -> Result<Self, HubError> {
        let refused = |reason: &str| HubError::PushFolder { path: folder.into(), reason: reason.into() };
        if !folder.is_dir() {
            return Err(refused("there is no such folder; name the folder of a model"));
        }
        let has = |name: &str| folder.join(name).exists();
        if has("recipe.toml") && has("model/config.json") {
            return Err(refused("is the folder of a training run; push the folder `model` in it"));
        }
        if !has("modules.json") && !has("config.json") {
            return Err(refused("has neither modules.json nor config.json; name the folder of a model"));
        }
        let mut listing = Self { files: Vec::new(), left_out: Vec::new() };
        listing.read(folder, "")?;
        listing.files.sort_by(|one, other| one.name.cmp(&other.name));
        listing.left_out.sort();
        for file in listing.files.iter_mut().filter(|file| file.name == "README.md") {
            let text = String::from_utf8(file.content()?).map_err(|_| HubError::PushFolder {
                path: file.path.clone(),
                reason: "is not UTF-8; save it as UTF-8".into(),
            })?;
            let edited = text.replace(crate::card::PLACEHOLDER_ID, id);
            if edited != text {
                file.size = edited.len() as u64;
                file.edited = Some(edited.into_bytes());
            }
        }
        Ok(listing)
    }

    fn read(&mut self, folder: &Path, prefix: &str) -> Result<(), HubError> {
        for entry in std::fs::read_dir(folder).map_err(HubError::io(folder))? {
            let entry = entry.map_err(HubError::io(folder))?;
            let path = entry.path();
            let refused = |reason: &str| HubError::PushFolder { path: path.clone(), reason: reason.into() };
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| refused("the name is not UTF-8; rename the file"))?;
            let full = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(HubError::io(&path))?;
            // A link to a folder could lead out of the model, or in a circle.
            if !belongs(&name, kind.is_dir()) || (kind.is_symlink() && path.is_dir()) {
                self.left_out.push(full);
                continue;
            }
            if !stays_inside(&full) {
                return Err(refused("the name has characters that the hub does not allow; rename the file"));
            }
            if kind.is_dir() {
                self.read(&path, &format!("{full}/"))?;
                continue;
            }
            let file = maana_files::open(&path).map_err(HubError::io(&path))?;
            let metadata = file.metadata().map_err(HubError::io(&path))?;
            let (size, modified) = (metadata.len(), metadata.modified().ok());
            self.files.push(LocalFile { name: full, path, size, modified, edited: None, sha256: None });
        }
        Ok(())
    }
}

/// Returns whether a file or folder is a part of a model.
fn belongs(name: &str, is_folder: bool) -> bool {
    if is_folder {
        return !(name.starts_with('.') || name.starts_with("checkpoint-") || OTHER_FOLDERS.contains(&name));
    }
    let state = TRAINING_FILES.contains(&name) || (name.starts_with("rng_state") && name.ends_with(".pth"));
    !(name.starts_with('.') || state || name.contains(".tfevents.") || name.ends_with(".incomplete"))
}

impl LocalFile {
    /// Returns whether the content differs from that on the disk.
    pub(super) fn is_edited(&self) -> bool {
        self.edited.is_some()
    }

    /// Returns the first bytes.
    pub(super) fn sample(&self) -> Result<Vec<u8>, HubError> {
        let mut sample = Vec::new();
        match &self.edited {
            Some(bytes) => sample.extend(bytes.iter().take(SAMPLE_BYTES as usize)),
            None => {
                let file = maana_files::open(&self.path).map_err(HubError::io(&self.path))?;
                file.take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(HubError::io(&self.path))?;
            }
        }
        Ok(sample)
    }

    /// Returns all bytes.
    pub(super) fn content(&self) -> Result<Vec<u8>, HubError> {
        match &self.edited {
            Some(bytes) => Ok(bytes.clone()),
            None => maana_files::read(&self.path).map_err(HubError::io(&self.path)),
        }
    }

    /// Returns the SHA-256, which is computed once.
    pub(super) fn sha256(&mut self) -> Result<&str, HubError> {
        if self.sha256.is_none() {
            self.sha256 = Some(sha256(&self.path)?);
            self.check_unchanged()?;
        }
        Ok(self.sha256.as_deref().expect("it was computed above"))
    }

    /// Returns the SHA-256, if it has been computed.
    pub(super) fn known_sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Returns the name that git gives to the content.
    pub(super) fn git_blob(&self) -> Result<String, HubError> {
        Ok(git_blob(&self.content()?))
    }

    /// Returns an error if the file is not the one that was listed.
    pub(super) fn check_unchanged(&self) -> Result<(), HubError> {
        let metadata = std::fs::metadata(&self.path).map_err(HubError::io(&self.path))?;
        let same = self.edited.is_some() || metadata.len() == self.size;
        if same && metadata.modified().ok() == self.modified {
            return Ok(());
        }
        Err(HubError::PushChanged(self.path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_training_stay_at_home() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let pushed = ["1_Pooling/config.json", "README.md", "config.json", "model.safetensors", "modules.json"];
        let others = [
            ".git/config",
            ".model.safetensors.17.incomplete",
            "checkpoint-20/model.safetensors",
            "checkpoint-20.1/trainer_state.json",
            "events.out.tfevents.17.host",
            "optimizer.pt",
            "rng_state_0.pth",
            "tensorboard/events.out.tfevents.0000000001.maana",
            "training_state.safetensors",
        ];
        pushed.iter().chain(&others).for_each(|name| write(name, "text"));
        write("README.md", "SentenceTransformer(\"path/to/this/folder\")");
        let mut listing = Listing::of(folder.path(), "org/name").unwrap();
        let names: Vec<&str> = listing.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, pushed);
        assert_eq!(listing.left_out.len(), others.len(), "{:?}", listing.left_out);
        let readme = &mut listing.files[1];
        assert_eq!(readme.content().unwrap(), b"SentenceTransformer(\"org/name\")");
        assert_eq!(readme.size, readme.content().unwrap().len() as u64);
        assert!(listing.files.iter().all(|file| file.check_unchanged().is_ok()));
        write("config.json", "other text");
        assert!(listing.files[2].check_unchanged().is_err());
    }

    #[test]
    fn other_folders_are_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = |folder: &Path| Listing::of(folder, "org/name").err().unwrap().to_string();
        assert!(error(&folder.path().join("none")).contains("no such folder"));
        assert!(error(folder.path()).contains("neither modules.json nor config.json"));
        std::fs::create_dir(folder.path().join("model")).unwrap();
        std::fs::write(folder.path().join("model/config.json"), "{}").unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        assert!(error(folder.path()).contains("push the folder `model`"));
    }
}
