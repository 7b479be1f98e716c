//! `tokenizer.json` for folders that have only the files of Python's older tokenizers: built as
//! Python builds it when it opens such a folder.

mod added_token;
mod byte_pairs;
mod class;
mod model;
mod protobuf;
mod sentence_piece;
mod special_tokens;
mod word_piece;

pub(crate) use class::{Class, FIELDS};

use crate::companions::Companions;
use crate::error::TextError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Model;
use sentence_piece::Frame;
use serde_json::{Value, json};
use special_tokens::SpecialTokens;
use std::path::{Path, PathBuf};

/// Files that can hold the vocabulary of a tokenizer without `tokenizer.json`.
pub(crate) const VOCABULARIES: [&str; 4] = ["vocab.txt", "vocab.json", "sentencepiece.bpe.model", "tokenizer.model"];

/// Returns the content of `tokenizer.json` of a folder without it, whose tokenizer has the Python
/// class `name`, and the path of the vocabulary.
pub(crate) fn convert(folder: &Path, files: &Companions, name: &str) -> Result<(PathBuf, Vec<u8>), TextError> {
    let Some(class) = Class::of(name) else {
        let known: Vec<&str> = Class::NAMES.into_iter().map(|(name, _)| name).collect();
        let reason = format!("it can be built for {}, not for {name}", known.join(", "));
        return Err(TextError::Missing { path: folder.join("tokenizer.json"), reason });
    };
    let tokens = SpecialTokens::read(files, class)?;
    let model = read_model(folder, class, name, &tokens)?;
    let added = tokens.added_to(&model)?;
    let id = |field: &str| {
        let content = tokens.text(field);
        added.iter().find_map(|(id, token)| (token.content == content).then_some(*id))
    };
    let token = |field: &str| (tokens.text(field), id(field).unwrap_or(0));
    let prepend = if files.flag("add_prefix_space")?.unwrap_or(true) { "always" } else { "never" };
    let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend, "split": true});
    let [normalizer, pre_tokenizer, decoder] = match class {
        Class::Bert | Class::MpNet => [
            json!({
                "type": "BertNormalizer", "clean_text": true,
                "handle_chinese_chars": files.flag("tokenize_chinese_chars")?.unwrap_or(true),
                "strip_accents": files.flag("strip_accents")?,
                "lowercase": files.flag("do_lower_case")?.unwrap_or(true),
            }),
            json!({"type": "BertPreTokenizer"}),
            json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        ],
        Class::Roberta => {
            let space = files.flag("add_prefix_space")?.unwrap_or(false);
            let mut of_text =
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
            let decoder = of_text.clone();
            of_text["add_prefix_space"] = space.into();
            [Value::Null, of_text, decoder]
        }
        Class::XlmRoberta | Class::Camembert => [
            match model.charsmap.as_slice() {
                [] => Value::Null,
                map => json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(map)}),
            },
            json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, &metaspace]}),
            metaspace,
        ],
    };
    let post_processor = match class {
        Class::Bert => template(token("cls_token"), token("sep_token"), 1, 1),
        Class::XlmRoberta | Class::Camembert => template(token("bos_token"), token("eos_token"), 2, 0),
        Class::MpNet | Class::Roberta => {
            let roberta = class == Class::Roberta;
            let flag = |field, default| Ok(files.flag(field)?.filter(|_| roberta).unwrap_or(default));
            json!({
                "type": "RobertaProcessing", "sep": token("sep_token"), "cls": token("cls_token"),
                "trim_offsets": flag("trim_offsets", true)?, "add_prefix_space": flag("add_prefix_space", false)?,
            })
        }
    };
    let added: Vec<Value> = added.iter().map(|(id, token)| token.entry(*id)).collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model.json,
    });
    match serde_json::to_vec(&json) {
        Ok(bytes) => Ok((model.path, bytes)),
        Err(error) => Err(model::invalid(&model.path, error.to_string())),
    }
}

/// Returns the processor that puts special tokens around a text, and `separators` closing tokens
/// between the texts of a pair, of which the second has the segment `second`.
fn template(opening: (&str, u32), closing: (&str, u32), separators: usize, second: u32) -> Value {
    let special = |token: &str, segment: u32| json!({"SpecialToken": {"id": token, "type_id": segment}});
    let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
    let single = vec![special(opening.0, 0), text("A", 0), special(closing.0, 0)];
    let mut pair = single.clone();
    pair.extend((1..separators).map(|_| special(closing.0, 0)));
    pair.extend([text("B", second), special(closing.0, second)]);
    let mut tokens = serde_json::Map::new();
    for (token, id) in [opening, closing] {
        tokens.insert(token.into(), json!({"id": token, "ids": [id], "tokens": [token]}));
    }
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens})
}

fn read_model(folder: &Path, class: Class, name: &str, tokens: &SpecialTokens) -> Result<Model, TextError> {
    let read = |names: &[&str]| read_one_of(folder, names, name);
    let text = |field: &str| tokens.text(field).to_owned();
    match class {
        Class::Bert | Class::MpNet => {
            let (path, bytes) = read(&["vocab.txt"])?;
            word_piece::read(path, &bytes, tokens.text("unk_token"))
        }
        Class::Roberta => {
            let (path, vocabulary) = read(&["vocab.json"])?;
            let (merges_path, merges) = read(&["merges.txt"])?;
            byte_pairs::read((path, &vocabulary), (&merges_path, &merges))
        }
        Class::XlmRoberta | Class::Camembert => {
            let (path, bytes) = read(&["tokenizer.model", "sentencepiece.bpe.model"])?;
            let (before, skip, unknown) = match class {
                Class::Camembert => {
                    let (pad, unknown) = (tokens.text("pad_token"), tokens.text("unk_token"));
                    let before = ["<s>NOTUSED", pad, "</s>NOTUSED", unknown, "<unk>NOTUSED"];
                    // Of equal tokens the first one counts.
                    let id = before.iter().position(|token| *token == unknown).unwrap_or(3);
                    (before.map(String::from).into_iter().zip([0.0, 0.0, 0.0, 0.0, -100.0]).collect(), 1, id)
                }
                _ => {
                    let fields = ["bos_token", "pad_token", "eos_token", "unk_token"];
                    (fields.map(|field| (text(field), 0.0)).to_vec(), 3, 3)
                }
            };
            sentence_piece::read(path, &bytes, Frame { before, skip, after: text("mask_token"), unknown })
        }
    }
}

/// Reads the first of some files that the folder has.
fn read_one_of(folder: &Path, names: &[&str], class: &str) -> Result<(PathBuf, Vec<u8>), TextError> {
    for name in names {
        let path = folder.join(name);
        let bytes = maana_files::read_optional(&path);
        if let Some(bytes) = bytes.map_err(|error| model::invalid(&path, error.to_string()))? {
            return Ok((path, bytes));
        }
    }
    let needed = names.join(" or ");
    let reason = format!("the folder has no {needed} either, from which it is built for {class}");
    Err(TextError::Missing { path: folder.join("tokenizer.json"), reason })
}
