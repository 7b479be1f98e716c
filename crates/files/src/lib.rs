//! Files and folders that are replaced whole or not at all: the one place that creates, syncs and
//! renames what users keep.
//!
//! A new version is written under a temporary name in the folder of its target,
//! `.NAME.PID.incomplete`, synced, renamed, and the folder synced. Until the rename the old version
//! stays as it is. The temporary name is removed when the writer is dropped, by
//! [`remove_unfinished`] when the process is stopped by a signal, and by the next writer of the
//! same target when the process was killed.
#![deny(unsafe_code)]

mod edit_distance;
mod error;
mod file;
mod folder;
mod groups;
mod hex;
#[allow(unsafe_code)]
mod map;
mod random;
mod read;
mod sync;
mod unfinished;

pub use edit_distance::edit_distance;
pub use error::FileError;
pub use file::{NewFile, replace, write};
pub use folder::{NewFolder, create_inside, remove_folder, write_inside};
pub use groups::Groups;
pub use hex::hex;
pub use map::{FileChanged, Map, MappedFile};
pub use random::{SplitMix64, mix};
pub use read::{create_or_empty, open, open_to_append, read, read_optional, read_to_string};
pub use sync::{is_same, rename, sync_folder, sync_tree};
pub use unfinished::{remove_leftovers, remove_unfinished};
