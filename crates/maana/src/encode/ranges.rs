//! The least and the greatest value of each column in a file, as `quantize_embeddings(…, ranges=numpy.load(FILE))` of Sentence
//! Transformers takes them: `(2, dimension)` of f32 in NumPy's form.

use super::output::ranges_header;
use maana_data::DataError;
use maana_vectors::quantize::Ranges;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is wrong with a file of ranges.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: {reason}; expected are ranges as `maana encode --dtype int8` writes them: NumPy's form, f32, shape (2, {dimension})"
)]
pub struct RangesError {
    path: PathBuf,
    dimension: usize,
    reason: String,
}

/// Writes ranges, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_ranges(path: &Path, ranges: &Ranges) -> Result<(), DataError> {
    maana_data::write_whole(path, |out| {
        out.write_all(&ranges_header(ranges.low.len()))?;
        ranges.low.iter().chain(&ranges.high).try_for_each(|value| out.write_all(&value.to_le_bytes()))
    })
}

/// Reads ranges of `dimension` columns.
///
/// # Errors
/// If the file cannot be read, holds something else, or a least value is above the greatest.
pub fn read_ranges(path: &Path, dimension: usize) -> Result<Ranges, RangesError> {
    let wrong = |reason: &str| RangesError { path: path.to_owned(), dimension, reason: reason.to_owned() };
    let bytes = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let numbers = numbers(&bytes, dimension).map_err(wrong)?;
    let (low, high) = numbers.split_at(dimension);
    if numbers.iter().any(|value| !value.is_finite()) || low.iter().zip(high).any(|(low, high)| low > high) {
        return Err(wrong("a value is no number, or a least value is above the greatest of its column"));
    }
    Ok(Ranges { low: low.to_vec(), high: high.to_vec() })
}

fn numbers(bytes: &[u8], dimension: usize) -> Result<Vec<f32>, &'static str> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00").ok_or("it does not begin as a file of NumPy's version 1.0")?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or("it is cut short")?;
    let (header, data) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or("it is cut short")?;
    let header: String = String::from_utf8_lossy(header).split_whitespace().collect();
    if !header.contains("'fortran_order':False") || !header.contains(&format!("'shape':(2,{dimension})")) {
        return Err("its shape is another");
    }
    let whole =
        |size: usize| if data.len() == size * 2 * dimension { Ok(()) } else { Err("it is cut short or too long") };
    if header.contains("'descr':'<f4'") {
        whole(4)?;
        Ok(data.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect())
    } else if header.contains("'descr':'<f8'") {
        whole(8)?;
        Ok(data
            .chunks_exact(8)
            .map(|eight| f64::from_le_bytes(eight.try_into().expect("eight bytes")) as f32)
            .collect())
    } else {
        Err("its numbers are of another type")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_back_and_what_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranges.npy");
        let ranges = Ranges { low: vec![-0.5, 0.0, 1.0], high: vec![0.5, 0.25, 1.0] };
        write_ranges(&path, &ranges).unwrap();
        assert_eq!(read_ranges(&path, 3).unwrap(), ranges);
        let other = read_ranges(&path, 4).unwrap_err().to_string();
        assert!(other.contains("ranges.npy") && other.contains("shape (2, 4)"), "{other}");
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 5, 9, 60, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_ranges(&path, 3).is_err(), "{length} bytes");
        }
        write_ranges(&path, &Ranges { low: vec![1.0], high: vec![0.0] }).unwrap();
        assert!(read_ranges(&path, 1).unwrap_err().to_string().contains("above"));
    }
}
