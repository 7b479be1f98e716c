//! Every change of the disk goes through here, so that tests can let any one of them fail.

use super::StoreError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Performs all changes of the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// Tests that do not ask what a loss of power leaves may skip waiting for the disk.
    #[cfg(test)]
    pub(crate) unsynced: bool,
    /// Changes that still succeed; the one after them fails.
    #[cfg(test)]
    pub(crate) fuse: Option<std::rc::Rc<std::cell::Cell<usize>>>,
}

impl Disk {
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(fuse) = &self.fuse {
            if fuse.get() == 0 {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full (a test)"));
            }
            fuse.set(fuse.get() - 1);
        }
        Ok(())
    }

    /// Creates a file, or empties the one that is there.
    pub(crate) fn create(&self, path: &Path) -> Result<File, StoreError> {
        self.step().and_then(|()| maana_files::create_or_empty(path)).map_err(StoreError::io(path, "create it"))
    }

    /// Creates a file where none is.
    pub(crate) fn create_new(&self, path: &Path) -> Result<File, StoreError> {
        let create = || File::options().write(true).create_new(true).open(path);
        self.step().and_then(|()| create()).map_err(StoreError::io(path, "create it"))
    }

    pub(crate) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        if let Err(error) = self.step() {
            // A disk that is full takes what still fits.
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            return Err(StoreError::io(path, "write to it")(error));
        }
        file.write_all(bytes).map_err(StoreError::io(path, "write to it"))
    }

    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        let sync = || {
            #[cfg(test)]
            if self.unsynced {
                return Ok(());
            }
            file.sync_all()
        };
        self.step().and_then(|()| sync()).map_err(StoreError::io(path, "write it through to the disk"))
    }

    /// Makes created, renamed and removed names last.
    pub(crate) fn sync_folder(&self, path: &Path) -> Result<(), StoreError> {
        let folder = File::open(path).map_err(StoreError::io(path, "open it"))?;
        self.sync(&folder, path)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.step().and_then(|()| fs::rename(from, to)).map_err(StoreError::io(to, "replace it"))
    }

    /// Removes what no manifest names. If it cannot be, the next writer tries again.
    pub(crate) fn remove(&self, path: &Path) {
        if self.step().is_ok() {
            let _ = fs::remove_file(path);
        }
    }
}
