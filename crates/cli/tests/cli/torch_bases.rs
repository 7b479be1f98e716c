//! Training from a base whose weights are in PyTorch's `.bin` files: the same bits as from its
//! twin in safetensors.

use crate::support::{Bench, command, copy_folder, golden, succeed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Files of weights in `golden` with the same numbers, and their names in a folder.
const FORMS: [(&str, &str); 3] = [
    ("cross/bert/model.safetensors", "model.safetensors"),
    ("torch/parameters.bin", "pytorch_model.bin"),
    ("torch/legacy/parts.bin", "pytorch_model.bin"),
];

/// A small cross-encoder with its weights in one of the forms.
fn cross_encoder(bench: &Bench, (weights, name): (&str, &str)) -> PathBuf {
    let folder = bench.path(&weights.replace('/', "-"));
    copy_folder(&golden("cross/bert"), &folder);
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    std::fs::copy(golden(weights), folder.join(name)).unwrap();
    folder
}

/// The same as an encoder of texts, whose head is left out.
fn encoder(bench: &Bench, form: (&str, &str)) -> PathBuf {
    let folder = cross_encoder(bench, form);
    for file in ["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["architectures"] = json!(["BertModel"]);
    std::fs::write(path, config.to_string()).unwrap();
    folder
}

/// Returns the bytes of a file of the model that a run from this base saves.
fn trained(bench: &Bench, base: &Path, model: &str, end: &str, file: &str) -> Vec<u8> {
    let recipe = format!(
        "[model]\nbase = {base:?}\n{model}\n[data]\ntrain = [\"pairs.jsonl\"]\ncolumns = [\"anchor\", \"positive\"]\n\
         [loss]\nname = \"multiple_negatives_ranking\"\n[training]\nepochs = 1\nmax_steps = 3\nlearning_rate = 1e-3\n{end}"
    );
    bench.write("recipe.toml", &recipe);
    let out = format!("run-{}", base.file_name().unwrap().display());
    succeed(&mut bench.train(&out));
    let saved = bench.path(&out).join("model");
    assert!(!saved.join("pytorch_model.bin").exists());
    std::fs::read(saved.join(file)).unwrap()
}

/// Checks that runs from all forms of a base save the same file.
#[track_caller]
fn assert_same(base: fn(&Bench, (&str, &str)) -> PathBuf, model: &str, end: &str, file: &str) {
    let bench = Bench::new();
    let runs = FORMS.map(|form| trained(&bench, &base(&bench, form), model, end, file));
    assert!(runs[0] == runs[1] && runs[0] == runs[2]);
    assert!(runs[0] != std::fs::read(golden(FORMS[0].0)).unwrap(), "training changes weights");
}

#[test]
fn adapters_from_pytorch_weights_have_the_bits_of_those_from_safetensors() {
    assert_same(encoder, "lora = { rank = 2, dropout = 0.1 }", "", "adapter_model.safetensors");
    assert_same(encoder, "lora = { rank = 2, merge = true }", "", "model.safetensors");
}

#[test]
fn a_cross_encoder_from_pytorch_weights_has_the_bits_of_that_from_safetensors() {
    assert_same(cross_encoder, "kind = \"cross_encoder\"", "", "model.safetensors");
    assert_same(encoder, "kind = \"cross_encoder\"", "", "model.safetensors");
}

#[test]
fn blends_with_pytorch_weights_have_the_bits_of_those_with_safetensors() {
    let end = "[evaluation]\nretrieval = [\"dev\"]\n[blend]\nalphas = [0.4]";
    assert_same(encoder, "", end, "model.safetensors");

    let bench = Bench::new();
    let blended = FORMS.map(|form| {
        let base = encoder(&bench, form);
        trained(&bench, &base, "", "", "model.safetensors");
        let name = base.file_name().unwrap().display().to_string();
        let (tuned, out) = (bench.path(&format!("run-{name}/model")), bench.path(&format!("blend-{name}")));
        let mut blend = command(&["blend", "--weights", "0.3,0.7"]);
        succeed(blend.arg(&base).arg(&tuned).arg("--out").arg(&out));
        std::fs::read(out.join("model.safetensors")).unwrap()
    });
    assert!(blended[0] == blended[1] && blended[0] == blended[2]);
}
