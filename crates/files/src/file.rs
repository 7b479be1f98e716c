//! Files that are replaced whole.

use crate::read::open_to_write;
use crate::sync::{follow, parent, sync_folder};
use crate::unfinished::Unfinished;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that is being written, and takes the place of its target on [`NewFile::commit`]. Dropped
/// before, it leaves the target as it was and nothing else.
///
/// A symbolic link is followed, so that the file behind it is replaced. Permissions of an earlier
/// file are kept. Other targets (a pipe, a terminal, `/dev/stdout`) are written to
/// directly.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// The temporary name and the target, unless the target is written to directly.
    replaces: Option<(Unfinished, PathBuf)>,
}

impl NewFile {
    /// Begins a file in the target's folder, which must exist.
    ///
    /// # Errors
    /// If the folder is not there or cannot be written to, or the target is a folder.
    pub fn create(target: &Path) -> io::Result<Self> {
        let earlier = match fs::metadata(target) {
            Ok(earlier) if earlier.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(earlier) if !earlier.is_file() || is_descriptor(target) => {
                return Ok(Self { file: open_to_write(target)?, replaces: None });
            }
            Ok(earlier) => Some(earlier),
            Err(_) => None,
        };
        let target = follow(target)?;
        let make = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
        let (unfinished, file) = Unfinished::make(&target, make)?;
        if let Some(earlier) = earlier {
            file.set_permissions(earlier.permissions())?;
        }
        Ok(Self { file, replaces: Some((unfinished, target)) })
    }

    /// Syncs the file, gives it the target's name, and syncs the folder.
    ///
    /// # Errors
    /// If the disk is full or the system refuses it; the target stays as it was.
    pub fn commit(self) -> io::Result<()> {
        let Some((unfinished, target)) = self.replaces else { return Ok(()) };
        self.file.sync_all()?;
        unfinished.publish(|path| fs::rename(path, &target))?;
        sync_folder(parent(&target))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Replaces a file by what `write` writes, whole or not at all.
///
/// # Errors
/// Those of `write`, and what the system refuses; the file stays as it was.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<NewFile>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, NewFile::create(path)?);
    let written = write(&mut out).and_then(|()| out.flush());
    // Without the buffer, whose rest would be written on drop.
    let (file, _) = out.into_parts();
    written.and_then(|()| file.commit())
}

/// Replaces a file by these bytes, whole or not at all.
///
/// # Errors
/// What the system refuses; the file stays as it was.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes.as_ref())?;
    file.commit()
}

/// Returns whether a path names a descriptor of a process, behind which a regular file may be that
/// somebody else holds open.
fn is_descriptor(path: &Path) -> bool {
    let standard = ["/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name));
    standard || path.starts_with("/dev/fd") || path.starts_with("/proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_whole_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.txt");
        write(&path, "old").unwrap();
        let full = replace(&path, |out| {
            out.write_all(&[b'x'; 1 << 20])?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["old.txt".to_owned()]));
        replace(&path, |out| write!(out, "new")).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["old.txt".to_owned()]));
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = NewFile::create(&folder.path().join("new.txt")).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert_eq!(names(folder.path()), [""; 0]);
        let kind = |path: &Path| NewFile::create(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(&folder.path().join("missing/new.txt")), ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (folder.path().join("elsewhere"), folder.path().join("link"));
        fs::create_dir(&elsewhere).unwrap();
        symlink("elsewhere/file", &link).unwrap();
        write(&link, "first").unwrap();
        assert_eq!(fs::read(elsewhere.join("file")).unwrap(), b"first");
        fs::set_permissions(elsewhere.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        write(&link, "second").unwrap();
        assert_eq!(fs::read(elsewhere.join("file")).unwrap(), b"second");
        assert_eq!(fs::metadata(&link).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        symlink("circle", folder.path().join("circle")).unwrap();
        assert!(write(&folder.path().join("circle"), "").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_to_and_stay_devices() {
        write(Path::new("/dev/null"), "text").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        if Path::new("/dev/full").exists() {
            assert_eq!(write(Path::new("/dev/full"), "text").unwrap_err().kind(), ErrorKind::StorageFull);
        }
    }
}
