//! Parquet files for tests.
#![allow(dead_code, reason = "each test uses only some of them")]

use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// The values of a column.
pub(crate) enum Cells {
    Texts(Vec<String>),
    Nullable(Vec<Option<String>>),
    Lists(Vec<Vec<String>>),
    Whole(Vec<i64>),
    Floats(Vec<f64>),
    Truths(Vec<bool>),
}

/// A column of texts.
pub(crate) fn texts(values: &[&str]) -> Cells {
    Cells::Texts(values.iter().map(|value| value.to_string()).collect())
}

/// Writes columns of the same length in row groups of `group_rows` rows.
pub(crate) fn write_parquet(path: &Path, columns: &[(&str, Cells)], compression: Compression, group_rows: usize) {
    let field = |(name, cells): &(&str, Cells)| match cells {
        Cells::Texts(_) => format!("required binary {name} (STRING);"),
        Cells::Nullable(_) => format!("optional binary {name} (STRING);"),
        Cells::Lists(_) => {
            format!("optional group {name} (LIST) {{ repeated group list {{ optional binary element (STRING); }} }}")
        }
        Cells::Whole(_) => format!("required int64 {name};"),
        Cells::Floats(_) => format!("required double {name};"),
        Cells::Truths(_) => format!("required boolean {name};"),
    };
    let schema = format!("message schema {{ {} }}", columns.iter().map(field).collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let rows = columns.iter().map(|(_, cells)| length(cells)).max().unwrap_or(0);
    for start in (0..rows).step_by(group_rows) {
        let range = start..rows.min(start + group_rows);
        let mut group = writer.next_row_group().unwrap();
        for (_, cells) in columns {
            let bytes = |text: &String| ByteArray::from(text.as_str());
            match cells {
                Cells::Texts(texts) => {
                    let texts: Vec<_> = texts[range.clone()].iter().map(bytes).collect();
                    write::<ByteArrayType>(&mut group, &texts, &[], &[]);
                }
                Cells::Nullable(texts) => {
                    let definitions: Vec<i16> = texts[range.clone()].iter().map(|text| text.is_some().into()).collect();
                    let texts: Vec<_> = texts[range.clone()].iter().flatten().map(bytes).collect();
                    write::<ByteArrayType>(&mut group, &texts, &definitions, &[]);
                }
                Cells::Lists(lists) => {
                    let lists = &lists[range.clone()];
                    let texts: Vec<_> = lists.iter().flatten().map(bytes).collect();
                    let repetitions = lists.iter().flat_map(|list| (0..list.len()).map(|item| (item > 0).into()));
                    write::<ByteArrayType>(&mut group, &texts, &vec![3; texts.len()], &repetitions.collect::<Vec<_>>());
                }
                Cells::Whole(values) => write::<Int64Type>(&mut group, &values[range.clone()], &[], &[]),
                Cells::Floats(values) => write::<DoubleType>(&mut group, &values[range.clone()], &[], &[]),
                Cells::Truths(values) => write::<BoolType>(&mut group, &values[range.clone()], &[], &[]),
            }
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn length(cells: &Cells) -> usize {
    match cells {
        Cells::Texts(values) => values.len(),
        Cells::Nullable(values) => values.len(),
        Cells::Lists(values) => values.len(),
        Cells::Whole(values) => values.len(),
        Cells::Floats(values) => values.len(),
        Cells::Truths(values) => values.len(),
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
    values: &[T::T],
    definitions: &[i16],
    repetitions: &[i16],
) {
    let mut column = group.next_column().unwrap().unwrap();
    let levels = |levels: &[i16]| (!levels.is_empty()).then(|| levels.to_vec());
    let (definitions, repetitions) = (levels(definitions), levels(repetitions));
    column.typed::<T>().write_batch(values, definitions.as_deref(), repetitions.as_deref()).unwrap();
    column.close().unwrap();
}
