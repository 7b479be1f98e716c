//! Folders that are replaced whole.

use crate::sync::{follow, parent, rename, sync_folder, sync_tree};
use crate::unfinished::{EARLIER, Unfinished};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A folder that is being filled, and takes the place of its target on [`NewFolder::commit`].
/// Dropped before, it leaves the target as it was and nothing else. A symbolic link is followed.
#[derive(Debug)]
pub struct NewFolder {
    unfinished: Unfinished,
    target: PathBuf,
}

impl NewFolder {
    /// Creates an empty folder next to the target, whose parent must exist. An existing target must
    /// be a folder.
    ///
    /// # Errors
    /// If the parent is not there or cannot be written to, or the target is a file.
    pub fn create(target: &Path) -> io::Result<Self> {
        if fs::metadata(target).is_ok_and(|earlier| !earlier.is_dir()) {
            return Err(ErrorKind::NotADirectory.into());
        }
        let target = follow(target)?;
        let (unfinished, ()) = Unfinished::make(&target, |path| fs::create_dir(path))?;
        Ok(Self { unfinished, target })
    }

    /// Returns the path under which the folder is filled.
    pub fn path(&self) -> &Path {
        self.unfinished.path()
    }

    /// Copies what an earlier folder has and this one lacks, if `keeps` says so of its name. Names
    /// that are not UTF-8 are kept.
    ///
    /// # Errors
    /// If the disk is full, the system refuses it, or there is something else than files, folders
    /// and links.
    pub fn keep(&self, keeps: impl Fn(&str) -> bool) -> io::Result<()> {
        if !self.target.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.target)? {
            let name = entry?.file_name();
            let to = self.path().join(&name);
            if name.to_str().is_none_or(&keeps) && fs::symlink_metadata(&to).is_err() {
                copy(&self.target.join(&name), &to)?;
            }
        }
        Ok(())
    }

    /// Syncs all files, gives the folder the target's name, syncs its parent, and removes an
    /// earlier folder. A reader finds the earlier folder, the new one, or for the moment between
    /// two renames none.
    ///
    /// # Errors
    /// If the disk is full or the system refuses it; an earlier folder stays as it was.
    pub fn commit(self) -> io::Result<()> {
        let Self { unfinished, target } = self;
        sync_tree(unfinished.path())?;
        let earlier =
            if target.exists() { Some(Unfinished::make(&target, |path| fs::create_dir(path))?.0) } else { None };
        let published = unfinished.publish(|path| {
            let Some(earlier) = &earlier else { return fs::rename(path, &target) };
            let aside = earlier.path().join(EARLIER);
            fs::rename(&target, &aside)?;
            fs::rename(path, &target).inspect_err(|_| {
                let _ = fs::rename(&aside, &target);
            })
        });
        match earlier {
            Some(earlier) if published.is_err() && earlier.path().join(EARLIER).exists() => earlier.leave(),
            earlier => drop(earlier),
        }
        published.and_then(|()| sync_folder(parent(&target)))
    }
}

/// Copies a file, a folder with everything in it, or a link.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir(to)?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))
        });
    }
    #[cfg(unix)]
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    match kind.is_file() || kind.is_symlink() {
        true => fs::copy(from, to).map(drop),
        false => Err(io::Error::other(format!("{} is neither a file nor a folder", from.display()))),
    }
}

/// Creates a file of a folder that is not public yet; [`NewFolder::commit`] syncs it.
///
/// # Errors
/// If the system refuses it.
pub fn create_inside(path: &Path) -> io::Result<File> {
    File::create(path)
}

/// Writes a file of a folder that is not public yet; [`NewFolder::commit`] syncs it.
///
/// # Errors
/// If the disk is full or the system refuses it.
pub fn write_inside(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create_inside(path)?.write_all(bytes.as_ref())
}

/// Removes a folder with all that is in it, so that it is never found half removed.
///
/// # Errors
/// If the system refuses it.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let (work, ()) = Unfinished::make(folder, |path| fs::create_dir(path))?;
    rename(folder, &work.path().join("removed"))?;
    sync_folder(parent(folder))?;
    fs::remove_dir_all(work.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_appears_whole_and_replaces_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        for (name, text) in [("first", "1"), ("second", "2")] {
            let new = NewFolder::create(&target).unwrap();
            write_inside(&new.path().join(name), text).unwrap();
            fs::create_dir(new.path().join("part")).unwrap();
            assert!(!target.join(name).exists(), "not there before it is whole");
            new.commit().unwrap();
            assert_eq!(fs::read(target.join(name)).unwrap(), text.as_bytes());
            assert_eq!(names(folder.path()), ["model"]);
        }
        assert!(!target.join("first").exists());
    }

    #[test]
    fn chosen_files_of_an_earlier_folder_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        fs::create_dir_all(target.join("own/deep")).unwrap();
        for (name, text) in [("own/deep/notes", "mine"), ("weights", "old"), ("stale", "old")] {
            fs::write(target.join(name), text).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("own", target.join("link")).unwrap();
        let new = NewFolder::create(&target).unwrap();
        write_inside(&new.path().join("weights"), "new").unwrap();
        new.keep(|name| name != "stale").unwrap();
        new.commit().unwrap();
        assert_eq!(fs::read(target.join("own/deep/notes")).unwrap(), b"mine");
        assert_eq!(fs::read(target.join("weights")).unwrap(), b"new");
        assert!(!target.join("stale").exists());
        #[cfg(unix)]
        assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("own"));
    }

    #[test]
    fn a_dropped_folder_leaves_the_earlier_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let first = NewFolder::create(&target).unwrap();
        write_inside(&first.path().join("file"), "1").unwrap();
        first.commit().unwrap();
        let second = NewFolder::create(&target).unwrap();
        write_inside(&second.path().join("file"), "2").unwrap();
        drop(second);
        assert_eq!(
            (fs::read(target.join("file")).unwrap(), names(folder.path())),
            (b"1".to_vec(), vec!["model".into()])
        );
        assert!(NewFolder::create(&target.join("file")).is_err(), "a file is not replaced by a folder");
        remove_folder(&target).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
