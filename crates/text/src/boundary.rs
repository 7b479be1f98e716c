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
        let spaced =
            |token: &Value| token["content"].as_str().is_none_or(|content| content.contains(char::is_whitespace));
        let added = description["added_tokens"].as_array().into_iter().flatten();
        if added.into_iter().any(spaced) || !normalizes_each_character(&description["normalizer"]) {
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
