//! The files of a tokenizer besides its vocabulary: `tokenizer_config.json` and its older
//! companions.

use crate::error::TextError;
use crate::overlong::Overlong;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The class that takes `tokenizer.json` as it is. Families that have it do not read the class of
/// the folder, which is often wrong.
const AS_IT_IS: &str = "TokenizersBackend";

/// The content of the files; empty where one is missing.
pub(crate) struct Companions {
    pub(crate) config: Map<String, Value>,
    pub(crate) config_path: PathBuf,
    /// `special_tokens_map.json` and `added_tokens.json`, used if `tokenizer_config.json` does not
    /// list the tokens.
    pub(crate) special: Map<String, Value>,
    pub(crate) added: Map<String, Value>,
    pub(crate) added_path: PathBuf,
}

impl Companions {
    pub(crate) fn open(folder: &Path) -> Result<Self, TextError> {
        let config_path = folder.join("tokenizer_config.json");
        let added_path = folder.join("added_tokens.json");
        Ok(Self {
            config: read_object(&config_path)?,
            special: read_object(&folder.join("special_tokens_map.json"))?,
            added: read_object(&added_path)?,
            config_path,
            added_path,
        })
    }

    /// Returns the Python class of the tokenizer. `default` is that of a folder that names none;
    /// `TokenizersBackend` holds whatever the folder names.
    pub(crate) fn class<'a>(&'a self, default: &'a str) -> Result<&'a str, TextError> {
        let named = self.text("tokenizer_class")?;
        Ok(if default == AS_IT_IS { default } else { named.unwrap_or(default) })
    }

    pub(crate) fn invalid_field(&self, field: &str, expected: &str) -> TextError {
        invalid(&self.config_path, field, self.config.get(field).unwrap_or(&Value::Null), expected)
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&str>, TextError> {
        match self.config.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid_field(field, "a string")),
        }
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>, TextError> {
        match self.config.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.invalid_field(field, "true or false")),
        }
    }

    /// Returns the text of the special token that a field names.
    pub(crate) fn token(&self, field: &str) -> Option<&str> {
        self.config.get(field).or_else(|| self.special.get(field)).and_then(content)
    }

    /// Returns `model_max_length`, also under its older name. A number of thirty digits, which
    /// means no limit, is ignored.
    pub(crate) fn max_length(&self) -> Option<usize> {
        let limit = ["model_max_length", "max_len"].into_iter().find_map(|field| self.config.get(field)?.as_u64());
        limit.and_then(|limit| usize::try_from(limit).ok())
    }

    /// Returns the side of truncation: `truncation_side`, or the one that `tokenizer.json` was
    /// saved with.
    pub(crate) fn overlong(&self, tokenizer: &Value) -> Result<Overlong, TextError> {
        match self.text("truncation_side")?.or_else(|| tokenizer["truncation"]["direction"].as_str()) {
            None | Some("right" | "Right") => Ok(Overlong::CutEnd),
            Some("left" | "Left") => Ok(Overlong::CutBeginning),
            Some(_) => Err(self.invalid_field("truncation_side", "`left` or `right`")),
        }
    }
}

/// Returns the text of a token that may be given with its flags.
pub(crate) fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

pub(crate) fn invalid(path: &Path, field: &str, value: &Value, expected: &str) -> TextError {
    TextError::Invalid { path: path.into(), reason: format!("field `{field}` is {value}; expected {expected}") }
}

/// Reads an object from a file; empty if there is no such file.
fn read_object(path: &Path) -> Result<Map<String, Value>, TextError> {
    let invalid = |reason: String| TextError::Invalid { path: path.into(), reason };
    let Some(bytes) = maana_files::read_optional(path).map_err(|error| invalid(error.to_string()))? else {
        return Ok(Map::new());
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(invalid("not a JSON object".into())),
        Err(error) => Err(invalid(format!("not valid JSON: {error}"))),
    }
}
