//! A whole state of a store, for reading. Later changes leave it as it is: its files stay mapped
//! even when their names are gone. `refresh` goes to the latest state.

use super::manifest::{DeadEntry, Manifest, SegmentEntry, StoreHeader, hex};
use super::sections::{Kind, SectionFile};
use super::segment::{Document, Segment};
use super::{StoreError, expect_maker};
use crate::search::{Bits, Corpus, Hit, Part, Search, search};
use maana_kernels::{Context, Rows};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store that is open for reading.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) segments: Vec<Opened>,
}

/// A segment and what of it is deleted.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) segment: Arc<Segment>,
    pub(super) dead: Option<Arc<Bits>>,
}

/// Description of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// Returns the properties that never change.
    pub header: StoreHeader,
    /// Documents that can be found.
    pub documents: usize,
    /// Documents that are deleted or replaced and still on the disk; compaction removes them.
    pub dead: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Counts changes.
    pub generation: u64,
}

/// A store's rows up to a place, and those behind it.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    /// Identifies the vectors of `head` and their order, independently of deletions.
    pub stamp: u64,
    /// The rows before.
    pub head: Corpus<'a>,
    /// The rows from there on, numbered from 0.
    pub tail: Corpus<'a>,
}

impl Store {
    /// Opens the state that is there now. Headers and lengths of all files are checked, not their
    /// every byte: `verify` does.
    ///
    /// # Errors
    /// No store, one that is not finished, a later format, or a file that is missing or damaged, by
    /// name.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_from(folder.as_ref(), &[])?.finished()
    }

    /// Returns an error for a store that is not finished.
    pub(super) fn finished(self) -> Result<Self, StoreError> {
        match self.manifest.unfinished {
            true => Err(StoreError::Unfinished { path: self.folder }),
            false => Ok(self),
        }
    }

    /// Opens the latest state, keeping segments that are mapped already.
    pub(super) fn open_from(folder: &Path, old: &[(String, Opened)]) -> Result<Self, StoreError> {
        let mut manifest = Manifest::read(folder)?;
        loop {
            let error = match Self::open_files(folder, &manifest, old) {
                Ok(segments) => return Ok(Self { folder: folder.to_owned(), manifest, segments }),
                Err(error) => error,
            };
            // A writer may have replaced the state, and removed its files, since the manifest was
            // read.
            let latest = Manifest::read(folder)?;
            if latest.generation == manifest.generation {
                return Err(error);
            }
            manifest = latest;
        }
    }

    fn open_files(folder: &Path, manifest: &Manifest, old: &[(String, Opened)]) -> Result<Vec<Opened>, StoreError> {
        let open = |entry: &SegmentEntry| {
            let known = old.iter().find(|(file, _)| *file == entry.file);
            let segment = match known {
                Some((_, opened)) => Arc::clone(&opened.segment),
                None => Arc::new(open_segment(folder, entry, &manifest.header)?),
            };
            let dead = entry.dead.as_ref().map(|dead| open_dead(folder, dead, segment.rows()).map(Arc::new));
            Ok(Opened { segment, dead: dead.transpose()? })
        };
        manifest.segments.iter().map(open).collect()
    }

    /// Goes to the latest state; whether there was a later one.
    ///
    /// # Errors
    /// As `open`; the state is then as it was.
    pub fn refresh(&mut self) -> Result<bool, StoreError> {
        let files = self.manifest.segments.iter().map(|entry| entry.file.clone());
        let old: Vec<_> = files.zip(self.segments.iter().cloned()).collect();
        let latest = Self::open_from(&self.folder, &old)?.finished()?;
        let changed = latest.manifest.generation != self.manifest.generation;
        *self = latest;
        Ok(changed)
    }

    /// Returns the properties that never change.
    pub fn header(&self) -> &StoreHeader {
        &self.manifest.header
    }

    /// Returns a description of the store.
    pub fn info(&self) -> StoreInfo {
        let rows: usize = self.segments.iter().map(|opened| opened.segment.rows()).sum();
        let documents = self.len();
        StoreInfo {
            header: self.manifest.header.clone(),
            documents,
            dead: rows - documents,
            segments: self.segments.len(),
            bytes: self.segments.iter().map(|opened| opened.segment.file().bytes()).sum(),
            generation: self.manifest.generation,
        }
    }

    /// Checks that the vectors were made by the model with this fingerprint.
    ///
    /// # Errors
    /// If they were not; `made_by` names the model in the message.
    pub fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), StoreError> {
        let header = &self.manifest.header;
        expect_maker(&self.folder, (&header.fingerprint, &header.made_by), (fingerprint, made_by))
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The state cut after its first `rows` rows; none if no segment ends there, as after those
    /// rows were merged with others.
    pub fn cut(&self, rows: usize) -> Option<Cut<'_>> {
        let mut left = rows;
        let mut segments = self.segments.iter();
        while left > 0 {
            left = left.checked_sub(segments.next()?.segment.rows())?;
        }
        let count = self.segments.len() - segments.len();
        let sums = self.manifest.segments[..count].iter().flat_map(|entry| [entry.checksum.as_str(), "\n"]);
        let stamp = xxhash_rust::xxh3::xxh3_64(sums.collect::<String>().as_bytes());
        Some(Cut { stamp, head: self.part(0..count), tail: self.part(count..self.segments.len()) })
    }

    /// Documents that can be found.
    pub fn len(&self) -> usize {
        self.corpus().live()
    }

    /// Returns whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vectors, the dead ones among them, in the order in which documents were added. Row
    /// numbers hold for this state.
    pub fn corpus(&self) -> Corpus<'_> {
        self.part(0..self.segments.len())
    }

    fn part(&self, segments: Range<usize>) -> Corpus<'_> {
        let opened = self.segments[segments].iter();
        let parts = opened.map(|opened| Part { values: opened.segment.values(), dead: opened.dead.as_deref() });
        Corpus::new(self.manifest.header.dims, parts.collect())
    }

    /// The k nearest documents of each query, by the metric of `settings`.
    ///
    /// # Errors
    /// As `search::search`, and if a file was changed meanwhile.
    pub fn search(
        &self,
        context: &Context,
        queries: Rows<'_>,
        settings: &Search<'_>,
    ) -> Result<Vec<Vec<Hit>>, StoreError> {
        let hits = search(context, &self.corpus(), queries, settings)?;
        self.check_unchanged()?;
        Ok(hits)
    }

    /// Checks that no file of the state was written into or cut since it was opened. Callers of
    /// [`Store::corpus`] and [`Store::document`] compute first, call this, and then use the result.
    ///
    /// # Errors
    /// If a file was changed, by name.
    pub fn check_unchanged(&self) -> Result<(), StoreError> {
        self.segments.iter().try_for_each(|opened| opened.segment.check_unchanged())
    }

    /// Returns what is kept with a row. The first call for a segment compares the checksums of its
    /// ids and payloads.
    ///
    /// # Errors
    /// If a file is damaged.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn document(&self, row: usize) -> Result<Document<'_>, StoreError> {
        let mut left = row;
        for opened in &self.segments {
            if left < opened.segment.rows() {
                return opened.segment.checked_document(left);
            }
            left -= opened.segment.rows();
        }
        panic!("row {row} of {}", row - left);
    }

    /// The row of an id.
    ///
    /// # Errors
    /// A damaged file.
    pub fn find(&self, id: &str) -> Result<Option<usize>, StoreError> {
        let place = self.place(id)?;
        self.check_unchanged()?;
        let Some((part, row)) = place else { return Ok(None) };
        Ok(Some(self.segments[..part].iter().map(|opened| opened.segment.rows()).sum::<usize>() + row))
    }

    /// The segment of an id and its row there, if it is alive.
    pub(super) fn place(&self, id: &str) -> Result<Option<(usize, usize)>, StoreError> {
        for (part, opened) in self.segments.iter().enumerate().rev() {
            if let Some(row) = opened.segment.find(id)?
                && opened.dead.as_ref().is_none_or(|dead| !dead.contains(row))
            {
                return Ok(Some((part, row)));
            }
        }
        Ok(None)
    }

    /// All rows that can be found, in the order of rows.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let mut start = 0;
        self.segments.iter().flat_map(move |opened| {
            let first = start;
            start += opened.segment.rows();
            let alive = move |row: &usize| opened.dead.as_ref().is_none_or(|dead| !dead.contains(*row));
            (0..opened.segment.rows()).filter(alive).map(move |row| first + row)
        })
    }
}

pub(super) fn open_segment(folder: &Path, entry: &SegmentEntry, header: &StoreHeader) -> Result<Segment, StoreError> {
    let path = folder.join(&entry.file);
    let segment = Segment::open(&path)?;
    expect_checksum(segment.file(), &entry.checksum)?;
    if segment.rows() as u64 != entry.rows || segment.dims() != header.dims || segment.stored() != header.stored {
        return Err(StoreError::damaged(&path, "its shape is not what the manifest says"));
    }
    Ok(segment)
}

pub(super) fn open_dead(folder: &Path, entry: &DeadEntry, rows: usize) -> Result<Bits, StoreError> {
    let path = folder.join(&entry.file);
    let file = SectionFile::open(&path, Kind::Dead)?;
    expect_checksum(&file, &entry.checksum)?;
    file.check_section(0)?;
    let bits = Bits::from_words(file.section::<u64>(0)?.to_vec(), rows);
    let bits = bits.filter(|bits| bits.count() as u64 == entry.rows);
    bits.ok_or_else(|| StoreError::damaged(&path, "the number of deleted rows is not what the manifest says"))
}

/// Checks that it is the file that the manifest names.
pub(super) fn expect_checksum(file: &SectionFile, checksum: &str) -> Result<(), StoreError> {
    if hex(&file.checksum().to_be_bytes()) == checksum {
        return Ok(());
    }
    Err(StoreError::damaged(file.path(), "it is not the file that the manifest names, but another of this form"))
}
