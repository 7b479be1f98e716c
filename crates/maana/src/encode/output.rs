//! Files of embeddings: NumPy, JSON lines, Parquet and safetensors. A file appears completely or
//! not at all.

mod error;
mod format;
mod numbers;
mod parquet;
mod spool;
mod writer;

pub use error::OutputError;
pub use format::Format;
pub use numbers::Dtype;

use maana_kernels::{Matrix, Rows};
use maana_vectors::quantize::Ranges;
use spool::Spool;
use std::path::{Path, PathBuf};
use writer::Writer;

/// Returns the lines of a `.jsonl` file: texts and their embeddings.
pub(super) fn json_lines<'a>(
    texts: &'a [&str],
    rows: Rows<'_>,
    dtype: Dtype,
    ranges: Option<&Ranges>,
) -> impl Iterator<Item = serde_json::Value> + 'a {
    let (numbers, columns) = (dtype.numbers(rows, ranges), dtype.columns(rows.columns()));
    texts
        .iter()
        .enumerate()
        .map(move |(row, text)| serde_json::json!({"text": text, "embedding": numbers.json(row, columns)}))
}

/// Writes a file of embeddings. Dropped before [`Output::finish`], it leaves no file.
pub struct Output {
    path: PathBuf,
    dimension: usize,
    dtype: Dtype,
    ranges: Option<Ranges>,
    /// Embeddings whose ranges are not known yet.
    spool: Option<Spool>,
    writer: Option<Writer>,
}

impl Output {
    /// Begins a file of embeddings of `dimension` columns, stored as `dtype`. A type that needs
    /// ranges uses `ranges`, or those of all embeddings that will be written.
    ///
    /// # Errors
    /// If the extension is unknown or the file cannot be created.
    ///
    /// # Panics
    /// If the ranges have another number of columns.
    pub fn create(path: &Path, dimension: usize, dtype: Dtype, ranges: Option<Ranges>) -> Result<Self, OutputError> {
        if let Some(ranges) = &ranges {
            assert_eq!(ranges.low.len(), dimension, "one range per column");
        }
        let writer = Some(Writer::create(path, dtype, dimension)?);
        let mut output = Self { path: path.to_owned(), dimension, dtype, ranges, spool: None, writer };
        if dtype.needs_ranges() && output.ranges.is_none() {
            output.spool = Some(Spool::next_to(path, dimension)?);
        }
        Ok(output)
    }

    /// Appends embeddings, `(texts, dimension)`, with their texts if the format contains texts.
    ///
    /// # Errors
    /// If the file cannot be written, or a value is too large for the type.
    pub fn write(&mut self, texts: &[&str], embeddings: &Matrix) -> Result<(), OutputError> {
        assert_eq!((texts.len(), self.dimension), (embeddings.rows(), embeddings.columns()), "one row per text");
        match &mut self.spool {
            Some(spool) => spool.push(texts, embeddings),
            None => self.put(texts, embeddings.view()),
        }
    }

    fn put(&mut self, texts: &[&str], rows: Rows<'_>) -> Result<(), OutputError> {
        let largest = |row: usize| rows.row(row).iter().copied().find(|value| value.abs() > half::f16::MAX.to_f32());
        if self.dtype == Dtype::F16
            && let Some(value) = (0..rows.rows()).find_map(largest)
        {
            return Err(OutputError::TooLarge { path: self.path.clone(), value });
        }
        let numbers = self.dtype.numbers(rows, self.ranges.as_ref());
        self.writer.as_mut().expect("not finished").write(texts, numbers)
    }

    /// Completes the file and renames it to its name; returns the ranges if they are those of these
    /// embeddings.
    ///
    /// # Errors
    /// If the file cannot be written, or there is only one embedding and the type needs ranges.
    pub fn finish(mut self) -> Result<Option<Ranges>, OutputError> {
        let mut found = None;
        if let Some(spool) = self.spool.take() {
            self.ranges = Some(spool.ranges()?);
            spool.replay(|texts, rows| self.put(texts, rows))?;
            found = self.ranges.take();
        }
        self.writer.take().expect("not finished").finish()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str) -> (tempfile::TempDir, PathBuf) {
        write_as(name, Dtype::F32)
    }

    fn write_as(name: &str, dtype: Dtype) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut output = Output::create(&path, 3, dtype, None).unwrap();
        output.write(&["a"], &Matrix::from_vec(1, 3, vec![1.0, 2.0, 3.0])).unwrap();
        output.write(&["b", "\"c\""], &Matrix::from_vec(2, 3, vec![0.1, -2.5, 1e-7, 7.0, 8.0, 9.0])).unwrap();
        assert!(!path.exists(), "the file appears only when it is complete");
        output.finish().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        (folder, path)
    }

    #[test]
    fn npy_contains_shape_and_rows() {
        let (_folder, path) = write("e.npy");
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes.len(), 128 + 9 * 4);
        let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }"), "{header}");
        assert_eq!(bytes[128 + 16..128 + 20], (-2.5f32).to_le_bytes());
    }

    #[test]
    fn json_lines_contain_text_and_embedding() {
        let (_folder, path) = write("e.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["text"], "\"c\"");
        let embedding: Vec<f32> = serde_json::from_value(lines[1]["embedding"].clone()).unwrap();
        assert_eq!(embedding, [0.1, -2.5, 1e-7]);
    }

    #[test]
    fn parquet_is_read_back() {
        let (_folder, path) = write("e.parquet");
        let table = maana_data::Table::open(&path, None).unwrap();
        let records = table.read(&["text".into(), "embedding".into()]).unwrap().map(Result::unwrap);
        let rows: Vec<_> = records.map(|record| [0, 1].map(|field| record.field(field).unwrap().unwrap())).collect();
        assert_eq!(rows, [["a", "[1.0,2.0,3.0]"], ["b", "[0.1,-2.5,1e-7]"], ["\"c\"", "[7.0,8.0,9.0]"]]);
    }

    #[test]
    fn an_unfinished_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::create(&folder.path().join("e.npy"), 1, Dtype::F32, None).unwrap();
        output.write(&["a"], &Matrix::from_vec(1, 1, vec![1.0])).unwrap();
        drop(output);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = Output::create(&folder.path().join("e.txt"), 1, Dtype::F32, None).err().unwrap().to_string();
        assert!(error.contains(".npy, .jsonl, .parquet or .safetensors"), "{error}");
        let error =
            Output::create(&folder.path().join("missing/e.npy"), 1, Dtype::F32, None).err().unwrap().to_string();
        assert!(error.contains("missing"), "{error}");
    }

    #[test]
    fn fewer_bits_are_those_of_all_rows_together() {
        use maana_vectors::quantize::{binary, int8, ubinary, uint8};
        let all = Matrix::from_vec(3, 3, vec![1.0, 2.0, 3.0, 0.1, -2.5, 1e-7, 7.0, 8.0, 9.0]);
        let ranges = Ranges::of(all.view()).unwrap();
        let bytes = |signed: Vec<i8>| signed.into_iter().map(|value| value as u8).collect::<Vec<u8>>();
        let half = |value: &f32| half::f16::from_f32(*value).to_le_bytes();
        let cases = [
            (Dtype::Int8, "|i1", "I8", bytes(int8(all.view(), &ranges))),
            (Dtype::Uint8, "|u1", "U8", uint8(all.view(), &ranges)),
            (Dtype::Binary, "|i1", "I8", bytes(binary(all.view()))),
            (Dtype::Ubinary, "|u1", "U8", ubinary(all.view())),
            (Dtype::F16, "<f2", "F16", all.data().iter().flat_map(half).collect()),
        ];
        for (dtype, npy, safetensors, expected) in cases {
            let columns = dtype.columns(3);
            let (_folder, path) = write_as("e.npy", dtype);
            let file = std::fs::read(path).unwrap();
            let header = String::from_utf8_lossy(&file[10..128]).into_owned();
            assert!(header.contains(npy) && header.contains(&format!("(3, {columns})")), "{header}");
            assert_eq!(file[128..], expected, "{dtype:?}");
            let (_folder, path) = write_as("e.safetensors", dtype);
            let file = std::fs::read(path).unwrap();
            let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
            let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
            let tensor =
                serde_json::json!({"dtype": safetensors, "shape": [3, columns], "data_offsets": [0, expected.len()]});
            assert_eq!(header["embeddings"], tensor);
            assert_eq!(file[8 + length..], expected, "{dtype:?}");
            let (_folder, path) = write_as("e.jsonl", dtype);
            let text = std::fs::read_to_string(path).unwrap();
            let line: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
            assert_eq!(
                (line["text"].as_str(), line["embedding"].as_array().map(Vec::len)),
                (Some("\"c\""), Some(columns))
            );
            let (_folder, path) = write_as("e.parquet", dtype);
            let table = maana_data::Table::open(&path, None).unwrap();
            let records = table.read(&["embedding".into()]).unwrap().map(Result::unwrap);
            let numbers = |record: maana_data::Record| {
                let list: Vec<f64> = serde_json::from_str(&record.field(0).unwrap().unwrap()).unwrap();
                list.len()
            };
            assert_eq!(records.map(numbers).collect::<Vec<_>>(), [columns; 3]);
        }
    }

    #[test]
    fn ranges_are_given_or_found_and_never_of_one_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.npy");
        let row = Matrix::from_vec(1, 1, vec![0.5]);
        let mut output = Output::create(&path, 1, Dtype::Uint8, None).unwrap();
        output.write(&["a"], &row).unwrap();
        assert!(output.finish().unwrap_err().to_string().contains("--ranges"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let ranges = Ranges { low: vec![0.0], high: vec![1.0] };
        let mut output = Output::create(&path, 1, Dtype::Uint8, Some(ranges)).unwrap();
        output.write(&["a"], &row).unwrap();
        assert_eq!(output.finish().unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap()[128..], [127]);
        let mut output = Output::create(&path, 1, Dtype::F16, None).unwrap();
        let error = output.write(&["a"], &Matrix::from_vec(1, 1, vec![-1e5])).unwrap_err().to_string();
        assert!(error.contains("-100000") && error.contains("f32"), "{error}");
    }
}
