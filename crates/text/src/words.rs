//! Token ids of words that came before. A tokenizer that splits texts at spaces gives a word the
//! same tokens in any text, and most words of a text are frequent ones: to look them up is many
//! times as fast as to tokenise them.

use crate::boundary::Boundary;
use crate::error::TextError;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

/// Words that are kept; then all are forgotten, so that the words of other texts find room.
const MOST_WORDS: usize = 1 << 17;
/// Bytes of the longest word that is kept.
const LONGEST_KEPT: usize = 48;
/// Bytes of the longest word; texts with longer ones are tokenised as a whole.
const LONGEST: usize = 1 << 12;

/// The words of a tokenizer with their token ids.
#[derive(Default)]
pub(crate) struct Words {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Words and the ranges of their ids.
    words: HashMap<Box<str>, Range<u32>>,
    ids: Vec<u32>,
}

impl Words {
    /// Returns the words of a tokenizer, if it gives the words of a text the tokens that they have
    /// in it. In addition to what [`Boundary::of`] requires, no step may remove spaces before a
    /// word, and no special token may extend over the spaces behind it.
    pub(crate) fn of(description: &Value) -> Option<Self> {
        Boundary::of(description)?;
        let mut added = description["added_tokens"].as_array().into_iter().flatten();
        let extends = added.any(|token| token["rstrip"] == true);
        (!extends && !strips(&description["normalizer"])).then(Self::default)
    }

    /// Appends the token ids of a text to `ids`, word by word, until `enough` returns true for the
    /// numbers of bytes and of ids. `encode` appends those of words that did not come before.
    /// Returns the number of bytes of the text that were tokenised, or nothing if the text has a
    /// word that is too long.
    pub(crate) fn append(
        &self,
        text: &str,
        ids: &mut Vec<u32>,
        enough: impl Fn(usize, usize) -> bool,
        encode: impl Fn(&str, &mut Vec<u32>) -> Result<(), TextError>,
    ) -> Result<Option<usize>, TextError> {
        let (first, mut bytes, mut missed) = (ids.len(), 0, Vec::new());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        while bytes < text.len() && !enough(bytes, ids.len() - first) {
            let word = first_word(&text[bytes..]);
            if word.len() > LONGEST {
                return Ok(None);
            }
            match known.words.get(word) {
                Some(range) => ids.extend_from_slice(&known.ids[range.start as usize..range.end as usize]),
                None => {
                    let start = ids.len();
                    encode(word, ids)?;
                    missed.push((word, start..ids.len()));
                }
            }
            bytes += word.len();
        }
        drop(known);
        if !missed.is_empty() {
            self.keep(&missed, ids);
        }
        Ok(Some(bytes))
    }

    /// Forgets all words.
    pub(crate) fn forget(&self) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::default();
    }

    fn keep(&self, missed: &[(&str, Range<usize>)], ids: &[u32]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (word, range) in missed.iter().filter(|(word, _)| word.len() <= LONGEST_KEPT) {
            if known.words.len() >= MOST_WORDS {
                *known = Known::default();
            }
            if !known.words.contains_key(*word) {
                let start = known.ids.len() as u32;
                known.ids.extend_from_slice(&ids[range.clone()]);
                let end = known.ids.len() as u32;
                known.words.insert((*word).into(), start..end);
            }
        }
    }
}

/// Returns the first word of a text, with the spaces before it: the part up to the first space
/// behind a letter.
fn first_word(text: &str) -> &str {
    let bytes = text.as_bytes();
    let ends = |index: &usize| bytes[*index] == b' ' && is_letter_before(text, *index);
    (1..bytes.len()).find(ends).map_or(text, |end| &text[..end])
}

/// Returns whether the character before a byte is one that no normalizer turns into white space
/// or removes.
fn is_letter_before(text: &str, index: usize) -> bool {
    let last = text.as_bytes()[index - 1];
    if last.is_ascii() {
        return last.is_ascii_graphic();
    }
    let letter = text[..index].chars().next_back().unwrap_or(' ');
    matches!(letter,
        'À'..='ɏ' | 'Ά'..='ҁ' | 'Ҋ'..='ԯ' | 'ա'..='ֆ' | 'א'..='ת' | 'ء'..='ي' | 'अ'..='ह' | 'ก'..='ะ' | 'ሀ'..='ፚ'
        | 'Ḁ'..='ỹ' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='鿿' | '가'..='힣')
}

/// Returns whether a normalizer removes white space at the ends of a text.
fn strips(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        Some("Strip") => true,
        Some("Sequence") => normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().any(strips)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_begin_with_the_spaces_before_them() {
        let mut rest = "  habari  ya\nleo, 日本 \u{301} x ";
        let mut words = Vec::new();
        while !rest.is_empty() {
            words.push(first_word(rest));
            rest = &rest[words[words.len() - 1].len()..];
        }
        assert_eq!(words, ["  habari", "  ya\nleo,", " 日本", " \u{301} x", " "]);
    }

    #[test]
    fn tokenizers_that_look_at_the_neighbours_of_words_have_none() {
        let plain = json!({"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}});
        assert!(Words::of(&plain).is_some());
        for (field, value) in [
            ("added_tokens", json!([{"content": "<mask>", "rstrip": true}])),
            ("normalizer", json!({"type": "Sequence", "normalizers": [{"type": "Strip"}]})),
            ("pre_tokenizer", json!({"type": "Metaspace", "split": false})),
        ] {
            let mut other = plain.clone();
            other[field] = value;
            assert!(Words::of(&other).is_none(), "{other}");
        }
    }
}
