//! The last checkpoints of a run.

use super::error::BlendError;
use maana_files::FileError;
use std::path::{Path, PathBuf};

/// Returns the folders of the last `count` checkpoints of a run that were kept after an evaluation
/// or an epoch, oldest first.
///
/// # Errors
/// If the folder cannot be read or has fewer.
pub fn last_checkpoints(run: &Path, count: usize) -> Result<Vec<PathBuf>, BlendError> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(run).map_err(FileError::at(run))? {
        let entry = entry.map_err(FileError::at(run))?;
        // Names with a point are of temporary checkpoints.
        let name = entry.file_name();
        let step = name.to_str().and_then(|name| name.strip_prefix("checkpoint-")).and_then(|step| step.parse().ok());
        found.extend(step.map(|step| (step, entry.path())));
    }
    found.sort();
    match found.len() {
        all if all < count => Err(BlendError::TooFewCheckpoints {
            folder: run.to_owned(),
            found: all,
            wanted: count,
            remedy: match all {
                0 => "name the folder of a run of `maana train`",
                _ => {
                    "ask for fewer; a run has more with more epochs, `save_every` or `evaluate`, and a `save_total_limit` that keeps them"
                }
            },
        }),
        all => Ok(found.split_off(all - count).into_iter().map(|(_, path)| path).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_checkpoints_are_sorted_by_update() {
        let run = tempfile::tempdir().unwrap();
        for name in ["checkpoint-9", "checkpoint-10", "checkpoint-100", "checkpoint-100.3", "checkpoint-7.corrupt"] {
            std::fs::create_dir(run.path().join(name)).unwrap();
        }
        let names = |count| -> Vec<String> {
            let folders = last_checkpoints(run.path(), count).unwrap();
            folders.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(2), ["checkpoint-10", "checkpoint-100"]);
        assert_eq!(names(3), ["checkpoint-9", "checkpoint-10", "checkpoint-100"]);
        let error = last_checkpoints(run.path(), 4).unwrap_err().to_string();
        assert!(error.contains("has 3 checkpoints") && error.contains("not 4"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let error = last_checkpoints(empty.path(), 1).unwrap_err().to_string();
        assert!(error.contains("has 0 checkpoints") && error.contains("maana train"), "{error}");
    }
}
