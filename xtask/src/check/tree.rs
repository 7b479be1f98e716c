//! The workspace's files, read once; tests make small trees of their own.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders without files of the project.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];
/// Endings of the files whose text is read.
const TEXT: [&str; 8] = ["rs", "md", "toml", "html", "jinja", "py", "css", "yaml"];

/// Files by their path from the root of the workspace; binary and data files without their content.
pub(super) struct Tree {
    files: BTreeMap<PathBuf, Option<String>>,
}

impl Tree {
    /// Reads the workspace below `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            let full = root.join(&folder);
            for entry in std::fs::read_dir(&full).with_context(|| full.display().to_string())? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                        folders.push(path);
                    }
                    continue;
                }
                let is_text = path.extension().is_some_and(|ending| TEXT.iter().any(|known| ending == *known));
                let text = is_text.then(|| {
                    std::fs::read_to_string(entry.path()).with_context(|| format!("{}: not UTF-8", path.display()))
                });
                files.insert(path, text.transpose()?);
            }
        }
        Ok(Self { files })
    }

    /// Returns the text of a file, or an empty one if there is no such file.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> &str {
        self.files.get(path.as_ref()).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Returns whether there is such a file or folder.
    pub(super) fn exists(&self, path: &Path) -> bool {
        let path = normal(path);
        self.files.contains_key(&path) || self.files.keys().any(|file| file.starts_with(&path))
    }

    /// Returns whether there is such a file.
    pub(super) fn is_file(&self, path: impl AsRef<Path>) -> bool {
        self.files.contains_key(path.as_ref())
    }

    /// Iterates over the text files with this ending below a folder, in the order of their paths.
    pub(super) fn texts<'a>(
        &'a self,
        folder: impl AsRef<Path> + 'a,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a Path, &'a str)> {
        let files = self.files.iter().filter_map(|(path, text)| Some((path.as_path(), text.as_deref()?)));
        files.filter(move |(path, _)| {
            path.starts_with(folder.as_ref()) && path.extension().is_some_and(|other| other == ending)
        })
    }

    /// Returns the folders of the crates by name: those below `crates`, and `xtask`.
    pub(super) fn crates(&self) -> BTreeMap<String, PathBuf> {
        let manifests = self.files.keys().filter(|path| path.ends_with("Cargo.toml"));
        let folders = manifests.filter_map(|path| path.parent());
        let folders = folders.filter(|folder| folder.starts_with("crates") || *folder == Path::new("xtask"));
        folders.filter_map(|folder| Some((folder.file_name()?.to_str()?.to_owned(), folder.to_owned()))).collect()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        Self { files: files.map(|(path, text)| (PathBuf::from(path), Some(text.to_owned()))).into() }
    }
}

/// Resolves `..` in a path without asking the file system.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Returns whether a file below `src` holds tests only.
pub(super) fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}
