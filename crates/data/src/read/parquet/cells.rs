//! Cells of Arrow arrays as values.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, TimeUnit};

use super::super::value::{Kind, write_float};
use super::Value;

/// The kind of values of a type; lists have the length 0.
pub(super) fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Null => Kind::Nothing,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Boolean => Kind::Truth,
        DataType::List(item) | DataType::LargeList(item) if kind(item.data_type()) == Kind::Text => Kind::List(0),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Kind::Number,
        of if of.is_numeric() => Kind::Number,
        of => Kind::Other(described(of)),
    }
}

fn described(of: &DataType) -> String {
    match of {
        DataType::Date32 | DataType::Timestamp(..) => "dates".into(),
        DataType::List(_) | DataType::LargeList(_) => "lists that are not of texts".into(),
        DataType::Struct(_) => "records of several fields".into(),
        of => format!("values of type {of}"),
    }
}

/// The value at place `i`.
pub(super) fn value(array: &dyn Array, i: usize) -> Value {
    if array.is_null(i) {
        return Value::Null;
    }
    let number = |written: String| Value::Number(written);
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(i).to_owned()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(i).to_owned()),
        DataType::Utf8View => Value::Text(array.as_string_view().value(i).to_owned()),
        DataType::Boolean => Value::Truth(array.as_boolean().value(i)),
        DataType::Int8 => number(at::<Int8Type>(array, i).to_string()),
        DataType::Int16 => number(at::<Int16Type>(array, i).to_string()),
        DataType::Int32 => number(at::<Int32Type>(array, i).to_string()),
        DataType::Int64 => number(at::<Int64Type>(array, i).to_string()),
        DataType::UInt8 => number(at::<UInt8Type>(array, i).to_string()),
        DataType::UInt16 => number(at::<UInt16Type>(array, i).to_string()),
        DataType::UInt32 => number(at::<UInt32Type>(array, i).to_string()),
        DataType::UInt64 => number(at::<UInt64Type>(array, i).to_string()),
        DataType::Float16 => number(write_float(at::<Float16Type>(array, i).to_f64())),
        // The fewest digits that tell this number from others of 32 bits.
        DataType::Float32 => number(format!("{:?}", at::<Float32Type>(array, i))),
        DataType::Float64 => number(write_float(at::<Float64Type>(array, i))),
        DataType::Decimal128(..) => number(array.as_primitive::<Decimal128Type>().value_as_string(i)),
        DataType::Decimal256(..) => number(array.as_primitive::<Decimal256Type>().value_as_string(i)),
        DataType::List(_) => list(&*array.as_list::<i32>().value(i)),
        DataType::LargeList(_) => list(&*array.as_list::<i64>().value(i)),
        of => Value::Other { kind: described(of), written: written(array, i) },
    }
}

fn at<T: ArrowPrimitiveType>(array: &dyn Array, i: usize) -> T::Native {
    array.as_primitive::<T>().value(i)
}

fn list(items: &dyn Array) -> Value {
    let items: Vec<Value> = (0..items.len()).map(|i| value(items, i)).collect();
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

/// A date or a time as ISO 8601 has them.
fn written(array: &dyn Array, i: usize) -> Option<String> {
    let (count, per_second, zone) = match array.data_type() {
        DataType::Date32 => return date(i64::from(at::<Date32Type>(array, i))),
        DataType::Timestamp(TimeUnit::Second, zone) => (at::<TimestampSecondType>(array, i), 1, zone),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => (at::<TimestampMillisecondType>(array, i), 1000, zone),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => (at::<TimestampMicrosecondType>(array, i), 1_000_000, zone),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            (at::<TimestampNanosecondType>(array, i), 1_000_000_000, zone)
        }
        _ => return None,
    };
    let (seconds, fraction) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut written = format!("{}T{:02}:{:02}:{:02}", date(day)?, second / 3600, second / 60 % 60, second % 60);
    if fraction > 0 {
        let digits = per_second.ilog10() as usize;
        written += format!(".{fraction:0digits$}").trim_end_matches('0');
    }
    // What has a zone is kept as a time of UTC.
    Some(if zone.is_some() { written + "Z" } else { written })
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
    fn days_have_their_dates() {
        let dates = [-719_528, -1, 0, 59, 11_016, 19_782, 20_514].map(|day| date(day).unwrap());
        let expected =
            ["0000-01-01", "1969-12-31", "1970-01-01", "1970-03-01", "2000-02-29", "2024-02-29", "2026-03-02"];
        assert_eq!(dates, expected);
    }
}
