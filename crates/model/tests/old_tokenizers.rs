//! Models whose folder has a vocabulary of the older Python tokenizers and no `tokenizer.json`.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{Role, TextEncoder, TrainingModel};
use serde_json::Value;
use std::path::Path;
use support::{copy_folder, golden, open, read_json, tiny};

const TEXTS: [&str; 3] = ["the house of the king", "", "[MASK] \u{c9}a 日本 the SEA"];

/// Writes tiny-bert with `vocab.txt` in place of `tokenizer.json`.
fn write_old(folder: &Path) {
    copy_folder(&golden("tiny-bert"), folder);
    let path = folder.join("tokenizer.json");
    let json = read_json(&path);
    let vocabulary = json["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<(u64, &str)> =
        vocabulary.iter().map(|(token, id)| (id.as_u64().unwrap(), token.as_str())).collect();
    tokens.sort_unstable();
    let lines: String = tokens.into_iter().map(|(_, token)| format!("{token}\n")).collect();
    std::fs::write(folder.join("vocab.txt"), lines).unwrap();
    std::fs::remove_file(path).unwrap();
}

fn embeddings(model: &TrainingModel) -> Vec<f32> {
    let encoder = TextEncoder::new(model.inference(), &Context::new(1)).unwrap();
    encoder.encode(&TEXTS, Role::Document).unwrap().into_vec()
}

#[test]
fn embeddings_equal_those_of_the_folder_with_tokenizer_json() {
    let folder = tempfile::tempdir().unwrap();
    write_old(folder.path());
    let model = open(folder.path());
    assert_eq!(embeddings(&model), embeddings(&tiny()));
    for file in ["tokenizer_config.json", "README.md"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    assert_eq!(embeddings(&open(folder.path())), embeddings(&tiny()), "the class of the family has the same defaults");
}

#[test]
fn the_saved_folder_has_tokenizer_json_and_the_same_fingerprint() {
    let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_old(folder.path());
    let model = open(folder.path());
    let saved = target.path().join("saved");
    model.save(&saved, &[]).unwrap();
    let vocabulary = |folder: &Path| std::fs::read(folder.join("vocab.txt")).unwrap();
    assert_eq!(vocabulary(&saved), vocabulary(folder.path()));
    assert!(!folder.path().join("tokenizer.json").exists(), "the source stays as it is");
    let again = open(&saved);
    assert_eq!((again.fingerprint(), again.difference(&model)), (model.fingerprint(), None));
    assert_eq!(embeddings(&again), embeddings(&model));
    let json: Value = read_json(&saved.join("tokenizer.json"));
    assert_eq!(json["model"]["type"], "WordPiece");

    // Python writes the same description with other white space.
    let text = serde_json::to_string_pretty(&json).unwrap();
    std::fs::write(saved.join("tokenizer.json"), text).unwrap();
    let twin = open(&saved);
    assert_eq!(embeddings(&twin), embeddings(&model));
    assert_ne!(twin.fingerprint(), model.fingerprint());
}

#[test]
fn a_static_model_takes_the_vocabulary_of_an_encoder() {
    let folder = tempfile::tempdir().unwrap();
    write_old(folder.path());
    let [old, new] = [folder.path(), &golden("tiny-bert")].map(|folder| maana_model::new_static(folder, 8, 1).unwrap());
    assert_eq!(embeddings(&old), embeddings(&new));
}

#[test]
fn a_vocabulary_that_is_larger_than_the_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_old(folder.path());
    let path = folder.path().join("vocab.txt");
    let mut lines = std::fs::read_to_string(&path).unwrap();
    lines.extend((0..2000).map(|line| format!("token{line}\n")));
    std::fs::write(path, lines).unwrap();
    let error = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).err().unwrap();
    let error = error.to_string();
    assert!(
        error.contains("vocab.txt") && error.contains("`config.json` of the model says vocab_size 2000"),
        "{error}"
    );
}
