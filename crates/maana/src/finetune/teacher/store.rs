//! A file of embeddings by text: a header, the keys of the texts, their embeddings in the order of
//! the keys, and a checksum. Embeddings are read where they lie on the disk.
//!
//! ```text
//! "MaanaTE1"  u64 length of the header  header (JSON)  n × 16 bytes  n × columns × f32  SHA-256
//! ```

use maana_data::DataError;
use maana_files::{Map, MappedFile, NewFile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"MaanaTE1";
const KEY: usize = 16;
const CHECKSUM: usize = 32;

/// Returns the key of a text with its prompt: the first half of its SHA-256.
pub(super) fn key(prompted: &str) -> [u8; KEY] {
    Sha256::digest(prompted)[..KEY].try_into().expect("a digest has 32 bytes")
}

/// Embeddings of texts.
pub(super) struct TextEmbeddings {
    index: HashMap<[u8; KEY], usize>,
    map: Map,
    /// Byte of the first embedding.
    first: usize,
    columns: usize,
}

impl TextEmbeddings {
    /// Opens a file. Returns `None` if it is missing, damaged or of another identity.
    pub(super) fn open(path: &Path, identity: &Value) -> io::Result<Option<Self>> {
        let file = match MappedFile::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.length() == 0 {
            return Ok(None);
        }
        let map = file.map(0..file.length())?;
        let opened = parse(&map, identity);
        file.check()?;
        Ok(opened.map(|(index, first, columns)| Self { index, map, first, columns }))
    }

    /// Returns the embedding of a text with its prompt.
    pub(super) fn row(&self, prompted: &str) -> Result<Option<Vec<f32>>, DataError> {
        let Some(place) = self.index.get(&key(prompted)) else { return Ok(None) };
        let bytes = &self.map[self.first + 4 * self.columns * place..][..4 * self.columns];
        let row = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let file = self.map.file();
        file.check().map_err(|source| DataError::Io { path: file.path().display().to_string(), source })?;
        Ok(Some(row))
    }
}

/// Reads header and keys, and compares the checksum.
fn parse(bytes: &[u8], identity: &Value) -> Option<(HashMap<[u8; KEY], usize>, usize, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let read: Value = serde_json::from_slice(header).ok()?;
    let count = |name: &str| read[name].as_u64().and_then(|count| usize::try_from(count).ok());
    let (rows, columns) = (count("rows")?, count("columns")?);
    let keys_at = MAGIC.len() + length.len() + header.len();
    let first = keys_at.checked_add(rows.checked_mul(KEY)?)?;
    let end = first.checked_add(rows.checked_mul(columns)?.checked_mul(4)?)?;
    let intact = end.checked_add(CHECKSUM)? == bytes.len() && Sha256::digest(&bytes[..end])[..] == bytes[end..];
    if !intact || read["identity"] != *identity {
        return None;
    }
    let keys = bytes[keys_at..first].as_chunks::<KEY>().0;
    Some((keys.iter().enumerate().map(|(place, key)| (*key, place)).collect(), first, columns))
}

/// A file that is being written.
pub(super) struct StoreWriter {
    out: BufWriter<NewFile>,
    content: Sha256,
}

impl StoreWriter {
    /// Begins a file with the embeddings of `keys`, which follow in the same order.
    pub(super) fn create(path: &Path, identity: &Value, columns: usize, keys: &[[u8; KEY]]) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 16, NewFile::create(path)?);
        let mut writer = Self { out, content: Sha256::new() };
        let header = json!({"identity": identity, "rows": keys.len(), "columns": columns}).to_string();
        writer.put(MAGIC)?;
        writer.put(&(header.len() as u64).to_le_bytes())?;
        writer.put(header.as_bytes())?;
        writer.put(keys.as_flattened())?;
        Ok(writer)
    }

    /// Adds embeddings.
    pub(super) fn write(&mut self, values: &[f32]) -> io::Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(&bytes)
    }

    /// Adds the checksum and gives the file its name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let checksum = self.content.finalize();
        self.out.write_all(&checksum)?;
        self.out.flush()?;
        let (file, _) = self.out.into_parts();
        file.commit()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.update(bytes);
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_found_by_text_and_damage_by_the_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.embeddings");
        let identity = json!({"model": "m"});
        assert!(TextEmbeddings::open(&path, &identity).unwrap().is_none());
        let keys = [key("a"), key("query: a"), key("b")];
        let mut writer = StoreWriter::create(&path, &identity, 2, &keys).unwrap();
        writer.write(&[1.0, 2.0]).unwrap();
        assert!(!path.exists(), "an unfinished file has no name");
        writer.write(&[3.0, 4.0, 5.0, 6.0]).unwrap();
        writer.finish().unwrap();
        let opened = TextEmbeddings::open(&path, &identity).unwrap().unwrap();
        assert_eq!(opened.row("query: a").unwrap(), Some(vec![3.0, 4.0]));
        assert_eq!(opened.row("b").unwrap(), Some(vec![5.0, 6.0]));
        assert_eq!(opened.row("c").unwrap(), None);
        assert!(TextEmbeddings::open(&path, &json!({"model": "n"})).unwrap().is_none(), "of another model");
        let whole = std::fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(folder.path().join("b"), &damaged).unwrap();
            assert!(TextEmbeddings::open(&folder.path().join("b"), &identity).unwrap().is_none(), "byte {place}");
            std::fs::write(folder.path().join("b"), &whole[..place]).unwrap();
            assert!(TextEmbeddings::open(&folder.path().join("b"), &identity).unwrap().is_none(), "cut at {place}");
        }
    }
}
