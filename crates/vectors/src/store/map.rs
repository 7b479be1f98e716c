//! The read-only map of a file: the one place of this crate with `unsafe`.

use memmap2::Mmap;
use std::fs::File;
use std::io;

/// Maps a file that is never written again.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: files of a store are written once, under a name that no manifest says yet, and after that only removed, which
    // leaves the map whole; the store's lock keeps a second writer away. A program that cuts a file of the store breaks
    // the contract that the module head of `store` states.
    unsafe { Mmap::map(file) }
}
