//! The tokenizer of a model folder: strings to ragged token ids, equal to those of the reference.

use crate::batch::TokenBatch;
use crate::boundary::{Boundary, probable_length};
use crate::companions::Companions;
use crate::convert::{Class, FIELDS, VOCABULARIES, convert};
use crate::description::Description;
use crate::error::TextError;
use crate::overlong::Overlong;
use crate::pair_template::PairTemplate;
use crate::word_pieces::WordPieces;
use crate::words::Words;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;
use tokenizers::{Encoding, TruncationDirection};

/// The file that describes a tokenizer.
const FILE: &str = "tokenizer.json";

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
    /// The Python class, if its special tokens are known.
    class: Option<Class>,
    /// True if calls of the Python class return segments.
    returns_segments: bool,
    path: PathBuf,
    bytes: Vec<u8>,
    adjustments: String,
    overlong: Overlong,
    max_length: Option<usize>,
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder: `tokenizer.json` with the changes of
    /// `tokenizer_config.json` and its older companions. Where there is no `tokenizer.json`, it is
    /// built from the files of the older Python tokenizers. `class` is the Python class of the
    /// tokenizer if the folder names none. With `lower_case`, texts are lowercased even if the
    /// tokenizer's files do not require it (`do_lower_case` of `sentence_bert_config.json`).
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not describe a tokenizer.
    pub fn open(folder: &Path, class: &str, lower_case: bool) -> Result<Self, TextError> {
        let files = Companions::open(folder)?;
        let class = files.class(class)?;
        let (path, bytes) = match read(folder)? {
            (path, Some(bytes)) => (path, bytes),
            (_, None) => convert(folder, &files, class)?,
        };
        let description = Description::read(&path, &bytes, &files, class)?;
        let tokenizer = Self::build(description, bytes, path, lower_case, false)?;
        Ok(Self { class: Class::of(class), ..tokenizer })
    }

    /// Returns whether a folder has a tokenizer: `tokenizer.json`, or a vocabulary of the older
    /// Python tokenizers.
    pub fn is_in(folder: &Path) -> bool {
        std::iter::once(FILE).chain(VOCABULARIES).any(|name| folder.join(name).exists())
    }

    /// Reads the tokenizer of static embeddings: `tokenizer.json` as it is. Texts have no special
    /// tokens, and a text may have no tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn open_bare(folder: &Path) -> Result<Self, TextError> {
        match read(folder)? {
            (path, Some(bytes)) => Self::from_bytes_bare(bytes, &path),
            (path, None) => Err(TextError::Missing {
                path,
                reason: "static embeddings have their tokenizer in no other file".into(),
            }),
        }
    }

    /// As [`Tokenizer::open_bare`], of the content of a file that errors call `path`.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn from_bytes_bare(bytes: Vec<u8>, path: &Path) -> Result<Self, TextError> {
        let description = Description::read_bare(path, &bytes)?;
        Self::build(description, bytes, path.into(), false, true)
    }

    fn build(
        mut description: Description,
        bytes: Vec<u8>,
        path: PathBuf,
        lower_case: bool,
        bare: bool,
    ) -> Result<Self, TextError> {
        let unreadable = |reason: String| TextError::Unreadable { path: path.clone(), reason };
        let fields = description.json.as_object_mut().ok_or_else(|| unreadable("not a JSON object".into()))?;
        if lower_case && !fields.get("normalizer").is_some_and(lowercases) {
            let lower = serde_json::json!({"type": "Lowercase"});
            let steps = match fields.remove("normalizer") {
                None | Some(serde_json::Value::Null) => vec![lower],
                Some(other) => vec![lower, other],
            };
            fields.insert("normalizer".into(), serde_json::json!({"type": "Sequence", "normalizers": steps}));
        }
        let rewritten = serde_json::to_vec(&description.json).map_err(|error| unreadable(error.to_string()))?;
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
        let (inner, special_tokens, vocabulary, segments, pair) = built.flatten().map_err(unreadable)?;
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
        let returns_segments = description.pair.segments;
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
            class: None,
            returns_segments,
            path,
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

    /// Returns the special tokens that the Python class of the tokenizer has by default, with the
    /// fields of `tokenizer_config.json` that replace them; nothing for an unknown class.
    pub fn class_tokens(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let token = |field| Some((field, self.class?.default_token(field)?));
        FIELDS.into_iter().filter_map(token)
    }

    /// Returns true if a call of the tokenizer in Python returns the segments of tokens.
    pub fn returns_segments(&self) -> bool {
        self.returns_segments
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

    /// The file that was read: `tokenizer.json`, or the vocabulary from which it was built.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `tokenizer.json`, unchanged; of the one that was built if the folder has none.
    pub fn file_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads `tokenizer.json` of a folder. Returns its path, and its bytes if there is such a file.
fn read(folder: &Path) -> Result<(PathBuf, Option<Vec<u8>>), TextError> {
    let path = folder.join(FILE);
    match maana_files::read_optional(&path) {
        Ok(bytes) => Ok((path, bytes)),
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
mod tests;
