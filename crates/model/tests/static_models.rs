//! Static models: embeddings and gradients are those of Sentence Transformers for every form of
//! folder; what is written opens again; tables that do not fit are refused.

mod support;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{
    Activations, DropoutSeed, ModelError, PassLimit, Role, TextEncoder, Trainable, TrainingModel, WeightStorage,
};
use maana_text::Tokenizer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::{
    RawTensor, assert_close, backward, f32_tensor, floats, golden, noise, open, open_for_inference, read_json,
    write_safetensors,
};

const ROWS: usize = 2000;
const COLUMNS: usize = 8;

fn tensor(dtype: &'static str, shape: &[usize], bytes: impl IntoIterator<Item = u8>) -> RawTensor {
    RawTensor { dtype, shape: shape.to_vec(), bytes: bytes.into_iter().collect() }
}

/// Writes a folder with a table; modules behind it are in folders with their number and kind.
fn write(folder: &Path, place: &str, tensors: &[(&str, RawTensor)], modules: &[&str], max_length: Option<usize>) {
    let own = folder.join(place);
    std::fs::create_dir_all(&own).unwrap();
    let tensors: BTreeMap<String, RawTensor> =
        tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    write_safetensors(&own.join("model.safetensors"), &tensors);
    let mut tokenizer = read_json(&golden("tiny-bert/tokenizer.json"));
    if let Some(tokens) = max_length {
        tokenizer["truncation"] =
            json!({"direction": "Right", "max_length": tokens, "strategy": "LongestFirst", "stride": 0});
    }
    std::fs::write(own.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let entry = |index: usize, path: &str, kind: &str| {
        let kind = format!("sentence_transformers.models.{kind}");
        json!({"idx": index, "name": index.to_string(), "path": path, "type": kind})
    };
    let mut entries = vec![entry(0, place, "StaticEmbedding")];
    for (index, kind) in modules.iter().enumerate() {
        let place = format!("{}_{kind}", index + 1);
        entries.push(entry(index + 1, &place, kind));
        if *kind == "Dense" {
            std::fs::create_dir_all(folder.join(&place)).unwrap();
            let config = json!({"in_features": COLUMNS, "out_features": 6, "bias": true,
                "activation_function": "torch.nn.modules.activation.Tanh"});
            std::fs::write(folder.join(&place).join("config.json"), config.to_string()).unwrap();
            let weight = f32_tensor(&[6, COLUMNS], &noise(6 * COLUMNS, 8));
            let tensors = [("linear.weight", weight), ("linear.bias", f32_tensor(&[6], &noise(6, 9)))];
            let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
            write_safetensors(&folder.join(&place).join("model.safetensors"), &BTreeMap::from(tensors));
        }
    }
    std::fs::write(folder.join("modules.json"), json!(entries).to_string()).unwrap();
}

/// Writes the folder of a golden case.
fn write_case(folder: &Path, case: &str) {
    let values = noise(ROWS * COLUMNS, 7);
    let table = f32_tensor(&[ROWS, COLUMNS], &values);
    let weights: Vec<f64> = noise(ROWS, 10).iter().map(|value| (f64::from(*value) + 2.0) / 3.0).collect();
    match case {
        "root" => write(folder, "", &[("embedding.weight", table)], &[], None),
        "folder" => write(folder, "0_StaticEmbedding", &[("embedding.weight", table)], &["Dense", "Normalize"], None),
        "half" => {
            let bytes = values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes());
            write(folder, ".", &[("embeddings", tensor("F16", &[ROWS, COLUMNS], bytes))], &["Normalize"], None);
        }
        "weights" => {
            let weights: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
            let tensors = [("embeddings", table), ("weights", f32_tensor(&[ROWS], &weights))];
            write(folder, ".", &tensors, &[], None);
        }
        "mapping" => {
            let mapping = (0..ROWS as i32).flat_map(|token| (token * 7 % 50).to_le_bytes());
            let tensors = [
                ("embeddings", f32_tensor(&[50, COLUMNS], &noise(50 * COLUMNS, 7))),
                ("mapping", tensor("I32", &[ROWS], mapping)),
                ("weights", tensor("F64", &[ROWS], weights.iter().flat_map(|weight| weight.to_le_bytes()))),
            ];
            write(folder, ".", &tensors, &["Normalize"], None);
        }
        "int8" => {
            let bytes = values.iter().map(|value| ((value * 127.0).round_ties_even() as i8).cast_unsigned());
            write(folder, ".", &[("embeddings", tensor("I8", &[ROWS, COLUMNS], bytes))], &[], None);
        }
        "short" => write(folder, "", &[("embedding.weight", table)], &[], Some(3)),
        other => panic!("no case {other}"),
    }
}

fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn every_form_of_folder_has_the_embeddings_of_the_reference() {
    let golden = read_json(&golden("static.json"));
    let texts = texts(&golden);
    let context = Context::new(2);
    for (case, expected) in golden["embeddings"].as_object().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        write_case(folder.path(), case);
        let expected = floats(expected);
        let mut all = Vec::new();
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
                let model = open_for_inference(folder.path(), &context, precision, storage);
                let encoder = TextEncoder::new(model, &context).unwrap();
                assert!(encoder.is_static(), "{case}");
                let rows = encoder.encode(&texts, Role::Document).unwrap();
                for (ours, theirs) in rows.data().iter().zip(&expected) {
                    assert!((ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0), "{case}: {ours} {theirs}");
                }
                if case != "folder" {
                    assert!(rows.row(2).iter().all(|value| *value == 0.0), "{case}: the empty text");
                }
                all.push((rows.into_vec(), encoder.fingerprint()));
            }
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{case}: no form of storage changes embeddings");
    }
}

#[test]
fn gradients_are_those_of_the_reference_by_name() {
    let golden = read_json(&golden("static.json"));
    let texts = texts(&golden);
    let folder = tempfile::tempdir().unwrap();
    write_case(folder.path(), "folder");
    let mut model = open(folder.path());
    let (context, mut activations) = (Context::new(2), Activations::default());
    let batch = model.spec().tokenize(&texts).unwrap();
    model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let upstream = noise(texts.len() * 6, 3);
    let upstream = Rows::new(&upstream, texts.len(), 6, 6);
    let gradients = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut activations, upstream);
    let expected = &golden["gradients"];
    let rows: Vec<usize> = serde_json::from_value(expected["rows"].clone()).unwrap();
    let mut table = vec![0.0; ROWS * COLUMNS];
    for (row, values) in rows.iter().zip(floats(&expected["values"]).chunks(COLUMNS)) {
        table[row * COLUMNS..][..COLUMNS].copy_from_slice(values);
    }
    let theirs = [table, floats(&expected["weight"]), floats(&expected["bias"])];
    assert_eq!(model.tensors()[0].name, "embedding.weight");
    for (tensor, theirs) in model.tensors().iter().zip(&theirs) {
        assert_close(&gradients[tensor.range.clone()], theirs, &tensor.name);
    }
}

#[test]
fn gradients_are_the_same_bits_for_threads_and_parts() {
    let folder = tempfile::tempdir().unwrap();
    write_case(folder.path(), "folder");
    let texts: Vec<String> = (0..40).map(|i| "the house of a king and water ".repeat(i % 4)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let upstream = noise(texts.len() * 6, 4);
    let gradients = |threads: usize, limit: PassLimit| {
        let mut model = open(folder.path());
        let (context, mut activations) = (Context::new(threads), Activations::default());
        let batch = model.spec().tokenize(&texts).unwrap();
        for part in limit.parts(&batch.offsets, model.part_multiple()) {
            let tokens = batch.part(part.clone());
            model.forward(&context, &tokens, DropoutSeed::Off, &mut activations);
            let rows = Rows::new(&upstream[part.start * 6..part.end * 6], part.len(), 6, 6);
            model.backward_part(&context, &tokens, DropoutSeed::Off, &mut activations, rows);
        }
        model.finish_parts(&context, &mut activations);
        model.gradients()[..ROWS * COLUMNS].to_vec()
    };
    let whole = gradients(1, PassLimit::default());
    assert!(whole.iter().any(|value| *value != 0.0));
    for threads in [1, 2, 3] {
        assert_eq!(whole, gradients(threads, PassLimit::default()), "{threads} threads");
        assert_eq!(whole, gradients(threads, PassLimit { sequences: 7, tokens: usize::MAX }), "{threads} threads");
    }
}

#[test]
fn a_written_folder_opens_to_the_same_model_in_its_form() {
    let context = Context::new(2);
    for case in ["root", "folder", "half", "mapping", "short"] {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        write_case(from.path(), case);
        if case == "half" || case == "mapping" {
            let config = json!({"model_type": "model2vec", "normalize": true, "vocabulary_quantization": 50});
            std::fs::write(from.path().join("config.json"), config.to_string()).unwrap();
        }
        let mut model = open(from.path());
        if case == "root" {
            model.set_max_seq_length(2).unwrap();
        }
        let written = to.path().join("model");
        model.save(&written, &[]).unwrap();
        let again = open(&written);
        assert_eq!(model.parameters(), again.parameters(), "{case}");
        assert_eq!(model.spec().settings(), again.spec().settings(), "{case}");
        assert_eq!(model.spec().normalizes(), again.spec().normalizes(), "{case}");
        if case != "root" {
            assert_eq!(model.fingerprint(), again.fingerprint(), "{case}");
        }
        let config = written.join("config.json");
        assert_eq!(config.exists(), case == "half" || case == "mapping", "{case}");
        if config.exists() {
            let config = read_json(&config);
            assert_eq!(config["hidden_dim"], COLUMNS, "{case}");
            assert_eq!(config["embedding_dtype"], if case == "half" { "float16" } else { "float32" });
            assert!(config.get("vocabulary_quantization").is_none());
        }
        let encoder = TextEncoder::new(again.inference(), &context).unwrap();
        assert_eq!(
            encoder.tokens(&["the house of the king"], "").unwrap().tokens(),
            match case {
                "root" => 2,
                "short" => 3,
                _ => 5,
            }
        );
    }
}

#[test]
fn a_folder_of_model2vec_without_modules_is_normalised_as_its_configuration_says() {
    for normalize in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_case(folder.path(), "root");
        std::fs::remove_file(folder.path().join("modules.json")).unwrap();
        let config = json!({"model_type": "model2vec", "normalize": normalize});
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        assert_eq!(open(folder.path()).spec().normalizes(), normalize);
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let message = |tensors: &[(&str, RawTensor)]| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "", tensors, &[], None);
        let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32);
        opened.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let table = |rows: usize| f32_tensor(&[rows, COLUMNS], &noise(rows * COLUMNS, 7));
    let integers = |value: i32| tensor("I32", &[ROWS], [value; ROWS].into_iter().flat_map(i32::to_le_bytes));
    let cases = [
        (
            vec![("embedding.weight", table(1999))],
            "tokenizer has 2000 tokens, but the table of static embeddings has 1999",
        ),
        (vec![("other", table(ROWS))], "`embedding.weight` (or `embeddings`) is missing"),
        (vec![("embeddings", f32_tensor(&[ROWS], &noise(ROWS, 1)))], "expected rows and columns"),
        (vec![("embeddings", table(50)), ("mapping", integers(50))], "gives token 0 the row 50, but the table has 50"),
        (vec![("embeddings", table(50)), ("mapping", f32_tensor(&[ROWS], &noise(ROWS, 1)))], "expected integers"),
        (vec![("embeddings", table(ROWS)), ("weights", f32_tensor(&[3], &[1.0; 3]))], "3 numbers for 2000 tokens"),
        (vec![("embeddings", table(ROWS)), ("weights", f32_tensor(&[ROWS], &[f32::NAN; ROWS]))], "not a number"),
        (vec![("embedding.weight", integers(1)), ("weights", f32_tensor(&[ROWS], &[1.0; ROWS]))], "rows and columns"),
        (
            vec![("embeddings", tensor("U8", &[ROWS, COLUMNS], vec![1; ROWS * COLUMNS]))],
            "tensor `embeddings` is of type U8; expected F32, F16, BF16, F64 or I8",
        ),
    ];
    for (tensors, expected) in cases {
        let error = message(&tensors);
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn a_random_table_has_a_row_for_each_token() {
    let tokenizer = || Tokenizer::open_bare(&golden("tiny-bert")).unwrap();
    let model = TrainingModel::random_static(tokenizer(), 16, 3).unwrap();
    assert_eq!(model.tensors()[0].shape, [ROWS, 16]);
    assert_eq!((model.dimension(), model.spec().normalizes()), (16, false));
    let again = TrainingModel::random_static(tokenizer(), 16, 3).unwrap();
    assert_eq!(model.parameters(), again.parameters());
    for columns in [0, 1 << 17] {
        assert!(matches!(TrainingModel::random_static(tokenizer(), columns, 3), Err(ModelError::Request(_))));
    }
}

#[test]
fn adapters_are_refused() {
    let tokenizer = Tokenizer::open_bare(&golden("tiny-bert")).unwrap();
    let mut model = TrainingModel::random_static(tokenizer, 4, 3).unwrap();
    let settings = maana_model::LoraSettings {
        rank: 2,
        alpha: 2.0,
        dropout: 0.0,
        targets: vec![],
        routes: vec![],
        base: "x".into(),
        merge: false,
    };
    let error = model.add_lora(settings, 1).unwrap_err().to_string();
    assert!(error.contains("no linear layers"), "{error}");
}
