//! The tokenizer of a model folder: strings to ragged token ids, equal to those of the reference.

use crate::batch::TokenBatch;
use crate::boundary::{Boundary, probable_length};
use crate::description::{Description, Overlong};
use crate::error::TextError;
use crate::pair_template::PairTemplate;
use crate::word_pieces::WordPieces;
use crate::words::Words;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;
use tokenizers::{Encoding, TruncationDirection};

/// A token with the part of the text that it represents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Id of the token.
    pub id: u32,
    /// The part of the text that it represents; for a special token its name.
    pub text: String,
    /// True if the tokenizer added it.
    pub special: bool,
    /// Start and end in the text, in characters; `None` for a special token.
    pub span: Option<(usize, usize)>,
}

/// A tokenizer.
pub struct Tokenizer {
    pub(crate) inner: tokenizers::Tokenizer,
    /// Special tokens before and after every text.
    special_tokens: [Vec<u32>; 2],
    vocabulary: usize,
    /// Number of segments that tokens can have.
    segments: usize,
    /// Template of pairs of texts, if there is one.
    pub(crate) pair: Option<PairTemplate>,
    /// Boundary at which a part of a text has the same tokens as in the whole text.
    pub(crate) boundary: Option<Boundary>,
    /// Words that came before, if a text's tokens are those of its words.
    pub(crate) words: Option<Words>,
    /// The pieces of ASCII words, if the tokenizer is of the kind WordPiece.
    word_pieces: Option<WordPieces>,
    /// Prefix of tokens that continue a word, and the token of unknown words.
    pub(crate) word_marks: (String, Option<u32>),
    /// True if no special tokens are added, so that a text may have no tokens.
    bare: bool,
    bytes: Vec<u8>,
    adjustments: String,
    overlong: Overlong,
    max_length: Option<usize>,
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder: `tokenizer.json` with the changes of
    /// `tokenizer_config.json` and its older companions. `class` is the Python class of the
    /// tokenizer if the folder names none. With `lower_case`, texts are lowercased even if the
    /// tokenizer's files do not require it (`do_lower_case` of `sentence_bert_config.json`).
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not describe a tokenizer.
    pub fn open(folder: &Path, class: &str, lower_case: bool) -> Result<Self, TextError> {
        let (path, bytes) = read(folder)?;
        let description = Description::read(folder, &bytes, class)?;
        let built = Self::build(description, bytes, lower_case, false);
        built.map_err(|reason| TextError::Unreadable { path, reason })
    }

    /// Reads the tokenizer of static embeddings: `tokenizer.json` as it is. Texts have no special
    /// tokens, and a text may have no tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn open_bare(folder: &Path) -> Result<Self, TextError> {
        let (path, bytes) = read(folder)?;
        Self::from_bytes_bare(bytes, &path)
    }

    /// As [`Tokenizer::open_bare`], of the content of a file that errors call `path`.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn from_bytes_bare(bytes: Vec<u8>, path: &Path) -> Result<Self, TextError> {
        let description = Description::read_bare(path, &bytes)?;
        let built = Self::build(description, bytes, false, true);
        built.map_err(|reason| TextError::Unreadable { path: path.into(), reason })
    }

    fn build(mut description: Description, bytes: Vec<u8>, lower_case: bool, bare: bool) -> Result<Self, String> {
        let fields = description.json.as_object_mut().ok_or("not a JSON object")?;
        if lower_case && !fields.get("normalizer").is_some_and(lowercases) {
            let lower = serde_json::json!({"type": "Lowercase"});
            let steps = match fields.remove("normalizer") {
                None | Some(serde_json::Value::Null) => vec![lower],
                Some(other) => vec![lower, other],
            };
            fields.insert("normalizer".into(), serde_json::json!({"type": "Sequence", "normalizers": steps}));
        }
        let rewritten = serde_json::to_vec(&description.json).map_err(|error| error.to_string())?;
        let built = catch_panic(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(&rewritten).map_err(|error| error.to_string())?;
            inner.set_encode_special_tokens(description.split_special_tokens);
            let (special_tokens, segments) = match bare {
                true => ([Vec::new(), Vec::new()], 1),
                false => special_tokens(&inner).map_err(|error| error.to_string())?,
            };
            // Some descriptions are accepted, but fail with the first text.
            let _ = inner.encode_fast("Habari 1.", false);
            let vocabulary = inner.get_vocab(true);
            let ids = vocabulary.values().chain(special_tokens.iter().flatten());
            let vocabulary = ids.map(|&id| id as usize + 1).max().unwrap_or(0);
            let pair = PairTemplate::of(&inner, description.pair, &special_tokens);
            Ok::<_, String>((inner, special_tokens, vocabulary, segments, pair))
        });
        let (inner, special_tokens, vocabulary, segments, pair) = built??;
        let boundary = Boundary::of(&description.json);
        let words = Words::of(&description.json).filter(|_| segments == 1);
        let word_pieces = words.as_ref().and_then(|_| WordPieces::of(&description.json));
        let model = &description.json["model"];
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default().to_owned();
        let unknown = match model["unk_token"].as_str() {
            Some(token) => inner.token_to_id(token),
            None => model["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok()),
        };
        let word_marks = (prefix, unknown);
        let Description { adjustments, overlong, max_length, .. } = description;
        Ok(Self {
            inner,
            special_tokens,
            vocabulary,
            segments,
            pair,
            boundary,
            words,
            word_pieces,
            word_marks,
            bare,
            bytes,
            adjustments,
            overlong,
            max_length,
        })
    }

    /// Default handling of texts with too many tokens: the folder sets the side of truncation.
    pub fn overlong(&self) -> Overlong {
        self.overlong
    }

    /// Limit of tokens, if the tokenizer's files set one.
    pub fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// Changes of the other files to `tokenizer.json`, for fingerprints, or an empty string.
    pub fn adjustments(&self) -> &str {
        &self.adjustments
    }

    /// Returns the token ids of the texts, including special tokens, each truncated to `max_length`
    /// tokens as [`Tokenizer::overlong`] says.
    ///
    /// # Errors
    /// If a text cannot be tokenized, or the special tokens leave no room for it.
    pub fn encode(&self, texts: &[&str], max_length: usize) -> Result<TokenBatch, TextError> {
        let mut batch = TokenBatch::new();
        for text in texts {
            self.append(&mut batch, text, max_length, self.overlong)?;
        }
        Ok(batch)
    }

    /// Appends the token ids of a text, including special tokens, to the batch, and returns the
    /// number of truncated tokens. Only as much of a long text is tokenized as the result needs;
    /// each byte of the rest counts as a token. Errors give the number of sequences in the batch as
    /// the index of the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], or if the text has too many tokens and must not be truncated.
    pub fn append(
        &self,
        batch: &mut TokenBatch,
        text: &str,
        max_length: usize,
        overlong: Overlong,
    ) -> Result<usize, TextError> {
        self.check_length(max_length)?;
        let limit = max_length - self.special_count();
        if let Some(truncated) = self.append_words(batch, text, limit, overlong)? {
            return Ok(truncated);
        }
        let (encoding, skipped) = self.encode_part(batch.sequences(), text, limit, overlong)?;
        self.append_encoding(batch, encoding, skipped, max_length, overlong)
    }

    /// As [`Tokenizer::append`], from the tokens of the text's words, of which `limit` are kept.
    /// Returns nothing, and leaves the batch unchanged, if the text must be tokenized as a whole.
    fn append_words(
        &self,
        batch: &mut TokenBatch,
        text: &str,
        limit: usize,
        overlong: Overlong,
    ) -> Result<Option<usize>, TextError> {
        let (index, start) = (batch.sequences(), batch.ids.len());
        let [before, after] = &self.special_tokens;
        batch.ids.extend_from_slice(before);
        let first = batch.ids.len();
        let skipped = match self.append_word_ids(&mut batch.ids, index, text, limit, overlong) {
            Ok(Some(skipped)) => skipped,
            other => {
                batch.ids.truncate(start);
                return other;
            }
        };
        let tokens = batch.ids.len() - first;
        let truncated = tokens.saturating_sub(limit);
        if truncated > 0 {
            match overlong {
                Overlong::Refuse => {
                    batch.ids.truncate(start);
                    let (tokens, max_length) = (tokens + self.special_count(), limit + self.special_count());
                    return Err(TextError::TooLong { index, tokens, or_more: skipped > 0, max_length });
                }
                Overlong::CutBeginning => drop(batch.ids.drain(first..first + truncated)),
                Overlong::CutEnd => batch.ids.truncate(first + limit),
            }
        }
        batch.ids.extend_from_slice(after);
        if batch.ids.len() == start && !self.bare {
            return Err(TextError::NoTokens { index });
        }
        batch.end_sequence();
        Ok(Some(truncated + skipped))
    }

    /// Appends the tokens of a text's words to `ids`, and returns the number of bytes that were not
    /// tokenized: of a long text, the part that is kept with more than `limit` tokens suffices.
    /// Returns nothing if the text must be tokenized as a whole; `ids` may then have some tokens
    /// more, as after an error.
    pub(crate) fn append_word_ids(
        &self,
        ids: &mut Vec<u32>,
        index: usize,
        text: &str,
        limit: usize,
        overlong: Overlong,
    ) -> Result<Option<usize>, TextError> {
        let probable = probable_length(limit);
        let Some(words) = self.words.as_ref().filter(|_| overlong != Overlong::CutBeginning || text.len() <= probable)
        else {
            return Ok(None);
        };
        let enough = |bytes: usize, tokens: usize| tokens > limit && bytes >= probable;
        let encode = |word: &str, ids: &mut Vec<u32>| {
            if !self.word_pieces.as_ref().is_some_and(|pieces| pieces.append(word, ids)) {
                ids.extend_from_slice(for_text(index, || self.inner.encode_fast(word, false))?.get_ids());
            }
            Ok(())
        };
        Ok(words.append(text, ids, enough, encode)?.map(|bytes| text.len() - bytes))
    }

    /// Returns the tokens of a text without special ones, and the number of bytes that were not
    /// tokenized: of a long text, the part that is kept with more than `limit` tokens suffices.
    pub(crate) fn encode_part(
        &self,
        index: usize,
        text: &str,
        limit: usize,
        overlong: Overlong,
    ) -> Result<(Encoding, usize), TextError> {
        let encode = |part: &str| {
            let encoding = for_text(index, || self.inner.encode_fast(part, false))?;
            Ok((encoding, text.len() - part.len()))
        };
        let enough = |part: &str| match encode(part) {
            Ok((encoding, skipped)) => (encoding.len() > limit).then_some(Ok((encoding, skipped))),
            Err(error) => Some(Err(error)),
        };
        let found = self.boundary.and_then(|boundary| match overlong {
            Overlong::CutEnd | Overlong::Refuse => boundary.prefixes(text, limit).find_map(enough),
            Overlong::CutBeginning => boundary.suffixes(text, limit).find_map(enough),
        });
        found.unwrap_or_else(|| encode(text))
    }

    /// As [`Tokenizer::append`], for a prompt that is followed by token ids. The special tokens
    /// that the tokenizer adds may be part of the ids.
    ///
    /// # Errors
    /// As [`Tokenizer::append`], or if an id is not in the vocabulary.
    pub fn append_ids(
        &self,
        batch: &mut TokenBatch,
        prompt: &str,
        ids: &[u32],
        max_length: usize,
        overlong: Overlong,
    ) -> Result<usize, TextError> {
        let index = batch.sequences();
        if let Some(&id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(TextError::NoToken { index, id, vocabulary: self.vocabulary });
        }
        let [before, after] = &self.special_tokens;
        let bare = ids.strip_prefix(&before[..]).and_then(|ids| ids.strip_suffix(&after[..])).unwrap_or(ids);
        let mut tokens = Vec::with_capacity(bare.len());
        if !prompt.is_empty() {
            let prompt = for_text(index, || self.inner.encode_fast(prompt, false))?;
            tokens.extend(prompt.get_ids().iter().map(|id| tokenizers::Token::new(*id, String::new(), (0, 0))));
        }
        tokens.extend(bare.iter().map(|id| tokenizers::Token::new(*id, String::new(), (0, 0))));
        self.append_encoding(batch, Encoding::from_tokens(tokens, 0), 0, max_length, overlong)
    }

    fn append_encoding(
        &self,
        batch: &mut TokenBatch,
        mut encoding: Encoding,
        skipped: usize,
        max_length: usize,
        overlong: Overlong,
    ) -> Result<usize, TextError> {
        let index = batch.sequences();
        self.check_length(max_length)?;
        let special = self.special_count();
        let tokens = encoding.len();
        let truncated = tokens.saturating_sub(max_length - special);
        let direction = match overlong {
            Overlong::Refuse if truncated > 0 => {
                let tokens = tokens + special;
                return Err(TextError::TooLong { index, tokens, or_more: skipped > 0, max_length });
            }
            Overlong::CutBeginning => TruncationDirection::Left,
            Overlong::CutEnd | Overlong::Refuse => TruncationDirection::Right,
        };
        let encoding = for_text(index, || {
            encoding.truncate(max_length - special, 0, direction);
            if self.bare { Ok(encoding) } else { self.inner.post_process(encoding, None, true) }
        })?;
        if encoding.is_empty() && !self.bare {
            return Err(TextError::NoTokens { index });
        }
        batch.push(encoding.get_ids(), encoding.get_type_ids());
        Ok(truncated + skipped)
    }

    /// Returns all tokens of a text with the parts that they represent.
    ///
    /// # Errors
    /// If the text cannot be tokenized.
    pub fn explain(&self, text: &str, add_special_tokens: bool) -> Result<Vec<Token>, TextError> {
        let encoding = for_text(0, || self.inner.encode_char_offsets(text, add_special_tokens && !self.bare))?;
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        let (names, ids) = (encoding.get_tokens(), encoding.get_ids());
        let (offsets, specials) = (encoding.get_offsets(), encoding.get_special_tokens_mask());
        let token = |index: usize| {
            let (id, (start, end)) = (ids[index], offsets[index]);
            let part = bytes.get(start).zip(bytes.get(end)).and_then(|(start, end)| text.get(*start..*end));
            match part.filter(|_| specials[index] == 0) {
                Some(part) => Token { id, text: part.to_owned(), special: false, span: Some((start, end)) },
                None => Token { id, text: names[index].clone(), special: true, span: None },
            }
        };
        Ok((0..encoding.len()).map(token).collect())
    }

    /// Returns the text of token ids.
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError> {
        if let Some(&id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(TextError::NoToken { index: 0, id, vocabulary: self.vocabulary });
        }
        for_text(0, || self.inner.decode(ids, skip_special_tokens))
    }

    /// Checks that `max_length` tokens leave room for a text.
    ///
    /// # Errors
    /// If there are as many special tokens.
    pub fn check_length(&self, max_length: usize) -> Result<(), TextError> {
        let special = self.special_count();
        if max_length <= special { Err(TextError::TooShort { max_length, special }) } else { Ok(()) }
    }

    /// Forgets which tokens words have. They are looked up otherwise, for as long as the tokenizer
    /// lives.
    pub fn forget_words(&self) {
        if let Some(words) = &self.words {
            words.forget();
        }
    }

    /// Number of special tokens that are added to every text.
    pub fn special_count(&self) -> usize {
        self.special_tokens[0].len() + self.special_tokens[1].len()
    }

    /// Returns the number of tokens before those of the text: pooling ignores them if
    /// `include_prompt` is false.
    ///
    /// # Errors
    /// If the prompt cannot be tokenized.
    pub fn prompt_length(&self, prompt: &str) -> Result<usize, TextError> {
        let encoding = for_text(0, || self.inner.encode_fast(prompt, !self.bare))?;
        let ends_special = encoding.get_special_tokens_mask().last() == Some(&1);
        Ok(encoding.len() - usize::from(ends_special))
    }

    /// Tokenizes a text with the numbers of its words, without special tokens.
    pub(crate) fn encode_with_words(&self, text: &str) -> tokenizers::Result<Encoding> {
        self.inner.encode(text, false)
    }

    /// One more than the greatest token id.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    /// Number of segments that tokens can have.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// The bytes of `tokenizer.json`, unchanged.
    pub fn file_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads `tokenizer.json` of a folder. Returns its path and its bytes.
fn read(folder: &Path) -> Result<(PathBuf, Vec<u8>), TextError> {
    let path = folder.join("tokenizer.json");
    match maana_files::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(TextError::Missing { path }),
        Err(error) => Err(TextError::Unreadable { path, reason: error.to_string() }),
    }
}

/// Returns the special tokens before and after a text, taken from those around a single token, and
/// the number of segments.
fn special_tokens(tokenizer: &tokenizers::Tokenizer) -> tokenizers::Result<([Vec<u32>; 2], usize)> {
    let inside = Encoding::from_tokens(vec![tokenizers::Token::new(0, String::new(), (0, 0))], 0);
    let whole = tokenizer.post_process(inside, None, true)?;
    let position = whole.get_special_tokens_mask().iter().position(|special| *special == 0).unwrap_or(0);
    let ids = whole.get_ids();
    let segments = whole.get_type_ids().iter().map(|segment| *segment as usize + 1).max().unwrap_or(1);
    Ok(([ids[..position].to_vec(), ids[ids.len().min(position + 1)..].to_vec()], segments))
}

/// Calls the tokenizers crate and returns its panics as errors, without printing them: it panics on
/// some descriptions and texts.
fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                outer(panic);
            }
        }));
    });
    INSIDE.set(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    INSIDE.set(false);
    result.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("the tokenizer failed on it: {}", message.unwrap_or("no reason given"))
    })
}

/// As [`catch_panic`], for one text.
pub(crate) fn for_text<T>(index: usize, call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, TextError> {
    match catch_panic(call) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(TextError::Encode { index, reason: error.to_string() }),
        Err(reason) => Err(TextError::Encode { index, reason }),
    }
}

fn lowercases(normalizer: &serde_json::Value) -> bool {
    match normalizer["type"].as_str() {
        Some("Lowercase") => true,
        Some("BertNormalizer") => normalizer["lowercase"].as_bool().unwrap_or(true),
        Some("Sequence") => normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().any(lowercases)),
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
        Tokenizer::open(&golden("tiny-bert"), "BertTokenizer", false).unwrap()
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
    fn long_texts_are_truncated_and_keep_their_special_tokens() {
        let tokenizer = tiny();
        let batch = tokenizer.encode(&["the house ".repeat(300).as_str(), "", "the"], 16).unwrap();
        assert_eq!((batch.length(0), batch.length(1), batch.length(2)), (16, 2, 3));
        assert_eq!((batch.sequence(0)[0], batch.sequence(0)[15]), (2, 3), "[CLS] and [SEP] of the tiny vocabulary");
    }

    #[test]
    fn batches_have_no_padding() {
        let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
        description["padding"] = serde_json::json!({
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
        let padding = Tokenizer::open(folder.path(), "", false).unwrap();
        let texts = ["the king", "the old king lived in the house", ""];
        let batch = padding.encode(&texts, 128).unwrap();
        assert_eq!(batch, tiny().encode(&texts, 128).unwrap());
        assert_eq!((batch.length(2), *batch.offsets.last().unwrap()), (2, batch.tokens()));
    }

    #[test]
    fn a_limit_without_room_for_a_text_is_refused() {
        let error = tiny().encode(&["the"], 2).unwrap_err();
        assert!(error.to_string().contains("use 3 or more"), "{error}");
    }

    #[test]
    fn a_missing_or_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Tokenizer::open(folder.path(), "BertTokenizer", false).err().unwrap().to_string();
        assert!(missing.contains("tokenizer.json") && missing.contains("save_pretrained"), "{missing}");
        for damaged in ["", "{", "[]", "{\"model\": {\"type\": \"Strange\"}}", "{\"version\": \"1.0\"}"] {
            std::fs::write(folder.path().join("tokenizer.json"), damaged).unwrap();
            let error = Tokenizer::open(folder.path(), "BertTokenizer", false).err().unwrap().to_string();
            assert!(error.contains("tokenizer.json") && error.contains("damaged"), "{error}");
        }
    }

    #[test]
    fn lowercasing_is_added_only_if_the_file_has_none() {
        let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
        description["normalizer"]["lowercase"] = false.into();
        let cased = serde_json::to_vec(&description).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ids = |bytes: &[u8], lower| {
            std::fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
            Tokenizer::open(folder.path(), "", lower).unwrap().encode(&["The HOUSE"], 16).unwrap().ids
        };
        let expected = tiny().encode(&["the house"], 16).unwrap().ids;
        assert_ne!(ids(&cased, false), expected);
        assert_eq!(ids(&cased, true), expected);
        assert_eq!(ids(tiny().file_bytes(), true), expected);
    }

    #[test]
    fn the_length_of_a_prompt_excludes_the_closing_token() {
        assert_eq!(tiny().prompt_length("the house").unwrap(), 3);
    }

    #[test]
    fn an_overlong_text_is_truncated_or_refused() {
        let tokenizer = tiny();
        let cut = |text: &str, overlong| {
            let mut batch = TokenBatch::new();
            tokenizer.append(&mut batch, text, 6, overlong).map(|truncated| (batch.ids, truncated))
        };
        let ids = |text: &str| tokenizer.encode(&[text], 99).unwrap().ids;
        let text = "the house of a river";
        assert_eq!(cut(text, Overlong::CutEnd).unwrap(), (ids("the house of a"), 1));
        assert_eq!(cut(text, Overlong::CutBeginning).unwrap(), (ids("house of a river"), 1));
        let error = cut(text, Overlong::Refuse).unwrap_err().to_string();
        assert!(error.contains("7 tokens, but the limit is 6"), "{error}");
        assert_eq!(cut("the house", Overlong::Refuse).unwrap(), (ids("the house"), 0));
    }

    #[test]
    fn token_ids_are_accepted_with_or_without_special_tokens() {
        let tokenizer = tiny();
        let expected = tokenizer.encode(&["the house"], 99).unwrap();
        let append = |prompt: &str, ids: &[u32]| {
            let mut batch = TokenBatch::new();
            tokenizer.append_ids(&mut batch, prompt, ids, 99, Overlong::CutEnd).map(|_| batch)
        };
        assert_eq!(append("", &expected.ids).unwrap(), expected);
        assert_eq!(append("", &expected.ids[1..3]).unwrap(), expected);
        assert_eq!(append("the ", &expected.ids[2..3]).unwrap(), expected);
        let error = append("", &[4_000_000_000]).unwrap_err().to_string();
        assert!(error.contains("no token 4000000000; ids go from 0 to"), "{error}");
        assert_eq!(tokenizer.decode(&expected.ids, true).unwrap(), "the house");
        assert!(tokenizer.decode(&[4_000_000_000], true).is_err());
    }

    #[test]
    fn tokens_are_explained_by_their_characters() {
        let tokens = tiny().explain("The \u{e9}house", true).unwrap();
        assert_eq!((tokens[0].special, tokens[0].span), (true, None));
        assert_eq!((tokens[1].text.as_str(), tokens[1].span), ("The", Some((0, 3))));
        let rest: String = tokens[2..tokens.len() - 1].iter().map(|token| token.text.as_str()).collect();
        assert_eq!(rest, "\u{e9}house");
    }

    #[test]
    fn a_megabyte_of_text_is_truncated() {
        let tokenizer = tiny();
        for text in ["a".repeat(1 << 20), "the ".repeat(1 << 18)] {
            assert!(tokenizer.encode(&[text.as_str()], 128).unwrap().tokens() <= 128);
        }
    }

    #[test]
    fn ids_follow_the_class_that_the_folder_names() {
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for case in golden["tokenizers"].as_array().unwrap() {
            for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
                std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
            }
            let tokenizer = Tokenizer::open(folder.path(), "", false).unwrap();
            for (text, ids) in case["texts"].as_array().unwrap().iter().zip(case["ids"].as_array().unwrap()) {
                let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
                let ours = tokenizer.encode(&[text.as_str().unwrap()], 99).unwrap().ids;
                assert_eq!(ours, expected, "{}: {text}", case["name"]);
            }
        }
    }

    /// Texts with their ids.
    type Ids = Vec<(String, Vec<u32>)>;

    /// Opens the tokenizers of ModernBERT and its descendants with the texts and ids of each.
    fn of_modern_bert() -> Vec<(String, Tokenizer, Ids)> {
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(golden("modern_bert.json")).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let open = |case: &serde_json::Value| {
            for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
                std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
            }
            let tokenizer = Tokenizer::open(folder.path(), "TokenizersBackend", false).unwrap();
            let texts: Vec<String> = serde_json::from_value(case["texts"].clone()).unwrap();
            let ids: Vec<Vec<u32>> = serde_json::from_value(case["ids"].clone()).unwrap();
            (case["name"].to_string(), tokenizer, texts.into_iter().zip(ids).collect())
        };
        golden["tokenizers"].as_array().unwrap().iter().map(open).collect()
    }

    /// With the fields of mmBERT's configuration changed one by one: sides, special tokens, class.
    #[test]
    fn byte_level_and_gemma_tokenizers_give_the_ids_of_the_reference() {
        let mut compared = 0;
        for (name, tokenizer, texts) in of_modern_bert() {
            for (text, expected) in texts.iter().filter(|(_, expected)| !expected.is_empty()) {
                assert_eq!(tokenizer.encode(&[text], 999).unwrap().ids, *expected, "{name}: {text:?}");
                compared += 1;
            }
        }
        assert!(compared >= 100, "{compared}");
    }

    #[test]
    fn a_text_without_tokens_is_an_error_and_leaves_the_batch_unchanged() {
        let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
        description["post_processor"] = serde_json::Value::Null;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
        let tokenizer = Tokenizer::open(folder.path(), "PreTrainedTokenizerFast", false).unwrap();
        let mut batch = tokenizer.encode(&["the house"], 9).unwrap();
        let error = tokenizer.append(&mut batch, "", 9, Overlong::CutEnd).unwrap_err();
        assert!(error.to_string().starts_with("text 1: it has no tokens"), "{error}");
        assert_eq!((batch.sequences(), batch.tokens()), (1, 2));
    }

    fn golden_tokenizers() -> Vec<Tokenizer> {
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut tokenizers = vec![tiny(), Tokenizer::open_bare(&self::golden("tiny-bert")).unwrap()];
        for case in golden["tokenizers"].as_array().unwrap() {
            for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
                std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
            }
            tokenizers.push(Tokenizer::open(folder.path(), "", false).unwrap());
            tokenizers.push(Tokenizer::open_bare(folder.path()).unwrap());
        }
        tokenizers.extend(of_modern_bert().into_iter().take(2).map(|(_, tokenizer, _)| tokenizer));
        tokenizers
    }

    const PIECES: [&str; 28] = [
        "habari",
        " yako",
        "  ",
        " ",
        "\n",
        "\t x",
        "the house's",
        " The HOUSE",
        "e\u{301}",
        " \u{301}x",
        "\u{e9}cole",
        "日本語",
        "[MASK]",
        " <mask>",
        "<s> ",
        "[UNK]",
        "a.b, c! ",
        "\u{a0}",
        "\u{3000}",
        "\u{200b} ",
        "\u{ad} ",
        "\u{0} ",
        "\u{fdfa} ",
        "ﬁ n ",
        "Unbelievably,don't",
        " x_1.5-Z~",
        "#",
        "\r\u{b}\u{7f}",
    ];

    fn with_and_without_words() -> &'static [[Tokenizer; 2]] {
        static TOKENIZERS: std::sync::OnceLock<Vec<[Tokenizer; 2]>> = std::sync::OnceLock::new();
        TOKENIZERS.get_or_init(|| {
            let pairs = golden_tokenizers().into_iter().zip(golden_tokenizers());
            let pairs: Vec<_> = pairs.map(|(with, without)| [with, Tokenizer { words: None, ..without }]).collect();
            assert!(pairs.iter().filter(|[with, _]| with.words.is_some()).count() > pairs.len() / 2);
            pairs
        })
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
        #[test]
        fn words_have_the_tokens_that_they_have_in_the_text(
            places in proptest::collection::vec(0..PIECES.len(), 0..30),
            length in 3..40usize,
        ) {
            let text: String = places.into_iter().map(|place| PIECES[place]).collect();
            for [with, without] in with_and_without_words() {
                for overlong in [Overlong::CutEnd, Overlong::CutBeginning, Overlong::Refuse] {
                    let encode = |tokenizer: &Tokenizer| {
                        let mut batch = TokenBatch::new();
                        let truncated = tokenizer.append(&mut batch, &text, length, overlong);
                        truncated.map(|truncated| (batch, truncated)).map_err(|error| error.to_string())
                    };
                    // The second time all words are known.
                    proptest::prop_assert_eq!(encode(with), encode(without), "{:?}", text);
                    proptest::prop_assert_eq!(encode(with), encode(without), "{:?}", text);
                    let encode_pair = |tokenizer: &Tokenizer| {
                        let mut batch = TokenBatch::new();
                        let part = tokenizer.pair_text(0, &text, length, overlong);
                        let truncated =
                            part.and_then(|part| tokenizer.append_pair(&mut batch, &part, &part, length, overlong));
                        truncated.map(|truncated| (batch, truncated)).map_err(|error| error.to_string())
                    };
                    proptest::prop_assert_eq!(encode_pair(with), encode_pair(without), "a pair of {:?}", text);
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
        #[test]
        fn words_of_ascii_have_the_tokens_of_the_tokenizers_crate(text in "[ -~\t\n]{0,12}|[a-zA-Z]{1,120}") {
            let mut compared = 0;
            for [tokenizer, _] in with_and_without_words() {
                let Some(pieces) = &tokenizer.word_pieces else { continue };
                let mut ids = Vec::new();
                if pieces.append(&text, &mut ids) {
                    let expected = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
                    proptest::prop_assert_eq!(&ids, expected.get_ids());
                }
                compared += 1;
            }
            assert_eq!(compared, 2);
        }
    }

    #[test]
    fn texts_of_static_embeddings_have_no_special_tokens_and_may_be_empty() {
        let bare = Tokenizer::open_bare(&golden("tiny-bert")).unwrap();
        let texts = ["the house", "", "the king"];
        let batch = bare.encode(&texts, 99).unwrap();
        let special = tiny().encode(&texts, 99).unwrap();
        for index in 0..3 {
            let inside = special.sequence(index);
            assert_eq!(batch.sequence(index), &inside[1..inside.len() - 1]);
        }
        assert_eq!((batch.length(1), bare.special_count(), bare.prompt_length("the house").unwrap()), (0, 0, 2));
        let mut description: serde_json::Value = serde_json::from_slice(bare.file_bytes()).unwrap();
        description["truncation"] =
            serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        let bytes = serde_json::to_vec(&description).unwrap();
        let short = Tokenizer::from_bytes_bare(bytes, Path::new("tokenizer.json")).unwrap();
        assert_eq!((short.max_length(), bare.max_length()), (Some(2), None));
    }

    /// Compares each golden tokenizer with and without the boundary, on long texts of many kinds.
    #[test]
    fn long_texts_have_the_tokens_of_the_whole_text() {
        let tokenizers = golden_tokenizers().into_iter().map(|tokenizer| Tokenizer { words: None, ..tokenizer });
        let pieces = [
            "habari yako ",
            "the house's  ",
            "\n\n \t",
            "e\u{301} ",
            " \u{301}x",
            "日本語 ",
            "[MASK] <mask>  <s> ",
            "a.b, c! ",
            "   ",
        ];
        let mut texts: Vec<String> = pieces.iter().map(|piece| piece.repeat(3000)).collect();
        texts.push((0..9000).map(|place| pieces[place * place % pieces.len()]).collect());
        texts.push(format!("{}{}", "x".repeat(20_000), " the house".repeat(4000)));
        for mut tokenizer in tokenizers {
            let boundary = tokenizer.boundary;
            assert!(boundary.is_some());
            for text in &texts {
                for (length, overlong) in [(8, Overlong::CutEnd), (64, Overlong::CutEnd), (64, Overlong::CutBeginning)]
                {
                    let mut encode = |bounded: bool| {
                        tokenizer.boundary = boundary.filter(|_| bounded);
                        let mut batch = TokenBatch::new();
                        tokenizer.append(&mut batch, text, length, overlong).map(|_| batch).unwrap()
                    };
                    assert_eq!(
                        encode(true),
                        encode(false),
                        "{overlong:?} {:?}…",
                        &text.chars().take(20).collect::<String>()
                    );
                }
            }
        }
    }

    #[test]
    fn dropout_of_bpe_is_ignored() {
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
        let case = golden["tokenizers"].as_array().unwrap().last().unwrap();
        let mut description = case["description"].clone();
        description["model"]["dropout"] = 0.5.into();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
        let text = "habari ".repeat(50);
        let first = Tokenizer::open(folder.path(), "", false).unwrap().encode(&[&text], 999).unwrap();
        for _ in 0..3 {
            assert_eq!(Tokenizer::open(folder.path(), "", false).unwrap().encode(&[&text], 999).unwrap(), first);
        }
    }
}
