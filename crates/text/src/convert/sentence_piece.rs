//! The model file of SentencePiece, a message of protocol buffers: pieces with their scores and
//! kinds, the kind of model and the table of its normalizer.

use super::added_token::AddedToken;
use super::model::{MOST_TOKENS, Model, invalid};
use super::protobuf::{Fields, Value};
use crate::error::TextError;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Kinds of pieces.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// Tokens that a class puts around the pieces of a file.
pub(super) struct Frame {
    /// Tokens before the pieces, with their scores.
    pub(super) before: Vec<(String, f64)>,
    /// Number of pieces of the file that are left out, from the first.
    pub(super) skip: usize,
    /// Token after the pieces.
    pub(super) after: String,
    /// Id of the token of unknown words.
    pub(super) unknown: usize,
}

/// Reads a model of the kind unigram.
pub(super) fn read(path: PathBuf, bytes: &[u8], frame: Frame) -> Result<Model, TextError> {
    let file = File::parse(bytes).and_then(File::check);
    let file = file.map_err(|reason| TextError::Unreadable { path: path.clone(), reason })?;
    if file.model_type != 1 {
        let name = match file.model_type {
            2 => "BPE",
            3 => "words",
            4 => "characters",
            _ => "an unknown kind",
        };
        let reason = format!(
            "a SentencePiece model of {name}; only unigram models are read. Write `tokenizer.json` in Python: \
             `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`"
        );
        return Err(invalid(&path, reason));
    }
    let special = |piece: &&Piece<'_>| matches!(piece.kind, CONTROL | USER_DEFINED);
    let added = |piece: &Piece<'_>| AddedToken {
        normalized: Some(false),
        special: piece.kind == CONTROL,
        ..AddedToken::plain(piece.text.to_owned())
    };
    let special_pieces = Some(file.pieces.iter().filter(special).map(added).collect());
    let mut vocabulary = frame.before;
    let pieces = file.pieces.get(frame.skip..).unwrap_or_default();
    vocabulary.extend(pieces.iter().map(|piece| (piece.text.to_owned(), f64::from(piece.score))));
    vocabulary.push((frame.after, 0.0));
    let next_id = vocabulary.len() as u32;
    // Of equal tokens the last one has the text.
    let ids: HashMap<String, u32> = vocabulary.iter().map(|(token, _)| token.clone()).zip(0..).collect();
    let json = json!({"type": "Unigram", "unk_id": frame.unknown, "vocab": vocabulary, "byte_fallback": false});
    Ok(Model { path, json, ids, next_id, charsmap: file.charsmap.to_vec(), special_pieces })
}

struct Piece<'a> {
    text: &'a str,
    score: f32,
    kind: u64,
}

impl<'a> Piece<'a> {
    fn parse(file: &'a [u8], fields: Fields<'_>) -> Result<Self, String> {
        let mut piece = Self { text: "", score: 0.0, kind: 1 };
        for field in fields {
            match field? {
                (1, Value::Bytes(place)) => {
                    let text = std::str::from_utf8(&file[place.clone()]);
                    piece.text = text.map_err(|_| format!("the text at byte {} is not UTF-8", place.start))?;
                }
                (2, Value::Float(score)) => piece.score = score,
                (3, Value::Integer(kind)) => piece.kind = kind,
                _ => {}
            }
        }
        match piece.text {
            "" => Err("it has no text".into()),
            _ if !piece.score.is_finite() => Err(format!("its score is {}", piece.score)),
            _ => Ok(piece),
        }
    }
}

/// The parts of a file that a tokenizer needs.
struct File<'a> {
    pieces: Vec<Piece<'a>>,
    /// Kind of the model: 1 is unigram.
    model_type: u64,
    charsmap: &'a [u8],
    /// True if the settings of the training and those of the normalizer, which follow the pieces,
    /// are there.
    is_whole: [bool; 2],
}

impl<'a> File<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, String> {
        let mut found = Self { pieces: Vec::new(), model_type: 1, charsmap: &[], is_whole: [false; 2] };
        for field in Fields::new(file, 0..file.len()) {
            match field? {
                (1, Value::Bytes(place)) => {
                    let number = found.pieces.len();
                    if number == MOST_TOKENS {
                        return Err(format!("it has more than {MOST_TOKENS} pieces"));
                    }
                    let piece = Piece::parse(file, Fields::new(file, place));
                    found.pieces.push(piece.map_err(|reason| format!("piece {number}: {reason}"))?);
                }
                (2, Value::Bytes(place)) => {
                    found.is_whole[0] = true;
                    for field in Fields::new(file, place) {
                        if let (3, Value::Integer(kind)) = field? {
                            found.model_type = kind;
                        }
                    }
                }
                (3, Value::Bytes(place)) => {
                    found.is_whole[1] = true;
                    for field in Fields::new(file, place) {
                        if let (2, Value::Bytes(place)) = field? {
                            found.charsmap = &file[place];
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn check(self) -> Result<Self, String> {
        if self.pieces.is_empty() {
            return Err("it has no pieces".into());
        }
        if self.is_whole != [true; 2] {
            return Err("it ends before the settings of the model (`trainer_spec`, `normalizer_spec`)".into());
        }
        let mut seen = HashSet::new();
        if let Some(number) = self.pieces.iter().position(|piece| !seen.insert(piece.text)) {
            return Err(format!("piece {number}, `{}`, occurs twice", self.pieces[number].text));
        }
        if !self.pieces.iter().any(|piece| piece.kind == UNKNOWN) {
            return Err("it has no piece for unknown words (`<unk>`)".into());
        }
        // The table starts with the length of its first part.
        let rest = self.charsmap.len().saturating_sub(4);
        match self.charsmap.first_chunk() {
            _ if self.charsmap.is_empty() => Ok(self),
            Some(length) if (u32::from_le_bytes(*length) as usize) <= rest => Ok(self),
            _ => Err("the table of its normalizer (`precompiled_charsmap`) is truncated".into()),
        }
    }
}
