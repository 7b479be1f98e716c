//! Names and contents that survive a loss of power.

use crate::read::{open, open_any};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Renames a file or folder whose content is synced, and syncs the folder of its new name.
///
/// # Errors
/// If the system refuses it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(parent(to))
}

/// Makes created, renamed and removed names of a folder durable, on systems where folders can be
/// synced.
///
/// # Errors
/// If the disk reports an error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match open_any(folder).and_then(|folder| folder.sync_all()) {
        // A folder may allow changes and no reading, and some network file systems do not sync
        // folders.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        synced => synced,
    }
}

/// Syncs every file and folder below a folder, and the folder itself. Symbolic links are not
/// followed.
///
/// # Errors
/// If something cannot be read or the disk reports an error.
pub fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Returns whether two paths lead to the same file or folder: the same device and inode, so that
/// links and other spellings are seen through. Devices and pipes are the same as nothing, for
/// writing to them loses nothing.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(one_is), Ok(other_is)) = (fs::metadata(one), fs::metadata(other)) else { return false };
    if !(one_is.is_file() || one_is.is_dir()) {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one_is.dev(), one_is.ino()) == (other_is.dev(), other_is.ino())
    }
    #[cfg(not(unix))]
    {
        one_is.is_file() == other_is.is_file() && fs::canonicalize(one).ok() == fs::canonicalize(other).ok()
    }
}

/// Returns the folder of a path; that of a bare name is `.`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path that a chain of symbolic links leads to, whether something is there or not.
pub(crate) fn follow(path: &Path) -> io::Result<PathBuf> {
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = parent(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("symbolic links lead in a circle"))
}
