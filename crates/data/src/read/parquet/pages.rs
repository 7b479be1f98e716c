//! Pages of column chunks, unpacked. Those in zstd and brotli are taken packed from the parquet
//! crate, which would undo them with C code or with code that can pack as well, and are unpacked
//! here.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::page_sizes::{MAX_PAGE, oversized_page};
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

/// The column chunks of one row group.
pub(super) struct Chunks {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    group: usize,
}

impl Chunks {
    /// Those of this group of a file with this footer.
    pub(super) fn new(file: File, metadata: Arc<ParquetMetaData>, group: usize) -> Self {
        Self { file: Arc::new(file), metadata, group }
    }

    fn row_group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.group)
    }
}

impl RowGroups for Chunks {
    fn num_rows(&self) -> usize {
        usize::try_from(self.row_group().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.row_group().column(column);
        let pages = pages(self.file.clone(), chunk, self.num_rows())?;
        Ok(Box::new(OneChunk(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.row_group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

fn pages(file: Arc<File>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Box<dyn PageReader>> {
    let (start, length) = chunk.byte_range();
    if let Some(bytes) = oversized_page(&file, start, length)? {
        let (found, most) = (bytes >> 20, MAX_PAGE >> 20);
        let remedy = "write the file with smaller pages or shorter texts";
        return Err(ParquetError::General(format!("a page of {found} MB, and at most {most} MB are read; {remedy}")));
    }
    let unpack: Unpack = match chunk.compression() {
        Compression::ZSTD(_) => unpack_zstd,
        Compression::BROTLI(_) => unpack_brotli,
        _ => return Ok(Box::new(SerializedPageReader::new(file, chunk, rows, None)?)),
    };
    let limit = u64::try_from(chunk.uncompressed_size()).unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let packed = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
    Ok(Box::new(Unpacked { pages: SerializedPageReader::new(file, &packed, rows, None)?, unpack, limit }))
}

/// Unpacks to no more than so many bytes.
type Unpack = fn(&[u8], u64) -> Result<Vec<u8>>;

fn unpack_zstd(packed: &[u8], limit: u64) -> Result<Vec<u8>> {
    let broken = |error: &dyn std::fmt::Display| ParquetError::General(format!("a page in zstd: {error}"));
    read_all(ruzstd::decoding::StreamingDecoder::new(packed).map_err(|error| broken(&error))?, limit)
        .map_err(|error| broken(&error))
}

fn unpack_brotli(packed: &[u8], limit: u64) -> Result<Vec<u8>> {
    read_all(brotli_decompressor::Decompressor::new(packed, 4096), limit)
        .map_err(|error| ParquetError::General(format!("a page in brotli: {error}")))
}

fn read_all(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(limit + 1).read_to_end(&mut unpacked)?;
    match unpacked.len() as u64 <= limit {
        true => Ok(unpacked),
        false => Err(std::io::Error::other("longer than the file says")),
    }
}

/// Pages that come packed.
struct Unpacked {
    pages: SerializedPageReader<File>,
    unpack: Unpack,
    limit: u64,
}

impl Unpacked {
    /// Unpacks what stands behind the first `plain` bytes.
    fn unpack(&self, packed: &[u8], plain: usize) -> Result<Vec<u8>> {
        let (head, tail) = packed
            .split_at_checked(plain)
            .ok_or_else(|| ParquetError::General("a page is shorter than its levels".into()))?;
        // Nothing at all is a page without a value.
        let tail = if tail.is_empty() { Vec::new() } else { (self.unpack)(tail, self.limit)? };
        Ok([head, &tail].concat())
    }
}

impl PageReader for Unpacked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.pages.get_next_page()? else { return Ok(None) };
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = self.unpack(buf, 0)?.into(),
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                *buf = self.unpack(buf, levels)?.into();
            }
            Page::DataPageV2 { .. } => {}
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Unpacked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
