//! `vocab.json` and `merges.txt`: the tokens of byte-level BPE with their ids, and the pairs of
//! tokens that become one, in the order in which they do.

use super::model::{MOST_TOKENS, Model, invalid, lines};
use crate::error::TextError;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Reads a vocabulary and its merges.
pub(super) fn read(
    (path, vocabulary): (PathBuf, &[u8]),
    (merges_path, merges): (&Path, &[u8]),
) -> Result<Model, TextError> {
    let tokens = read_vocabulary(&path, vocabulary)?;
    let ids: HashMap<String, u32> = tokens.iter().cloned().collect();
    let mut pairs: Vec<Value> = Vec::new();
    for line in lines(merges_path, merges) {
        let (number, line) = line?;
        if line.starts_with("#version") {
            continue;
        }
        let Some((first, second)) = line.split_once(' ').filter(|(_, second)| !second.contains(' ')) else {
            let reason = format!("line {number} is `{line}`; expected two tokens with a space between them");
            return Err(invalid(merges_path, reason));
        };
        for token in [first, second, &format!("{first}{second}")] {
            if !ids.contains_key(token) {
                let reason = format!(
                    "line {number} is `{line}`, but `vocab.json` has no token `{token}`; the files do not belong \
                     together, fetch the model again (`maana fetch NAME --again`)"
                );
                return Err(invalid(merges_path, reason));
            }
        }
        pairs.push(json!([first, second]));
    }
    let vocabulary: Map<String, Value> = tokens.into_iter().map(|(token, id)| (token, id.into())).collect();
    let json = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
        "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": vocabulary, "merges": pairs,
    });
    let next_id = ids.len() as u32;
    Ok(Model { path, json, ids, next_id, charsmap: Vec::new(), special_pieces: None })
}

/// Returns the tokens in the order of their ids.
fn read_vocabulary(path: &Path, bytes: &[u8]) -> Result<Vec<(String, u32)>, TextError> {
    let json: Value = serde_json::from_slice(bytes).map_err(|error| {
        invalid(path, format!("not valid JSON: {error}; fetch the model again (`maana fetch NAME --again`)"))
    })?;
    let Value::Object(fields) = json else { return Err(invalid(path, "not a JSON object of tokens with their ids")) };
    if fields.is_empty() {
        return Err(invalid(path, "the file has no tokens; fetch the model again (`maana fetch NAME --again`)"));
    }
    let mut tokens = Vec::with_capacity(fields.len());
    for (token, id) in fields {
        match id.as_u64().filter(|id| *id < MOST_TOKENS as u64) {
            Some(number) => tokens.push((token, number as u32)),
            None => {
                let reason = format!("token `{token}` has the id {id}; expected a number less than {MOST_TOKENS}");
                return Err(invalid(path, reason));
            }
        }
    }
    tokens.sort_by_key(|(_, id)| *id);
    match tokens.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        Some([first, second]) => {
            let reason = format!("tokens `{}` and `{}` have the same id, {}", first.0, second.0, first.1);
            Err(invalid(path, format!("{reason}; give one of them another")))
        }
        _ => Ok(tokens),
    }
}
