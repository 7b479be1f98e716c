//! Vocabularies of static embeddings: the tokens of a tokenizer, or those of them that occur in
//! some texts, and whole words in addition.

use crate::error::TextError;
use crate::tokenizer::{Tokenizer, for_text};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A word as a tokenizer splits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word in the alphabet of the vocabulary.
    pub text: String,
    /// Its tokens.
    pub ids: Vec<u32>,
}

/// A tokenizer with another vocabulary.
pub struct Revised {
    /// The tokenizer, which adds no special tokens.
    pub tokenizer: Tokenizer,
    /// The tokens in the former vocabulary of each token.
    pub former: Vec<Vec<u32>>,
}

impl Tokenizer {
    /// Splits a text into words with their tokens. Words with an unknown token are left out.
    ///
    /// # Errors
    /// If the text cannot be tokenized.
    pub fn words(&self, text: &str) -> Result<Vec<Word>, TextError> {
        let encoding = for_text(0, || self.encode_with_words(text))?;
        let (prefix, unknown) = &self.word_marks;
        let mut words: Vec<(Option<u32>, Word)> = Vec::new();
        for ((id, token), word) in encoding.get_ids().iter().zip(encoding.get_tokens()).zip(encoding.get_word_ids()) {
            match words.last_mut() {
                Some((last, known)) if word.is_some() && last == word => {
                    known.text.push_str(token.strip_prefix(prefix.as_str()).unwrap_or(token));
                    known.ids.push(*id);
                }
                _ => words.push((*word, Word { text: token.clone(), ids: vec![*id] })),
            }
        }
        let known = words
            .into_iter()
            .filter(|(place, word)| place.is_some() && !word.ids.iter().any(|id| Some(*id) == *unknown));
        Ok(known.map(|(_, word)| word).collect())
    }

    /// Returns the tokenizer with further words, and only those of its own tokens that are in
    /// `keep`, if it is given. Letters and special tokens always stay, so that every text still
    /// has tokens.
    ///
    /// # Errors
    /// If the tokenizer is of a kind whose vocabulary cannot be changed.
    pub fn revised(&self, keep: Option<&HashSet<u32>>, words: &[Word]) -> Result<Revised, TextError> {
        let path = Path::new("tokenizer.json");
        let invalid = |reason: String| TextError::Invalid { path: path.into(), reason };
        let mut json: Value = serde_json::from_slice(self.file_bytes()).map_err(|error| invalid(error.to_string()))?;
        for field in ["post_processor", "truncation", "padding"] {
            json[field] = Value::Null;
        }
        let added: Vec<(String, u32)> = json["added_tokens"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|token| {
                Some((token["content"].as_str()?.to_owned(), u32::try_from(token["id"].as_u64()?).ok()?))
            })
            .collect();
        let model = &mut json["model"];
        let entries = entries(model).ok_or_else(|| {
            invalid(format!("the vocabulary of a tokenizer of the kind {} cannot be changed", model["type"]))
        })?;
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default().to_owned();
        let special: HashSet<&str> = added.iter().map(|(content, _)| content.as_str()).collect();
        let is_letter = |token: &str| token.strip_prefix(prefix.as_str()).unwrap_or(token).chars().take(2).count() == 1;
        let stays = |(token, id): &(String, u32)| {
            keep.is_none_or(|keep| keep.contains(id)) || is_letter(token) || special.contains(token.as_str())
        };
        let mut kept: HashSet<String> =
            entries.iter().filter(|entry| stays(entry)).map(|(token, _)| token.clone()).collect();
        // A token of BPE is found only through the tokens that it is merged from.
        let merges = merges(model);
        for [first, second] in merges.iter().rev() {
            if kept.contains(&format!("{first}{second}")) {
                kept.extend([first.clone(), second.clone()]);
            }
        }
        let (mut ids, mut former) = (HashMap::new(), Vec::new());
        let own = entries.iter().filter(|(token, _)| kept.contains(token)).map(|(token, id)| (token, vec![*id]));
        let further = words.iter().map(|word| (&word.text, word.ids.clone()));
        let outside = added.iter().map(|(token, id)| (token, vec![*id]));
        let mut model_tokens = 0;
        for (number, (token, tokens)) in
            own.chain(further).map(|entry| (true, entry)).chain(outside.map(|entry| (false, entry)))
        {
            if ids.contains_key(token.as_str()) {
                continue;
            }
            ids.insert(token.clone(), former.len() as u32);
            former.push(tokens);
            model_tokens += usize::from(number);
        }
        write_model(model, &ids, model_tokens, &merges, words);
        for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
            if let Some(id) = token["content"].as_str().and_then(|content| ids.get(content)) {
                token["id"] = (*id).into();
            }
        }
        let bytes = serde_json::to_vec(&json).map_err(|error| invalid(error.to_string()))?;
        Ok(Revised { tokenizer: Tokenizer::from_bytes_bare(bytes, path)?, former })
    }
}

/// Returns the tokens of a model with their ids, in the order of the ids.
fn entries(model: &Value) -> Option<Vec<(String, u32)>> {
    let mut entries: Vec<(String, u32)> = match (&model["type"], &model["vocab"]) {
        (Value::String(kind), Value::Object(vocabulary))
            if ["WordPiece", "BPE", "WordLevel"].contains(&kind.as_str()) =>
        {
            let entry = |(token, id): (&String, &Value)| Some((token.clone(), u32::try_from(id.as_u64()?).ok()?));
            vocabulary.iter().map(entry).collect::<Option<_>>()?
        }
        (Value::String(kind), Value::Array(pieces)) if kind == "Unigram" => {
            let entry = |(id, piece): (usize, &Value)| Some((piece[0].as_str()?.to_owned(), id as u32));
            pieces.iter().enumerate().map(entry).collect::<Option<_>>()?
        }
        _ => return None,
    };
    entries.sort_by_key(|(_, id)| *id);
    Some(entries)
}

/// Returns the merges of a model, which are strings with a space or pairs.
fn merges(model: &Value) -> Vec<[String; 2]> {
    let merge = |merge: &Value| match merge {
        Value::String(text) => text.split_once(' ').map(|(first, second)| [first.to_owned(), second.to_owned()]),
        pair => Some([pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()]),
    };
    model["merges"].as_array().into_iter().flatten().filter_map(merge).collect()
}

/// Writes the first `count` tokens to the model.
fn write_model(model: &mut Value, ids: &HashMap<String, u32>, count: usize, merges: &[[String; 2]], words: &[Word]) {
    let mut tokens: Vec<&String> =
        ids.iter().filter(|(_, id)| (**id as usize) < count).map(|(token, _)| token).collect();
    tokens.sort_by_key(|token| ids[*token]);
    if let Value::Array(pieces) = &model["vocab"] {
        let scores: HashMap<&str, &Value> =
            pieces.iter().filter_map(|piece| Some((piece[0].as_str()?, &piece[1]))).collect();
        // The score of a word is greater than that of any pieces, which are logarithms of
        // probabilities.
        let piece =
            |token: &&String| json!([token, scores.get(token.as_str()).copied().cloned().unwrap_or(json!(0.0))]);
        let vocabulary: Vec<Value> = tokens.iter().map(piece).collect();
        let unknown = model["unk_id"].as_u64().and_then(|id| pieces[id as usize][0].as_str()).map(String::from);
        model["unk_id"] = unknown.and_then(|token| ids.get(&token).copied()).into();
        model["vocab"] = vocabulary.into();
        return;
    }
    let vocabulary: Map<String, Value> = tokens.iter().map(|token| ((*token).clone(), ids[*token].into())).collect();
    if model["type"] == "BPE" {
        let known = |token: &str| vocabulary.contains_key(token);
        let kept =
            merges.iter().filter(|[first, second]| known(first) && known(second) && known(&format!("{first}{second}")));
        model["merges"] = kept.map(|[first, second]| json!([first, second])).collect();
        if !words.is_empty() {
            // Words are found as they are, before any merge.
            model["ignore_merges"] = true.into();
        }
    }
    model["vocab"] = vocabulary.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizers() -> Vec<(String, Tokenizer)> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
        let tiny = Tokenizer::open_bare(&golden.join("tiny-bert")).unwrap();
        let mut all = vec![("tiny-bert".to_owned(), tiny)];
        let models: Value = serde_json::from_slice(&std::fs::read(golden.join("models.json")).unwrap()).unwrap();
        for case in models["tokenizers"].as_array().unwrap() {
            let bytes = serde_json::to_vec(&case["description"]).unwrap();
            let tokenizer = Tokenizer::from_bytes_bare(bytes, Path::new("tokenizer.json")).unwrap();
            all.push((case["name"].to_string(), tokenizer));
        }
        all
    }

    #[test]
    fn words_become_tokens_and_other_texts_keep_theirs() {
        let text = "habari ya ulimwengu the house habari";
        for (name, tokenizer) in tokenizers() {
            let words = tokenizer.words(text).unwrap();
            let joined: Vec<u32> = words.iter().flat_map(|word| word.ids.clone()).collect();
            let ids = tokenizer.encode(&[text], 99).unwrap().ids;
            assert!(words.len() <= 6 && joined.len() <= ids.len(), "{name}");
            let further: Vec<Word> = words.into_iter().filter(|word| word.ids.len() > 1).collect();
            let revised = tokenizer.revised(None, &further).unwrap();
            let new = revised.tokenizer.encode(&[text], 99).unwrap().ids;
            let former: Vec<u32> = new.iter().flat_map(|id| revised.former[*id as usize].clone()).collect();
            assert_eq!(former, ids, "{name}: the same tokens");
            assert!(further.is_empty() || new.len() < ids.len(), "{name}: whole words");
            assert_eq!(revised.tokenizer.vocabulary_size(), revised.former.len(), "{name}");
        }
    }

    #[test]
    fn tokens_of_some_texts_suffice_for_them_and_letters_for_others() {
        let text = "the house of the king and the water";
        for (name, tokenizer) in tokenizers() {
            let ids = tokenizer.encode(&[text], 99).unwrap().ids;
            let keep: HashSet<u32> = ids.iter().copied().collect();
            let revised = tokenizer.revised(Some(&keep), &[]).unwrap();
            assert!(revised.former.len() <= tokenizer.vocabulary_size(), "{name}");
            let new = revised.tokenizer.encode(&[text], 99).unwrap().ids;
            let former: Vec<u32> = new.iter().flat_map(|id| revised.former[*id as usize].clone()).collect();
            assert_eq!(former, ids, "{name}");
            assert!(!revised.tokenizer.encode(&["rivers"], 99).unwrap().ids.is_empty(), "{name}");
        }
    }
}
