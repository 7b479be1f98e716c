//! Checks of output files before any work is done.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Maximum number of files examined in an input folder.
const FILES: usize = 10_000;

/// Checks that no output is an input or another output, and that the folder of each exists. Files
/// are compared by device and inode, so that links and other spellings are recognised. An input is
/// a file, a folder with all its files, or something else, such as a model's name on the hub; an
/// output is an option's name with its file.
pub(crate) fn check(inputs: &[&Path], outputs: &[(&str, Option<&Path>)]) -> Result<()> {
    let outputs: Vec<(&str, &Path)> = outputs.iter().filter_map(|(option, path)| Some((*option, (*path)?))).collect();
    for (number, (option, output)) in outputs.iter().enumerate() {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!("{}: the folder does not exist; create it, or give {option} another path", folder.display());
        }
        let twin = |(_, other): &&(&str, &Path)| other == output || maana::files::is_same(output, other);
        if let Some((other, _)) = outputs[..number].iter().find(twin) {
            bail!("{}: {other} and {option} name the same file; give one of them another path", output.display());
        }
    }
    let written: Vec<_> = outputs.iter().filter(|(_, output)| output.exists()).collect();
    if written.is_empty() {
        return Ok(());
    }
    for input in inputs {
        for file in files(input) {
            if let Some((option, output)) = written.iter().find(|(_, output)| maana::files::is_same(output, &file)) {
                let (output, file) = (output.display(), file.display());
                bail!("{output}: this is the input {file}, which would be overwritten; give {option} another path");
            }
        }
    }
    Ok(())
}

/// Returns a file itself, or a folder and everything in it.
fn files(input: &Path) -> Vec<PathBuf> {
    let (mut files, mut next) = (vec![input.to_owned()], 0);
    while next < files.len() && files.len() < FILES {
        if let Ok(entries) = files[next].read_dir() {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        next += 1;
    }
    files
}
