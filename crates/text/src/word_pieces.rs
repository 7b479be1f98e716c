//! Tokens of ASCII words by WordPiece. The tokenizers crate normalizes, splits and tokenizes words
//! of any script with the position of every character, which takes most of its time; words of plain
//! letters need none of it.

use serde_json::Value;
use std::collections::HashMap;

/// Vocabulary and rules of a WordPiece tokenizer with BERT's normalizer and BERT's division into
/// words, for words of ASCII.
pub(crate) struct WordPieces {
    /// Pieces at the start of a word.
    first: HashMap<Box<str>, u32>,
    /// Pieces that continue a word, without their prefix.
    rest: HashMap<Box<str>, u32>,
    /// Bytes of the longest piece.
    longest: usize,
    /// Token of a word that has no pieces.
    unknown: u32,
    /// Most characters of a word; longer ones are unknown.
    most_characters: usize,
    lowercase: bool,
    /// True for bytes that words may contain: those of text with which no added token begins.
    allowed: [bool; 128],
}

impl WordPieces {
    /// Returns the vocabulary of a tokenizer, if it is of this kind.
    pub(crate) fn of(description: &Value) -> Option<Self> {
        let (normalizer, model) = (&description["normalizer"], &description["model"]);
        let is_bert =
            normalizer["type"] == "BertNormalizer" && description["pre_tokenizer"]["type"] == "BertPreTokenizer";
        if !is_bert || model["type"] != "WordPiece" {
            return None;
        }
        let mut allowed = [false; 128];
        for byte in (b' '..=b'~').chain(*b"\t\n\r") {
            allowed[usize::from(byte)] = true;
        }
        for token in description["added_tokens"].as_array().into_iter().flatten() {
            // Another first character might be normalized to any letter, or to none.
            let first = *token["content"].as_str()?.as_bytes().first().filter(|byte| byte.is_ascii_graphic())?;
            for byte in [first, first.to_ascii_lowercase(), first.to_ascii_uppercase()] {
                allowed[usize::from(byte)] = false;
            }
        }
        let prefix = model["continuing_subword_prefix"].as_str()?;
        let (mut first, mut rest, mut longest) = (HashMap::new(), HashMap::new(), 0);
        let vocabulary = model["vocab"].as_object()?;
        for (token, id) in vocabulary.iter().filter(|(token, _)| token.is_ascii()) {
            let id = u32::try_from(id.as_u64()?).ok()?;
            longest = longest.max(token.len());
            first.insert(token.as_str().into(), id);
            if let Some(piece) = token.strip_prefix(prefix).filter(|piece| !piece.is_empty()) {
                rest.insert(piece.into(), id);
            }
        }
        let unknown = *first.get(model["unk_token"].as_str()?)?;
        let most_characters = model["max_input_chars_per_word"].as_u64().unwrap_or(100) as usize;
        let lowercase = normalizer["lowercase"].as_bool().unwrap_or(true);
        Some(Self { first, rest, longest, unknown, most_characters, lowercase, allowed })
    }

    /// Appends the token ids of a word with its punctuation and the spaces before it. Returns
    /// false, and appends nothing, if it has other characters than the ASCII of a text, or one with
    /// which an added token begins.
    pub(crate) fn append(&self, text: &str, ids: &mut Vec<u32>) -> bool {
        if !text.bytes().all(|byte| self.allowed.get(usize::from(byte)) == Some(&true)) {
            return false;
        }
        let lowered;
        let mut rest = text;
        if self.lowercase && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lowered = text.to_ascii_lowercase();
            rest = &lowered;
        }
        while let Some(letter) = rest.bytes().next() {
            let length = match letter {
                letter if letter.is_ascii_whitespace() || letter.is_ascii_punctuation() => 1,
                _ => rest.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len()),
            };
            let (word, others) = rest.split_at(length);
            if !letter.is_ascii_whitespace() {
                self.append_pieces(word, ids);
            }
            rest = others;
        }
        true
    }

    /// Appends the pieces of a word without spaces and punctuation: the longest first piece, then
    /// the longest that continues it, and so on.
    fn append_pieces(&self, word: &str, ids: &mut Vec<u32>) {
        let start = ids.len();
        if word.len() > self.most_characters {
            return ids.push(self.unknown);
        }
        let (mut rest, mut pieces) = (word, &self.first);
        while !rest.is_empty() {
            let lengths = (1..=rest.len().min(self.longest)).rev();
            let Some((length, id)) = lengths.into_iter().find_map(|end| Some((end, *pieces.get(&rest[..end])?))) else {
                ids.truncate(start);
                return ids.push(self.unknown);
            };
            ids.push(id);
            (rest, pieces) = (&rest[length..], &self.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Value {
        let vocabulary = json!({"[UNK]": 0, "un": 1, "##hap": 2, "##py": 3, ",": 4, "happy": 5, "##ha": 6, "é": 7});
        json!({
            "normalizer": {"type": "BertNormalizer", "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "added_tokens": [{"content": "[UNK]"}],
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 8, "vocab": vocabulary},
        })
    }

    #[test]
    fn words_have_the_longest_pieces() {
        let pieces = WordPieces::of(&description()).unwrap();
        let ids = |text: &str| {
            let mut ids = vec![9];
            let known = pieces.append(text, &mut ids);
            known.then(|| ids.split_off(1))
        };
        assert_eq!(ids(" Unhappy,happy\n"), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(ids("unx happyhappy!"), Some(vec![0, 0, 0]), "no pieces, too long, unknown punctuation");
        assert_eq!(ids("  \t"), Some(vec![]));
        assert_eq!((ids("[un"), ids("é"), ids("a\u{0}"), ids("a\u{7f}")), (None, None, None, None));
    }

    #[test]
    fn other_tokenizers_have_none() {
        for (pointer, value) in [
            ("/normalizer/type", json!("Lowercase")),
            ("/pre_tokenizer/type", json!("Whitespace")),
            ("/model/type", json!("BPE")),
            ("/model/unk_token", json!("<unk>")),
            ("/added_tokens/0/content", json!("\u{c9}t")),
            ("/added_tokens/0/content", json!(" x")),
        ] {
            let mut other = description();
            *other.pointer_mut(pointer).unwrap() = value;
            assert!(WordPieces::of(&other).is_none(), "{other}");
        }
    }
}
