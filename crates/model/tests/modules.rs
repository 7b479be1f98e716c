//! Modules behind pooling: values and gradients of the reference, folders, masks and refusals.

mod support;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{Activations, DropoutSeed, PassLimit, Trainable, TrainingModel};
use serde_json::{Value, json};
use std::path::Path;
use support::{assert_close_absolutely, backward, copy_folder, floats, golden, open, read_json, read_safetensors};

/// The folder of `make_golden_modules.py`: tiny-bert, and behind it Dense with a residual,
/// LayerNorm, Dropout, Dense and Normalize.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    copy_folder(&golden("modules"), folder.path());
    folder
}

fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn embeddings(model: &TrainingModel, texts: &[&str]) -> Vec<f32> {
    let batch = model.spec().tokenize(texts).unwrap();
    model.inference().embed(&Context::new(1), &batch, &mut Activations::default()).data().to_vec()
}

#[test]
fn embeddings_and_gradients_are_those_of_the_reference() {
    let golden_modules = read_json(&golden("modules.json"));
    let texts = texts(&golden_modules);
    let folder = folder();
    let mut model = open(folder.path());
    assert_close_absolutely(&embeddings(&model, &texts), &floats(&golden_modules["embeddings"]), "embeddings");

    let (context, batch) = (Context::new(2), model.spec().tokenize(&texts).unwrap());
    let mut keep = Activations::default();
    model.forward(&context, &batch, DropoutSeed::Off, &mut keep);
    let upstream = floats(&golden_modules["upstream"]);
    let upstream = Rows::new(&upstream, texts.len(), 20, 20);
    let gradients = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut keep, upstream);
    let expected = read_safetensors(&golden("modules_grads.safetensors"));
    assert_eq!(expected.len(), 9);
    for (name, (shape, expected)) in expected {
        let tensor = model.tensors().iter().find(|tensor| tensor.name == name);
        let tensor = tensor.unwrap_or_else(|| panic!("no tensor `{name}`"));
        assert_eq!(tensor.shape, shape, "{name}");
        assert_close_absolutely(&gradients[tensor.range.clone()], &expected, &name);
    }
}

#[test]
fn a_saved_model_gives_the_same_bits() {
    let golden_modules = read_json(&golden("modules.json"));
    let texts = texts(&golden_modules);
    let (folder, place) = (folder(), tempfile::tempdir().unwrap());
    let model = open(folder.path());
    let saved = place.path().join("saved");
    model.save(&saved, &[]).unwrap();
    let again = open(&saved);
    assert_eq!(embeddings(&again, &texts), embeddings(&model, &texts));
    assert_eq!(again.fingerprint(), model.fingerprint());
    assert_eq!(again.tensors(), model.tensors());
    let kinds: Vec<Value> = read_json(&saved.join("modules.json"))
        .as_array()
        .unwrap()
        .iter()
        .map(|module| module["type"].clone())
        .collect();
    let expected = ["Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Dense", "Normalize"];
    assert_eq!(kinds, expected.map(|kind| json!(format!("sentence_transformers.models.{kind}"))));
    assert_eq!(read_json(&saved.join("4_Dropout/config.json")), json!({"dropout": 0.3}));
    assert_eq!(read_json(&saved.join("3_LayerNorm/config.json")), json!({"dimension": 20}));
    assert_eq!(read_json(&saved.join("2_Dense/config.json"))["use_residual"], json!(true));
    let norm = read_safetensors(&saved.join("3_LayerNorm/model.safetensors"));
    assert_eq!(norm, read_safetensors(&golden("modules/3_LayerNorm/model.safetensors")));

    let summary = model.spec().summary();
    let shown: Vec<(&str, &[(String, String)])> =
        summary.modules[2..].iter().map(|module| (module.kind.as_str(), module.settings.as_slice())).collect();
    assert_eq!(shown[1], ("LayerNorm", &[("dimension".to_owned(), "20".to_owned())][..]));
    assert_eq!(shown[2], ("Dropout", &[("dropout".to_owned(), "0.3".to_owned())][..]));
    assert_eq!(shown[0].1[4], ("use_residual".to_owned(), "True".to_owned()));
}

/// Embeddings and gradients of a batch that is computed in parts, with dropout.
fn in_parts(model: &mut TrainingModel, context: &Context, limit: PassLimit) -> (Vec<u32>, Vec<u32>) {
    let texts: Vec<String> = (0..23usize).map(|index| "the house of water ".repeat(index % 5)).collect();
    let batch = model.spec().tokenize(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let d_embeddings = support::noise(23 * 20, 3);
    let d_embeddings = Rows::new(&d_embeddings, 23, 20, 20);
    let mut keep = Activations::default();
    let mut embeddings = Vec::new();
    model.clear_gradients();
    for sequences in limit.parts(&batch.offsets, model.part_multiple()) {
        let part = batch.part(sequences.clone());
        let (first_token, first_sequence) = (batch.offsets[sequences.start] as u64, sequences.start as u64);
        let dropout = DropoutSeed::On { seed: 3, pass: 4, first_token, first_sequence };
        let rows = model.forward(context, &part, dropout, &mut keep);
        embeddings.extend(rows.data().iter().map(|value| value.to_bits()));
        model.backward_part(context, &part, dropout, &mut keep, d_embeddings.range(sequences));
    }
    model.finish_parts(context, &mut keep);
    (embeddings, model.gradients().iter().map(|value| value.to_bits()).collect())
}

#[test]
fn dropout_behind_pooling_has_the_same_bits_in_parts_and_on_any_number_of_threads() {
    let folder = folder();
    for precision in [Precision::F32, Precision::Bf16] {
        let mut model = open(folder.path());
        model.set_precision(precision);
        let whole = in_parts(&mut model, &Context::new(1), PassLimit::default());
        for (threads, sequences) in [(2, usize::MAX), (1, 5), (3, 2), (2, 9)] {
            let limit = PassLimit { sequences, tokens: usize::MAX };
            let parts = in_parts(&mut model, &Context::new(threads), limit);
            assert!(parts == whole, "{threads} threads, parts of {sequences}");
        }
    }
}

#[test]
fn other_probabilities_are_another_fingerprint_but_the_same_embeddings() {
    let (one, other) = (folder(), folder());
    std::fs::write(other.path().join("4_Dropout/config.json"), r#"{"dropout": 0.5}"#).unwrap();
    let (one, other) = (open(one.path()), open(other.path()));
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(embeddings(&one, &["the sea"]), embeddings(&other, &["the sea"]));
    assert_eq!(one.difference(&other), None);
}

#[test]
fn a_dropout_behind_normalisation_leaves_embeddings_of_length_1() {
    let folder = folder();
    let path = folder.path().join("modules.json");
    let mut modules = read_json(&path);
    let list = modules.as_array_mut().unwrap();
    let dropout = list.remove(4);
    list.push(dropout);
    std::fs::write(&path, modules.to_string()).unwrap();
    let model = open(folder.path());
    assert!(model.spec().normalizes());
    let length: f32 = embeddings(&model, &["the sea"]).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

fn edit(folder: &Path, file: &str, field: &str, value: &Value) {
    let path = folder.join(file);
    let mut json = read_json(&path);
    *json.pointer_mut(&format!("/{field}")).unwrap() = value.clone();
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn modules_that_are_not_supported_are_refused_by_name() {
    let kinds = [
        ("sentence_transformer.modules.weighted_layer_pooling.WeightedLayerPooling", "Pooling over the last layer"),
        ("sentence_transformer.modules.cnn.CNN", "word vectors"),
        ("models.LSTM", "word vectors"),
        ("models.BoW", "without a tokenizer.json"),
        ("sentence_transformer.modules.word_embeddings.WordEmbeddings", "without a tokenizer.json"),
        ("models.CLIPModel", "images"),
        ("sparse_encoder.modules.splade_pooling.SpladePooling", "dense"),
    ];
    for (kind, remedy) in kinds {
        let folder = folder();
        edit(folder.path(), "modules.json", "2/type", &json!(format!("sentence_transformers.{kind}")));
        let error = error_of(folder.path());
        let name = kind.rsplit('.').next().unwrap();
        assert!(error.contains("modules.json") && error.contains(name) && error.contains(remedy), "{error}");
    }
}

#[test]
fn settings_of_modules_are_refused_by_file_and_field() {
    let changes = [
        ("3_LayerNorm/config.json", "dimension", json!(21), "dimension is 21"),
        ("3_LayerNorm/config.json", "dimension", json!("20"), "`dimension`"),
        ("4_Dropout/config.json", "dropout", json!(1.0), "`dropout` is 1.0; expected a probability"),
        ("4_Dropout/config.json", "dropout", json!(-0.1), "`dropout`"),
        ("4_Dropout/config.json", "dropout", json!("0.1"), "`dropout`"),
        ("2_Dense/config.json", "module_input_name", json!("token_embeddings"), "module_input_name"),
        ("2_Dense/config.json", "module_output_name", json!("projected"), "module_output_name"),
        ("2_Dense/config.json", "use_residual", json!("yes"), "use_residual"),
        ("2_Dense/config.json", "in_features", json!(65), "in_features is 65"),
    ];
    for (file, field, value, expected) in changes {
        let folder = folder();
        edit(folder.path(), file, field, &value);
        let error = error_of(folder.path());
        assert!(error.contains(file) && error.contains(expected), "{file}: {field} {value}: {error}");
    }
    for (missing, expected) in [
        ("3_LayerNorm/model.safetensors", "3_LayerNorm/model.safetensors: no such file"),
        ("3_LayerNorm/config.json", "3_LayerNorm/config.json: no such file"),
    ] {
        let folder = folder();
        std::fs::remove_file(folder.path().join(missing)).unwrap();
        let error = error_of(folder.path());
        assert!(error.contains(expected), "{error}");
    }
}

fn error_of(folder: &Path) -> String {
    let opened = maana_model::open_for_training(folder, &Context::new(1), Precision::F32);
    opened.err().expect("an error").to_string()
}
