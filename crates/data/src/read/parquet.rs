//! Parquet: columns of strings are texts, those of numbers, dates and truth values are written out where a text is wanted.
//! Reads the chosen columns only, one row group at a time.

mod cells;
mod page_sizes;
mod pages;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, Once, PoisonError};

use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Compression;

use super::value::Kind;
use super::{Column, MAX_LINE, Row, RowFile, Rows, Value, Visit, regular_file};
use crate::{DataError, Place};
use pages::Chunks;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Decoded row groups kept in memory, in bytes for a file; the last one used is kept whatever its size.
const CACHE_BYTES: usize = 256 << 20;

/// The columns of the schema. Those of lists are looked into for the length of the first.
pub(crate) fn columns(path: &Path) -> Result<Vec<Column>, DataError> {
    let parquet = Parquet::open(path)?;
    let mut columns = parquet.columns();
    for column in &mut columns {
        if let Kind::List(length) = &mut column.kind {
            let mut rows = ParquetRows::new(Parquet::open(path)?, std::slice::from_ref(&column.name))?;
            while let Some(row) = rows.next()? {
                if let Some(Value::List(texts)) = row.values.first() {
                    *length = texts.len();
                    break;
                }
            }
        }
    }
    Ok(columns)
}

/// Every row of every row group is a row.
pub(crate) fn scan(path: &Path, columns: &[String], visit: &mut Visit<'_>) -> Result<Box<dyn RowFile>, DataError> {
    let mut rows = ParquetRows::new(Parquet::open(path)?, columns)?;
    while let Some(row) = rows.next()? {
        if !visit(row.number, row.values)? {
            break;
        }
    }
    let ParquetRows { parquet, columns, group_starts, .. } = rows;
    Ok(Box::new(KeptRows { parquet, columns, group_starts, cache: Mutex::default() }))
}

/// The rows of a file, for these columns.
pub(crate) fn rows(path: &Path, columns: &[String]) -> Result<Box<dyn Rows>, DataError> {
    Ok(Box::new(ParquetRows::new(Parquet::open(path)?, columns)?))
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
        let file = regular_file(path)?;
        let bytes = file.metadata().map_err(|source| DataError::Io { path: name.clone(), source })?.len();
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guard(&name, || ArrowReaderMetadata::load(&file, options))?;
        let parquet = Self { path: name, bytes, metadata };
        let columns = parquet.columns();
        match columns.iter().enumerate().find(|(i, column)| columns[..*i].iter().any(|other| other.name == column.name))
        {
            Some((_, column)) => {
                Err(DataError::DuplicateColumn { place: Place::File(parquet.path), column: column.name.clone() })
            }
            None => Ok(parquet),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let fields = self.metadata.schema().fields().iter();
        fields.map(|field| Column { name: field.name().clone(), kind: cells::kind(field.data_type()) }).collect()
    }

    /// The positions of the chosen columns among the top-level fields.
    fn roots(&self, columns: &[String]) -> Result<Vec<usize>, DataError> {
        let schema = self.metadata.schema();
        let root = |column: &String| {
            schema.index_of(column).map_err(|_| DataError::ColumnMissing {
                place: Place::File(self.path.clone()),
                column: column.clone(),
                present: schema.fields().iter().map(|field| field.name().clone()).collect(),
            })
        };
        columns.iter().map(root).collect()
    }

    /// Refuses compressions that the build cannot undo, by name.
    fn check_codecs(&self, roots: &[usize]) -> Result<(), DataError> {
        let schema = self.metadata.parquet_schema();
        for group in self.metadata.metadata().row_groups() {
            for (leaf, chunk) in group.columns().iter().enumerate() {
                let root = schema.get_column_root_idx(leaf);
                if chunk.compression() == Compression::LZO && roots.contains(&root) {
                    let column = self.metadata.schema().field(root).name().clone();
                    return Err(DataError::Compression { path: self.path.clone(), column, codec: "lzo".into() });
                }
            }
        }
        Ok(())
    }

    fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Reads the chosen columns of one row group.
    fn reader(&self, columns: &[String], group: usize) -> Result<ParquetRecordBatchReader, DataError> {
        let file = regular_file(self.path.as_ref())?;
        let roots = self.roots(columns)?;
        guard(&self.path, || {
            let schema = self.metadata.parquet_schema();
            let levels = parquet_to_arrow_field_levels(schema, ProjectionMask::roots(schema, roots), None)?;
            let chunks = Chunks::new(file, self.metadata.metadata().clone(), group);
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &chunks, BATCH_ROWS, None)
        })
    }

    fn next(&self, reader: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>, DataError> {
        guard(&self.path, || reader.next().transpose())
    }

    /// Row `i` of a batch, which messages call row `number` of the file.
    fn values(&self, batch: &RecordBatch, i: usize, columns: &[String], number: u64) -> Result<Vec<Value>, DataError> {
        let value = |column: &String| {
            let array: &dyn Array = batch.column_by_name(column).expect("the reader was asked for this column");
            let value = guard(&self.path, || Ok::<_, String>(cells::value(array, i)))?;
            match &value {
                Value::Text(text) if text.len() > MAX_LINE => Err(DataError::TextTooLong {
                    place: Place::Row(self.path.clone(), number),
                    column: column.clone(),
                    limit: MAX_LINE,
                }),
                _ => Ok(value),
            }
        };
        columns.iter().map(value).collect()
    }
}

thread_local! {
    /// Whether a panic of this thread will be told as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a part of the Parquet reader, which panics on some damaged files: those are errors like any other, and nothing is printed.
fn guard<T, E: ToString>(path: &str, read: impl FnOnce() -> Result<T, E>) -> Result<T, DataError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                others(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    let message = match read {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the file is damaged".into(),
    };
    Err(DataError::InvalidParquet { path: path.into(), message })
}

/// The rows of a file from start to end.
struct ParquetRows {
    parquet: Parquet,
    columns: Vec<String>,
    /// The first row of each group that was begun.
    group_starts: Vec<usize>,
    reader: Option<ParquetRecordBatchReader>,
    batch: Option<RecordBatch>,
    /// The next row of the batch, and how many rows were given.
    next: usize,
    rows: usize,
}

impl ParquetRows {
    fn new(parquet: Parquet, columns: &[String]) -> Result<Self, DataError> {
        parquet.check_codecs(&parquet.roots(columns)?)?;
        let columns = columns.to_vec();
        Ok(Self { parquet, columns, group_starts: Vec::new(), reader: None, batch: None, next: 0, rows: 0 })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next < batch.num_rows()) {
                let number = self.rows as u64 + 1;
                let values = self.parquet.values(batch, self.next, &self.columns, number)?;
                (self.next, self.rows) = (self.next + 1, self.rows + 1);
                return Ok(Some(Row { number, offset: 0, length: 0, values }));
            }
            (self.batch, self.next) = (None, 0);
            if let Some(reader) = &mut self.reader {
                self.batch = self.parquet.next(reader)?;
            }
            if self.batch.is_none() {
                let group = self.group_starts.len();
                if group == self.parquet.groups() {
                    return Ok(None);
                }
                self.group_starts.push(self.rows);
                self.reader = Some(self.parquet.reader(&self.columns, group)?);
            }
        }
    }
}

/// Rows that can be read again. Threads that need a row group that is not in memory wait for each other.
struct KeptRows {
    parquet: Parquet,
    columns: Vec<String>,
    group_starts: Vec<usize>,
    cache: Mutex<Cache>,
}

type Batches = Arc<Vec<RecordBatch>>;

/// Decoded row groups, the last used first.
#[derive(Default)]
struct Cache {
    groups: VecDeque<(usize, Batches, usize)>,
}

impl KeptRows {
    fn group(&self, group: usize) -> Result<Batches, DataError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = cache.groups.iter().position(|(number, ..)| *number == group) {
            let found = cache.groups.remove(place).expect("found a moment ago");
            let batches = found.1.clone();
            cache.groups.push_front(found);
            return Ok(batches);
        }
        let mut reader = self.parquet.reader(&self.columns, group)?;
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

impl RowFile for KeptRows {
    fn read(&self, row: usize) -> Result<Vec<Value>, DataError> {
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
                return self.parquet.values(batch, place, &self.columns, row as u64 + 1);
            }
            place -= batch.num_rows();
        }
        Err(changed())
    }
}
