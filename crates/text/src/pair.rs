//! Pairs of texts, each tokenized once: both texts in one sequence, with the special tokens and the
//! segments of the tokenizer's template for pairs.

use crate::batch::TokenBatch;
use crate::error::TextError;
use crate::overlong::Overlong;
use crate::pair_template::{Framed, PairTemplate};
use crate::tokenizer::{Tokenizer, for_text};
use std::sync::OnceLock;

/// The tokens of a text that is one of a pair, without special tokens. A text that occurs in many
/// pairs is tokenized once.
#[derive(Debug)]
pub struct PairText<'t> {
    text: &'t str,
    /// Tokens of the text, or of the part that suffices.
    ids: Vec<u32>,
    /// Bytes that were not tokenized.
    skipped: usize,
    /// Number of tokens of the whole text, once it is known.
    tokens: OnceLock<usize>,
}

impl PairText<'_> {
    /// Keeps at most `tokens` tokens: the last ones if `overlong` cuts the beginning, else the
    /// first ones.
    pub fn truncate(&mut self, tokens: usize, overlong: Overlong) {
        let excess = self.ids.len().saturating_sub(tokens);
        if excess == 0 {
            return;
        }
        match overlong {
            Overlong::CutBeginning => drop(self.ids.drain(..excess)),
            Overlong::CutEnd | Overlong::Refuse => self.ids.truncate(tokens),
        }
        self.skipped = 0;
        self.tokens = OnceLock::from(tokens);
    }
}

impl Tokenizer {
    /// Tokenizes a text for pairs of at most `max_length` tokens. Only as much of a long text is
    /// tokenized as a pair needs. Errors give `index` as that of the text.
    ///
    /// # Errors
    /// If the text cannot be tokenized, or the special tokens leave no room for it.
    pub fn pair_text<'t>(
        &self,
        index: usize,
        text: &'t str,
        max_length: usize,
        overlong: Overlong,
    ) -> Result<PairText<'t>, TextError> {
        let limit = max_length - self.check_pair_length(max_length)?;
        let mut ids = Vec::new();
        let skipped = match self.append_word_ids(&mut ids, index, text, limit, overlong)? {
            Some(skipped) => skipped,
            None => {
                let (encoding, skipped) = self.encode_part(index, text, limit, overlong)?;
                ids = encoding.get_ids().to_vec();
                skipped
            }
        };
        let tokens = if skipped == 0 { OnceLock::from(ids.len()) } else { OnceLock::new() };
        Ok(PairText { text, ids, skipped, tokens })
    }

    /// Returns the token ids of pairs of texts, including special tokens, each pair truncated to
    /// `max_length` tokens as [`Tokenizer::overlong`] says: of the longer text first.
    ///
    /// # Errors
    /// As [`Tokenizer::append_pair`].
    pub fn encode_pairs(&self, pairs: &[(&str, &str)], max_length: usize) -> Result<TokenBatch, TextError> {
        let mut batch = TokenBatch::new();
        for (index, (first, second)) in pairs.iter().enumerate() {
            let first = self.pair_text(index, first, max_length, self.overlong())?;
            let second = self.pair_text(index, second, max_length, self.overlong())?;
            self.append_pair(&mut batch, &first, &second, max_length, self.overlong())?;
        }
        Ok(batch)
    }

    /// As [`Tokenizer::encode_pairs`], of pairs that are numbers of distinct first and distinct
    /// second texts, each of which is tokenised once.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_pairs`].
    pub fn encode_numbered_pairs(
        &self,
        texts: [&[&str]; 2],
        pairs: &[[usize; 2]],
        max_length: usize,
    ) -> Result<TokenBatch, TextError> {
        let parts = |place: usize| -> Result<Vec<PairText<'_>>, TextError> {
            let part = |(text, words)| {
                self.pair_text(0, words, max_length, self.overlong()).map_err(|error| {
                    // Errors name the first pair with the text.
                    error.after_texts(pairs.iter().position(|pair| pair[place] == text).unwrap_or_default())
                })
            };
            texts[place].iter().copied().enumerate().map(part).collect()
        };
        let [first, second] = [parts(0)?, parts(1)?];
        let mut batch = TokenBatch::new();
        for [a, b] in pairs {
            self.append_pair(&mut batch, &first[*a], &second[*b], max_length, self.overlong())?;
        }
        Ok(batch)
    }

    /// Appends a pair of texts to the batch, and returns the number of truncated tokens; bytes that
    /// were not tokenized count as tokens. The texts were tokenized with the same `max_length` and
    /// `overlong`. Errors give the number of sequences in the batch as the index of the pair.
    ///
    /// # Errors
    /// If the tokenizer has no template for pairs, if the special tokens leave no room, or if the
    /// texts have too many tokens and must not be truncated.
    pub fn append_pair(
        &self,
        batch: &mut TokenBatch,
        first: &PairText<'_>,
        second: &PairText<'_>,
        max_length: usize,
        overlong: Overlong,
    ) -> Result<usize, TextError> {
        let index = batch.sequences();
        let limit = max_length - self.check_pair_length(max_length)?;
        let template = self.pair_template()?;
        let lengths = [first.ids.len(), second.ids.len()];
        let kept = match lengths[0] + lengths[1] > limit {
            false => lengths,
            true if overlong == Overlong::Refuse => {
                let (tokens, or_more) =
                    (lengths[0] + lengths[1] + template.special_count(), first.skipped + second.skipped > 0);
                return Err(TextError::PairTooLong { index, tokens, or_more, max_length });
            }
            true => self.longest_first(index, first, second, limit)?,
        };
        let PairTemplate { before, between, after, segments } = template;
        let part = |text: &PairText<'_>, kept: usize, segment: u32| {
            let start = if overlong == Overlong::CutBeginning { text.ids.len() - kept } else { 0 };
            let ids = &text.ids[start..start + kept];
            ids.iter().map(move |id| (*id, segment)).collect::<Vec<Framed>>()
        };
        let texts = [part(first, kept[0], segments[0]), part(second, kept[1], segments[1])];
        let [first_part, second_part] = &texts;
        let (ids, types): (Vec<u32>, Vec<u32>) =
            [before, first_part, between, second_part, after].into_iter().flatten().copied().unzip();
        if ids.is_empty() {
            return Err(TextError::NoTokens { index });
        }
        batch.push(&ids, &types);
        Ok(lengths[0] + lengths[1] - kept[0] - kept[1] + first.skipped + second.skipped)
    }

    /// Returns how many tokens of each text are kept where both together have more than `limit`.
    /// The longer one is cut to what the shorter one leaves, but not below the length of the
    /// shorter one; if that does not suffice, both are cut to half. Of an odd limit, the longer one
    /// has the greater half.
    fn longest_first(
        &self,
        index: usize,
        first: &PairText<'_>,
        second: &PairText<'_>,
        limit: usize,
    ) -> Result<[usize; 2], TextError> {
        let mut lengths = [first.ids.len(), second.ids.len()];
        // Parts of two long texts do not show which is the longer one.
        if lengths.iter().all(|length| *length > limit) && !limit.is_multiple_of(2) {
            lengths = [self.whole_length(index, first)?, self.whole_length(index, second)?];
        }
        let [shorter, longer] = if lengths[0] > lengths[1] { [1, 0] } else { [0, 1] };
        let mut kept = lengths;
        if kept[shorter] <= limit {
            kept[longer] = kept[shorter].max(limit - kept[shorter]);
        }
        if kept[0] + kept[1] > limit {
            kept[shorter] = limit / 2;
            kept[longer] = limit / 2 + limit % 2;
        }
        Ok(kept)
    }

    fn whole_length(&self, index: usize, text: &PairText<'_>) -> Result<usize, TextError> {
        if let Some(tokens) = text.tokens.get() {
            return Ok(*tokens);
        }
        let encoding = for_text(index, || self.inner.encode_fast(text.text, false))?;
        Ok(*text.tokens.get_or_init(|| encoding.len()))
    }

    /// Checks that `max_length` tokens leave room for a pair of texts, and returns the number of
    /// special tokens that are added to it.
    ///
    /// # Errors
    /// If there are as many special tokens, or no template for pairs.
    pub fn check_pair_length(&self, max_length: usize) -> Result<usize, TextError> {
        let special = self.pair_template()?.special_count();
        if max_length <= special { Err(TextError::TooShort { max_length, special }) } else { Ok(special) }
    }

    /// Number of segments that tokens of pairs can have.
    pub fn pair_segments(&self) -> usize {
        self.pair.as_ref().map_or(1, |template| template.max_segment() as usize + 1)
    }

    /// Returns the special tokens and the segments of pairs.
    ///
    /// # Errors
    /// If the tokenizer has no template for pairs.
    pub fn pair_template(&self) -> Result<&PairTemplate, TextError> {
        self.pair.as_ref().ok_or(TextError::NoPairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};
    use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, TruncationStrategy};

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
    }

    fn tiny() -> Tokenizer {
        Tokenizer::open(&golden("tiny-bert"), "BertTokenizer", false).unwrap()
    }

    fn pair(
        tokenizer: &Tokenizer,
        texts: [&str; 2],
        max_length: usize,
        overlong: Overlong,
    ) -> Result<TokenBatch, TextError> {
        let mut batch = TokenBatch::new();
        let first = tokenizer.pair_text(0, texts[0], max_length, overlong)?;
        let second = tokenizer.pair_text(0, texts[1], max_length, overlong)?;
        tokenizer.append_pair(&mut batch, &first, &second, max_length, overlong).map(|_| batch)
    }

    #[test]
    fn pairs_equal_the_reference() {
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("cross.json")).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut compared = 0;
        for case in golden["tokenizers"].as_array().unwrap() {
            for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
                std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
            }
            let tokenizer = Tokenizer::open(folder.path(), "", false).unwrap();
            for pair in case["pairs"].as_array().unwrap() {
                let texts = [&pair["texts"][0], &pair["texts"][1]].map(|text| text.as_str().unwrap());
                let max_length = pair["max_length"].as_u64().unwrap() as usize;
                let ours = tokenizer.encode_pairs(&[(texts[0], texts[1])], max_length).unwrap();
                let numbers = |field: &str| serde_json::from_value::<Vec<u32>>(pair[field].clone()).unwrap();
                let name = format!("{} {texts:?} {max_length}", case["name"]);
                assert_eq!(ours.ids, numbers("ids"), "{name}");
                assert_eq!(ours.type_ids, numbers("segments"), "{name}");
                compared += 1;
            }
        }
        assert!(compared > 100);
    }

    #[test]
    fn empty_texts_of_a_pair_leave_its_special_tokens() {
        let tokenizer = tiny();
        assert_eq!(pair(&tokenizer, ["", ""], 16, Overlong::CutEnd).unwrap().ids, [2, 3, 3]);
        let batch = pair(&tokenizer, ["", "the house"], 16, Overlong::CutEnd).unwrap();
        assert_eq!((batch.length(0), &batch.type_ids[..]), (5, &[0, 0, 1, 1, 1][..]));
    }

    #[test]
    fn a_text_of_a_pair_is_truncated_at_either_end() {
        let tokenizer = tiny();
        let long = "a river in the old house ".repeat(500);
        for (text, overlong, expected) in [
            ("a river in the old house", Overlong::CutEnd, "a river"),
            ("a river in the old house", Overlong::Refuse, "a river"),
            ("a river in the old house", Overlong::CutBeginning, "old house"),
            (&long, Overlong::CutEnd, "a river"),
            (&long, Overlong::CutBeginning, "old house"),
            ("river", Overlong::CutEnd, "river"),
        ] {
            let first = tokenizer.pair_text(0, "the", 12, overlong).unwrap();
            let mut second = tokenizer.pair_text(0, text, 12, overlong).unwrap();
            second.truncate(2, overlong);
            let mut batch = TokenBatch::new();
            assert_eq!(tokenizer.append_pair(&mut batch, &first, &second, 12, Overlong::Refuse).unwrap(), 0);
            assert_eq!(
                batch,
                pair(&tokenizer, ["the", expected], 12, Overlong::Refuse).unwrap(),
                "{text} {overlong:?}"
            );
        }
    }

    #[test]
    fn an_overlong_pair_is_truncated_or_refused() {
        let tokenizer = tiny();
        let texts = ["the house of", "a river in the old house"];
        let error = pair(&tokenizer, texts, 11, Overlong::Refuse).unwrap_err().to_string();
        assert!(error.contains("pair 0") && error.contains("12 tokens, but the limit is 11"), "{error}");
        assert_eq!(pair(&tokenizer, texts, 12, Overlong::Refuse).unwrap().tokens(), 12);
        let short = pair(&tokenizer, texts, 11, Overlong::CutBeginning).unwrap();
        let whole = pair(&tokenizer, ["the house of", "river in the old house"], 11, Overlong::Refuse).unwrap();
        assert_eq!(short, whole);
        let error = pair(&tokenizer, texts, 3, Overlong::CutEnd).unwrap_err().to_string();
        assert!(error.contains("3 special tokens"), "{error}");
    }

    #[test]
    fn a_tokenizer_without_a_template_for_pairs_is_refused() {
        let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
        description["post_processor"]["pair"] = serde_json::json!([{"Sequence": {"id": "B", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), "PreTrainedTokenizerFast", false).unwrap();
        let error = tokenizer.encode_pairs(&[("the", "house")], 16).unwrap_err().to_string();
        assert!(error.contains("pair"), "{error}");
    }

    /// Parts of long texts suffice, also where the limit is odd and both texts exceed it.
    #[test]
    fn pairs_of_long_texts_have_the_tokens_of_the_whole_texts() {
        let texts: Vec<String> = [0, 2, 7, 600, 601].iter().map(|count| "the house's old ".repeat(*count)).collect();
        let mut by_boundary = tiny();
        by_boundary.words = None;
        let mut whole = tiny();
        (whole.words, whole.boundary) = (None, None);
        for overlong in [Overlong::CutEnd, Overlong::CutBeginning] {
            for (first, second) in texts.iter().flat_map(|first| texts.iter().map(move |second| (first, second))) {
                for max_length in [16, 17, 64] {
                    let texts = [first.as_str(), second.as_str()];
                    let expected = pair(&whole, texts, max_length, overlong).unwrap();
                    for parts in [&tiny(), &by_boundary] {
                        assert_eq!(pair(parts, texts, max_length, overlong).unwrap(), expected);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn truncation_equals_that_of_the_tokenizers_crate(
            first in 0usize..40, second in 0usize..40, limit in 1usize..50, left in any::<bool>(),
        ) {
            let tokenizer = tiny();
            let words = ["the ".repeat(first), "house ".repeat(second)];
            let encode = |text: &str| tokenizer.inner.encode_fast(text, false).unwrap();
            let params = TruncationParams {
                direction: if left { TruncationDirection::Left } else { TruncationDirection::Right },
                max_length: limit,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
            };
            let (a, b) = tokenizers::utils::truncation::truncate_encodings(
                encode(&words[0]), Some(encode(&words[1])), &params,
            ).unwrap();
            let overlong = if left { Overlong::CutBeginning } else { Overlong::CutEnd };
            let ours = pair(&tokenizer, [&words[0], &words[1]], limit + 3, overlong).unwrap();
            let b = b.unwrap();
            let expected: Vec<u32> = [&[2], a.get_ids(), &[3], b.get_ids(), &[3]].concat();
            prop_assert_eq!(ours.ids, expected);
        }
    }
}
