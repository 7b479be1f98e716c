//! Prefixes and suffixes of long texts that suffice for the tokens of an embedding. Tokenizing all
//! of a text takes memory of many times its size, most of which truncation would discard.

use serde_json::Value;

/// Bytes of the first part for each token; three quarters of the tokens in use are shorter.
const BYTES_PER_TOKEN: usize = 16;
/// Factor by which the part grows while it has too few tokens.
const GROWTH: usize = 4;

/// Boundary at which a text can be divided without a change of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Before a space that follows a word.
    Spaces,
    /// Before any white space that follows a word.
    WhiteSpace,
}

impl Boundary {
    /// Returns the boundary at which a tokenizer gives the same tokens for a part as for the whole
    /// text: where it first splits at white space, and no step looks across it. `None` if there is
    /// none.
    pub(crate) fn of(description: &Value) -> Option<Self> {
        let added = description["added_tokens"].as_array().into_iter().flatten();
        if added.into_iter().any(|token| token["content"].as_str().is_none_or(spans_words)) {
            return None;
        }
        if merges_within_words(description) {
            return Some(Self::Spaces);
        }
        if !normalizes_each_character(&description["normalizer"]) {
            return None;
        }
        let pre_tokenizer = &description["pre_tokenizer"];
        match pre_tokenizer["type"].as_str()? {
            "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" => Some(Self::WhiteSpace),
            "ByteLevel" => (pre_tokenizer["use_regex"].as_bool() != Some(false)).then_some(Self::WhiteSpace),
            // A line feed is part of a word.
            "Metaspace" => (pre_tokenizer["split"].as_bool() != Some(false)).then_some(Self::Spaces),
            // The steps after the first receive words only.
            "Sequence" => (pre_tokenizer["pretokenizers"][0]["type"] == "WhitespaceSplit").then_some(Self::WhiteSpace),
            _ => None,
        }
    }

    fn is_at(self, text: &str, index: usize) -> bool {
        let letter = text.as_bytes()[index];
        let here = letter == b' ' || (self == Self::WhiteSpace && letter.is_ascii_whitespace());
        here && text[..index].chars().next_back().is_some_and(|letter| !letter.is_whitespace())
    }

    /// Returns prefixes of a text in ascending length, the first of which probably has `tokens`
    /// tokens.
    pub(crate) fn prefixes(self, text: &str, tokens: usize) -> impl Iterator<Item = &str> {
        lengths(tokens).map_while(move |bytes| {
            let index = (bytes..text.len()).find(|index| self.is_at(text, *index))?;
            Some(&text[..index])
        })
    }

    /// As [`Boundary::prefixes`], for suffixes.
    pub(crate) fn suffixes(self, text: &str, tokens: usize) -> impl Iterator<Item = &str> {
        lengths(tokens).map_while(move |bytes| {
            let until = text.len().checked_sub(bytes)?;
            let index = (0..until).rev().find(|index| self.is_at(text, *index))?;
            Some(&text[index..])
        })
    }
}

/// Returns whether a token has white space behind a letter: where a text may be divided.
fn spans_words(content: &str) -> bool {
    content.trim_start_matches(char::is_whitespace).contains(char::is_whitespace)
}

/// Returns whether a tokenizer merges the letters of a whole text, in which spaces are `▁`, but
/// never joins a letter with a `▁` behind it: the tokenizers of Gemma.
fn merges_within_words(description: &Value) -> bool {
    const SPACE: &str = "▁";
    let (normalizer, pre_tokenizer, model) =
        (&description["normalizer"], &description["pre_tokenizer"], &description["model"]);
    let marks_spaces =
        normalizer["type"] == "Replace" && normalizer["pattern"]["String"] == " " && normalizer["content"] == SPACE;
    let splits_at_spaces_only =
        pre_tokenizer.is_null() || (pre_tokenizer["type"] == "Split" && pre_tokenizer["pattern"]["String"] == " ");
    let joins = |piece: &String| piece.trim_start_matches(SPACE).contains(SPACE);
    let vocabulary = model["vocab"].as_object().filter(|_| model["type"] == "BPE");
    marks_spaces
        && splits_at_spaces_only
        && vocabulary.is_some_and(|pieces| pieces.contains_key(SPACE) && !pieces.keys().any(joins))
}

fn normalizes_each_character(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None => normalizer.is_null(),
        Some(
            "BertNormalizer" | "Lowercase" | "NFC" | "NFD" | "NFKC" | "NFKD" | "Precompiled" | "Strip" | "StripAccents"
            | "Nmt",
        ) => true,
        // Replaces runs of spaces, and boundaries are before the first space of a run.
        Some("Replace") => normalizer["pattern"]["Regex"] == " {2,}",
        Some("Sequence") => {
            normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().all(normalizes_each_character))
        }
        Some(_) => false,
    }
}

fn lengths(tokens: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(probable_length(tokens)), |bytes| bytes.checked_mul(GROWTH))
}

/// Number of bytes that probably have more than `tokens` tokens.
pub(crate) fn probable_length(tokens: usize) -> usize {
    tokens.saturating_add(1).saturating_mul(BYTES_PER_TOKEN).max(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_grow_and_are_divided_after_words() {
        let text = "abc  ".repeat(2000);
        let parts: Vec<&str> = Boundary::Spaces.prefixes(&text, 9).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [1028, 4098]);
        assert!(parts.iter().all(|part| part.ends_with("abc")));
        assert!(Boundary::Spaces.suffixes(&text, 9).all(|part| part.starts_with("  abc") && text.ends_with(part)));
        assert_eq!(Boundary::Spaces.prefixes("abc", 9).count() + Boundary::Spaces.suffixes("abc", 9).count(), 0);
        let lines = "abc\n".repeat(2000);
        assert_eq!(
            (Boundary::Spaces.prefixes(&lines, 9).count(), Boundary::WhiteSpace.prefixes(&lines, 9).count()),
            (0, 2)
        );
    }

    #[test]
    fn merges_are_bounded_if_no_piece_joins_words() {
        let gemma = |pieces: &[&str]| {
            let vocabulary: serde_json::Map<String, Value> =
                pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), id.into())).collect();
            json!({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                "added_tokens": [{"content": "\n\n"}, {"content": "▁▁"}, {"content": "<bos>"}],
                "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
                "model": {"type": "BPE", "vocab": vocabulary}})
        };
        assert_eq!(Boundary::of(&gemma(&["▁", "▁▁", "a", "▁a"])), Some(Boundary::Spaces));
        assert_eq!(Boundary::of(&gemma(&["▁", "a", "a▁"])), None);
        assert_eq!(Boundary::of(&gemma(&["a"])), None);
    }

    #[test]
    fn tokenizers_that_look_across_spaces_are_not_bounded() {
        let plain = json!({"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}});
        assert_eq!(Boundary::of(&plain), Some(Boundary::WhiteSpace));
        for (field, value) in [
            ("added_tokens", json!([{"content": "two words"}])),
            ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "a b"}, "content": "c"})),
            ("pre_tokenizer", json!({"type": "Metaspace", "split": false})),
            ("pre_tokenizer", Value::Null),
        ] {
            let mut other = plain.clone();
            other[field] = value;
            assert_eq!(Boundary::of(&other), None, "{other}");
        }
    }
}
