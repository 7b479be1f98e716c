//! The read-only map of a part of a file: the one place of this crate with `unsafe`.

use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::Range;

/// Maps some bytes of a file of weights.
pub(super) fn map(file: &File, bytes: Range<usize>) -> io::Result<Mmap> {
    // SAFETY: files of a model are replaced by renaming, by this program and by the hub's own, which leaves the map whole. A
    // program that writes into the file while it is open breaks the contract that the head of `weights` states.
    unsafe { MmapOptions::new().offset(bytes.start as u64).len(bytes.len()).map(file) }
}
