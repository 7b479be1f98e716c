//! The files of a tokenizer, read as Sentence Transformers reads them: `tokenizer.json` describes
//! it, and `tokenizer_config.json` and its older companions set what the Python class of the
//! tokenizer changes in the description.

use crate::companions::{Companions, content, invalid};
use crate::error::TextError;
use crate::overlong::Overlong;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A tokenizer before it is built.
pub(crate) struct Description {
    /// `tokenizer.json` with the changes of the other files.
    pub(crate) json: Value,
    /// The changes of the other files, a line each, or an empty string. Part of fingerprints.
    pub(crate) adjustments: String,
    /// Handling of texts with too many tokens.
    pub(crate) overlong: Overlong,
    /// Limit of tokens, if the files set one.
    pub(crate) max_length: Option<usize>,
    /// True if special tokens in a text are tokenized as any other text.
    pub(crate) split_special_tokens: bool,
    /// Special tokens and segments of pairs of texts.
    pub(crate) pair: PairFrame,
}

/// Special tokens and segments of pairs of texts, as far as the Python class of the tokenizer sets
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PairFrame {
    /// Number of closing tokens between the texts; `None` if `tokenizer.json` decides.
    pub(crate) separators: Option<usize>,
    /// True if the second text is another segment than the first, false if there is only one.
    pub(crate) segments: bool,
}

impl PairFrame {
    /// Returns the frame of a class. Only BERT's has segments, unless the folder lists other
    /// inputs of the model.
    fn of(class: &str, files: &Companions) -> Self {
        let (separators, segments) = match class.strip_suffix("Fast").unwrap_or(class) {
            "BertTokenizer" | "ElectraTokenizer" => (Some(1), true),
            "DistilBertTokenizer" => (Some(1), false),
            "MPNetTokenizer" | "RobertaTokenizer" | "XLMRobertaTokenizer" | "CamembertTokenizer" => (Some(2), false),
            _ => (None, false),
        };
        let inputs = files.config.get("model_input_names").and_then(Value::as_array);
        let segments =
            inputs.map_or(segments, |names| names.iter().any(|name| name.as_str() == Some("token_type_ids")));
        Self { separators, segments }
    }
}

/// Python classes of tokenizers, by the part of the description that they replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// WordPiece with BERT's normalizer, whose settings are fields of the class.
    Bert,
    /// Byte-level BPE, with or without a space before the text.
    Roberta,
    /// SentencePiece with words that are separated by white space.
    XlmRoberta,
    /// Replaces nothing.
    Other,
}

impl Class {
    fn of(name: &str) -> Self {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "BertTokenizer" | "DistilBertTokenizer" | "ElectraTokenizer" | "MPNetTokenizer" | "RetriBertTokenizer" => {
                Self::Bert
            }
            "RobertaTokenizer" => Self::Roberta,
            "XLMRobertaTokenizer" | "CamembertTokenizer" => Self::XlmRoberta,
            _ => Self::Other,
        }
    }

    /// Fields that name the special tokens before and after a text, with their defaults.
    fn special_tokens(self) -> Option<[(&'static str, &'static str); 2]> {
        match self {
            Self::Bert => Some([("cls_token", "[CLS]"), ("sep_token", "[SEP]")]),
            Self::Roberta => Some([("cls_token", "<s>"), ("sep_token", "</s>")]),
            Self::XlmRoberta => Some([("bos_token", "<s>"), ("eos_token", "</s>")]),
            Self::Other => None,
        }
    }
}

impl Description {
    /// Reads the content of `tokenizer.json` that errors call `path`, with the changes of the
    /// Python class `class_name` and of the other files.
    pub(crate) fn read(path: &Path, bytes: &[u8], files: &Companions, class_name: &str) -> Result<Self, TextError> {
        let json = parse(path, bytes)?;
        let class = Class::of(class_name);
        let mut description = Self {
            overlong: files.overlong(&json)?,
            max_length: files.max_length(),
            split_special_tokens: files.flag("split_special_tokens")?.unwrap_or(false),
            pair: PairFrame::of(class_name, files),
            json,
            adjustments: String::new(),
        };
        // Truncation and padding in the file are those of its last use; here they are arguments of
        // every call.
        description.json["truncation"] = Value::Null;
        description.json["padding"] = Value::Null;
        if description.json["model"]["dropout"].as_f64().is_some_and(|dropout| dropout != 0.0) {
            // The reference builds its BPE without dropout as well, so that embeddings are
            // deterministic.
            description.json["model"]["dropout"] = Value::Null;
        }
        match class {
            Class::Bert => description.set_bert_normalizer(files)?,
            Class::Roberta => description.set_prefix_space(files)?,
            Class::XlmRoberta => description.split_at_white_space(files)?,
            Class::Other => {}
        }
        description.add_special_tokens(files, class)?;
        description.add_tokens(files, path)?;
        if description.overlong == Overlong::CutBeginning {
            description.record("truncation_side", &"left".into());
        }
        if description.split_special_tokens {
            description.record("split_special_tokens", &true.into());
        }
        Ok(description)
    }

    /// Reads only `tokenizer.json`, as Sentence Transformers does for static embeddings: the
    /// truncation that it was saved with stays.
    pub(crate) fn read_bare(path: &Path, bytes: &[u8]) -> Result<Self, TextError> {
        let mut json = parse(path, bytes)?;
        let truncation = json["truncation"].take();
        json["padding"] = Value::Null;
        if !json["model"]["dropout"].is_null() {
            json["model"]["dropout"] = Value::Null;
        }
        let overlong = if truncation["direction"] == "Left" { Overlong::CutBeginning } else { Overlong::CutEnd };
        let max_length = truncation["max_length"].as_u64().and_then(|length| usize::try_from(length).ok());
        let pair = PairFrame { separators: None, segments: false };
        Ok(Self { json, adjustments: String::new(), overlong, max_length, split_special_tokens: false, pair })
    }

    fn record(&mut self, what: &str, value: &Value) {
        self.adjustments.push_str(&format!("{what}={value}\n"));
    }

    fn set(&mut self, pointer: &str, value: Value) {
        let Some(place) = self.json.pointer_mut(pointer) else { return };
        if *place != value {
            self.record(pointer, &value);
            *self.json.pointer_mut(pointer).expect("found above") = value;
        }
    }

    /// Applies `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of the class, which
    /// override those of the normalizer.
    fn set_bert_normalizer(&mut self, files: &Companions) -> Result<(), TextError> {
        if self.json["normalizer"]["type"] != "BertNormalizer" {
            return Ok(());
        }
        let lower = files.flag("do_lower_case")?.unwrap_or(true);
        let accents = files.flag("strip_accents")?.map_or(Value::Null, Value::Bool);
        let chinese = files.flag("tokenize_chinese_chars")?.unwrap_or(true);
        // Missing fields have the defaults of the class.
        let normalizer = self.json["normalizer"].as_object_mut().expect("it has a type");
        normalizer.entry("lowercase").or_insert(true.into());
        normalizer.entry("strip_accents").or_insert(Value::Null);
        normalizer.entry("handle_chinese_chars").or_insert(true.into());
        self.set("/normalizer/lowercase", lower.into());
        self.set("/normalizer/strip_accents", accents);
        self.set("/normalizer/handle_chinese_chars", chinese.into());
        Ok(())
    }

    /// Applies `add_prefix_space` of the class, which overrides that of the pre-tokenizer.
    fn set_prefix_space(&mut self, files: &Companions) -> Result<(), TextError> {
        if self.json["pre_tokenizer"]["type"] == "ByteLevel" {
            let space = files.flag("add_prefix_space")?.unwrap_or(false);
            self.set("/pre_tokenizer/add_prefix_space", space.into());
        }
        Ok(())
    }

    /// Splits at white space before words are marked, because SentencePiece removes surplus white
    /// space: white space at the end of a text adds no token. Not recorded as an adjustment, so
    /// that stored vectors stay valid: only texts with surplus white space have other tokens.
    fn split_at_white_space(&mut self, files: &Companions) -> Result<(), TextError> {
        if self.json["model"]["type"] != "Unigram" {
            return Ok(());
        }
        let prepend = if files.flag("add_prefix_space")?.unwrap_or(true) { "always" } else { "never" };
        self.json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend, "split": true},
        ]});
        // The split replaces the normalizer's handling of spaces.
        let concerns_spaces = |step: &Value| match step["type"].as_str() {
            Some("Strip") => true,
            Some("Replace") => {
                let pattern = step["pattern"]["Regex"].as_str().or(step["pattern"]["String"].as_str());
                pattern.is_some_and(|pattern| pattern.starts_with(' '))
            }
            _ => false,
        };
        if concerns_spaces(&self.json["normalizer"]) {
            self.json["normalizer"] = Value::Null;
        } else if let Some(steps) = self.json.pointer_mut("/normalizer/normalizers").and_then(Value::as_array_mut) {
            steps.retain(|step| !concerns_spaces(step));
        }
        Ok(())
    }

    /// Adds the special tokens of the class around a text if `tokenizer.json` adds none.
    fn add_special_tokens(&mut self, files: &Companions, class: Class) -> Result<(), TextError> {
        let Some(names) = class.special_tokens().filter(|_| self.json["post_processor"].is_null()) else {
            return Ok(());
        };
        let mut single = Vec::new();
        let mut special = Map::new();
        for (place, (field, default)) in names.into_iter().enumerate() {
            let token = files.token(field).unwrap_or(default).to_owned();
            let Some(id) = self.id(&token) else { return Ok(()) };
            if place == 1 {
                single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
            }
            single.push(json!({"SpecialToken": {"id": token, "type_id": 0}}));
            special.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
        }
        let processor = json!({"type": "TemplateProcessing", "single": single, "pair": [
            {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": special});
        self.record("post_processor", &processor["special_tokens"]);
        self.json["post_processor"] = processor;
        Ok(())
    }

    /// Adds or changes the tokens that `tokenizer_config.json` lists, or the older files if it
    /// lists none.
    fn add_tokens(&mut self, files: &Companions, path: &Path) -> Result<(), TextError> {
        let mut tokens: Vec<(Option<u64>, Value)> = Vec::new();
        match files.config.get("added_tokens_decoder") {
            None | Some(Value::Null) => {
                for (content, id) in &files.added {
                    let id = id.as_u64().ok_or_else(|| invalid(&files.added_path, content, id, "the id of a token"))?;
                    tokens.push((Some(id), json!({"content": content})));
                }
                // The flags in `tokenizer.json` override those of the older files.
                tokens.retain(|(_, token)| self.added_index(token["content"].as_str().unwrap_or_default()).is_none());
            }
            Some(Value::Object(listed)) => {
                for (id, token) in listed {
                    let id =
                        id.parse().map_err(|_| files.invalid_field("added_tokens_decoder", "tokens by their ids"))?;
                    if !token["content"].is_string() {
                        return Err(files.invalid_field("added_tokens_decoder", "tokens with their `content`"));
                    }
                    tokens.push((Some(id), token.clone()));
                }
            }
            Some(_) => return Err(files.invalid_field("added_tokens_decoder", "an object")),
        }
        for field in ["additional_special_tokens", "extra_special_tokens"] {
            let listed = files.config.get(field).or_else(|| files.special.get(field));
            for token in listed.and_then(Value::as_array).into_iter().flatten() {
                let Some(content) = content(token) else { return Err(files.invalid_field(field, "a list of tokens")) };
                let listed = tokens.iter().any(|(_, token)| token["content"] == content);
                if !listed && self.added_index(content).is_none() {
                    tokens.push((None, json!({"content": content, "special": true, "normalized": false})));
                }
            }
        }
        tokens.sort_by_key(|(id, _)| id.unwrap_or(u64::MAX));
        for (id, token) in tokens {
            self.add_token(id, &token, path)?;
        }
        Ok(())
    }

    fn add_token(&mut self, id: Option<u64>, token: &Value, path: &Path) -> Result<(), TextError> {
        let content = token["content"].as_str().unwrap_or_default();
        let own = self.id(content);
        let id = match (own, id) {
            (Some(own), Some(id)) if own != id => {
                let reason = format!(
                    "token `{content}` has the id {own}, but `tokenizer_config.json` says {id}; the files do not belong \
                     together, fetch the model again (`maana fetch NAME --again`)"
                );
                return Err(TextError::Invalid { path: path.into(), reason });
            }
            (Some(own), _) => own,
            (None, Some(id)) => id,
            (None, None) => self.next_id(),
        };
        let flag = |name: &str, default: bool| token[name].as_bool().unwrap_or(default);
        let special = flag("special", false);
        let entry = json!({
            "id": id, "content": content, "single_word": flag("single_word", false), "lstrip": flag("lstrip", false),
            "rstrip": flag("rstrip", false), "normalized": flag("normalized", !special), "special": special,
        });
        if !self.json["added_tokens"].is_array() {
            self.json["added_tokens"] = json!([]);
        }
        let pointer = match self.added_index(content) {
            Some(place) => format!("/added_tokens/{place}"),
            None => {
                let tokens = self.json["added_tokens"].as_array_mut().expect("made above");
                tokens.push(Value::Null);
                format!("/added_tokens/{}", tokens.len() - 1)
            }
        };
        self.set(&pointer, entry);
        Ok(())
    }

    /// Returns the index of a token among the added tokens of `tokenizer.json`.
    fn added_index(&self, content: &str) -> Option<usize> {
        self.json["added_tokens"].as_array()?.iter().position(|token| token["content"] == content)
    }

    /// Returns the id of a token.
    fn id(&self, content: &str) -> Option<u64> {
        if let Some(place) = self.added_index(content) {
            return self.json["added_tokens"][place]["id"].as_u64();
        }
        match &self.json["model"]["vocab"] {
            Value::Object(vocabulary) => vocabulary.get(content)?.as_u64(),
            Value::Array(pieces) => pieces.iter().position(|piece| piece[0] == content).map(|place| place as u64),
            _ => None,
        }
    }

    fn next_id(&self) -> u64 {
        let vocabulary = match &self.json["model"]["vocab"] {
            Value::Object(vocabulary) => {
                vocabulary.values().filter_map(Value::as_u64).max().map_or(0, |id| id.saturating_add(1))
            }
            Value::Array(pieces) => pieces.len() as u64,
            _ => 0,
        };
        let added = self.json["added_tokens"].as_array().into_iter().flatten().filter_map(|token| token["id"].as_u64());
        added.map(|id| id.saturating_add(1)).fold(vocabulary, u64::max)
    }
}

/// Parses the content of `tokenizer.json`.
fn parse(path: &Path, bytes: &[u8]) -> Result<Value, TextError> {
    let unreadable = |reason: String| TextError::Unreadable { path: path.into(), reason };
    let json: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    if json.is_object() { Ok(json) } else { Err(unreadable("not a JSON object".into())) }
}
