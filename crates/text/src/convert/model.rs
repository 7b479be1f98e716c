//! The part of a tokenizer that a vocabulary file holds.

use super::added_token::AddedToken;
use crate::error::TextError;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Greatest number of tokens of a vocabulary: more than the table of any encoder has rows.
pub(super) const MOST_TOKENS: usize = 1 << 20;

/// The model of a tokenizer.
pub(super) struct Model {
    /// The file that errors name.
    pub(super) path: PathBuf,
    /// `model` of `tokenizer.json`.
    pub(super) json: Value,
    /// The ids of the tokens.
    pub(super) ids: HashMap<String, u32>,
    /// Id of the first token that is added to the vocabulary.
    pub(super) next_id: u32,
    /// Table of the normalizer, if the file holds one.
    pub(super) charsmap: Vec<u8>,
    /// Pieces of the file that are found in a text before it is divided; `None` if the kind of file
    /// has none.
    pub(super) special_pieces: Option<Vec<AddedToken>>,
}

/// Returns an error of a file.
pub(super) fn invalid(path: &Path, reason: impl Into<String>) -> TextError {
    TextError::Invalid { path: path.into(), reason: reason.into() }
}

/// Returns the lines of a text file, without their ends, with their numbers from 1.
pub(super) fn lines<'a>(
    path: &'a Path,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<(usize, &'a str), TextError>> + 'a {
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
    let line = |(index, line): (usize, &'a [u8])| {
        let number = index + 1;
        let text = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line));
        match text {
            Ok(text) if number <= 2 * MOST_TOKENS => Ok((number, text)),
            Ok(_) => Err(invalid(path, format!("more than {} lines; the file is of another kind", 2 * MOST_TOKENS))),
            Err(_) => Err(invalid(path, format!("line {number} is not text in UTF-8; save the file as UTF-8"))),
        }
    };
    lines.take(if bytes.is_empty() { 0 } else { usize::MAX }).enumerate().map(line)
}
