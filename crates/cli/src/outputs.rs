//! Files that a command is to write: checked before any work is done.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Files that an input folder is searched for.
const FILES: usize = 10_000;

/// Checks that no output is an input or another output, and that the folder of each is there. Files are told apart by device
/// and inode, so that links and other spellings are seen through. An input is a file, a folder with all its files, or something
/// else, such as a model's name on the hub; an output is an option's name with its file.
pub(crate) fn check(inputs: &[&Path], outputs: &[(&str, Option<&Path>)]) -> Result<()> {
    let outputs: Vec<(&str, &Path)> = outputs.iter().filter_map(|(option, path)| Some((*option, (*path)?))).collect();
    for (number, (option, output)) in outputs.iter().enumerate() {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!("{}: there is no such folder; make it, or give {option} another place", folder.display());
        }
        let twin = |(_, other): &&(&str, &Path)| other == output || maana::files::is_same(output, other);
        if let Some((other, _)) = outputs[..number].iter().find(twin) {
            bail!("{}: {other} and {option} name the same file; give one of them another name", output.display());
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
                bail!("{output}: is the input {file}, which would be lost; give {option} another name");
            }
        }
    }
    Ok(())
}

/// Returns a file itself, or a folder with all that is in it.
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
