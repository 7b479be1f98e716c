//! Values of fields, in every format the same.

use crate::{DataError, Place};

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The record has no such field.
    Missing,
    /// The field has no value.
    Null,
    /// A text. Fields of CSV and TSV are all texts.
    Text(String),
    /// A number, written out. A whole number keeps all its digits.
    Number(String),
    /// True or false.
    Truth(bool),
    /// A list of texts.
    List(Vec<String>),
    /// Anything else.
    Other {
        /// What it is, as messages call it.
        kind: String,
        /// The value written out, where that makes sense.
        written: Option<String>,
    },
}

/// The kind of values that a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value was seen.
    Nothing,
    Text,
    Number,
    Truth,
    /// Lists of so many texts.
    List(usize),
    Other(String),
}

impl Value {
    /// Whether it is a text of nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }

    /// What messages call it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Missing => "nothing".into(),
            Self::Null => "null".into(),
            Self::Text(_) => "a text".into(),
            Self::Number(digits) => format!("the number {digits}"),
            Self::Truth(truth) => truth.to_string(),
            Self::List(_) => "a list".into(),
            Self::Other { kind, .. } => kind.clone(),
        }
    }

    /// The value written out, if it is one.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Self::Missing | Self::Null => None,
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            Self::Truth(truth) => Some(truth.to_string()),
            Self::List(texts) => Some(serde_json::json!(texts).to_string()),
            Self::Other { written, .. } => written.clone(),
        }
    }

    /// The error of a value that is needed and not there.
    pub(crate) fn lack(&self, place: Place, column: &str) -> DataError {
        let lack = match self {
            Self::Missing => "missing",
            Self::Null => "null",
            _ => "empty",
        };
        DataError::MissingValue { place, column: column.into(), lack }
    }
}

impl Kind {
    /// The kind of a value.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Missing | Value::Null => Self::Nothing,
            Value::Text(_) => Self::Text,
            Value::Number(_) => Self::Number,
            Value::Truth(_) => Self::Truth,
            Value::List(texts) => Self::List(texts.len()),
            Value::Other { kind, .. } => Self::Other(kind.clone()),
        }
    }

    /// The kind of a field of CSV or TSV, which does not tell it.
    pub(crate) fn of_field(field: &str) -> Self {
        let field = field.trim();
        let like_a_number = field.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
        match field {
            "" => Self::Nothing,
            _ if like_a_number && field.parse::<f64>().is_ok_and(f64::is_finite) => Self::Number,
            _ => Self::Text,
        }
    }

    /// The kind of a column with values of both kinds: of texts if any is one, so that the others are found and named.
    pub(crate) fn join(&mut self, other: Self) {
        if *self == Self::Nothing || (other == Self::Text && *self != Self::Text) {
            *self = other;
        }
    }

    /// What messages call values of this kind.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Nothing => "no values".into(),
            Self::Text => "texts".into(),
            Self::Number => "numbers".into(),
            Self::Truth => "truth values".into(),
            Self::List(_) => "lists".into(),
            Self::Other(kind) => kind.clone(),
        }
    }
}

/// A number that is not whole, written out the same for all formats.
pub(crate) fn write_float(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string(), |number| number.to_string())
}
