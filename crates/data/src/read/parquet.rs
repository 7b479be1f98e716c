//! Parquet: columns of strings are texts, columns of numbers or booleans may be labels; others are passed over.
//! Reads the chosen columns only, one row group at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, types};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;

use super::{Column, RowFile, Selection, Visit, label_value};
use crate::{DataError, Example, Place};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Decoded row groups kept in memory, in bytes for a file; the last one used is kept whatever its size.
const CACHE_BYTES: usize = 256 << 20;

/// The columns of the schema.
pub(crate) fn columns(path: &Path) -> Result<Vec<Column>, DataError> {
    Ok(Parquet::open(path)?.columns())
}

/// Every row of every row group is a row.
pub(crate) fn scan(path: &Path, selection: &Selection, visit: &mut Visit<'_>) -> Result<Box<dyn RowFile>, DataError> {
    let parquet = Parquet::open(path)?;
    parquet.check_codecs(selection)?;
    let groups = parquet.metadata.metadata().num_row_groups();
    let mut group_starts = Vec::with_capacity(groups);
    let mut row = 0;
    'groups: for group in 0..groups {
        group_starts.push(row);
        let mut reader = parquet.reader(selection, Some(group))?;
        while let Some(batch) = parquet.next(&mut reader)? {
            for i in 0..batch.num_rows() {
                let example = parquet.example(&batch, i, selection, row as u64 + 1)?;
                row += 1;
                if !visit(row as u64, &example)? {
                    break 'groups;
                }
            }
        }
    }
    Ok(Box::new(ParquetRows { parquet, selection: selection.clone(), group_starts, cache: Mutex::default() }))
}

/// The texts of one column: the one named, else `text`, else the first of strings.
pub(crate) fn stream(
    path: &Path,
    column: Option<&str>,
) -> Result<impl FnMut() -> Result<Option<String>, DataError> + Send + use<>, DataError> {
    let parquet = Parquet::open(path)?;
    let column = match column {
        Some(column) => column.to_string(),
        None => super::default_column(parquet.columns(), Place::File(parquet.path.clone()))?,
    };
    let selection = Selection::one(&column);
    parquet.check_codecs(&selection)?;
    let mut reader = parquet.reader(&selection, None)?;
    let mut batch: Option<RecordBatch> = None;
    let (mut next, mut row) = (0, 0);
    Ok(move || {
        loop {
            if let Some(batch) = batch.as_ref().filter(|batch| next < batch.num_rows()) {
                let example = parquet.example(batch, next, &selection, row + 1)?;
                (next, row) = (next + 1, row + 1);
                return Ok(example.texts.into_iter().next());
            }
            (batch, next) = (parquet.next(&mut reader)?, 0);
            if batch.is_none() {
                return Ok(None);
            }
        }
    })
}

/// A file whose footer has been read.
struct Parquet {
    path: String,
    bytes: u64,
    metadata: ArrowReaderMetadata,
}

impl Parquet {
    fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let io = |source| DataError::Io { path: name.clone(), source };
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guard(&name, || ArrowReaderMetadata::load(&file, options))?;
        Ok(Self { path: name, bytes, metadata })
    }

    fn columns(&self) -> Vec<Column> {
        let fields = self.metadata.schema().fields().iter();
        fields.map(|field| Column { name: field.name().clone(), is_text: is_text(field.data_type()) }).collect()
    }

    /// The positions of the chosen columns among the top-level fields.
    fn roots(&self, selection: &Selection) -> Result<Vec<usize>, DataError> {
        let schema = self.metadata.schema();
        let wanted = selection.columns.iter().chain(&selection.label);
        wanted
            .map(|column| {
                schema.index_of(column).map_err(|_| DataError::ColumnMissing {
                    place: Place::File(self.path.clone()),
                    column: column.clone(),
                    present: schema.fields().iter().map(|field| field.name().clone()).collect(),
                })
            })
            .collect()
    }

    /// Refuses compressions that the build cannot undo, by name.
    fn check_codecs(&self, selection: &Selection) -> Result<(), DataError> {
        let roots = self.roots(selection)?;
        let schema = self.metadata.parquet_schema();
        for group in self.metadata.metadata().row_groups() {
            for (leaf, chunk) in group.columns().iter().enumerate() {
                let codec = match chunk.compression() {
                    Compression::ZSTD(_) => "zstd",
                    Compression::BROTLI(_) => "brotli",
                    Compression::LZO => "lzo",
                    _ => continue,
                };
                let root = schema.get_column_root_idx(leaf);
                if roots.contains(&root) {
                    let column = self.metadata.schema().field(root).name().clone();
                    return Err(DataError::Compression { path: self.path.clone(), column, codec: codec.into() });
                }
            }
        }
        Ok(())
    }

    /// Reads the chosen columns of one row group, or of all.
    fn reader(&self, selection: &Selection, group: Option<usize>) -> Result<ParquetRecordBatchReader, DataError> {
        let file = File::open(&self.path).map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), self.roots(selection)?);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        if let Some(group) = group {
            builder = builder.with_row_groups(vec![group]);
        }
        guard(&self.path, || builder.build())
    }

    fn next(&self, reader: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>, DataError> {
        guard(&self.path, || reader.next().transpose())
    }

    /// Row `i` of a batch, which messages call row `number` of the file.
    fn example(&self, batch: &RecordBatch, i: usize, selection: &Selection, number: u64) -> Result<Example, DataError> {
        let place = || Place::Row(self.path.clone(), number);
        let array = |column: &String| batch.column_by_name(column).expect("the reader was asked for this column");
        let text = |column: &String| {
            let array = array(column);
            let not_text = |found: String| DataError::NotText { place: place(), column: column.clone(), found };
            if array.is_null(i) {
                return Err(not_text("null".into()));
            }
            match array.data_type() {
                DataType::Utf8 => Ok(array.as_string::<i32>().value(i).to_string()),
                DataType::LargeUtf8 => Ok(array.as_string::<i64>().value(i).to_string()),
                DataType::Utf8View => Ok(array.as_string_view().value(i).to_string()),
                other => Err(not_text(format!("values of type {other}"))),
            }
        };
        let texts = selection.columns.iter().map(text).collect::<Result<_, _>>()?;
        let label = match &selection.label {
            None => None,
            Some(column) => {
                let array = array(column);
                let value = if array.is_null(i) { None } else { number_at(array, i) };
                let value = value.ok_or_else(|| DataError::BadLabel {
                    place: place(),
                    column: column.clone(),
                    found: if array.is_null(i) { "null".into() } else { format!("of type {}", array.data_type()) },
                })?;
                Some(label_value(value, column, place)?)
            }
        };
        Ok(Example { texts, label })
    }
}

/// Runs a part of the Parquet reader, which panics on some damaged files: those are errors like any other.
fn guard<T, E: ToString>(path: &str, read: impl FnOnce() -> Result<T, E>) -> Result<T, DataError> {
    let message = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the file is damaged".into(),
    };
    Err(DataError::InvalidParquet { path: path.into(), message })
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The number at place `i`, if the array holds numbers or booleans.
fn number_at(array: &dyn Array, i: usize) -> Option<f64> {
    Some(match array.data_type() {
        DataType::Float64 => array.as_primitive::<types::Float64Type>().value(i),
        DataType::Float32 => array.as_primitive::<types::Float32Type>().value(i).into(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(i) as f64,
        DataType::Int32 => array.as_primitive::<types::Int32Type>().value(i).into(),
        DataType::Int16 => array.as_primitive::<types::Int16Type>().value(i).into(),
        DataType::Int8 => array.as_primitive::<types::Int8Type>().value(i).into(),
        DataType::UInt64 => array.as_primitive::<types::UInt64Type>().value(i) as f64,
        DataType::UInt32 => array.as_primitive::<types::UInt32Type>().value(i).into(),
        DataType::UInt16 => array.as_primitive::<types::UInt16Type>().value(i).into(),
        DataType::UInt8 => array.as_primitive::<types::UInt8Type>().value(i).into(),
        DataType::Boolean => f64::from(u8::from(array.as_boolean().value(i))),
        _ => return None,
    })
}

/// Rows of a Parquet file. Threads that need a row group that is not in memory wait for each other.
struct ParquetRows {
    parquet: Parquet,
    selection: Selection,
    group_starts: Vec<usize>,
    cache: Mutex<Cache>,
}

type Batches = Arc<Vec<RecordBatch>>;

/// Decoded row groups, the last used first.
#[derive(Default)]
struct Cache {
    groups: VecDeque<(usize, Batches, usize)>,
}

impl ParquetRows {
    fn group(&self, group: usize) -> Result<Batches, DataError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = cache.groups.iter().position(|(number, ..)| *number == group) {
            let found = cache.groups.remove(place).expect("found a moment ago");
            let batches = found.1.clone();
            cache.groups.push_front(found);
            return Ok(batches);
        }
        let mut reader = self.parquet.reader(&self.selection, Some(group))?;
        let mut decoded = Vec::new();
        while let Some(batch) = self.parquet.next(&mut reader)? {
            decoded.push(batch);
        }
        let batches = Arc::new(decoded);
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        cache.groups.push_front((group, batches.clone(), bytes));
        let mut total = 0;
        let fitting = cache.groups.iter().take_while(|(_, _, bytes)| {
            total += bytes;
            total <= CACHE_BYTES
        });
        let keep = fitting.count().max(1);
        cache.groups.truncate(keep);
        Ok(batches)
    }
}

impl RowFile for ParquetRows {
    fn read(&self, row: usize) -> Result<Example, DataError> {
        let changed = || DataError::Changed { path: self.parquet.path.clone(), row: row + 1 };
        let bytes = std::fs::metadata(&self.parquet.path)
            .map_err(|source| DataError::Io { path: self.parquet.path.clone(), source })?
            .len();
        if bytes != self.parquet.bytes {
            return Err(changed());
        }
        let group = self.group_starts.partition_point(|&start| start <= row) - 1;
        let mut place = row - self.group_starts[group];
        for batch in self.group(group)?.iter() {
            if place < batch.num_rows() {
                return self.parquet.example(batch, place, &self.selection, row as u64 + 1);
            }
            place -= batch.num_rows();
        }
        Err(changed())
    }
}
