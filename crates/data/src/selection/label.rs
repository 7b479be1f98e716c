//! Conversion of a field to the numbers of a label.

use crate::read::{Format, Value};
use crate::{DataError, Place};

/// Returns the numbers of a label: one for a finite number, a Boolean or the name of a class, and
/// all of a list of numbers, or of a list of lists of one length. Fields of CSV hold the same as
/// text.
pub(super) fn numbers(
    value: &Value,
    format: Format,
    column: &str,
    classes: &[String],
    place: &dyn Fn() -> Place,
) -> Result<Vec<f32>, DataError> {
    if let Value::Text(name) = value
        && !classes.is_empty()
    {
        if let Some(class) = classes.iter().position(|class| class == name) {
            return Ok(vec![class as f32]);
        }
        if name.trim().parse::<f64>().is_err() {
            let (column, found, known) = (column.into(), name.clone(), classes.to_vec());
            return Err(DataError::NoSuchClass { place: place(), column, found: found.into(), known: known.into() });
        }
    }
    // A number in a field of CSV is a text as well.
    let is_text = matches!(value, Value::Text(text) if !text.trim().is_empty() && text.trim().parse::<f64>().is_err());
    let bad = |found: String| DataError::BadLabel { place: place(), column: column.into(), found, is_text };
    let digits = match value {
        Value::Truth(truth) => return Ok(vec![f32::from(u8::from(*truth))]),
        Value::Number(digits) => digits,
        Value::Text(field) if matches!(format, Format::Csv { .. }) => field.trim(),
        Value::Other { written: Some(list), .. } if list.starts_with('[') => list,
        other => return Err(bad(other.describe())),
    };
    if digits.starts_with('[') {
        let element = |found: String| DataError::BadLabelElement { place: place(), column: column.into(), found };
        let list: Vec<serde_json::Value> =
            serde_json::from_str(digits).map_err(|error| element(format!("a malformed list ({error})")))?;
        return flat(&list).map_err(element);
    }
    let Ok(number) = digits.parse::<f64>() else { return Err(bad(format!("{digits:?}"))) };
    let label = number as f32;
    if label.is_finite() { Ok(vec![label]) } else { Err(bad(number.to_string())) }
}

/// Returns the numbers of a list in order; inner lists must have one length.
fn flat(list: &[serde_json::Value]) -> Result<Vec<f32>, String> {
    if list.is_empty() {
        return Err("an empty list".into());
    }
    let mut numbers = Vec::with_capacity(list.len());
    let mut inner: Option<usize> = None;
    for element in list {
        let before = numbers.len();
        match element {
            serde_json::Value::Array(list) => numbers.extend(flat(list)?),
            serde_json::Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN) as f32;
                if !number.is_finite() {
                    return Err(element.to_string());
                }
                numbers.push(number);
            }
            serde_json::Value::Bool(truth) => numbers.push(f32::from(u8::from(*truth))),
            other => return Err(other.to_string()),
        }
        let length = numbers.len() - before;
        if *inner.get_or_insert(length) != length {
            return Err("lists of different lengths".into());
        }
    }
    Ok(numbers)
}
