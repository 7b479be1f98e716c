//! `vocab.txt`: the tokens of WordPiece, one a line, in the order of their ids.

use super::model::{MOST_TOKENS, Model, invalid, lines};
use crate::error::TextError;
use serde_json::{Map, json};
use std::collections::HashMap;
use std::path::PathBuf;

/// Reads a vocabulary with the token `unknown` of unknown words.
pub(super) fn read(path: PathBuf, bytes: &[u8], unknown: &str) -> Result<Model, TextError> {
    let mut ids: HashMap<String, u32> = HashMap::new();
    let (mut vocabulary, mut next_id) = (Map::new(), 0);
    for line in lines(&path, bytes) {
        let (number, line) = line?;
        if number > MOST_TOKENS {
            return Err(invalid(&path, format!("more than {MOST_TOKENS} tokens; the file is of another kind")));
        }
        // Python removes white space at the end of lines. Several lines can become blank, for
        // example those of characters that are white space; no word is a blank token.
        let (token, id) = (line.trim_end(), number as u32 - 1);
        if let Some(first) = ids.insert(token.to_owned(), id).filter(|_| !token.is_empty()) {
            return Err(invalid(
                &path,
                format!(
                    "line {number} repeats the token `{token}` of line {}; change one of them, for example to \
                     `[unused-{id}]`, so that the ids of the others stay",
                    first + 1
                ),
            ));
        }
        vocabulary.insert(token.to_owned(), id.into());
        next_id = ids.len() as u32;
    }
    if !ids.keys().any(|token| !token.is_empty()) {
        return Err(invalid(&path, "the file has no tokens; fetch the model again (`maana fetch NAME --again`)"));
    }
    if !ids.contains_key(unknown) {
        return Err(invalid(
            &path,
            format!(
                "no line is `{unknown}`, the token of unknown words; name the one of this vocabulary as `unk_token` in \
                 `tokenizer_config.json`"
            ),
        ));
    }
    let json = json!({
        "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": vocabulary,
    });
    Ok(Model { path, json, ids, next_id, charsmap: Vec::new(), special_pieces: None })
}
