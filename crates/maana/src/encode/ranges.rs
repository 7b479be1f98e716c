//! Files of ranges: the least and the greatest value of each column, `(2, dimension)` of f32 in
//! NumPy's format, as `quantize_embeddings(…, ranges=numpy.load(FILE))` of Sentence Transformers
//! reads them.

use super::output::OutputError;
use crate::npy::{self, NpyError};
use maana_vectors::quantize::Ranges;
use std::path::Path;

/// Writes ranges, atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write_ranges(path: &Path, ranges: &Ranges) -> Result<(), OutputError> {
    let values = ranges.low.iter().chain(&ranges.high);
    npy::write(path, 2, ranges.low.len(), values).map_err(|source| OutputError::Io { path: path.to_owned(), source })
}

/// Reads ranges of `dimension` columns.
///
/// # Errors
/// If the file cannot be read or is malformed, or a least value is above the greatest.
pub fn read_ranges(path: &Path, dimension: usize) -> Result<Ranges, NpyError> {
    let table = npy::read(path)?;
    if (table.rows(), table.columns()) != (2, dimension) {
        let shape = format!("({}, {})", table.rows(), table.columns());
        return Err(NpyError::new(path, format!("its shape is {shape}, but these ranges need (2, {dimension})")));
    }
    let (low, high) = (table.row(0).to_vec(), table.row(1).to_vec());
    let finite = table.data().iter().all(|value| value.is_finite());
    if !finite || low.iter().zip(&high).any(|(low, high)| low > high) {
        return Err(NpyError::new(path, "a value is not finite, or a least value is above the greatest of its column"));
    }
    Ok(Ranges { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_round_trip_and_malformed_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranges.npy");
        let ranges = Ranges { low: vec![-0.5, 0.0, 1.0], high: vec![0.5, 0.25, 1.0] };
        write_ranges(&path, &ranges).unwrap();
        assert_eq!(read_ranges(&path, 3).unwrap(), ranges);
        let other = read_ranges(&path, 4).unwrap_err().to_string();
        assert!(other.contains("ranges.npy") && other.contains("(2, 4)"), "{other}");
        write_ranges(&path, &Ranges { low: vec![1.0], high: vec![0.0] }).unwrap();
        assert!(read_ranges(&path, 1).unwrap_err().to_string().contains("above"));
    }
}
