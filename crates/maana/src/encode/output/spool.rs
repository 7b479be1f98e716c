//! Buffers embeddings on the disk until the ranges of all of them are known. The file has no name,
//! so it disappears however the process ends.

use super::error::OutputError;
use maana_kernels::{Matrix, Rows};
use maana_vectors::quantize::Ranges;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Rows per read.
const CHUNK_ROWS: usize = 1024;

/// Texts and rows in the order of addition.
pub(super) struct Spool {
    /// The file of embeddings, for error messages.
    path: PathBuf,
    file: BufWriter<File>,
    dimension: usize,
    rows: usize,
    ranges: Ranges,
}

impl Spool {
    /// Creates an empty spool in the folder of the file at `path`.
    pub(super) fn next_to(path: &Path, dimension: usize) -> Result<Self, OutputError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(folder).map_err(|source| OutputError::Io { path: path.to_owned(), source })?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), file, dimension, rows: 0, ranges: Ranges::nothing(dimension) })
    }

    pub(super) fn push(&mut self, texts: &[&str], embeddings: &Matrix) -> Result<(), OutputError> {
        self.ranges.widen(embeddings.view());
        self.rows += texts.len();
        let mut write = || {
            for (row, text) in texts.iter().enumerate() {
                self.file.write_all(&(text.len() as u64).to_le_bytes())?;
                self.file.write_all(text.as_bytes())?;
                embeddings.row(row).iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes()))?;
            }
            Ok(())
        };
        write().map_err(|source| OutputError::Io { path: self.path.clone(), source })
    }

    /// Returns the ranges of all rows; a single row has none.
    pub(super) fn ranges(&self) -> Result<Ranges, OutputError> {
        if self.rows < 2 {
            return Err(OutputError::OneRow { path: self.path.clone() });
        }
        Ok(self.ranges.clone())
    }

    /// Passes the rows to `each`, in chunks.
    pub(super) fn replay(
        self,
        mut each: impl FnMut(&[&str], Rows<'_>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let Self { path, file, dimension, rows, .. } = self;
        let io = |source| OutputError::Io { path: path.clone(), source };
        let mut file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.rewind().map_err(io)?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let count = CHUNK_ROWS.min(rows - start);
            let (mut texts, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count * dimension));
            for _ in 0..count {
                texts.push(read_row(&mut file, dimension, &mut values).map_err(io)?);
            }
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            each(&texts, Rows::new(&values, count, dimension, dimension))?;
        }
        Ok(())
    }
}

fn read_row(file: &mut impl Read, dimension: usize, values: &mut Vec<f32>) -> std::io::Result<String> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut text = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut text)?;
    let mut bytes = vec![0; 4 * dimension];
    file.read_exact(&mut bytes)?;
    values.extend(bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))));
    String::from_utf8(text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
