//! Values of fields, in all formats.

use crate::{DataError, Place};

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The record does not have the field.
    Missing,
    /// The field has no value.
    Null,
    /// A text. Fields of CSV and TSV are all texts.
    Text(String),
    /// A number as a string. An integer keeps all its digits.
    Number(String),
    /// True or false.
    Truth(bool),
    /// A list of texts.
    List(Vec<String>),
    /// Anything else.
    Other {
        /// Its kind, for messages.
        kind: String,
        /// The value as a string, if it has such a form.
        written: Option<String>,
    },
}

/// The kind of values that a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value was found.
    Nothing,
    Text,
    Number,
    Truth,
    /// Lists of this number of texts.
    List(usize),
    Other(String),
}

impl Value {
    /// Returns true for a text that is empty or only white space.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }

    /// Returns a description for messages.
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

    /// Returns the value as a string, if it is a single one.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Self::Missing | Self::Null => None,
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            Self::Truth(truth) => Some(truth.to_string()),
            Self::List(texts) => Some(serde_json::json!(texts).to_string()),
            Self::Other { written, .. } => written.clone(),
        }
    }

    /// Returns the error for a required value that is missing.
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
    /// Returns the kind of the value.
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

    /// Returns the kind of a field of CSV or TSV by its content.
    pub(crate) fn of_field(field: &str) -> Self {
        let field = field.trim();
        let like_a_number = field.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
        match field {
            "" => Self::Nothing,
            _ if like_a_number && field.parse::<f64>().is_ok_and(f64::is_finite) => Self::Number,
            _ => Self::Text,
        }
    }

    /// Returns the kind of a column with values of both kinds: texts if any is a text, so that
    /// errors name the others.
    pub(crate) fn join(&mut self, other: Self) {
        if *self == Self::Nothing || (other == Self::Text && *self != Self::Text) {
            *self = other;
        }
    }

    /// Returns a description of values of this kind for messages.
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

/// Returns a number that is not an integer as a string, in the same form for all formats.
pub(crate) fn write_float(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string(), |number| number.to_string())
}
