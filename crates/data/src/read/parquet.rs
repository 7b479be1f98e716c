//! Parquet: columns of strings are texts; numbers, dates and truth values are written out where a
//! text is wanted. Reads the chosen columns only, one row group at a time.

mod cells;
mod fields;
mod page_sizes;
mod pages;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, Once, PoisonError};

use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::SchemaDescriptor;

use super::value::Kind;
use super::{Column, MAX_LINE, Row, RowFile, Rows, Value, Visit, regular_file};
use crate::{DataError, Place};
use cells::Cells;
use fields::Field;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Decoded row groups kept in memory, in bytes for a file; the last one used is kept whatever its
/// size.
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
    let ParquetRows { parquet, places, group_starts, .. } = rows;
    Ok(Box::new(KeptRows { parquet, places, group_starts, cache: Mutex::default() }))
}

/// The rows of a file, for these columns.
pub(crate) fn rows(path: &Path, columns: &[String]) -> Result<Box<dyn Rows>, DataError> {
    Ok(Box::new(ParquetRows::new(Parquet::open(path)?, columns)?))
}

/// A file whose footer has been read.
struct Parquet {
    path: String,
    bytes: u64,
    metadata: ParquetMetaData,
    fields: Vec<NamedField>,
}

/// A top-level field of the schema.
struct NamedField {
    name: String,
    field: Field,
    /// Its first leaf among those of the schema. Levels of any leaf tell which values are null, and
    /// lists have one leaf only.
    leaf: usize,
}

impl Parquet {
    fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let file = regular_file(path)?;
        let bytes = file.metadata().map_err(|source| DataError::Io { path: name.clone(), source })?.len();
        let (metadata, fields) = guard(&name, || {
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
            let fields = named_fields(metadata.file_metadata().schema_descr())?;
            Ok::<_, ParquetError>((metadata, fields))
        })?;
        let twice =
            fields.iter().enumerate().find(|(i, field)| fields[..*i].iter().any(|other| other.name == field.name));
        match twice {
            Some((_, field)) => {
                Err(DataError::DuplicateColumn { place: Place::File(name), column: field.name.clone() })
            }
            None => Ok(Self { path: name, bytes, metadata, fields }),
        }
    }

    fn columns(&self) -> Vec<Column> {
        self.fields.iter().map(|field| Column { name: field.name.clone(), kind: field.field.kind() }).collect()
    }

    /// Returns the places of the chosen columns among the fields.
    fn places(&self, columns: &[String]) -> Result<Vec<usize>, DataError> {
        let place = |column: &String| {
            self.fields.iter().position(|field| field.name == *column).ok_or_else(|| DataError::ColumnMissing {
                place: Place::File(self.path.clone()),
                column: column.clone(),
                present: self.fields.iter().map(|field| field.name.clone()).collect(),
            })
        };
        columns.iter().map(place).collect()
    }

    /// Refuses compressions that cannot be read, by name.
    fn check_codecs(&self, places: &[usize]) -> Result<(), DataError> {
        for group in self.metadata.row_groups() {
            for field in places.iter().map(|&place| &self.fields[place]) {
                if group.columns().get(field.leaf).is_some_and(|chunk| chunk.compression() == Compression::LZO) {
                    let (path, column) = (self.path.clone(), field.name.clone());
                    return Err(DataError::Compression { path, column, codec: "lzo".into() });
                }
            }
        }
        Ok(())
    }

    fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Reads the chosen fields of one row group.
    fn reader(&self, places: &[usize], group: usize) -> Result<GroupReader, DataError> {
        let file = Arc::new(regular_file(self.path.as_ref())?);
        guard(&self.path, || {
            let group = self.metadata.row_group(group);
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            let schema = self.metadata.file_metadata().schema_descr();
            let column = |&place: &usize| {
                let leaf = self.fields[place].leaf;
                let pages = pages::pages(file.clone(), group.column(leaf), rows)?;
                Ok::<_, ParquetError>((place, get_column_reader(schema.column(leaf), pages)))
            };
            Ok::<_, ParquetError>(GroupReader { columns: places.iter().map(column).collect::<Result<_, _>>()?, rows })
        })
    }

    /// Decodes the next rows of a row group; returns `None` at its end.
    fn next(&self, reader: &mut GroupReader) -> Result<Option<Batch>, DataError> {
        if reader.rows == 0 {
            return Ok(None);
        }
        let rows = reader.rows.min(BATCH_ROWS);
        reader.rows -= rows;
        let schema = self.metadata.file_metadata().schema_descr();
        let mut columns = Vec::new();
        for (place, reader) in &mut reader.columns {
            let NamedField { name, field, leaf } = &self.fields[*place];
            let most = schema.column(*leaf).max_def_level();
            let cells = guard(&self.path, || Cells::read(reader, field, most, rows))?;
            if cells.rows() != rows {
                let message = format!("the column `{name}` ends before the last row");
                return Err(DataError::InvalidParquet { path: self.path.clone(), message });
            }
            columns.push((*place, cells));
        }
        Ok(Some(Batch { rows, columns }))
    }

    /// Row `i` of a batch, which messages call row `number` of the file.
    fn values(&self, batch: &Batch, i: usize, number: u64) -> Result<Vec<Value>, DataError> {
        let value = |(place, cells): &(usize, Cells)| {
            let NamedField { name, field, .. } = &self.fields[*place];
            let value = guard(&self.path, || Ok::<_, String>(cells.value(field, i)))?;
            match &value {
                Value::Text(text) if text.len() > MAX_LINE => Err(DataError::TextTooLong {
                    place: Place::Row(self.path.clone(), number),
                    column: name.clone(),
                    limit: MAX_LINE,
                }),
                _ => Ok(value),
            }
        };
        batch.columns.iter().map(value).collect()
    }
}

fn named_fields(schema: &SchemaDescriptor) -> Result<Vec<NamedField>, ParquetError> {
    let leaves: Vec<usize> = (0..schema.num_columns()).map(|leaf| schema.get_column_root_idx(leaf)).collect();
    let named = |(root, of): (usize, &Arc<parquet::schema::types::Type>)| {
        let name = of.name().to_owned();
        let Some(leaf) = leaves.iter().position(|of| *of == root) else {
            return Err(ParquetError::General(format!("the column `{name}` has no values")));
        };
        Ok(NamedField { name, field: Field::of(of), leaf })
    };
    schema.root_schema().get_fields().iter().enumerate().map(named).collect()
}

/// Reads fields of one row group, each with its place among those of the file.
struct GroupReader {
    columns: Vec<(usize, ColumnReader)>,
    /// Rows still to be decoded.
    rows: usize,
}

/// Decoded rows of one row group.
struct Batch {
    rows: usize,
    columns: Vec<(usize, Cells)>,
}

thread_local! {
    /// Set while a panic of this thread is turned into an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a part of the Parquet reader, which panics on some damaged files: turns panics into errors
/// and prints nothing.
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
    places: Vec<usize>,
    /// The first row of each row group read so far.
    group_starts: Vec<usize>,
    reader: Option<GroupReader>,
    batch: Option<Batch>,
    /// The next row of the batch, and the number of rows returned.
    next: usize,
    rows: usize,
}

impl ParquetRows {
    fn new(parquet: Parquet, columns: &[String]) -> Result<Self, DataError> {
        let places = parquet.places(columns)?;
        parquet.check_codecs(&places)?;
        Ok(Self { parquet, places, group_starts: Vec::new(), reader: None, batch: None, next: 0, rows: 0 })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next < batch.rows) {
                let number = self.rows as u64 + 1;
                let values = self.parquet.values(batch, self.next, number)?;
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
                self.reader = Some(self.parquet.reader(&self.places, group)?);
            }
        }
    }
}

/// Rows that can be read again. Threads that need a row group that is not in memory wait for each
/// other.
struct KeptRows {
    parquet: Parquet,
    places: Vec<usize>,
    group_starts: Vec<usize>,
    cache: Mutex<Cache>,
}

type Batches = Arc<Vec<Batch>>;

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
        let mut reader = self.parquet.reader(&self.places, group)?;
        let mut decoded = Vec::new();
        while let Some(batch) = self.parquet.next(&mut reader)? {
            decoded.push(batch);
        }
        let batches = Arc::new(decoded);
        let bytes = batches.iter().flat_map(|batch| &batch.columns).map(|(_, cells)| cells.bytes()).sum();
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
        let mut row_of_batch = row - self.group_starts[group];
        for batch in self.group(group)?.iter() {
            if row_of_batch < batch.rows {
                return self.parquet.values(batch, row_of_batch, row as u64 + 1);
            }
            row_of_batch -= batch.rows;
        }
        Err(changed())
    }
}
