//! Files of embeddings: NumPy, JSON lines and Parquet. Written to a temporary name, synced and renamed.

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use maana_kernels::Matrix;
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file of embeddings looks like inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NumPy's `.npy`, version 1.0: `(rows, dimension)` of little-endian f32. `numpy.load` reads it.
    Npy,
    /// One object a line: `{"text": …, "embedding": […]}`.
    Jsonl,
    /// Columns `text` and `embedding` (a list of f32 of fixed length).
    Parquet,
}

impl Format {
    /// The format that the file's ending asks for.
    ///
    /// # Errors
    /// If it asks for none of them.
    pub fn of(path: &Path) -> Result<Self, OutputError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("jsonl") => Ok(Self::Jsonl),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(OutputError::Ending(path.to_owned())),
        }
    }
}

/// What can go wrong with a file of embeddings.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file's ending says nothing.
    #[error("{0}: the ending must be .npy, .jsonl or .parquet")]
    Ending(PathBuf),
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Parquet cannot be written.
    #[error("{path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: parquet::errors::ParquetError,
    },
}

impl OutputError {
    /// What Parquet's library says; an error of the system inside it is told as such.
    fn parquet(path: &Path, source: parquet::errors::ParquetError) -> Self {
        let path = path.to_owned();
        match source {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) => Self::Io { path, source: *source },
                Err(inner) => Self::Parquet { path, source: parquet::errors::ParquetError::External(inner) },
            },
            source => Self::Parquet { path, source },
        }
    }
}

/// A file of embeddings that is being written. Dropped before [`Output::finish`], it leaves nothing behind.
pub struct Output {
    path: PathBuf,
    temporary: PathBuf,
    dimension: usize,
    rows: u64,
    writer: Option<Writer>,
}

enum Writer {
    Npy(BufWriter<File>),
    Jsonl(BufWriter<File>),
    Parquet(Box<ArrowWriter<File>>, Arc<Schema>),
}

impl Output {
    /// Begins a file for embeddings of `dimension` columns.
    ///
    /// # Errors
    /// If the ending is unknown or the file cannot be made.
    pub fn create(path: &Path, dimension: usize) -> Result<Self, OutputError> {
        let format = Format::of(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.incomplete", std::process::id()));
        let io = |source| OutputError::Io { path: path.to_owned(), source };
        let file = File::create(&temporary).map_err(io)?;
        let writer = match format {
            Format::Npy => {
                let mut writer = BufWriter::with_capacity(1 << 20, file);
                writer.write_all(&npy_header(0, dimension)).map_err(io)?;
                Writer::Npy(writer)
            }
            Format::Jsonl => Writer::Jsonl(BufWriter::with_capacity(1 << 20, file)),
            Format::Parquet => {
                let item = Arc::new(Field::new("item", DataType::Float32, false));
                let schema = Arc::new(Schema::new(vec![
                    Field::new("text", DataType::Utf8, false),
                    Field::new("embedding", DataType::FixedSizeList(item, dimension as i32), false),
                ]));
                let writer = ArrowWriter::try_new(file, schema.clone(), None)
                    .map_err(|source| OutputError::parquet(path, source))?;
                Writer::Parquet(Box::new(writer), schema)
            }
        };
        Ok(Self { path: path.to_owned(), temporary, dimension, rows: 0, writer: Some(writer) })
    }

    /// Appends embeddings, `(texts, dimension)`, and their texts where the format holds them.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn write(&mut self, texts: &[&str], embeddings: &Matrix) -> Result<(), OutputError> {
        assert_eq!((texts.len(), self.dimension), (embeddings.rows(), embeddings.columns()), "one row for each text");
        let path = &self.path;
        let io = |source| OutputError::Io { path: path.clone(), source };
        match self.writer.as_mut().expect("not finished") {
            Writer::Npy(writer) => {
                for value in embeddings.data() {
                    writer.write_all(&value.to_le_bytes()).map_err(io)?;
                }
            }
            Writer::Jsonl(writer) => {
                for (row, text) in texts.iter().enumerate() {
                    let line = serde_json::json!({"text": text, "embedding": embeddings.row(row)});
                    writeln!(writer, "{line}").map_err(io)?;
                }
            }
            Writer::Parquet(writer, schema) => {
                let DataType::FixedSizeList(item, width) = schema.field(1).data_type() else {
                    unreachable!("the schema is made in `create`")
                };
                let values: ArrayRef = Arc::new(Float32Array::from(embeddings.data().to_vec()));
                let lists = FixedSizeListArray::new(item.clone(), *width, values, None);
                let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
                let parquet = |source| OutputError::parquet(path, source);
                let batch = RecordBatch::try_new(schema.clone(), vec![texts, Arc::new(lists)])
                    .map_err(|error| parquet(error.into()))?;
                writer.write(&batch).map_err(parquet)?;
            }
        }
        self.rows += texts.len() as u64;
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn finish(mut self) -> Result<(), OutputError> {
        let path = self.path.clone();
        let io = |source| OutputError::Io { path: path.clone(), source };
        let file = match self.writer.take().expect("not finished") {
            Writer::Npy(writer) => {
                let mut file = writer.into_inner().map_err(|error| io(error.into_error()))?;
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                file.write_all(&npy_header(self.rows, self.dimension)).map_err(io)?;
                file
            }
            Writer::Jsonl(writer) => writer.into_inner().map_err(|error| io(error.into_error()))?,
            Writer::Parquet(writer, _) => writer.into_inner().map_err(|source| OutputError::parquet(&path, source))?,
        };
        file.sync_all().map_err(io)?;
        std::fs::rename(&self.temporary, &self.path)
            .map_err(|source| OutputError::Io { path: self.path.clone(), source })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After `finish` the temporary name is gone; before, what is there is of no use.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Always 128 bytes, whatever the number of rows, so that it can be written again when that is known.
fn npy_header(rows: u64, dimension: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}").bytes());
    header.resize(127, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn write(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut output = Output::create(&path, 3).unwrap();
        output.write(&["a"], &Matrix::from_vec(1, 3, vec![1.0, 2.0, 3.0])).unwrap();
        output.write(&["b", "\"c\""], &Matrix::from_vec(2, 3, vec![0.1, -2.5, 1e-7, 7.0, 8.0, 9.0])).unwrap();
        assert!(!path.exists(), "not there before it is whole");
        output.finish().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        (folder, path)
    }

    #[test]
    fn npy_holds_rows_and_shape() {
        let (_folder, path) = write("e.npy");
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes.len(), 128 + 9 * 4);
        let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }"), "{header}");
        assert_eq!(bytes[128 + 16..128 + 20], (-2.5f32).to_le_bytes());
    }

    #[test]
    fn json_lines_hold_text_and_embedding() {
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
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
        assert_eq!(batches[0].schema().field(1).name(), "embedding");
    }

    #[test]
    fn nothing_is_left_of_a_file_that_was_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::create(&folder.path().join("e.npy"), 1).unwrap();
        output.write(&["a"], &Matrix::from_vec(1, 1, vec![1.0])).unwrap();
        drop(output);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = Output::create(&folder.path().join("e.txt"), 1).err().unwrap().to_string();
        assert!(error.contains(".npy, .jsonl or .parquet"), "{error}");
        let error = Output::create(&folder.path().join("missing/e.npy"), 1).err().unwrap().to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
