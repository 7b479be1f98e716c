//! The tokenizer of a model folder: strings to ragged token ids, the same ids as the reference's.
//! Owns the reading of `tokenizer.json`. Does not know which model the ids are for.

use crate::TokenBatch;
use std::path::{Path, PathBuf};
use tokenizers::{Encoding, TruncationDirection};

/// What can be wrong with a tokenizer or with the texts given to it.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// There is no `tokenizer.json`.
    #[error(
        "{path}: no such file. The folder needs the fast tokenizer; write one with \
         `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` in Python"
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// `tokenizer.json` cannot be read.
    #[error("{path}: {reason}. The file is damaged or of another kind; fetch the model again")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that could not be tokenised.
    #[error("text {index}: {reason}")]
    Encode {
        /// Which of the texts given, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// So few tokens are allowed that the special tokens leave no room.
    #[error("max_seq_length {max_length} leaves no room for a text: {special} special tokens are added; use {} or more", special + 1)]
    TooShort {
        /// Tokens allowed.
        max_length: usize,
        /// Special tokens that are added to every text.
        special: usize,
    },
}

/// Strings to token ids.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: usize,
    bytes: Vec<u8>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a model folder. With `lower_case`, texts are lower-cased even where the file itself does
    /// not say so (`do_lower_case` of `sentence_bert_config.json`).
    ///
    /// # Errors
    /// If the file is missing, damaged, or describes something that is not a tokenizer.
    pub fn open(folder: &Path, lower_case: bool) -> Result<Self, TextError> {
        let path = folder.join("tokenizer.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(TextError::Missing { path }),
            Err(error) => return Err(TextError::Unreadable { path, reason: error.to_string() }),
        };
        Self::from_bytes(bytes, lower_case).map_err(|reason| TextError::Unreadable { path, reason })
    }

    fn from_bytes(bytes: Vec<u8>, lower_case: bool) -> Result<Self, String> {
        let mut description: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let fields = description.as_object_mut().ok_or("not a JSON object")?;
        // Truncation and padding of the file are somebody's last use of it; ours are given with every call.
        fields.insert("truncation".into(), serde_json::Value::Null);
        fields.insert("padding".into(), serde_json::Value::Null);
        if lower_case && !fields.get("normalizer").is_some_and(lowers_case) {
            let lower = serde_json::json!({"type": "Lowercase"});
            let steps = match fields.remove("normalizer") {
                None | Some(serde_json::Value::Null) => vec![lower],
                Some(other) => vec![lower, other],
            };
            fields.insert("normalizer".into(), serde_json::json!({"type": "Sequence", "normalizers": steps}));
        }
        let rewritten = serde_json::to_vec(&description).map_err(|error| error.to_string())?;
        let inner = tokenizers::Tokenizer::from_bytes(&rewritten).map_err(|error| error.to_string())?;
        let special = inner.encode_fast("", true).map_err(|error| error.to_string())?.len();
        Ok(Self { inner, special, bytes })
    }

    /// Token ids of the texts, special tokens included, each cut to `max_length` tokens.
    ///
    /// # Errors
    /// If a text cannot be tokenised, or `max_length` leaves no room beside the special tokens.
    pub fn encode(&self, texts: &[&str], max_length: usize) -> Result<TokenBatch, TextError> {
        if max_length <= self.special {
            return Err(TextError::TooShort { max_length, special: self.special });
        }
        let mut batch = TokenBatch::new();
        for (index, text) in texts.iter().enumerate() {
            let encoding = self
                .encode_one(text, max_length)
                .map_err(|error| TextError::Encode { index, reason: error.to_string() })?;
            batch.push(encoding.get_ids(), encoding.get_type_ids());
        }
        Ok(batch)
    }

    fn encode_one(&self, text: &str, max_length: usize) -> tokenizers::Result<Encoding> {
        let mut encoding = self.inner.encode_fast(text, false)?;
        encoding.truncate(max_length - self.special, 0, TruncationDirection::Right);
        self.inner.post_process(encoding, None, true)
    }

    /// How many tokens a prompt puts before the text's own: what pooling leaves out where `include_prompt` is false.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn prompt_length(&self, prompt: &str) -> Result<usize, TextError> {
        let fail = |error: tokenizers::Error| TextError::Encode { index: 0, reason: error.to_string() };
        let encoding = self.inner.encode_fast(prompt, true).map_err(fail)?;
        let ends_special = encoding.get_special_tokens_mask().last() == Some(&1);
        Ok(encoding.len() - usize::from(ends_special))
    }

    /// One more than the greatest token id.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab(true).values().map(|&id| id as usize + 1).max().unwrap_or(0)
    }

    /// The bytes of `tokenizer.json` as they were read.
    pub fn file_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn lowers_case(normalizer: &serde_json::Value) -> bool {
    match normalizer["type"].as_str() {
        Some("Lowercase") => true,
        Some("BertNormalizer") => normalizer["lowercase"].as_bool().unwrap_or(true),
        Some("Sequence") => normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().any(lowers_case)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
    }

    fn tiny() -> Tokenizer {
        Tokenizer::open(&golden("tiny-bert"), false).unwrap()
    }

    #[test]
    fn ids_of_training_texts_equal_the_reference() {
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(golden("train_tiny.json")).unwrap()).unwrap();
        let tokenizer = tiny();
        let mut compared = 0;
        for step in golden["steps"].as_array().unwrap() {
            for (texts, ids) in step["columns"].as_array().unwrap().iter().zip(step["ids"].as_array().unwrap()) {
                for (text, ids) in texts.as_array().unwrap().iter().zip(ids.as_array().unwrap()) {
                    let ours = tokenizer.encode(&[text.as_str().unwrap()], 128).unwrap();
                    let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
                    assert_eq!(ours.ids, expected, "{text}");
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 320);
    }

    #[test]
    fn long_texts_are_cut_and_keep_their_special_tokens() {
        let tokenizer = tiny();
        let batch = tokenizer.encode(&["the house ".repeat(300).as_str(), "", "the"], 16).unwrap();
        assert_eq!((batch.length(0), batch.length(1), batch.length(2)), (16, 2, 3));
        assert_eq!((batch.sequence(0)[0], batch.sequence(0)[15]), (2, 3), "[CLS] and [SEP] of the tiny vocabulary");
    }

    #[test]
    fn a_limit_without_room_is_refused() {
        let error = tiny().encode(&["the"], 2).unwrap_err();
        assert!(error.to_string().contains("use 3 or more"), "{error}");
    }

    #[test]
    fn a_missing_or_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Tokenizer::open(folder.path(), false).err().unwrap().to_string();
        assert!(missing.contains("tokenizer.json") && missing.contains("save_pretrained"), "{missing}");
        for damaged in ["", "{", "[]", "{\"model\": {\"type\": \"Strange\"}}", "{\"version\": \"1.0\"}"] {
            std::fs::write(folder.path().join("tokenizer.json"), damaged).unwrap();
            let error = Tokenizer::open(folder.path(), false).err().unwrap().to_string();
            assert!(error.contains("tokenizer.json") && error.contains("damaged"), "{error}");
        }
    }

    #[test]
    fn lower_case_is_added_only_where_the_file_has_none() {
        let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
        description["normalizer"]["lowercase"] = false.into();
        let cased = serde_json::to_vec(&description).unwrap();
        let ids = |bytes: &[u8], lower| {
            Tokenizer::from_bytes(bytes.to_vec(), lower).unwrap().encode(&["The HOUSE"], 16).unwrap().ids
        };
        let expected = tiny().encode(&["the house"], 16).unwrap().ids;
        assert_ne!(ids(&cased, false), expected);
        assert_eq!(ids(&cased, true), expected);
        assert_eq!(ids(tiny().file_bytes(), true), expected);
    }

    #[test]
    fn a_prompt_counts_without_the_closing_token() {
        assert_eq!(tiny().prompt_length("the house").unwrap(), 3);
    }

    #[test]
    fn a_megabyte_of_text_is_cut_like_any_other() {
        let tokenizer = tiny();
        for text in ["a".repeat(1 << 20), "the ".repeat(1 << 18)] {
            assert!(tokenizer.encode(&[text.as_str()], 128).unwrap().tokens() <= 128);
        }
    }
}
