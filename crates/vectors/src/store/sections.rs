//! The form of all binary files: a header of 512 bytes, then sections that begin at multiples of
//! 64, numbers little-endian. The header has a checksum of itself, of each section with the zeros
//! behind it, and so of every byte of the file.

use super::{Disk, StoreError};
use maana_files::{Map, MappedFile};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const _: () = assert!(cfg!(target_endian = "little"), "mapped numbers are little-endian");

const MAGIC: &[u8; 8] = b"MAANAVEC";
/// The version that is written, and the last that is read.
const VERSION: u32 = 1;
const HEADER: usize = 512;
const ALIGNMENT: u64 = 64;
const META: usize = 6;
const MOST_SECTIONS: usize = 12;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// Kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Segment = 1,
    Dead = 2,
    /// 3 was a graph over prefixes that were not codes; no release wrote it. This one links rows of
    /// equal codes to each other, and is read still.
    LinkedCopies = 4,
    Graph = 5,
}

impl Kind {
    /// Returns the beginning of the file's name.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Kind::Segment => "segment",
            Kind::Dead => "dead",
            Kind::LinkedCopies | Kind::Graph => super::names::GRAPH,
        }
    }

    fn section_names(self) -> &'static [&'static str] {
        match self {
            Kind::Segment => &["vectors", "id hashes", "id rows", "offsets", "ids and payloads"],
            Kind::Dead => &["deleted rows"],
            Kind::LinkedCopies => &GRAPH_SECTIONS[..8],
            Kind::Graph => &GRAPH_SECTIONS,
        }
    }
}

/// Kinds of a graph's file, the one that is written first.
pub(crate) const GRAPH_KINDS: [Kind; 2] = [Kind::Graph, Kind::LinkedCopies];

const GRAPH_SECTIONS: [&str; 10] = [
    "levels",
    "links of the ground",
    "places of higher links",
    "higher links",
    "ranges of the codes",
    "codes",
    "lengths",
    "recalls",
    "places of copies",
    "copies",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    start: u64,
    length: u64,
    checksum: u64,
}

/// A file that is being written, section after section.
pub(crate) struct SectionWriter<'a> {
    disk: &'a Disk,
    path: PathBuf,
    file: File,
    kind: Kind,
    meta: [u64; META],
    buffer: Vec<u8>,
    at: u64,
    hasher: Xxh3,
    sections: Vec<Entry>,
}

/// Size and checksum of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// Checksum in the header, which covers all other checksums and so the file.
    pub(crate) checksum: u64,
}

impl<'a> SectionWriter<'a> {
    pub(crate) fn create(disk: &'a Disk, path: &Path, kind: Kind, meta: [u64; META]) -> Result<Self, StoreError> {
        let file = match kind {
            // Written under a temporary name, where a writer that was stopped may have left one.
            Kind::Graph | Kind::LinkedCopies => disk.create(path)?,
            Kind::Segment | Kind::Dead => disk.create_new(path)?,
        };
        Ok(Self {
            disk,
            path: path.to_owned(),
            file,
            kind,
            meta,
            buffer: vec![0; HEADER],
            at: HEADER as u64,
            hasher: Xxh3::new(),
            sections: Vec::new(),
        })
    }

    /// Begins the next section.
    pub(crate) fn section(&mut self) -> Result<(), StoreError> {
        self.end_section()?;
        self.sections.push(Entry { start: self.at, length: 0, checksum: 0 });
        self.hasher = Xxh3::new();
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.disk.write(&mut self.file, &self.path, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn end_section(&mut self) -> Result<(), StoreError> {
        let Some(last) = self.sections.last_mut() else { return Ok(()) };
        last.length = self.at - last.start;
        let padding = self.at.next_multiple_of(ALIGNMENT) - self.at;
        self.write(&[0; ALIGNMENT as usize][..padding as usize])?;
        let checksum = self.hasher.digest();
        self.sections.last_mut().expect("one was there").checksum = checksum;
        Ok(())
    }

    /// Ends the last section, writes the header, and waits for the disk.
    pub(crate) fn finish(mut self) -> Result<Written, StoreError> {
        self.end_section()?;
        self.flush()?;
        assert_eq!(self.sections.len(), self.kind.section_names().len(), "sections of {:?}", self.kind);
        let (header, checksum) = header(self.kind, &self.meta, &self.sections);
        self.file.seek(SeekFrom::Start(0)).map_err(StoreError::io(&self.path, "write to it"))?;
        self.disk.write(&mut self.file, &self.path, &header)?;
        self.disk.sync(&self.file, &self.path)?;
        Ok(Written { bytes: self.at, checksum })
    }
}

fn header(kind: Kind, meta: &[u64; META], sections: &[Entry]) -> (Vec<u8>, u64) {
    assert!(sections.len() <= MOST_SECTIONS);
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(kind as u32).to_le_bytes());
    meta.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes.extend_from_slice(&(sections.len() as u64).to_le_bytes());
    for section in sections {
        for value in [section.start, section.length, section.checksum] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    bytes.resize(HEADER - 8, 0);
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    (bytes, checksum)
}

struct Header {
    kind: u32,
    meta: [u64; META],
    sections: Vec<Entry>,
    checksum: u64,
}

fn read_header(bytes: &[u8], length: u64, path: &Path) -> Result<Header, StoreError> {
    let damaged = |what: &str| StoreError::damaged(path, what);
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if bytes.len() < HEADER {
        return Err(damaged(&format!("cut to {length} bytes, less than a header")));
    }
    if &bytes[..8] != MAGIC {
        return Err(damaged("it does not begin as a file of a store does"));
    }
    let checksum = u64_at(HEADER - 8);
    let version = u32_at(8);
    if xxh3_64(&bytes[..HEADER - 8]) != checksum {
        return Err(damaged("the header's checksum is wrong"));
    }
    if version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), version, known: VERSION });
    }
    let count = u64_at(64) as usize;
    if count > MOST_SECTIONS {
        return Err(damaged("more sections than there can be"));
    }
    let entry = |i: usize| {
        let at = 72 + 24 * i;
        Entry { start: u64_at(at), length: u64_at(at + 8), checksum: u64_at(at + 16) }
    };
    let sections: Vec<Entry> = (0..count).map(entry).collect();
    let mut at = HEADER as u64;
    for section in &sections {
        if section.start != at || section.length > u64::MAX / 4 {
            return Err(damaged("the sections do not follow each other"));
        }
        at = (at + section.length).next_multiple_of(ALIGNMENT);
    }
    if at != length {
        return Err(damaged(&format!("{length} bytes long, and written with {at}")));
    }
    Ok(Header { kind: u32_at(12), meta: std::array::from_fn(|i| u64_at(16 + 8 * i)), sections, checksum })
}

/// A file that is mapped.
#[derive(Debug)]
pub(crate) struct SectionFile {
    path: PathBuf,
    kind: Kind,
    map: Map,
    meta: [u64; META],
    sections: Vec<Entry>,
    checksum: u64,
}

impl SectionFile {
    /// Opens a file and checks its header and length; the sections are checked by `verify`.
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<Self, StoreError> {
        Self::open_any(path, &[kind])
    }

    /// Opens a file of one of these kinds.
    pub(crate) fn open_any(path: &Path, kinds: &[Kind]) -> Result<Self, StoreError> {
        let file = MappedFile::open(path).map_err(cannot_open(path))?;
        let length = file.length();
        if length < HEADER as u64 {
            return Err(StoreError::damaged(path, format!("cut to {length} bytes, less than a header")));
        }
        let map = file.map(0..length).map_err(StoreError::io(path, "map it into memory"))?;
        let header = read_header(&map[..HEADER], length, path)?;
        let kind = expect_kind(&header, kinds, path)?;
        Ok(Self {
            path: path.to_owned(),
            kind,
            map,
            meta: header.meta,
            sections: header.sections,
            checksum: header.checksum,
        })
    }

    /// Checks that nobody has written into the file since it was opened; called before a result is
    /// used.
    pub(crate) fn check_unchanged(&self) -> Result<(), StoreError> {
        self.map.file().check().map_err(StoreError::io(&self.path, "use it"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn meta(&self) -> &[u64; META] {
        &self.meta
    }

    pub(crate) fn checksum(&self) -> u64 {
        self.checksum
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// A section as numbers.
    pub(crate) fn section<T: bytemuck::AnyBitPattern>(&self, number: usize) -> Result<&[T], StoreError> {
        let Entry { start, length, .. } = self.sections[number];
        let bytes = &self.map[start as usize..(start + length) as usize];
        bytemuck::try_cast_slice(bytes).map_err(|_| StoreError::damaged(&self.path, "a section of broken numbers"))
    }

    /// Compares a section with its checksum.
    pub(crate) fn check_section(&self, number: usize) -> Result<(), StoreError> {
        let Entry { start, length, checksum } = self.sections[number];
        let end = (start + length).next_multiple_of(ALIGNMENT);
        if xxh3_64(&self.map[start as usize..end as usize]) == checksum {
            return Ok(());
        }
        let name = self.kind.section_names()[number];
        Err(StoreError::damaged(&self.path, format!("the checksum of the section `{name}` is wrong")))
    }

    /// Checks the number of elements of a section.
    pub(crate) fn expect<T: bytemuck::AnyBitPattern>(&self, number: usize, count: u64) -> Result<(), StoreError> {
        let length = self.sections[number].length;
        if count.checked_mul(size_of::<T>() as u64) == Some(length) {
            return Ok(());
        }
        Err(StoreError::damaged(&self.path, format!("section {number} has {length} bytes for {count} numbers")))
    }
}

/// Returns true for a file that begins as one of a store does, or with the zeros that it begins
/// with while it is written.
pub(super) fn begins_as_ours(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = maana_files::open(path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut bytes));
    read.is_ok() && (bytes.starts_with(MAGIC) || bytes.iter().all(|byte| *byte == 0))
}

fn open(path: &Path) -> Result<File, StoreError> {
    maana_files::open(path).map_err(cannot_open(path))
}

fn cannot_open(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::Missing { path: path.to_owned() },
        _ => StoreError::io(path, "open it")(error),
    }
}

/// The kind of a file, which is one of these.
fn expect_kind(header: &Header, kinds: &[Kind], path: &Path) -> Result<Kind, StoreError> {
    let found = kinds.iter().copied().find(|kind| header.kind == *kind as u32);
    let found = found.filter(|kind| header.sections.len() == kind.section_names().len());
    let wrong = || StoreError::damaged(path, format!("a file of kind {} where {:?} belongs", header.kind, kinds[0]));
    found.ok_or_else(wrong)
}

/// Reads every byte and compares every checksum, by reading and not through a map.
pub(crate) fn check(path: &Path, kinds: &[Kind]) -> Result<Written, StoreError> {
    let mut file = open(path)?;
    let length = file.metadata().map_err(StoreError::io(path, "read it"))?.len();
    let mut bytes = Vec::new();
    let read = |file: &mut File, bytes: &mut Vec<u8>, count: u64| {
        bytes.clear();
        file.take(count).read_to_end(bytes).map_err(StoreError::io(path, "read it"))
    };
    read(&mut file, &mut bytes, HEADER as u64)?;
    let header = read_header(&bytes, length, path)?;
    let kind = expect_kind(&header, kinds, path)?;
    for (section, name) in header.sections.iter().zip(kind.section_names()) {
        let mut hasher = Xxh3::new();
        let mut left = section.length.next_multiple_of(ALIGNMENT);
        while left > 0 {
            if read(&mut file, &mut bytes, left.min(BUFFER as u64))? == 0 {
                return Err(StoreError::damaged(path, format!("the section `{name}` ends early")));
            }
            left -= bytes.len() as u64;
            hasher.update(&bytes);
        }
        if hasher.digest() != section.checksum {
            return Err(StoreError::damaged(path, format!("the checksum of the section `{name}` is wrong")));
        }
    }
    Ok(Written { bytes: length, checksum: header.checksum })
}
