//! Writers of the formats.

use super::error::OutputError;
use super::format::Format;
use super::numbers::{Dtype, Numbers};
use super::parquet::ParquetFile;
use crate::npy;
use maana_files::NewFile;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a file. Dropped before [`Writer::finish`], it leaves no file.
pub(super) struct Writer {
    /// The file, for error messages.
    path: PathBuf,
    dtype: Dtype,
    /// Numbers per row.
    columns: usize,
    rows: u64,
    sink: Sink,
}

enum Sink {
    Npy(BufWriter<NewFile>),
    Safetensors(BufWriter<NewFile>),
    Jsonl(BufWriter<NewFile>),
    Parquet(Box<ParquetFile>),
}

impl Writer {
    pub(super) fn create(path: &Path, dtype: Dtype, dimension: usize) -> Result<Self, OutputError> {
        let format = Format::of(path)?;
        let columns = dtype.columns(dimension);
        let io = |source| OutputError::Io { path: path.to_owned(), source };
        let file = NewFile::create(path).map_err(io)?;
        let buffered = |file| BufWriter::with_capacity(1 << 20, file);
        // Headers contain the number of rows: they are written again when it is known.
        let begun = |file, header: Vec<u8>| {
            let mut writer = buffered(file);
            writer.write_all(&header).map(|()| writer).map_err(io)
        };
        let sink = match format {
            Format::Npy => Sink::Npy(begun(file, npy::header(dtype.npy(), 0, columns))?),
            Format::Safetensors => Sink::Safetensors(begun(file, safetensors_header(dtype, 0, columns))?),
            Format::Jsonl => Sink::Jsonl(buffered(file)),
            Format::Parquet => {
                let file =
                    ParquetFile::create(file, dtype, columns).map_err(|error| OutputError::parquet(path, error))?;
                Sink::Parquet(Box::new(file))
            }
        };
        Ok(Self { path: path.to_owned(), dtype, columns, rows: 0, sink })
    }

    /// Appends rows, one per text.
    pub(super) fn write(&mut self, texts: &[&str], numbers: Numbers) -> Result<(), OutputError> {
        let path = &self.path;
        let io = |source| OutputError::Io { path: path.clone(), source };
        match &mut self.sink {
            Sink::Npy(writer) | Sink::Safetensors(writer) => writer.write_all(&numbers.bytes()).map_err(io)?,
            Sink::Jsonl(writer) => {
                for (row, text) in texts.iter().enumerate() {
                    let line = serde_json::json!({"text": text, "embedding": numbers.json(row, self.columns)});
                    writeln!(writer, "{line}").map_err(io)?;
                }
            }
            Sink::Parquet(file) => file.write(texts, numbers).map_err(|error| OutputError::parquet(path, error))?,
        }
        self.rows += texts.len() as u64;
        Ok(())
    }

    /// Completes the file and renames it to its name.
    pub(super) fn finish(self) -> Result<(), OutputError> {
        let Self { path, dtype, columns, rows, sink } = self;
        let io = |source| OutputError::Io { path: path.clone(), source };
        let flushed = |writer: BufWriter<NewFile>| writer.into_inner().map_err(|error| io(error.into_error()));
        let with_header = |writer: BufWriter<NewFile>, header: Vec<u8>| {
            let mut file = flushed(writer)?;
            file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header)).map_err(io)?;
            Ok(file)
        };
        let file = match sink {
            Sink::Npy(writer) => with_header(writer, npy::header(dtype.npy(), rows, columns))?,
            Sink::Safetensors(writer) => with_header(writer, safetensors_header(dtype, rows, columns))?,
            Sink::Jsonl(writer) => flushed(writer)?,
            Sink::Parquet(file) => file.finish().map_err(|error| OutputError::parquet(&path, error))?,
        };
        file.commit().map_err(io)
    }
}

/// Returns the header of one tensor called `embeddings`: always 256 bytes, padded with spaces, as
/// the format allows.
fn safetensors_header(dtype: Dtype, rows: u64, columns: usize) -> Vec<u8> {
    const LENGTH: usize = 256;
    let (name, size) = dtype.safetensors();
    let bytes = rows * (columns * size) as u64;
    let tensor = serde_json::json!({"dtype": name, "shape": [rows, columns], "data_offsets": [0, bytes]});
    let mut header = ((LENGTH - 8) as u64).to_le_bytes().to_vec();
    header.extend(serde_json::json!({"embeddings": tensor}).to_string().bytes());
    header.resize(LENGTH, b' ');
    header
}
