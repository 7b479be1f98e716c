//! How much of a long text is tokenised: no more than can matter for the tokens that are read. A text of megabytes would otherwise
//! take thousands of times its size in memory, and be thrown away.

use serde_json::Value;

/// Bytes that are tokenised at first for each token that is read; three quarters of all tokens in use are shorter.
const BYTES_PER_TOKEN: usize = 16;
/// By how much the part grows while it has too few tokens.
const GROWTH: usize = 4;

/// Where a long text may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before a space behind a word.
    Spaces,
    /// Before any white space behind a word.
    WhiteSpace,
}

impl Cut {
    /// Where a tokenizer gives the same tokens of a part as in the whole text: where it parts a text at white space before
    /// anything else, and no step looks across it. Nothing, if there is no such place.
    pub(crate) fn of(description: &Value) -> Option<Self> {
        let spaced =
            |token: &Value| token["content"].as_str().is_none_or(|content| content.contains(char::is_whitespace));
        let added = description["added_tokens"].as_array().into_iter().flatten();
        if added.into_iter().any(spaced) || !normalizes_by_letter(&description["normalizer"]) {
            return None;
        }
        let pre_tokenizer = &description["pre_tokenizer"];
        match pre_tokenizer["type"].as_str()? {
            "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" => Some(Self::WhiteSpace),
            "ByteLevel" => (pre_tokenizer["use_regex"].as_bool() != Some(false)).then_some(Self::WhiteSpace),
            // A line's end is part of a word.
            "Metaspace" => (pre_tokenizer["split"].as_bool() != Some(false)).then_some(Self::Spaces),
            // What comes behind the first step sees words only.
            "Sequence" => (pre_tokenizer["pretokenizers"][0]["type"] == "WhitespaceSplit").then_some(Self::WhiteSpace),
            _ => None,
        }
    }

    fn is_at(self, text: &str, place: usize) -> bool {
        let letter = text.as_bytes()[place];
        let here = letter == b' ' || (self == Self::WhiteSpace && letter.is_ascii_whitespace());
        here && text[..place].chars().next_back().is_some_and(|letter| !letter.is_whitespace())
    }

    /// Parts of a text from its start, each longer than the one before, for `tokens` that are read.
    pub(crate) fn beginnings(self, text: &str, tokens: usize) -> impl Iterator<Item = &str> {
        lengths(tokens).map_while(move |bytes| {
            let place = (bytes..text.len()).find(|place| self.is_at(text, *place))?;
            Some(&text[..place])
        })
    }

    /// As [`Cut::beginnings`], parts up to the end of the text.
    pub(crate) fn ends(self, text: &str, tokens: usize) -> impl Iterator<Item = &str> {
        lengths(tokens).map_while(move |bytes| {
            let until = text.len().checked_sub(bytes)?;
            let place = (0..until).rev().find(|place| self.is_at(text, *place))?;
            Some(&text[place..])
        })
    }
}

fn normalizes_by_letter(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None => normalizer.is_null(),
        Some(
            "BertNormalizer" | "Lowercase" | "NFC" | "NFD" | "NFKC" | "NFKD" | "Precompiled" | "Strip" | "StripAccents"
            | "Nmt",
        ) => true,
        // Runs of spaces, behind a place where the text is cut before a space.
        Some("Replace") => normalizer["pattern"]["Regex"] == " {2,}",
        Some("Sequence") => {
            normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().all(normalizes_by_letter))
        }
        Some(_) => false,
    }
}

fn lengths(tokens: usize) -> impl Iterator<Item = usize> {
    let first = tokens.saturating_add(1).saturating_mul(BYTES_PER_TOKEN).max(1 << 10);
    std::iter::successors(Some(first), |bytes| bytes.checked_mul(GROWTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_grow_and_are_cut_behind_words() {
        let text = "abc  ".repeat(2000);
        let parts: Vec<&str> = Cut::Spaces.beginnings(&text, 9).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [1028, 4098]);
        assert!(parts.iter().all(|part| part.ends_with("abc")));
        assert!(Cut::Spaces.ends(&text, 9).all(|part| part.starts_with("  abc") && text.ends_with(part)));
        assert_eq!(Cut::Spaces.beginnings("abc", 9).count() + Cut::Spaces.ends("abc", 9).count(), 0);
        let lines = "abc\n".repeat(2000);
        assert_eq!((Cut::Spaces.beginnings(&lines, 9).count(), Cut::WhiteSpace.beginnings(&lines, 9).count()), (0, 2));
    }

    #[test]
    fn tokenizers_that_look_across_spaces_are_not_bounded() {
        let plain = json!({"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}});
        assert_eq!(Cut::of(&plain), Some(Cut::WhiteSpace));
        for (field, value) in [
            ("added_tokens", json!([{"content": "two words"}])),
            ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "a b"}, "content": "c"})),
            ("pre_tokenizer", json!({"type": "Metaspace", "split": false})),
            ("pre_tokenizer", Value::Null),
        ] {
            let mut other = plain.clone();
            other[field] = value;
            assert_eq!(Cut::of(&other), None, "{other}");
        }
    }
}
