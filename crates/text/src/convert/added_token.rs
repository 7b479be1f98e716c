//! Tokens that are found in a text before it is divided into pieces.

use serde_json::{Map, Value, json};

/// A token with the flags of Python's `AddedToken`.
#[derive(Clone, Debug)]
pub(super) struct AddedToken {
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    /// True if the token is found in the normalized text; `None` if it is unless it is special.
    pub(super) normalized: Option<bool>,
    pub(super) special: bool,
}

impl AddedToken {
    /// Returns a token without flags.
    pub(super) fn plain(content: String) -> Self {
        Self { content, single_word: false, lstrip: false, rstrip: false, normalized: None, special: false }
    }

    /// Returns a special token without other flags.
    pub(super) fn special(content: String) -> Self {
        Self { special: true, ..Self::plain(content) }
    }

    /// Reads the token of a JSON object; `None` if it has no `content`.
    pub(super) fn read(fields: &Map<String, Value>) -> Option<Self> {
        let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
        Some(Self {
            content: fields.get("content")?.as_str()?.to_owned(),
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized"),
            special: flag("special").unwrap_or(false),
        })
    }

    /// Returns the entry of `added_tokens` in `tokenizer.json`.
    pub(super) fn entry(&self, id: u32) -> Value {
        json!({
            "id": id, "content": self.content, "single_word": self.single_word, "lstrip": self.lstrip,
            "rstrip": self.rstrip, "normalized": self.normalized.unwrap_or(!self.special), "special": self.special,
        })
    }
}

impl PartialEq for AddedToken {
    fn eq(&self, other: &Self) -> bool {
        self.entry(0) == other.entry(0)
    }
}

/// A special token as a file gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// Only its text.
    Text(String),
    /// With its flags.
    Token(AddedToken),
}

impl Given {
    /// Reads a token; `None` if the value is neither text nor an object with `content`.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Object(fields) => AddedToken::read(fields).map(Self::Token),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.content,
        }
    }
}
