//! NumPy's file format, version 1.0: a little-endian table of numbers.

use maana_kernels::Matrix;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// A malformed file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}; expected a table of f32 as written by numpy.save")]
pub struct NpyError {
    path: PathBuf,
    reason: String,
}

impl NpyError {
    pub(crate) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }
}

/// Returns the header of a table of the NumPy type `descr`: 128 bytes for any number of rows.
pub(crate) fn header(descr: &str, rows: u64, columns: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}").bytes());
    header.resize(127, b' ');
    header.push(b'\n');
    header
}

/// Writes a table of f32, atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write<'a>(
    path: &Path,
    rows: usize,
    columns: usize,
    values: impl IntoIterator<Item = &'a f32>,
) -> std::io::Result<()> {
    maana_files::replace(path, |out| {
        out.write_all(&header("<f4", rows as u64, columns))?;
        values.into_iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
    })
}

/// Reads a table of f32, or of f64, rounded to f32.
///
/// # Errors
/// If the file cannot be read or is malformed.
pub fn read(path: &Path) -> Result<Matrix, NpyError> {
    let wrong = |reason: &str| NpyError::new(path, reason);
    let failed = |error: std::io::Error| NpyError::new(path, error.to_string());
    let file = maana_files::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut start = [0; 10];
    file.read_exact(&mut start).map_err(|_| wrong("it is truncated"))?;
    if !start.starts_with(b"\x93NUMPY\x01\x00") {
        return Err(wrong("it is not a file of NumPy's format 1.0"));
    }
    let mut header = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut header).map_err(|_| wrong("it is truncated"))?;
    let header: String = String::from_utf8_lossy(&header).split_whitespace().collect();
    let (rows, columns) = shape(&header).ok_or_else(|| wrong("it is not a table in row-major order"))?;
    let size = match header {
        ref header if header.contains("'descr':'<f4'") => 4,
        ref header if header.contains("'descr':'<f8'") => 8,
        _ => return Err(wrong("its numbers have another type")),
    };
    let before = (start.len() + usize::from(u16::from_le_bytes([start[8], start[9]]))) as u64;
    let bytes = rows.checked_mul(columns).and_then(|count| count.checked_mul(size));
    if bytes != Some(length - before) {
        return Err(wrong("it is truncated or too long"));
    }
    let mut values = Vec::with_capacity((rows * columns) as usize);
    let mut block = vec![0; 1 << 16];
    let mut remaining = length - before;
    while remaining > 0 {
        let part = &mut block[..remaining.min(1 << 16) as usize];
        file.read_exact(part).map_err(failed)?;
        remaining -= part.len() as u64;
        match size {
            4 => values.extend(part.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")))),
            _ => values
                .extend(part.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight")) as f32)),
        }
    }
    Ok(Matrix::from_vec(rows as usize, columns as usize, values))
}

fn shape(header: &str) -> Option<(u64, u64)> {
    if !header.contains("'fortran_order':False") {
        return None;
    }
    let (_, rest) = header.split_once("'shape':(")?;
    let (rows, columns) = rest.split_once(')')?.0.split_once(',')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_malformed_files_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.npy");
        let mut bytes = header("<f4", 2, 3);
        [1.0f32, 2.0, -3.5, 0.0, 1e-7, 6.0].iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        std::fs::write(&path, &bytes).unwrap();
        let matrix = read(&path).unwrap();
        assert_eq!((matrix.rows(), matrix.columns(), matrix.row(1)), (2, 3, &[0.0, 1e-7, 6.0][..]));
        let mut wide = header("<f8", 1, 1);
        wide.extend(0.25f64.to_le_bytes());
        std::fs::write(&path, &wide).unwrap();
        assert_eq!(read(&path).unwrap().data(), [0.25]);
        for length in [0, 5, 9, 60, 127, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("table.npy") && error.contains("numpy.save"), "{length} bytes: {error}");
        }
        for (descr, rows) in [("<i4", 2), ("<f4", u64::MAX)] {
            let mut other = header(descr, rows, 3);
            other.extend(&bytes[128..]);
            std::fs::write(&path, &other).unwrap();
            assert!(read(&path).is_err(), "{descr} {rows}");
        }
        assert!(read(&folder.path().join("none.npy")).is_err());
    }
}
