//! Parquet files of texts and embeddings, in row groups of bounded size.

use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maana_files::NewFile;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, FloatType, Int32Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::numbers::{Dtype, Numbers};

/// Bytes of texts and embeddings that wait in memory to become a row group.
const GROUP_BYTES: usize = 128 << 20;

/// A Parquet file with the columns `text` and `embedding`. Its metadata hold a schema of Arrow,
/// which tells pyarrow, pandas and polars that all lists have the same length.
pub(super) struct ParquetFile {
    file: SerializedFileWriter<Slot>,
    columns: usize,
    texts: Vec<ByteArray>,
    numbers: Vec<Numbers>,
    bytes: usize,
}

/// A file that can be taken back after the writer has finished it: `into_inner` of the writer hides
/// errors of the system.
struct Slot(Option<NewFile>);

impl Write for Slot {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.as_mut().expect("not finished").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.as_mut().expect("not finished").flush()
    }
}

impl ParquetFile {
    pub(super) fn create(file: NewFile, dtype: Dtype, columns: usize) -> Result<Self, ParquetError> {
        let item = match dtype {
            Dtype::F32 => "float item",
            Dtype::F16 => "fixed_len_byte_array (2) item (FLOAT16)",
            Dtype::Int8 | Dtype::Binary => "int32 item (INTEGER (8, true))",
            Dtype::Uint8 | Dtype::Ubinary => "int32 item (INTEGER (8, false))",
        };
        let schema = format!(
            "message arrow_schema {{ required binary text (STRING); \
             required group embedding (LIST) {{ repeated group list {{ required {item}; }} }} }}"
        );
        let hint = KeyValue::new("ARROW:schema".into(), BASE64_STANDARD.encode(arrow_schema(dtype, columns)));
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![hint])).build();
        let schema = Arc::new(parse_message_type(&schema)?);
        let file = SerializedFileWriter::new(Slot(Some(file)), schema, Arc::new(properties))?;
        Ok(Self { file, columns, texts: Vec::new(), numbers: Vec::new(), bytes: 0 })
    }

    /// Appends rows, one for each text.
    pub(super) fn write(&mut self, texts: &[&str], numbers: Numbers) -> Result<(), ParquetError> {
        self.texts.extend(texts.iter().map(|text| ByteArray::from(*text)));
        self.bytes += texts.iter().map(|text| text.len()).sum::<usize>() + numbers.size();
        self.numbers.push(numbers);
        if self.bytes < GROUP_BYTES { Ok(()) } else { self.end_group() }
    }

    /// Completes the file and returns it, without its name.
    pub(super) fn finish(mut self) -> Result<NewFile, ParquetError> {
        if !self.texts.is_empty() {
            self.end_group()?;
        }
        self.file.finish()?;
        Ok(self.file.inner_mut().0.take().expect("not finished before"))
    }

    /// Writes the rows that wait.
    fn end_group(&mut self) -> Result<(), ParquetError> {
        let (texts, numbers) = (std::mem::take(&mut self.texts), std::mem::take(&mut self.numbers));
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        write_column::<ByteArrayType>(&mut group, [texts], None)?;
        let numbers = numbers.into_iter();
        let columns = Some(self.columns);
        let whole = |numbers: Numbers| match numbers {
            Numbers::I8(values) => values.into_iter().map(i32::from).collect(),
            Numbers::U8(values) => values.into_iter().map(i32::from).collect(),
            Numbers::F32(_) | Numbers::F16(_) => Vec::new(),
        };
        let float = |numbers: Numbers| if let Numbers::F32(values) = numbers { values } else { Vec::new() };
        let half = |numbers: Numbers| match numbers {
            Numbers::F16(values) => {
                let bytes = |value: half::f16| FixedLenByteArray::from(value.to_le_bytes().to_vec());
                values.into_iter().map(bytes).collect()
            }
            _ => Vec::new(),
        };
        match numbers.as_slice().first() {
            Some(Numbers::F32(_)) => write_column::<FloatType>(&mut group, numbers.map(float), columns)?,
            Some(Numbers::F16(_)) => write_column::<FixedLenByteArrayType>(&mut group, numbers.map(half), columns)?,
            Some(Numbers::I8(_) | Numbers::U8(_)) | None => {
                write_column::<Int32Type>(&mut group, numbers.map(whole), columns)?;
            }
        }
        group.close()?;
        Ok(())
    }
}

/// Writes the next column of a row group: values that are never null, or lists of `list` such
/// values.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Slot>,
    pieces: impl IntoIterator<Item = Vec<T::T>>,
    list: Option<usize>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has two columns");
    for values in pieces {
        match list {
            None => column.typed::<T>().write_batch(&values, None, None)?,
            Some(length) => {
                let repetitions: Vec<i16> = (0..values.len()).map(|i| i16::from(i % length != 0)).collect();
                column.typed::<T>().write_batch(&values, Some(&vec![1; values.len()]), Some(&repetitions))?
            }
        };
    }
    column.close()
}

/// Returns the schema as a message of Arrow's format for streams: a FlatBuffer with two fields,
/// `text` and `embedding`.
fn arrow_schema(dtype: Dtype, columns: usize) -> Vec<u8> {
    use Entry::{Absent, Byte, Child, Children, Name, Word};
    /// A field of a FlatBuffer's table.
    enum Entry {
        Absent,
        Byte(u8),
        Word(u32),
        Name(&'static str),
        Child(Vec<Entry>),
        Children(Vec<Vec<Entry>>),
    }

    fn align(out: &mut Vec<u8>) {
        out.resize(out.len().next_multiple_of(4), 0);
    }

    /// Writes the distance from the four bytes at `from` to the end.
    fn point(out: &mut [u8], from: usize) {
        let distance = (out.len() - from) as u32;
        out[from..from + 4].copy_from_slice(&distance.to_le_bytes());
    }

    /// Appends a table behind its list of offsets; `from` is the place that points to it.
    fn table(out: &mut Vec<u8>, from: usize, entries: Vec<Entry>) {
        let offsets = out.len();
        let mut size = 4u16;
        out.extend((4 + 2 * entries.len() as u16).to_le_bytes());
        out.extend((4 + 4 * entries.iter().filter(|entry| !matches!(entry, Absent)).count() as u16).to_le_bytes());
        for entry in &entries {
            let offset = if matches!(entry, Absent) { 0 } else { size };
            out.extend(offset.to_le_bytes());
            size += if offset == 0 { 0 } else { 4 };
        }
        align(out);
        point(out, from);
        out.extend(((out.len() - offsets) as u32).to_le_bytes());
        let mut targets = Vec::new();
        for entry in entries {
            let place = out.len();
            match entry {
                Absent => continue,
                Byte(value) => out.extend(u32::from(value).to_le_bytes()),
                Word(value) => out.extend(value.to_le_bytes()),
                target => {
                    out.extend([0; 4]);
                    targets.push((place, target));
                }
            }
        }
        for (place, target) in targets {
            match target {
                Name(name) => {
                    point(out, place);
                    out.extend((name.len() as u32).to_le_bytes());
                    out.extend(name.bytes());
                    out.push(0);
                    align(out);
                }
                Child(entries) => table(out, place, entries),
                Children(tables) => {
                    point(out, place);
                    out.extend((tables.len() as u32).to_le_bytes());
                    let first = out.len();
                    out.resize(first + 4 * tables.len(), 0);
                    tables.into_iter().enumerate().for_each(|(i, entries)| table(out, first + 4 * i, entries));
                }
                Absent | Byte(_) | Word(_) => unreachable!("they are written in the table"),
            }
        }
    }

    // The numbers of types, and the order of the fields, are those of Arrow's Schema.fbs and
    // Message.fbs.
    let (number, item) = match dtype {
        Dtype::F32 => (3, vec![Word(1)]),
        Dtype::F16 => (3, vec![Word(0)]),
        Dtype::Int8 | Dtype::Binary => (2, vec![Word(8), Byte(1)]),
        Dtype::Uint8 | Dtype::Ubinary => (2, vec![Word(8), Byte(0)]),
    };
    let field =
        |name, number, of, children| vec![Name(name), Byte(0), Byte(number), Child(of), Absent, Children(children)];
    let item = field("item", number, item, Vec::new());
    let text = field("text", 5, Vec::new(), Vec::new());
    let embedding = field("embedding", 16, vec![Word(columns as u32)], vec![item]);
    let schema = vec![Absent, Children(vec![text, embedding])];
    let mut message = vec![0; 4];
    table(&mut message, 0, vec![Word(4), Byte(1), Child(schema)]);
    message.resize(message.len().next_multiple_of(8), 0);
    [&[0xff; 4], &(message.len() as u32).to_le_bytes()[..], &message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pyarrow 26.0.1 and polars 2.1.0 read these as lists of 64 values that are never null.
    #[test]
    fn the_schema_of_arrow_is_the_one_that_pyarrow_reads() {
        let written = |dtype, columns| BASE64_STANDARD.encode(arrow_schema(dtype, columns));
        let head = concat!(
            "/////xgBAAAQAAAACgAQAAQACAAMAAAADAAAAAQAAAABAAAADAAAAAgACAAAAAQACAAAAAQAAAACAAAAGAAAAFQA",
            "AAAQABgABAAIAAwAEAAAABQAEAAAABQAAAAAAAAABQAAABgAAAAYAAAABAAAAHRleHQAAAAABAAEAAQAAAAAAAAA",
            "EAAYAAQACAAMABAAAAAUABAAAAAUAAAAAAAAABAAAAAgAAAAJAAAAAkAAABlbWJlZGRpbmcAAAAGAAgABAAAAAgA",
            "AABAAAAAAQAAABQAAAAQABgABAAIAAwAEAAAABQAEAAAABQAAAAAAAAAA",
        );
        let tails = [
            (Dtype::F32, "wAAABwAAAAgAAAABAAAAGl0ZW0AAAAABgAIAAQAAAAIAAAAAQAAAAAAAAAAAAAA"),
            (Dtype::F16, "wAAABwAAAAgAAAABAAAAGl0ZW0AAAAABgAIAAQAAAAIAAAAAAAAAAAAAAAAAAAA"),
            (Dtype::Int8, "gAAABwAAAAkAAAABAAAAGl0ZW0AAAAACAAMAAQACAAIAAAACAAAAAEAAAAAAAAA"),
        ];
        for (dtype, tail) in tails {
            assert_eq!(written(dtype, 64), format!("{head}{tail}"), "{dtype:?}");
        }
    }

    #[test]
    fn row_groups_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let mut file = ParquetFile::create(NewFile::create(&path).unwrap(), Dtype::F16, 2).unwrap();
        for row in 0..3u8 {
            let values = [row, row + 1].map(|value| half::f16::from_f32(f32::from(value) / 4.0));
            file.write(&["neno"], Numbers::F16(values.to_vec())).unwrap();
            file.end_group().unwrap();
        }
        file.finish().unwrap().commit().unwrap();
        let table = maana_data::Table::open(&path, None).unwrap();
        let records = table.read(&["text".into(), "embedding".into()]).unwrap().map(Result::unwrap);
        let rows: Vec<_> = records.map(|record| record.field(1).unwrap().unwrap()).collect();
        assert_eq!(rows, ["[0.0,0.25]", "[0.25,0.5]", "[0.5,0.75]"]);
    }
}
