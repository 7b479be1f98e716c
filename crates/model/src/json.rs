//! Fields of a JSON file, by name; errors name file and field.

use crate::ModelError;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A JSON object and the file that holds it.
pub(crate) struct Fields<'a> {
    pub(crate) json: &'a Value,
    pub(crate) path: &'a Path,
}

impl<'a> Fields<'a> {
    pub(crate) fn wrong(&self, field: &str, expected: &str) -> ModelError {
        let reason = match self.json.get(field) {
            None | Some(Value::Null) => format!("field `{field}` is missing; expected {expected}"),
            Some(value) => format!("field `{field}` is {value}; expected {expected}"),
        };
        ModelError::Invalid { path: PathBuf::from(self.path), reason }
    }

    pub(crate) fn present(&self, field: &str) -> bool {
        self.json.get(field).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn text(&self, field: &str) -> Result<&'a str, ModelError> {
        self.json.get(field).and_then(Value::as_str).ok_or_else(|| self.wrong(field, "a string"))
    }

    pub(crate) fn count(&self, field: &str) -> Result<usize, ModelError> {
        let number = self.json.get(field).and_then(Value::as_u64);
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| self.wrong(field, "a whole number"))
    }

    pub(crate) fn count_or(&self, field: &str, default: usize) -> Result<usize, ModelError> {
        if self.present(field) { self.count(field) } else { Ok(default) }
    }

    pub(crate) fn flag_or(&self, field: &str, default: bool) -> Result<bool, ModelError> {
        if !self.present(field) {
            return Ok(default);
        }
        self.json[field].as_bool().ok_or_else(|| self.wrong(field, "true or false"))
    }

    pub(crate) fn number_or(&self, field: &str, default: f64) -> Result<f64, ModelError> {
        if !self.present(field) {
            return Ok(default);
        }
        self.json[field].as_f64().ok_or_else(|| self.wrong(field, "a number"))
    }

    /// Returns a probability that is less than 1.
    pub(crate) fn probability_or(&self, field: &str, default: f64) -> Result<f32, ModelError> {
        let value = self.number_or(field, default)?;
        if (0.0..1.0).contains(&value) { Ok(value as f32) } else { Err(self.wrong(field, "0 or more and less than 1")) }
    }

    /// Returns whether a field holds anything but null, an empty list or an empty object.
    pub(crate) fn not_empty(&self, field: &str) -> bool {
        match self.json.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(entries)) => !entries.is_empty(),
            Some(_) => true,
        }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>, supported: impl Into<String>) -> ModelError {
        ModelError::Unsupported { path: self.path.into(), what: what.into(), supported: supported.into() }
    }
}

/// Reads a JSON object. Returns nothing if there is no such file.
pub(crate) fn read_object(path: &Path) -> Result<Option<Value>, ModelError> {
    match read_json(path)? {
        Some(json) if !json.is_object() => Err(ModelError::invalid(path, "expected a JSON object")),
        json => Ok(json),
    }
}

/// Reads a JSON file. Returns nothing if there is no such file.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>, ModelError> {
    let Some(bytes) = maana_files::read_optional(path).map_err(ModelError::io(path))? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ModelError::invalid(path, format!("not valid JSON: {error}")))
}
