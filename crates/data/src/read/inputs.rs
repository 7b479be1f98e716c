//! Resolution of inputs (files, folders, patterns) to files in order.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Format;
use crate::DataError;

/// Returns the data files of the inputs in their order. A folder or a pattern gives its data files
/// in the order of their names, and ignores other files and folders.
pub(crate) fn files<P: AsRef<Path>>(inputs: &[P]) -> Result<Vec<(PathBuf, Format)>, DataError> {
    if inputs.is_empty() {
        return Err(DataError::NoInput);
    }
    let mut files = Vec::new();
    for input in inputs {
        let input = input.as_ref();
        let name = input.display().to_string();
        match std::fs::metadata(input) {
            Ok(found) if found.is_dir() => {
                let found = in_folder(input).map_err(|source| DataError::Io { path: name.clone(), source })?;
                if found.is_empty() {
                    return Err(DataError::NothingInFolder { path: name });
                }
                files.extend(found);
            }
            Ok(_) => match Format::of(input) {
                Some(format) => files.push((input.to_path_buf(), format)),
                None => return Err(DataError::UnknownExtension { path: name }),
            },
            Err(_) if name.contains(['*', '?', '[']) => files.extend(matching(&name)?),
            Err(source) => return Err(DataError::Io { path: name, source }),
        }
    }
    Ok(files)
}

fn in_folder(folder: &Path) -> std::io::Result<Vec<(PathBuf, Format)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if let Some(format) = Format::of(&path).filter(|_| !hidden && path.is_file()) {
            found.push((path, format));
        }
    }
    Ok(sorted(found))
}

fn matching(pattern: &str) -> Result<Vec<(PathBuf, Format)>, DataError> {
    let invalid =
        |error: glob::PatternError| DataError::InvalidPattern { pattern: pattern.into(), message: error.to_string() };
    let mut found = Vec::new();
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    for path in glob::glob_with(pattern, options).map_err(invalid)? {
        let path = path.map_err(|error| {
            let path = error.path().display().to_string();
            DataError::Io { path, source: error.into() }
        })?;
        if let Some(format) = Format::of(&path).filter(|_| path.is_file()) {
            found.push((path, format));
        }
    }
    if found.is_empty() {
        return Err(DataError::NothingMatches { pattern: pattern.into() });
    }
    Ok(sorted(found))
}

/// Sorts files by their names. Drops a compressed file that also exists uncompressed, as its rows
/// would occur twice.
fn sorted(mut found: Vec<(PathBuf, Format)>) -> Vec<(PathBuf, Format)> {
    let names: HashSet<PathBuf> = found.iter().map(|(path, _)| path.clone()).collect();
    let is_copy =
        |path: &Path| path.extension().is_some_and(|ending| ending == "gz") && names.contains(&path.with_extension(""));
    found.retain(|(path, _)| !is_copy(path));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
