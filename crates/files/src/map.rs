//! Read-only maps of files, and what happens when a mapped file is cut or written into.
//!
//! Reading a mapped page that is gone (the file was cut, or the disk does not give it) raises
//! SIGBUS, which ends the process. On Unix a handler, installed with the first map, puts a page of
//! zeros in its place and notes that the map has lost it. What was computed from zeros is wrong:
//! callers compute, then call [`MappedFile::check`], and answer only if that succeeds. The check
//! also compares the file's length and time of modification with those at the opening, so that a
//! write in place is found on every system. Faults outside our maps go to the handler that was
//! there before.

use crate::read::open;
use memmap2::{Mmap, MmapOptions};
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// A regular file whose content is mapped instead of read. Clones share one open file.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    /// A map of this file lost a page before it was dropped.
    lost: AtomicBool,
}

/// A mapped part of a file, as bytes.
#[derive(Debug)]
pub struct Map {
    bytes: Mmap,
    file: MappedFile,
    #[cfg(unix)]
    slot: &'static faults::Slot,
}

/// A mapped file is no longer what it was when it was opened. It is the inner error of an
/// [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileChanged;

impl fmt::Display for FileChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "changed while in use; replace files by renaming (write a new file, then mv it over the old one), then start again",
        )
    }
}

impl std::error::Error for FileChanged {}

impl FileChanged {
    /// Returns whether an error, or one of those that caused it, is a [`FileChanged`].
    pub fn caused(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if error.is::<Self>() || inner.is_some_and(|inner| inner.is::<Self>()) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl MappedFile {
    /// Opens a regular file, as [`open`] does.
    ///
    /// # Errors
    /// Those of [`open`].
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = open(&path)?;
        let found = file.metadata()?;
        let (length, modified) = state(&found);
        let path = path.as_ref().to_owned();
        Ok(Self(Arc::new(Opened { path, file, length, modified, lost: AtomicBool::new(false) })))
    }

    /// Returns the path under which the file was opened.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns the length at the opening, in bytes.
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// Maps some bytes of the file.
    ///
    /// # Errors
    /// If the range is not within the file, or the system refuses the map.
    pub fn map(&self, bytes: Range<u64>) -> io::Result<Map> {
        if bytes.start > bytes.end || bytes.end > self.0.length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what is to be mapped"));
        }
        let length = usize::try_from(bytes.end - bytes.start).map_err(io::Error::other)?;
        #[cfg(unix)]
        faults::handle()?;
        // SAFETY: a map is sound while nobody changes its bytes. Files of models and stores are
        // replaced by renaming, which leaves the old file whole. A program that writes into one
        // nevertheless changes bytes under a shared slice, of types for which every bit pattern is
        // valid; a page that is cut off reads as zeros. `check` reports both before a result is
        // used.
        let bytes = unsafe { MmapOptions::new().offset(bytes.start).len(length).map(&self.0.file)? };
        Ok(Map {
            #[cfg(unix)]
            slot: faults::register(bytes.as_ptr() as usize, bytes.len(), self.identity()),
            bytes,
            file: self.clone(),
        })
    }

    #[cfg(unix)]
    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Checks that the file is still what it was when it was opened: same length, same time of
    /// modification, no page lost. One call of the system; to be called after computing and before
    /// the result is used.
    ///
    /// # Errors
    /// [`FileChanged`], if it is not.
    pub fn check(&self) -> io::Result<()> {
        let Opened { file, length, modified, lost, .. } = &*self.0;
        let found = file.metadata()?;
        #[cfg(unix)]
        let lost = lost.load(Ordering::Acquire) || faults::is_lost(self.identity());
        #[cfg(not(unix))]
        let lost = lost.load(Ordering::Acquire);
        if lost || state(&found) != (*length, *modified) {
            return Err(io::Error::other(FileChanged));
        }
        Ok(())
    }
}

fn state(found: &Metadata) -> (u64, Option<SystemTime>) {
    (found.len(), found.modified().ok())
}

impl Map {
    /// Returns the file that is mapped.
    pub fn file(&self) -> &MappedFile {
        &self.file
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(unix)]
impl Drop for Map {
    fn drop(&mut self) {
        if self.slot.release() {
            self.file.0.lost.store(true, Ordering::Release);
        }
    }
}

/// The handler of SIGBUS, and the table of maps that it reads.
#[cfg(unix)]
mod faults {
    use std::io;
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    const SLOTS: usize = 256;

    /// Addresses of a map; a length of 0 marks a free slot. Slots live as long as the process.
    #[derive(Debug)]
    pub(super) struct Slot {
        start: AtomicUsize,
        length: AtomicUsize,
        /// The file, by the address of what its clones share.
        file: AtomicUsize,
        lost: AtomicBool,
    }

    /// Slots, and the next block of them. Blocks are appended and never removed, so that the
    /// handler may walk them while another thread registers a map.
    struct Block {
        slots: [Slot; SLOTS],
        next: AtomicPtr<Block>,
    }

    static FIRST: Block = Block::new();
    /// Held while a slot is taken.
    static REGISTERING: Mutex<()> = Mutex::new(());
    /// Some map has lost a page since the process began.
    static ANY_LOST: AtomicBool = AtomicBool::new(false);
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    /// The handler that was there before ours.
    static EARLIER: OnceLock<libc::sigaction> = OnceLock::new();

    impl Block {
        const fn new() -> Self {
            Self { slots: [const { Slot::new() }; SLOTS], next: AtomicPtr::new(ptr::null_mut()) }
        }

        fn next(&self) -> Option<&'static Block> {
            // SAFETY: the pointer is null or that of a leaked block.
            unsafe { self.next.load(Ordering::Acquire).as_ref() }
        }
    }

    impl Slot {
        const fn new() -> Self {
            Self {
                start: AtomicUsize::new(0),
                length: AtomicUsize::new(0),
                file: AtomicUsize::new(0),
                lost: AtomicBool::new(false),
            }
        }

        /// Frees the slot; returns whether the map has lost a page.
        pub(super) fn release(&self) -> bool {
            self.length.store(0, Ordering::Release);
            self.lost.swap(false, Ordering::AcqRel)
        }
    }

    fn slots() -> impl Iterator<Item = &'static Slot> {
        std::iter::successors(Some(&FIRST), |block| block.next()).flat_map(|block| &block.slots)
    }

    /// Registers a map, before anybody reads it.
    pub(super) fn register(start: usize, length: usize, file: usize) -> &'static Slot {
        let _registering = REGISTERING.lock().unwrap_or_else(PoisonError::into_inner);
        let free = slots().find(|slot| slot.length.load(Ordering::Acquire) == 0);
        let slot = free.unwrap_or_else(|| {
            let block: &'static Block = Box::leak(Box::new(Block::new()));
            let last = std::iter::successors(Some(&FIRST), |block| block.next()).last().unwrap_or(&FIRST);
            last.next.store(ptr::from_ref(block).cast_mut(), Ordering::Release);
            &block.slots[0]
        });
        slot.start.store(start, Ordering::Relaxed);
        slot.file.store(file, Ordering::Relaxed);
        // An empty map has no page that could be lost, but keeps its slot.
        slot.length.store(length.max(1), Ordering::Release);
        slot
    }

    /// Returns whether a map of this file, which is still there, has lost a page.
    pub(super) fn is_lost(file: usize) -> bool {
        let is_its = |slot: &Slot| slot.length.load(Ordering::Acquire) > 0 && slot.file.load(Ordering::Relaxed) == file;
        ANY_LOST.load(Ordering::Acquire) && slots().any(|slot| is_its(slot) && slot.lost.load(Ordering::Acquire))
    }

    /// Installs the handler once.
    pub(super) fn handle() -> io::Result<()> {
        static INSTALLING: Mutex<bool> = Mutex::new(false);
        let mut installed = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if *installed {
            return Ok(());
        }
        // SAFETY: a call without preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).map_err(io::Error::other)?, Ordering::Relaxed);
        let mut earlier = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the second pointer may be null, and the third points to memory for what is
        // written.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), earlier.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above succeeded and wrote it. It is kept before our handler may need it.
        let _ = EARLIER.set(unsafe { earlier.assume_init() });
        // SAFETY: all bits zero are a valid `sigaction`, whose fields are set below.
        let mut ours = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        ours.sa_sigaction = on_fault as extern "C" fn(_, _, _) as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `sa_mask` is memory of ours; `on_fault` has the signature that `SA_SIGINFO` asks
        // for, and calls nothing that is forbidden in a handler.
        let done = unsafe {
            libc::sigemptyset(&raw mut ours.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut())
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        *installed = true;
        Ok(())
    }

    /// Puts zeros in place of a page of ours that is gone. Only atomics, `mmap` and `sigaction` are
    /// used.
    extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the system hands a valid `info` to a handler with `SA_SIGINFO`; of SIGBUS it has
        // the address.
        let address = unsafe { (*info).si_addr() } as usize;
        let is_in = |slot: &Slot| {
            let (start, length) = (slot.start.load(Ordering::Relaxed), slot.length.load(Ordering::Acquire));
            length > 0 && address.checked_sub(start).is_some_and(|offset| offset < length)
        };
        let mut ours = false;
        for slot in slots().filter(|slot| is_in(slot)) {
            slot.lost.store(true, Ordering::Release);
            ours = true;
        }
        if ours {
            ANY_LOST.store(true, Ordering::Release);
            let page = PAGE.load(Ordering::Relaxed);
            let start = address / page * page;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: the page belongs to a map of ours, which stays mapped while a thread reads
            // it. It becomes one of zeros, which is as readable as the lost one was.
            let replaced = unsafe { libc::mmap(start as *mut _, page, libc::PROT_READ, flags, -1, 0) };
            if replaced != libc::MAP_FAILED {
                return;
            }
        }
        pass_on(signal, info, context);
    }

    /// Hands a fault to the handler that was there before. Without one, the default takes effect
    /// when the fault repeats.
    fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        let earlier = EARLIER.get();
        let handler = earlier.map_or(libc::SIG_DFL, |earlier| earlier.sa_sigaction);
        if let Some(earlier) = earlier.filter(|_| handler != libc::SIG_DFL && handler != libc::SIG_IGN) {
            if earlier.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: a handler that was installed with `SA_SIGINFO` has this signature.
                unsafe { std::mem::transmute::<usize, WithInfo>(handler)(signal, info, context) };
            } else {
                // SAFETY: a handler that was installed without it has this one.
                unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler)(signal) };
            }
            return;
        }
        // SAFETY: all bits zero are a `sigaction` with the default handler; the call has no other
        // precondition.
        unsafe {
            let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn file(bytes: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; bytes]).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_that_is_replaced_by_renaming_stays_as_it_was_mapped() {
        let (folder, path) = file(100_000);
        let mapped = MappedFile::open(&path).unwrap();
        let map = mapped.map(10..90_000).unwrap();
        crate::write(&path, "other").unwrap();
        assert!(map.iter().all(|byte| *byte == 7) && map.len() == 89_990);
        mapped.check().unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        map.file().check().unwrap();
        assert!(mapped.map(0..100_001).is_err());
        assert_eq!(&*mapped.map(5..5).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_cut_while_mapped_reads_as_zeros_and_is_reported() {
        let (_folder, path) = file(100_000);
        let (whole, other) = (MappedFile::open(&path).unwrap(), file(100_000));
        let other = MappedFile::open(&other.1).unwrap();
        let (map, kept) = (whole.map(0..100_000).unwrap(), other.map(0..100_000).unwrap());
        File::options().write(true).open(&path).unwrap().set_len(1_000).unwrap();
        // On threads of their own, as the handler must find maps of others.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let (cut, untouched) = std::thread::scope(|scope| {
            let threads = [&map, &kept].map(|map| scope.spawn(|| sum(map)));
            let [cut, untouched] = threads.map(|thread| thread.join().unwrap());
            (cut, untouched)
        });
        assert_eq!((cut, untouched), (7_000, 700_000));
        let error = whole.check().unwrap_err();
        assert!(FileChanged::caused(&error) && error.to_string().starts_with("changed while in use"), "{error}");
        drop(map);
        // Even if length and time are as before, the lost pages are remembered.
        let again = File::options().write(true).open(&path).unwrap();
        again.set_len(100_000).unwrap();
        again.set_modified(whole.0.modified.unwrap()).unwrap();
        assert!(whole.check().is_err());
        other.check().unwrap();
    }

    #[test]
    fn a_file_that_is_written_in_place_is_reported() {
        let (_folder, path) = file(100);
        let mapped = MappedFile::open(&path).unwrap();
        let _map = mapped.map(0..100).unwrap();
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.rewind().unwrap();
        writer.write_all(&[8]).unwrap();
        writer.set_modified(mapped.0.modified.unwrap() + std::time::Duration::from_millis(1)).unwrap();
        assert!(FileChanged::caused(&mapped.check().unwrap_err()));
    }

    #[test]
    fn more_maps_than_a_block_has_slots_are_kept() {
        let (_folder, path) = file(10_000);
        let mapped = MappedFile::open(&path).unwrap();
        let maps: Vec<Map> = (0..1_000).map(|start| mapped.map(start..10_000).unwrap()).collect();
        assert!(maps.iter().all(|map| map[0] == 7));
        drop(maps);
        mapped.check().unwrap();
    }
}
