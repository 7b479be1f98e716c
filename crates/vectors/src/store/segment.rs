//! A segment: rows with their ids and payloads, and an index of ids, in one write-once file.

use super::manifest::Stored;
use super::sections::Written;
use super::{Disk, Kind, SectionFile, SectionWriter, StoreError};
use crate::search::Values;
use maana_kernels::Rows;
use std::path::Path;
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// Id and payload of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// Its name in the store.
    pub id: &'a str,
    /// Any bytes: the text, fields.
    pub payload: &'a [u8],
}

/// Sections of the file, in this order.
const VECTORS: usize = 0;
const HASHES: usize = 1;
const HASH_ROWS: usize = 2;
const OFFSETS: usize = 3;
const BYTES: usize = 4;

#[derive(Debug)]
pub(super) struct Segment {
    file: SectionFile,
    rows: usize,
    dims: usize,
    stored: Stored,
    /// Ids and payloads are as they were written, once somebody has looked.
    documents_are_whole: OnceLock<bool>,
}

impl Segment {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = SectionFile::open(path, Kind::Segment)?;
        let [rows, dims, stored, ..] = *file.meta();
        let stored = match stored {
            0 => Stored::F32,
            1 => Stored::Bf16,
            other => return Err(StoreError::damaged(path, format!("values of an unknown kind {other}"))),
        };
        match stored {
            Stored::F32 => file.expect::<f32>(VECTORS, rows.saturating_mul(dims))?,
            Stored::Bf16 => file.expect::<u16>(VECTORS, rows.saturating_mul(dims))?,
        }
        file.expect::<u64>(HASHES, rows)?;
        file.expect::<u32>(HASH_ROWS, rows)?;
        file.expect::<u64>(OFFSETS, rows.saturating_mul(2))?;
        Ok(Self { rows: rows as usize, dims: dims as usize, stored, file, documents_are_whole: OnceLock::new() })
    }

    /// Compares every byte with its checksum, before it is copied.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.check_index()?;
        self.check_documents()?;
        self.check_vectors()
    }

    /// The same of the index of ids: with a damaged one, documents would be added a second time.
    pub(super) fn check_index(&self) -> Result<(), StoreError> {
        [HASHES, HASH_ROWS].into_iter().try_for_each(|section| self.file.check_section(section))
    }

    /// The same of ids and payloads.
    pub(super) fn check_documents(&self) -> Result<(), StoreError> {
        [OFFSETS, BYTES].into_iter().try_for_each(|section| self.file.check_section(section))
    }

    /// The same of the vectors.
    pub(super) fn check_vectors(&self) -> Result<(), StoreError> {
        self.file.check_section(VECTORS)
    }

    /// Checks that nobody has written into the file since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), StoreError> {
        self.file.check_unchanged()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn dims(&self) -> usize {
        self.dims
    }

    pub(super) fn stored(&self) -> Stored {
        self.stored
    }

    pub(super) fn file(&self) -> &SectionFile {
        &self.file
    }

    pub(super) fn values(&self) -> Values<'_> {
        let checked = "its length was checked when it was opened";
        match self.stored {
            Stored::F32 => {
                Values::F32(Rows::new(self.file.section(VECTORS).expect(checked), self.rows, self.dims, self.dims))
            }
            Stored::Bf16 => Values::Bf16 { data: self.file.section(VECTORS).expect(checked), columns: self.dims },
        }
    }

    /// The bytes of a row's vector as they lie in the file.
    pub(super) fn vector_bytes(&self, row: usize) -> &[u8] {
        let bytes: &[u8] = self.file.section(VECTORS).expect("bytes are bytes");
        let width = self.dims * self.stored.value_bytes();
        &bytes[row * width..(row + 1) * width]
    }

    /// Returns a document after the checksums of all ids and payloads were compared, which happens
    /// once.
    pub(super) fn checked_document(&self, row: usize) -> Result<Document<'_>, StoreError> {
        if !self.documents_are_whole.get_or_init(|| self.check_documents().is_ok()) {
            self.check_documents()?;
        }
        self.document(row)
    }

    pub(super) fn document(&self, row: usize) -> Result<Document<'_>, StoreError> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let offsets: &[u64] = self.file.section(OFFSETS)?;
        let bytes: &[u8] = self.file.section(BYTES)?;
        let start = if row == 0 { 0 } else { offsets[2 * row - 1] };
        let (middle, end) = (offsets[2 * row], offsets[2 * row + 1]);
        let damaged = |what: &str| StoreError::damaged(self.file.path(), format!("{what} of row {row}"));
        let id = bytes.get(start as usize..middle as usize).ok_or_else(|| damaged("the place of the id"))?;
        let payload = bytes.get(middle as usize..end as usize).ok_or_else(|| damaged("the place of the payload"))?;
        Ok(Document { id: str::from_utf8(id).map_err(|_| damaged("the id"))?, payload })
    }

    /// Rows that have this id; a segment has at most one, unless two ids share a hash.
    pub(super) fn find(&self, id: &str) -> Result<Option<usize>, StoreError> {
        let hash = xxh3_64(id.as_bytes());
        let hashes: &[u64] = self.file.section(HASHES)?;
        let rows: &[u32] = self.file.section(HASH_ROWS)?;
        let start = hashes.partition_point(|other| *other < hash);
        for place in start..hashes.len() {
            if hashes[place] != hash {
                break;
            }
            let row = rows[place] as usize;
            if row >= self.rows {
                return Err(StoreError::damaged(self.file.path(), format!("the index of ids names row {row}")));
            }
            let found = self.document(row)?.id;
            if found == id {
                return Ok(Some(row));
            }
            if xxh3_64(found.as_bytes()) != hash {
                return Err(StoreError::damaged(
                    self.file.path(),
                    format!("the id of row {row} is not the one it had"),
                ));
            }
        }
        Ok(None)
    }
}

/// Where the rows of a new segment come from; they are read twice.
pub(super) trait RowSource {
    fn rows(&self) -> usize;
    fn document(&self, row: usize) -> Result<Document<'_>, StoreError>;
    /// Appends the bytes of a row's vector as they are stored.
    fn vector(&self, row: usize, out: &mut Vec<u8>);
}

/// Writes a segment and waits for the disk.
pub(super) fn write_segment(
    disk: &Disk,
    path: &Path,
    dims: usize,
    stored: Stored,
    source: &dyn RowSource,
) -> Result<Written, StoreError> {
    let rows = source.rows();
    let meta = [rows as u64, dims as u64, stored as u64, 0, 0, 0];
    let mut writer = SectionWriter::create(disk, path, Kind::Segment, meta)?;
    writer.section()?;
    let mut bytes = Vec::new();
    for row in 0..rows {
        bytes.clear();
        source.vector(row, &mut bytes);
        writer.write(&bytes)?;
    }
    let mut hashes = Vec::with_capacity(rows);
    for row in 0..rows {
        hashes.push((xxh3_64(source.document(row)?.id.as_bytes()), row as u32));
    }
    hashes.sort_unstable();
    writer.section()?;
    hashes.iter().try_for_each(|(hash, _)| writer.write(&hash.to_le_bytes()))?;
    writer.section()?;
    hashes.iter().try_for_each(|(_, row)| writer.write(&row.to_le_bytes()))?;
    writer.section()?;
    let mut end = 0u64;
    for row in 0..rows {
        let document = source.document(row)?;
        for length in [document.id.len(), document.payload.len()] {
            end += length as u64;
            writer.write(&end.to_le_bytes())?;
        }
    }
    writer.section()?;
    for row in 0..rows {
        let document = source.document(row)?;
        writer.write(document.id.as_bytes())?;
        writer.write(document.payload)?;
    }
    writer.finish()
}
