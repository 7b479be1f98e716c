//! Cross-encoders made of modules (Transformer, Pooling, and modules of which the last computes the
//! scores): values and gradients of the reference, folders, and refusals.

mod support;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{
    Activations, CrossEncoder, DropoutSeed, HeadSettings, StatePart, Trainable, TrainingModel, WeightStorage,
};
use serde_json::{Value, json};
use std::path::Path;
use support::{
    assert_close_absolutely, backward, copy_folder, floats, golden, open, open_for_inference, read_json,
    read_safetensors,
};

const NAMES: [&str; 3] = ["mean", "classes", "modernbert"];

fn pairs() -> Vec<(String, String)> {
    serde_json::from_value(read_json(&golden("cross.json"))["pairs"].clone()).unwrap()
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(first, second)| (first.as_str(), second.as_str())).collect()
}

fn numbers(name: &str) -> Value {
    let models = read_json(&golden("cross_modules.json"))["models"].clone();
    models.as_array().unwrap().iter().find(|model| model["name"] == name).unwrap().clone()
}

fn folder(name: &str) -> std::path::PathBuf {
    golden("cross_modules").join(name)
}

fn cross_encoder(folder: &Path, precision: Precision, storage: WeightStorage) -> CrossEncoder {
    let context = Context::new(2);
    CrossEncoder::new(open_for_inference(folder, &context, precision, storage), &context).unwrap()
}

#[test]
fn logits_and_scores_are_those_of_the_reference() {
    let pairs = pairs();
    for name in NAMES {
        let expected = numbers(name);
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            let encoder = cross_encoder(&folder(name), Precision::F32, storage);
            assert_eq!(json!(encoder.labels().len()), expected["labels"], "{name}");
            assert_eq!(json!(encoder.max_length()), expected["max_length"], "{name}");
            let logits = encoder.logits(&borrowed(&pairs)).unwrap();
            assert_close_absolutely(logits.data(), &floats(&expected["logits"]), name);
            let scores = encoder.score(&borrowed(&pairs)).unwrap();
            assert_close_absolutely(scores.data(), &floats(&expected["scores"]), name);
        }
    }
}

#[test]
fn gradients_are_those_of_the_reference_by_name() {
    let (pairs, expected) = (pairs(), read_safetensors(&golden("cross_modules_grads.safetensors")));
    let upstreams = read_json(&golden("cross.json"))["upstream"].clone();
    for name in NAMES {
        let mut model = open(&folder(name));
        let (context, labels) = (Context::new(2), model.dimension());
        let batch = model.spec().tokenize_pairs(&borrowed(&pairs)).unwrap();
        let mut activations = Activations::default();
        model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
        let upstream = floats(&upstreams[labels.to_string()]);
        let upstream = Rows::new(&upstream, pairs.len(), labels, labels);
        let gradients = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut activations, upstream);
        let mut compared = 0;
        for (key, (shape, expected)) in &expected {
            let Some((number, parameter)) = key.strip_prefix(&format!("{name}/")).and_then(|key| key.split_once('/'))
            else {
                continue;
            };
            let is_own = |tensor: &str| match number {
                "0" => tensor == parameter,
                _ => tensor.starts_with(&format!("{number}_")) && tensor.ends_with(&format!(".{parameter}")),
            };
            let tensor = model.tensors().iter().find(|tensor| is_own(&tensor.name));
            let tensor = tensor.unwrap_or_else(|| panic!("{name}: no tensor `{key}`"));
            assert_eq!(tensor.shape, *shape, "{key}");
            assert_close_absolutely(&gradients[tensor.range.clone()], expected, key);
            compared += 1;
        }
        assert_eq!(compared, model.tensors().len(), "{name}");
    }
}

#[test]
fn a_score_has_the_same_bits_in_any_batch() {
    let pairs = pairs();
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let encoder = cross_encoder(&folder("classes"), precision, WeightStorage::Packed);
        let together = encoder.logits(&borrowed(&pairs)).unwrap();
        for (index, pair) in borrowed(&pairs).into_iter().enumerate() {
            assert_eq!(encoder.logits(&[pair]).unwrap().row(0), together.row(index), "{precision:?}");
        }
    }
}

#[test]
fn a_saved_model_has_the_files_of_the_reference_and_the_same_scores() {
    let pairs = pairs();
    for name in NAMES {
        let place = tempfile::tempdir().unwrap();
        let saved = place.path().join("saved");
        let model = open(&folder(name));
        model.save(&saved, &[]).unwrap();
        for file in ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"] {
            let [ours, theirs] = [&saved, &folder(name)].map(|folder| read_json(&folder.join(file)));
            match theirs.as_object().filter(|_| file.starts_with("sentence")) {
                Some(fields) => assert!(fields.iter().all(|(field, value)| ours[field] == *value), "{name}: {ours}"),
                None if file.starts_with('1') => assert_eq!(open(&saved).summary(), model.summary(), "{name}"),
                None => assert_eq!(ours, theirs, "{name}"),
            }
        }
        let theirs = read_json(&folder(name).join("modules.json"));
        for module in theirs.as_array().unwrap().iter().skip(2) {
            let path = module["path"].as_str().unwrap();
            if path.ends_with("Normalize") {
                continue;
            }
            let [ours, theirs] =
                [&saved, &folder(name)].map(|folder| read_json(&folder.join(path).join("config.json")));
            let fields = ours.as_object().unwrap();
            assert!(fields.iter().all(|(field, value)| theirs[field] == *value), "{name} {path}: {ours} {theirs}");
            assert_eq!(
                ours.get("module_output_name"),
                theirs.get("module_output_name").filter(|name| *name == "scores")
            );
        }
        let tensors = |folder: &Path| read_safetensors(&folder.join("model.safetensors"));
        assert_eq!(tensors(&saved), tensors(&folder(name)), "{name}");
        let again = open(&saved);
        assert_eq!((again.fingerprint(), again.difference(&model)), (model.fingerprint(), None));
        let scores = |folder: &Path| {
            cross_encoder(folder, Precision::F32, WeightStorage::Packed).score(&borrowed(&pairs)).unwrap()
        };
        assert_eq!(scores(&saved), scores(&folder(name)), "{name}");
    }
}

/// The summary prints modules as the reference does.
#[test]
fn the_summary_names_the_module_of_the_scores() {
    let summary = open(&folder("mean")).summary();
    let kinds: Vec<&str> = summary.modules.iter().map(|module| module.kind.as_str()).collect();
    assert_eq!(kinds, ["Transformer", "Pooling", "Dense"]);
    assert_eq!(summary.modules[0].architecture.as_deref(), Some("BertModel"));
    assert!(summary.modules[2].settings.contains(&("module_output_name".into(), "'scores'".into())));
    assert_eq!((summary.labels.len(), summary.dimension), (1, 1));
}

fn open_for_scoring(folder: &Path, labels: Option<&[&str]>) -> Result<TrainingModel, String> {
    let labels = labels.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect());
    let head = HeadSettings { labels, ..HeadSettings::default() };
    let opened = maana_model::open_for_scoring(folder, &Context::new(1), Precision::F32, &head);
    opened.map(|opened| opened.model).map_err(|error| error.to_string())
}

#[test]
fn the_modules_train_on_and_keep_the_names_of_labels() {
    let mut model = open_for_scoring(&folder("classes"), Some(&["no", "perhaps", "yes"])).unwrap();
    assert!(!model.spec().has_new_head());
    let mut values = vec![0.0; model.parameters().len()];
    model.read_state(StatePart::Parameters, 0, &mut values);
    values.iter_mut().for_each(|value| *value *= 0.5);
    model.write_state(StatePart::Parameters, 0, &values);
    let place = tempfile::tempdir().unwrap();
    let saved = place.path().join("saved");
    model.save(&saved, &[]).unwrap();
    let encoder = cross_encoder(&saved, Precision::F32, WeightStorage::Packed);
    assert_eq!(encoder.labels(), ["no", "perhaps", "yes"]);
    assert_eq!(open(&saved).parameters(), model.parameters());
    let error = open_for_scoring(&folder("mean"), Some(&["a", "b"])).err().unwrap();
    assert!(error.contains("a head of 1 labels (LABEL_0), but 2 are asked for"), "{error}");
}

fn error(folder: &Path) -> String {
    let opened = maana_model::open_for_training(folder, &Context::new(1), Precision::F32);
    opened.err().expect("an error").to_string()
}

#[test]
fn chains_that_give_no_scores_are_refused_by_name() {
    let module = |kind: &str, path: &str| json!({"name": path, "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let (transformer, pooling) = (module("Transformer", ""), module("Pooling", "1_Pooling"));
    let dense = module("Dense", "2_Dense");
    for (modules, expected) in [
        (json!([transformer, pooling]), "a cross-encoder of the modules Transformer, Pooling"),
        (json!([transformer, dense]), "a cross-encoder of the modules Transformer, Dense"),
        (json!([transformer, pooling, dense, module("Normalize", "3_Normalize")]), "Dense, Normalize"),
        (json!([module("StaticEmbedding", ""), dense]), "StaticEmbedding, Dense"),
        (json!([transformer, pooling, dense, module("LogitScore", "4")]), "LogitScore"),
        (json!([transformer, pooling, dense, module("CNN", "4")]), "module `sentence_transformers.models.CNN`"),
    ] {
        let place = tempfile::tempdir().unwrap();
        copy_folder(&folder("mean"), place.path());
        std::fs::write(place.path().join("modules.json"), modules.to_string()).unwrap();
        let error = error(place.path());
        assert!(error.contains(expected) && error.contains("modules.json"), "{expected}: {error}");
    }
    for (file, field, value, expected) in [
        (
            "2_Dense/config.json",
            "module_output_name",
            json!("sentence_embedding"),
            "module_output_name `sentence_embedding`",
        ),
        ("2_Dense/config.json", "module_output_name", json!(null), "Supported: scores"),
        ("2_Dense/config.json", "module_input_name", json!("token_embeddings"), "module_input_name `token_embeddings`"),
        ("2_Dense/config.json", "out_features", json!(2), "`linear.weight` has the shape [1, 16]"),
        ("2_Dense/config.json", "in_features", json!(8), "in_features is 8, but what comes before it gives 16"),
        ("1_Pooling/config.json", "include_prompt", json!(false), "include_prompt false in a cross-encoder"),
        ("sentence_bert_config.json", "transformer_task", json!("sequence-classification"), "transformer_task"),
    ] {
        let place = tempfile::tempdir().unwrap();
        copy_folder(&folder("mean"), place.path());
        let path = place.path().join(file);
        let mut json = read_json(&path);
        json[field] = value;
        std::fs::write(path, json.to_string()).unwrap();
        let error = error(place.path());
        assert!(error.contains(expected), "{file} {field}: {error}");
    }
}

/// Plain folders and those of Sentence Transformers alike.
#[test]
fn generative_cross_encoders_are_refused_by_name_with_the_remedy() {
    let place = tempfile::tempdir().unwrap();
    let config = json!({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 100});
    std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    for error in [error(place.path()), open_for_scoring(place.path(), None).err().unwrap()] {
        let parts = ["model_type `qwen3`", "Qwen3ForCausalLM generates texts", "for sequence classification"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let modules = json!([
        {"name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"name": "1", "path": "1_LogitScore", "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"},
    ]);
    std::fs::write(place.path().join("modules.json"), modules.to_string()).unwrap();
    let settings = json!({"model_type": "CrossEncoder"});
    std::fs::write(place.path().join("config_sentence_transformers.json"), settings.to_string()).unwrap();
    let error = error(place.path());
    let parts = ["LogitScore", "a generative cross-encoder", "open one for sequence classification"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}
