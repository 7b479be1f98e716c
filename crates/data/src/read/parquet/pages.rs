//! Pages of column chunks, uncompressed. The parquet crate would decompress zstd with C code and
//! brotli with a crate that also compresses; it hands these pages over compressed instead, and they
//! are decompressed here.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::page_sizes::{MAX_PAGE, oversized_page};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

/// Returns the pages of a column chunk in a row group of `rows` rows.
pub(super) fn pages(file: Arc<File>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Box<dyn PageReader>> {
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

/// Decompresses to at most the given number of bytes.
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

/// Reads compressed pages and gives them uncompressed.
struct Unpacked {
    pages: SerializedPageReader<File>,
    unpack: Unpack,
    limit: u64,
}

impl Unpacked {
    /// Decompresses all but the first `plain` bytes, which are levels.
    fn unpack(&self, packed: &[u8], plain: usize) -> Result<Vec<u8>> {
        let (head, tail) = packed
            .split_at_checked(plain)
            .ok_or_else(|| ParquetError::General("a page is shorter than its levels".into()))?;
        // A page without values has no bytes at all.
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
