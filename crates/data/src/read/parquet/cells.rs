//! Columns of row groups, decoded, and their cells as values.

use half::f16;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, Int96};
use parquet::errors::{ParquetError, Result};

use super::super::value::{Value, write_float};
use super::fields::{Field, Scalar, Shape};

/// The most bytes that the leaves of a batch may have.
const MAX_BYTES: usize = i32::MAX as usize;

/// Some rows of a column, as Parquet keeps them: leaves, and the levels of each where the column
/// has any.
pub(super) struct Cells {
    /// The first level and the first leaf of each row.
    rows: Vec<(u32, u32)>,
    levels: usize,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    leaves: Leaves,
}

enum Leaves {
    Truths(Vec<bool>),
    Whole32(Vec<i32>),
    Whole64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    /// Each text ends where the next one begins.
    Texts(String, Vec<usize>),
    Bytes(Vec<u8>, Vec<usize>),
    /// Leaves whose values nobody can write out.
    Unread,
}

impl Cells {
    /// Decodes the next `rows` rows. `max_definition` is the definition level of a leaf that is
    /// present.
    pub(super) fn read(reader: &mut ColumnReader, field: &Field, max_definition: i16, rows: usize) -> Result<Self> {
        let scalar = field.scalar();
        let mut raw = Raw { definitions: Vec::new(), repetitions: Vec::new(), records: 0, levels: 0 };
        let leaves = match reader {
            ColumnReader::BoolColumnReader(reader) => Leaves::Truths(raw.read(reader, rows)?),
            ColumnReader::Int32ColumnReader(reader) => Leaves::Whole32(raw.read(reader, rows)?),
            ColumnReader::Int64ColumnReader(reader) => Leaves::Whole64(raw.read(reader, rows)?),
            ColumnReader::Int96ColumnReader(reader) => {
                Leaves::Whole64(raw.read(reader, rows)?.iter().map(Int96::to_nanos).collect())
            }
            ColumnReader::FloatColumnReader(reader) => Leaves::Float32(raw.read(reader, rows)?),
            ColumnReader::DoubleColumnReader(reader) => Leaves::Float64(raw.read(reader, rows)?),
            ColumnReader::ByteArrayColumnReader(reader) => bytes(&raw.read(reader, rows)?, scalar)?,
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                let values: Vec<ByteArray> = raw.read(reader, rows)?.into_iter().map(Into::into).collect();
                bytes(&values, scalar)?
            }
        };
        let Raw { definitions, repetitions, records, levels } = raw;
        let mut starts = Vec::with_capacity(records);
        let mut leaf = 0;
        for level in 0..levels {
            if repetitions.get(level).is_none_or(|&repetition| repetition == 0) {
                starts.push((level as u32, leaf));
            }
            leaf += u32::from(definitions.get(level).is_none_or(|&definition| definition == max_definition));
        }
        if starts.len() != records || u32::try_from(levels).is_err() {
            return Err(ParquetError::General("the levels of a column do not fit its rows".into()));
        }
        Ok(Self { rows: starts, levels, definitions, repetitions, leaves })
    }

    /// Rows that were decoded.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let leaves = match &self.leaves {
            Leaves::Truths(values) => values.len(),
            Leaves::Whole32(values) => 4 * values.len(),
            Leaves::Whole64(values) => 8 * values.len(),
            Leaves::Float32(values) => 4 * values.len(),
            Leaves::Float64(values) => 8 * values.len(),
            Leaves::Texts(text, ends) => text.len() + 8 * ends.len(),
            Leaves::Bytes(bytes, ends) => bytes.len() + 8 * ends.len(),
            Leaves::Unread => 0,
        };
        leaves + 8 * self.rows.len() + 2 * (self.definitions.len() + self.repetitions.len())
    }

    /// The value of row `row`.
    pub(super) fn value(&self, field: &Field, row: usize) -> Value {
        let (level, leaf) = self.rows[row];
        let end = self.rows.get(row + 1).map_or(self.levels, |&(level, _)| level as usize);
        Cursor { cells: self, level: level as usize, end, leaf: leaf as usize }.value(field)
    }
}

/// Levels that a column reader returns with its values, and the numbers of records and levels.
struct Raw {
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    records: usize,
    levels: usize,
}

impl Raw {
    fn read<T: DataType>(&mut self, reader: &mut ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>> {
        let mut values = Vec::new();
        let (definitions, repetitions) = (&mut self.definitions, &mut self.repetitions);
        let read = reader.read_records(rows, Some(definitions), Some(repetitions), &mut values)?;
        (self.records, self.levels) = (read.0, read.2);
        Ok(values)
    }
}

/// Leaves that are bytes, one behind the other; those of texts are checked to be UTF-8.
fn bytes(values: &[ByteArray], scalar: Option<Scalar>) -> Result<Leaves> {
    let total = values.iter().map(ByteArray::len).sum();
    if total > MAX_BYTES {
        return Err(ParquetError::General(format!("{} texts of a column have more than 2 GB", values.len())));
    }
    let mut ends = Vec::with_capacity(values.len());
    match scalar {
        Some(Scalar::Text) => {
            let mut all = String::with_capacity(total);
            for value in values {
                all += value.as_utf8()?;
                ends.push(all.len());
            }
            Ok(Leaves::Texts(all, ends))
        }
        Some(Scalar::Float16 | Scalar::Decimal(_)) => {
            let mut all = Vec::with_capacity(total);
            for value in values {
                all.extend_from_slice(value.data());
                ends.push(all.len());
            }
            Ok(Leaves::Bytes(all, ends))
        }
        _ => Ok(Leaves::Unread),
    }
}

/// A place among the levels and leaves of one row.
struct Cursor<'a> {
    cells: &'a Cells,
    level: usize,
    end: usize,
    leaf: usize,
}

impl Cursor<'_> {
    /// Takes the levels and leaves of one value.
    fn value(&mut self, field: &Field) -> Value {
        let definition = self.cells.definitions.get(self.level).copied().unwrap_or(field.defined);
        if definition < field.defined {
            self.level += 1;
            return Value::Null;
        }
        match &field.shape {
            Shape::Scalar(scalar) => {
                (self.level, self.leaf) = (self.level + 1, self.leaf + 1);
                self.cells.leaves.value(*scalar, self.leaf - 1)
            }
            Shape::List { .. } if definition == field.defined => {
                self.level += 1;
                Value::List(Vec::new())
            }
            Shape::List { repeated, item } => {
                let mut items = vec![self.value(item)];
                while self.continues(*repeated) {
                    items.push(self.value(item));
                }
                list(items)
            }
            Shape::Opaque { repeated, kind } => {
                self.level += 1;
                while self.continues(repeated.saturating_add(1)) {
                    self.level += 1;
                }
                Value::Other { kind: (*kind).into(), written: None }
            }
        }
    }

    /// Returns whether the next level belongs to a list of this repetition level, or to one inside
    /// it.
    fn continues(&self, repeated: i16) -> bool {
        self.level < self.end && self.cells.repetitions.get(self.level).is_some_and(|&next| next >= repeated)
    }
}

impl Leaves {
    fn value(&self, scalar: Scalar, i: usize) -> Value {
        let slice = |ends: &[usize]| if i == 0 { 0 } else { ends[i - 1] }..ends[i];
        match (scalar, self) {
            (Scalar::Text, Self::Texts(text, ends)) => Value::Text(text[slice(ends)].to_owned()),
            (Scalar::Truth, Self::Truths(values)) => Value::Truth(values[i]),
            (Scalar::Signed, Self::Whole32(values)) => Value::Number(values[i].to_string()),
            (Scalar::Signed, Self::Whole64(values)) => Value::Number(values[i].to_string()),
            (Scalar::Unsigned, Self::Whole32(values)) => Value::Number((values[i] as u32).to_string()),
            (Scalar::Unsigned, Self::Whole64(values)) => Value::Number((values[i] as u64).to_string()),
            (Scalar::Float16, Self::Bytes(bytes, ends)) => match bytes[slice(ends)] {
                [low, high] => Value::Number(write_float(f16::from_le_bytes([low, high]).to_f64())),
                _ => Value::Null,
            },
            // The fewest digits that distinguish the number from all others of 32 bits.
            (Scalar::Float32, Self::Float32(values)) => Value::Number(format!("{:?}", values[i])),
            (Scalar::Float64, Self::Float64(values)) => Value::Number(write_float(values[i])),
            (Scalar::Decimal(scale), Self::Whole32(values)) => Value::Number(decimal(&values[i].to_be_bytes(), scale)),
            (Scalar::Decimal(scale), Self::Whole64(values)) => Value::Number(decimal(&values[i].to_be_bytes(), scale)),
            (Scalar::Decimal(scale), Self::Bytes(bytes, ends)) => Value::Number(decimal(&bytes[slice(ends)], scale)),
            (Scalar::Date, Self::Whole32(values)) => dates(date(i64::from(values[i]))),
            (Scalar::Timestamp { per_second, utc }, Self::Whole64(values)) => {
                dates(timestamp(values[i], per_second, utc))
            }
            (Scalar::Opaque(kind), _) => Value::Other { kind: kind.into(), written: None },
            _ => Value::Null,
        }
    }
}

fn dates(written: Option<String>) -> Value {
    Value::Other { kind: "dates".into(), written }
}

fn list(items: Vec<Value>) -> Value {
    let texts = items.iter().map(|item| match item {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    });
    if let Some(texts) = texts.collect::<Option<Vec<_>>>() {
        return Value::List(texts);
    }
    let item = |item: &Value| match item {
        Value::Text(text) => Some(serde_json::json!(text).to_string()),
        Value::Null => Some("null".into()),
        other => other.written(),
    };
    let written = items.iter().map(item).collect::<Option<Vec<_>>>().map(|items| format!("[{}]", items.join(",")));
    Value::Other { kind: "a list".into(), written }
}

/// Writes out a whole number in two's complement, the highest byte first, with its decimal point
/// `scale` digits from the end.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let is_negative = bytes.first().is_some_and(|byte| *byte > 127);
    let mut magnitude = bytes.to_vec();
    if is_negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in magnitude.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
    let mut digits = String::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0;
        for byte in &mut magnitude {
            let value = rest * 256 + u32::from(*byte);
            (*byte, rest) = ((value / 10) as u8, value % 10);
        }
        digits.insert(0, char::from(b'0' + rest as u8));
    }
    digits.insert_str(0, &"0".repeat((scale + 1).saturating_sub(digits.len())));
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if is_negative {
        digits.insert(0, '-');
    }
    digits
}

/// A time as ISO 8601 has it; one in UTC ends in Z.
fn timestamp(count: i64, per_second: i64, utc: bool) -> Option<String> {
    let (seconds, fraction) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut written = format!("{}T{:02}:{:02}:{:02}", date(day)?, second / 3600, second / 60 % 60, second % 60);
    if fraction > 0 {
        let digits = per_second.ilog10() as usize;
        written += format!(".{fraction:0digits$}").trim_end_matches('0');
    }
    Some(if utc { written + "Z" } else { written })
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
fn date(day: i64) -> Option<String> {
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let day = day.checked_add(719_468)?;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_their_point_and_sign() {
        let written = |value: i128, scale| decimal(&value.to_be_bytes(), scale);
        assert_eq!(
            [0, 5, -5, 12_345, -100].map(|value| written(value, 2)),
            ["0.00", "0.05", "-0.05", "123.45", "-1.00"]
        );
        assert_eq!(
            [0, -7, i128::MAX, i128::MIN].map(|value| written(value, 0)),
            [0, -7, i128::MAX, i128::MIN].map(|v| v.to_string())
        );
        assert_eq!((decimal(&[0xff; 32], 1), decimal(&[], 1)), ("-0.1".into(), "0.0".into()));
    }

    #[test]
    fn days_have_their_dates() {
        let dates = [-719_528, -1, 0, 59, 11_016, 19_782, 20_514].map(|day| date(day).unwrap());
        let expected =
            ["0000-01-01", "1969-12-31", "1970-01-01", "1970-03-01", "2000-02-29", "2024-02-29", "2026-03-02"];
        assert_eq!(dates, expected);
    }
}
