//! Temporary names: who owns them, and who removes them.

use crate::read::open_any;
use crate::sync::parent;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ENDING: &str = ".incomplete";

/// Bytes of a target's name that its temporary name repeats; most file systems end names at 255
/// bytes.
const NAME_BYTES: usize = 200;

/// The name inside a temporary folder under which a folder waits for its removal while another
/// takes its place.
pub(crate) const EARLIER: &str = ".earlier";

/// Temporary files and folders of this process.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files and folders of this process, and lets none be made or renamed from
/// then on: a thread that tries waits for ever. For a handler of signals that ends the process
/// right afterwards.
pub fn remove_unfinished() {
    let unfinished = unfinished();
    unfinished.iter().for_each(|path| remove(path));
    std::mem::forget(unfinished);
}

/// A temporary name in the folder of its target. It is removed on drop unless it was published or
/// left before.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    /// Holds the lock that tells other processes that the owner lives, where the file system has
    /// locks.
    _lock: Option<File>,
}

impl Unfinished {
    /// Makes a temporary file or folder with `make`, which fails if the name is taken, and returns
    /// what that gives. Leftovers of processes that were killed while they wrote the same target
    /// are removed first.
    pub(crate) fn make<T>(target: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(Self, T)> {
        let Some(name) = target.file_name() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the path has no file name"));
        };
        let folder = std::path::absolute(parent(target))?;
        let stem = stem(&name.to_string_lossy());
        sweep(&folder, |name| name.strip_prefix(&stem).map(|owner| (owner, target.to_owned())));
        let process = std::process::id();
        for attempt in 1_u32.. {
            let number = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = folder.join(format!("{stem}{process}{number}{ENDING}"));
            let mut names = unfinished();
            let made = match make(&path) {
                Ok(made) => made,
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 10_000 => continue,
                Err(error) => return Err(error),
            };
            names.insert(path.clone());
            drop(names);
            let lock = open_any(&path).ok();
            let taken = lock.as_ref().is_some_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
            let unfinished = Self { path, _lock: lock };
            // Another process may have taken the name for a leftover in the moment before it was
            // locked.
            if !taken && unfinished.path.exists() {
                return Ok((unfinished, made));
            }
        }
        unreachable!("the last attempt returns")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `publish`, which renames the temporary name, while no handler of signals removes it.
    pub(crate) fn publish(self, publish: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let mut names = unfinished();
        let published = publish(&self.path);
        if published.is_ok() {
            names.remove(&self.path);
        }
        drop(names);
        published
    }

    /// Leaves the temporary name where it is, for the next writer of the target.
    pub(crate) fn leave(self) {
        unfinished().remove(&self.path);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Published names are no longer listed.
        if unfinished().remove(&self.path) {
            remove(&self.path);
        }
    }
}

/// Removes a file or a folder; an error is no use to anybody here.
pub(crate) fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        let _ = fs::remove_file(path);
        return;
    }
    // Another thread may still be writing into the folder.
    for _ in 0..10 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

/// Returns the beginning of all temporary names of a target.
fn stem(name: &str) -> String {
    let mut end = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".{}.", &name[..end])
}

/// Removes the temporary files and folders of processes that have ended, whatever their targets in
/// this folder. A folder that was about to be replaced gets its name back.
pub fn remove_leftovers(folder: &Path) {
    sweep(folder, |name| {
        let (name, owner) = name.strip_prefix('.')?.rsplit_once('.')?;
        Some((owner, folder.join(name)))
    });
}

/// Removes the leftovers whose names `told` knows: it is given a name without its ending, and gives
/// the part that names the process, and the target. What cannot be read or removed stays.
fn sweep(folder: &Path, told: impl Fn(&str) -> Option<(&str, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some((owner, target)) = name.to_str().and_then(|name| told(name.strip_suffix(ENDING)?)) else { continue };
        let process = owner.split_once('-').map_or(owner, |(process, _)| process);
        let numbers = owner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if let (true, Ok(process)) = (numbers, process.parse())
            && !is_owned(&path, process)
        {
            let earlier = path.join(EARLIER);
            if !earlier.exists() || target.exists() || fs::rename(&earlier, target).is_ok() {
                remove(&path);
            }
        }
    }
}

/// Returns whether the process that made a temporary name still lives.
fn is_owned(path: &Path, process: u32) -> bool {
    match open_any(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => false,
        Ok(Err(TryLockError::WouldBlock)) => true,
        // Without locks the number of the process has to do.
        Ok(Err(TryLockError::Error(_))) | Err(_) => {
            !Path::new("/proc/self").exists() || Path::new("/proc").join(process.to_string()).exists()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_file(path: &Path) -> io::Result<File> {
        File::options().write(true).create_new(true).open(path)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn leftovers_of_a_killed_process_are_removed_and_those_of_a_living_one_stay() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("e.npy");
        for left in
            [".e.npy.4194300.incomplete", ".e.npy.4194301-2.incomplete", ".e.npy.x.incomplete", ".e.npz.1.incomplete"]
        {
            fs::write(folder.path().join(left), "left").unwrap();
        }
        fs::create_dir_all(folder.path().join(".e.npy.4194302.incomplete/inside")).unwrap();
        let living = make_file(&folder.path().join(".e.npy.4194303.incomplete")).unwrap();
        living.lock().unwrap();
        let (first, _) = Unfinished::make(&target, make_file).unwrap();
        let (second, _) = Unfinished::make(&target, make_file).unwrap();
        let process = std::process::id();
        let own = [format!(".e.npy.{process}-2.incomplete"), format!(".e.npy.{process}.incomplete")];
        assert_eq!([second.path(), first.path()], [folder.path().join(&own[0]), folder.path().join(&own[1])]);
        let mut expected =
            [".e.npy.4194303.incomplete", ".e.npy.x.incomplete", ".e.npz.1.incomplete"].map(str::to_owned).to_vec();
        expected.extend(own);
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        drop((first, second));
        remove_leftovers(folder.path());
        assert_eq!(names(folder.path()), [".e.npy.4194303.incomplete", ".e.npy.x.incomplete"]);
    }

    #[test]
    fn a_folder_that_was_about_to_be_replaced_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (target, left) = (folder.path().join("model"), folder.path().join(".model.4194300.incomplete"));
        fs::create_dir_all(left.join(EARLIER).join("part")).unwrap();
        drop(Unfinished::make(&target, |path| fs::create_dir(path)).unwrap());
        assert!(target.join("part").exists() && !left.exists());
    }

    #[test]
    fn names_as_long_as_the_system_allows_have_a_temporary_name() {
        let folder = tempfile::tempdir().unwrap();
        let long = "ñ".repeat(127);
        let (unfinished, _) = Unfinished::make(&folder.path().join(&long), make_file).unwrap();
        assert!(unfinished.path().exists());
        assert!(Unfinished::make(Path::new("/"), make_file).is_err());
    }
}
