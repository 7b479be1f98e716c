//! Changes of a store. Each call is one change: it writes new files, waits for the disk, replaces
//! the manifest, and returns; then the files that nobody names any more are removed. An error
//! leaves the state before.

use super::manifest::{DeadEntry, Manifest, SegmentEntry, StoreHeader, Stored, hex};
use super::sections::{Kind, SectionWriter};
use super::segment::{Document, RowSource, Segment, write_segment};
use super::snapshot::{Opened, Store};
use super::{Disk, StoreError};
use crate::error::{VectorsError, check_finite};
use crate::search::Bits;
use maana_kernels::{Rows, from_bf16, to_bf16};
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of neighbouring segments of similar size that are merged.
const MERGE: usize = 8;

/// The one that changes a store.
#[derive(Debug)]
pub struct Writer {
    disk: Disk,
    state: Store,
    /// Held while the writer lives.
    _lock: File,
    /// An earlier change may or may not be on the disk.
    uncertain: bool,
}

/// Result of an `add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Documents of new ids.
    pub new: usize,
    /// Documents that took the place of others with their id.
    pub replaced: usize,
}

impl Writer {
    /// Makes a store in a directory, which is made too.
    ///
    /// # Errors
    /// A store that is there already, another writer, dims of 0, or what the system refuses.
    pub fn create(folder: impl AsRef<Path>, header: StoreHeader) -> Result<Self, StoreError> {
        Self::create_on(Disk::default(), folder.as_ref(), header)
    }

    pub(super) fn create_on(disk: Disk, folder: &Path, header: StoreHeader) -> Result<Self, StoreError> {
        Self::create_or(disk, folder, header, false, |_, _| Err(StoreError::AlreadyExists { path: folder.to_owned() }))
    }

    /// Makes a store that is not to be read until [`Writer::finish`] is called, or continues one
    /// that was begun so with the same header. One that was begun with another is replaced.
    ///
    /// # Errors
    /// A store that is finished, another writer, or as [`Writer::create`].
    pub fn begin(folder: impl AsRef<Path>, header: StoreHeader) -> Result<Self, StoreError> {
        Self::begin_on(Disk::default(), folder.as_ref(), header)
    }

    pub(super) fn begin_on(disk: Disk, folder: &Path, header: StoreHeader) -> Result<Self, StoreError> {
        Self::create_or(disk.clone(), folder, header.clone(), true, |lock, header| {
            let writer = Self::locked(disk.clone(), folder, lock)?;
            if !writer.state.manifest.unfinished {
                return Err(StoreError::AlreadyExists { path: folder.to_owned() });
            }
            if writer.state.header() == header {
                return Ok(writer);
            }
            writer.remove()?;
            Self::begin_on(disk, folder, header.clone())
        })
    }

    /// Makes a store, unless there is one.
    fn create_or(
        disk: Disk,
        folder: &Path,
        header: StoreHeader,
        unfinished: bool,
        exists: impl FnOnce(File, &StoreHeader) -> Result<Self, StoreError>,
    ) -> Result<Self, StoreError> {
        if header.dims == 0 {
            return Err(VectorsError::setting("dims", "vectors have at least one").into());
        }
        std::fs::create_dir_all(folder).map_err(StoreError::io(folder, "create it"))?;
        let lock = lock(folder)?;
        if Manifest::exists(folder) {
            return exists(lock, &header);
        }
        if let Some(file) = Manifest::in_the_way(folder)? {
            return Err(StoreError::InTheWay { path: folder.to_owned(), file });
        }
        let manifest = Manifest::new(header, unfinished);
        manifest.replace(&disk, folder).map_err(|(_, error)| error)?;
        let state = Store { folder: folder.to_owned(), manifest, segments: Vec::new() };
        Ok(Self { disk, state, _lock: lock, uncertain: false })
    }

    /// Opens a store to change it, and removes what a writer that was stopped has left.
    ///
    /// # Errors
    /// As `Store::open`, or another writer.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_on(Disk::default(), folder.as_ref())
    }

    pub(super) fn open_on(disk: Disk, folder: &Path) -> Result<Self, StoreError> {
        if !Manifest::exists(folder) {
            return Err(StoreError::NotAStore { path: folder.to_owned() });
        }
        let writer = Self::locked(disk, folder, lock(folder)?)?;
        match writer.state.manifest.unfinished {
            true => Err(StoreError::Unfinished { path: folder.to_owned() }),
            false => Ok(writer),
        }
    }

    /// Opens a store whose lock is held, finished or not.
    fn locked(disk: Disk, folder: &Path, lock: File) -> Result<Self, StoreError> {
        let state = Store::open_from(folder, &[])?;
        state.segments.iter().try_for_each(|opened| opened.segment.check_index())?;
        let names = std::fs::read_dir(folder).map_err(StoreError::io(folder, "list it"))?;
        for entry in names.flatten() {
            if entry.file_name().to_str().is_some_and(|name| state.manifest.is_leftover(folder, name)) {
                disk.remove(&entry.path());
            }
        }
        Ok(Self { disk, state, _lock: lock, uncertain: false })
    }

    /// Removes the store of a directory, finished or not.
    ///
    /// # Errors
    /// No store, another writer, a damaged file, or what the system refuses.
    pub fn remove_at(folder: impl AsRef<Path>) -> Result<(), StoreError> {
        let folder = folder.as_ref();
        if !Manifest::exists(folder) {
            return Err(StoreError::NotAStore { path: folder.to_owned() });
        }
        Self::locked(Disk::default(), folder, lock(folder)?)?.remove()
    }

    /// Says that all documents have come into a store that was begun: from now on it can be read.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        if !self.state.manifest.unfinished {
            return Ok(());
        }
        let mut change = self.begin_change()?;
        change.unfinished = false;
        self.publish(change)
    }

    /// Removes the store: its own files, and the directory if nothing else is in it.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn remove(self) -> Result<(), StoreError> {
        let (folder, manifest) = (&self.state.folder, &self.state.manifest);
        // Without it there is no store, whatever else is left.
        let path = folder.join(super::manifest::NAME);
        std::fs::remove_file(&path).map_err(StoreError::io(&path, "remove it"))?;
        for name in manifest.files().map(|(_, name)| name).chain([super::GRAPH, "lock"]) {
            self.disk.remove(&folder.join(name));
        }
        let _ = std::fs::remove_dir(folder);
        Ok(())
    }

    /// The state that was written last.
    pub fn store(&self) -> &Store {
        &self.state
    }

    /// Adds documents with their vectors, all of them or none; one with an id that is there takes
    /// its place, at the end. A few hundred or more at a time are best: each call waits for the
    /// disk.
    ///
    /// # Errors
    /// Other dims, values that are not finite, an id twice, or what the system refuses.
    pub fn add(&mut self, documents: &[Document<'_>], vectors: Rows<'_>) -> Result<Added, StoreError> {
        let (dims, stored) = (self.state.manifest.header.dims, self.state.manifest.header.stored);
        if documents.len() != vectors.rows() {
            return Err(StoreError::Count { documents: documents.len(), rows: vectors.rows() });
        }
        if documents.is_empty() {
            return Ok(Added { new: 0, replaced: 0 });
        }
        if vectors.columns() != dims {
            return Err(VectorsError::Dims { expected: dims, found: vectors.columns() }.into());
        }
        check_finite(vectors)?;
        if stored == Stored::Bf16 {
            check_bf16(vectors)?;
        }
        let mut ids = HashSet::with_capacity(documents.len());
        if let Some(twice) = documents.iter().find(|document| !ids.insert(document.id)) {
            return Err(StoreError::DuplicateId { id: twice.id.to_owned() });
        }
        let mut change = self.begin_change()?;
        let replaced = change.delete(documents.iter().map(|document| document.id))?;
        change.write_segment(&Batch { documents, vectors, stored })?;
        self.publish(change)?;
        // The documents are safe; tidying is no part of what was promised, and is tried again after
        // the next.
        let _ = self.merge_small();
        Ok(Added { new: documents.len() - replaced, replaced })
    }

    /// Deletes the documents with these ids; how many there were. Ids that are not there are passed
    /// over.
    ///
    /// # Errors
    /// What the system refuses, or a damaged file.
    pub fn delete(&mut self, ids: &[&str]) -> Result<usize, StoreError> {
        let mut change = self.begin_change()?;
        let deleted = change.delete(ids.iter().copied())?;
        // Ids that a damaged file hides are not ids that are not there.
        self.state.check_unchanged()?;
        if deleted > 0 {
            self.publish(change)?;
        }
        Ok(deleted)
    }

    /// Writes all living documents into one segment, and gives the room of the others back. Whether
    /// anything was to be done. Every byte is compared with its checksum before it is copied;
    /// `salvage` saves what is whole of a damaged store.
    ///
    /// # Errors
    /// What the system refuses, or a damaged file.
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        let segments = &self.state.segments;
        if segments.is_empty() || (segments.len() == 1 && segments[0].dead.is_none()) {
            return Ok(false);
        }
        self.merge(0..self.state.segments.len())?;
        Ok(true)
    }

    /// Merges the last segments while there are many of like size, so that their number grows with
    /// the logarithm of rows.
    fn merge_small(&mut self) -> Result<(), StoreError> {
        let class = |opened: &Opened| opened.segment.rows().max(1).ilog2() / 3;
        loop {
            let segments = &self.state.segments;
            let Some(last) = segments.last().map(class) else { return Ok(()) };
            let like = segments.iter().rev().take_while(|opened| class(opened) <= last).count();
            if like < MERGE {
                return Ok(());
            }
            self.merge(segments.len() - like..segments.len())?;
        }
    }

    fn merge(&mut self, range: Range<usize>) -> Result<(), StoreError> {
        self.state.segments[range.clone()].iter().try_for_each(|opened| opened.segment.check())?;
        let mut change = self.begin_change()?;
        let merged = Merged::of(&self.state.segments[range.clone()]);
        let rest = (change.entries.split_off(range.end), change.segments.split_off(range.end));
        change.entries.truncate(range.start);
        change.segments.truncate(range.start);
        if merged.rows() > 0 {
            change.write_segment(&merged)?;
        }
        change.entries.extend(rest.0);
        change.segments.extend(rest.1);
        self.publish(change)
    }

    fn begin_change(&self) -> Result<Change, StoreError> {
        if self.uncertain {
            return Err(StoreError::Reopen { path: self.state.folder.clone() });
        }
        Ok(Change {
            disk: self.disk.clone(),
            folder: self.state.folder.clone(),
            next: self.state.manifest.next,
            header: self.state.manifest.header.clone(),
            entries: self.state.manifest.segments.clone(),
            segments: self.state.segments.clone(),
            written: Vec::new(),
            unfinished: self.state.manifest.unfinished,
            state: self.state.clone(),
        })
    }

    /// Makes a change the state.
    fn publish(&mut self, mut change: Change) -> Result<(), StoreError> {
        change.drop_empty();
        change.write_dead()?;
        let manifest = Manifest {
            generation: self.state.manifest.generation + 1,
            next: change.next,
            header: change.header.clone(),
            segments: std::mem::take(&mut change.entries),
            unfinished: change.unfinished,
        };
        // What was copied or looked up came from the files of the state before.
        self.state.check_unchanged()?;
        // The names of the new files, before the manifest that says them.
        self.disk.sync_folder(&self.state.folder)?;
        if let Err((public, error)) = manifest.replace(&self.disk, &self.state.folder) {
            self.uncertain = public;
            if public {
                // The new manifest may be there and need its files.
                change.written.clear();
            }
            return Err(error);
        }
        change.written.clear();
        let old = std::mem::replace(&mut self.state.manifest, manifest);
        self.state.segments = std::mem::take(&mut change.segments);
        let folder = &self.state.folder;
        for (_, name) in old.files().filter(|(_, name)| self.state.manifest.is_leftover(folder, name)) {
            self.disk.remove(&folder.join(name));
        }
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = maana_files::open_to_append(&path);
    let file = file.map_err(StoreError::io(&path, "open it for writing"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&path, "lock it")(error)),
    }
}

fn check_bf16(vectors: Rows<'_>) -> Result<(), VectorsError> {
    for row in 0..vectors.rows() {
        if let Some(column) = vectors.row(row).iter().position(|value| !from_bf16(to_bf16(*value)).is_finite()) {
            return Err(VectorsError::NotFinite { row, column, value: from_bf16(to_bf16(vectors.row(row)[column])) });
        }
    }
    Ok(())
}

/// A change that is being made. Dropped before it is published, it takes its files along.
struct Change {
    disk: Disk,
    folder: PathBuf,
    next: u64,
    header: StoreHeader,
    entries: Vec<SegmentEntry>,
    segments: Vec<Opened>,
    /// New files.
    written: Vec<PathBuf>,
    /// More documents are to come before the store is complete.
    unfinished: bool,
    /// The state before.
    state: Store,
}

impl Drop for Change {
    fn drop(&mut self) {
        self.written.iter().for_each(|path| self.disk.remove(path));
    }
}

impl Change {
    /// The next name that is free. Somebody else's file of such a name stays where it is.
    fn name(&mut self, kind: Kind) -> (String, PathBuf) {
        loop {
            let name = format!("{}-{:08}", kind.prefix(), self.next);
            self.next += 1;
            let path = self.folder.join(&name);
            if !path.exists() {
                self.written.push(path.clone());
                return (name, path);
            }
        }
    }

    /// Marks what has these ids; how many there were.
    fn delete<'a>(&mut self, ids: impl Iterator<Item = &'a str>) -> Result<usize, StoreError> {
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for id in ids {
            if let Some((part, row)) = self.state.place(id)? {
                rows.entry(part).or_default().push(row);
            }
        }
        let mut deleted = 0;
        for (part, rows) in rows {
            let opened = &mut self.segments[part];
            let length = opened.segment.rows();
            let dead = opened.dead.get_or_insert_with(|| Arc::new(Bits::none(length)));
            let dead = Arc::make_mut(dead);
            deleted += rows.into_iter().filter(|row| dead.insert(*row)).count();
        }
        Ok(deleted)
    }

    fn write_segment(&mut self, source: &dyn RowSource) -> Result<(), StoreError> {
        let (file, path) = self.name(Kind::Segment);
        let written = write_segment(&self.disk, &path, self.header.dims, self.header.stored, source)?;
        let segment = Arc::new(Segment::open(&path)?);
        self.segments.push(Opened { segment, dead: None });
        let checksum = hex(&written.checksum.to_be_bytes());
        self.entries.push(SegmentEntry {
            file,
            rows: source.rows() as u64,
            bytes: written.bytes,
            checksum,
            dead: None,
        });
        Ok(())
    }

    /// Segments of which nothing lives are named no more.
    fn drop_empty(&mut self) {
        let lives = |opened: &Opened| opened.dead.as_ref().is_none_or(|dead| dead.count() < opened.segment.rows());
        let keep: Vec<bool> = self.segments.iter().map(lives).collect();
        let mut kept = keep.iter();
        self.entries.retain(|_| *kept.next().expect("an entry for each segment"));
        let mut kept = keep.iter();
        self.segments.retain(|_| *kept.next().expect("an entry for each segment"));
    }

    /// Writes the bits of segments of which rows were deleted.
    fn write_dead(&mut self) -> Result<(), StoreError> {
        for number in 0..self.segments.len() {
            let Some(dead) = self.segments[number].dead.clone() else { continue };
            let rows = dead.count() as u64;
            if self.entries[number].dead.as_ref().is_some_and(|entry| entry.rows == rows) {
                continue;
            }
            let (file, path) = self.name(Kind::Dead);
            let mut writer = SectionWriter::create(&self.disk, &path, Kind::Dead, [dead.len() as u64, 0, 0, 0, 0, 0])?;
            writer.section()?;
            dead.words().iter().try_for_each(|word| writer.write(&word.to_le_bytes()))?;
            let written = writer.finish()?;
            let checksum = hex(&written.checksum.to_be_bytes());
            self.entries[number].dead = Some(DeadEntry { file, rows, checksum });
        }
        Ok(())
    }
}

/// New documents.
struct Batch<'a> {
    documents: &'a [Document<'a>],
    vectors: Rows<'a>,
    stored: Stored,
}

impl RowSource for Batch<'_> {
    fn rows(&self) -> usize {
        self.documents.len()
    }

    fn document(&self, row: usize) -> Result<Document<'_>, StoreError> {
        Ok(self.documents[row])
    }

    fn vector(&self, row: usize, out: &mut Vec<u8>) {
        let values = self.vectors.row(row);
        match self.stored {
            Stored::F32 => values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
            Stored::Bf16 => values.iter().for_each(|value| out.extend_from_slice(&to_bf16(*value).to_le_bytes())),
        }
    }
}

/// The living rows of some segments.
struct Merged<'a> {
    segments: &'a [Opened],
    /// Segment and row there.
    rows: Vec<(u32, u32)>,
}

impl<'a> Merged<'a> {
    fn of(segments: &'a [Opened]) -> Self {
        let mut rows = Vec::new();
        for (number, opened) in segments.iter().enumerate() {
            let alive = |row: &usize| opened.dead.as_ref().is_none_or(|dead| !dead.contains(*row));
            rows.extend((0..opened.segment.rows()).filter(alive).map(|row| (number as u32, row as u32)));
        }
        Self { segments, rows }
    }
}

impl RowSource for Merged<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn document(&self, row: usize) -> Result<Document<'_>, StoreError> {
        let (segment, row) = self.rows[row];
        self.segments[segment as usize].segment.document(row as usize)
    }

    fn vector(&self, row: usize, out: &mut Vec<u8>) {
        let (segment, row) = self.rows[row];
        out.extend_from_slice(self.segments[segment as usize].segment.vector_bytes(row as usize));
    }
}
