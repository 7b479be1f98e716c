//! ModernBERT: small random models with the fields of well-known ones have the token ids,
//! embeddings and gradients of the reference, by name and element by element. Then what belongs to
//! this family only: windows, the length of texts, folders.

mod support;

use maana_kernels::{Context, InstructionSet, Precision, Rows};
use maana_model::{
    Activations, DropoutSeed, LoraSettings, TextEncoder, Trainable, TrainingModel, UpdatePlan, WeightStorage,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::{
    assert_close, backward, f32_tensor, golden, noise, open, open_for_inference, read_json, read_safetensors,
    write_safetensors,
};

/// Writes the folder of a golden model. `max_seq_length` is that of the folder, if it sets one.
fn write_folder(folder: &Path, numbers: &Value, name: &str, max_seq_length: Option<usize>) -> Value {
    let model = numbers["models"].as_array().unwrap().iter().find(|model| model["name"] == name).unwrap();
    let tokenizer = numbers["tokenizers"].as_array().unwrap().iter().find(|case| case["name"] == model["tokenizer"]);
    let write = |name: &str, json: &Value| std::fs::write(folder.join(name), json.to_string()).unwrap();
    write("config.json", &model["config"]);
    write("tokenizer.json", &tokenizer.unwrap()["description"]);
    write("tokenizer_config.json", &tokenizer.unwrap()["config"]);
    write(
        "modules.json",
        &json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]),
    );
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    write("1_Pooling/config.json", &json!({"embedding_dimension": 24, "pooling_mode": model["pooling"]}));
    if let Some(tokens) = max_seq_length {
        write("sentence_bert_config.json", &json!({"max_seq_length": tokens}));
    }
    let shapes = read_safetensors(&golden("modern_bert_grads.safetensors"));
    let own = format!("{name}/");
    let names: Vec<&str> = shapes.keys().filter_map(|key| key.strip_prefix(&own)).collect();
    let mut tensors = BTreeMap::new();
    for (number, tensor) in names.iter().enumerate() {
        let shape = &shapes[&format!("{own}{tensor}")].0;
        let values = noise(shape.iter().product(), number as u64 + 7);
        let norm = tensor.ends_with("norm.weight");
        let values: Vec<f32> =
            values.into_iter().map(|value| if norm { 1.0 + 0.2 * value } else { 0.3 * value }).collect();
        tensors.insert((*tensor).to_owned(), f32_tensor(shape, &values));
    }
    write_safetensors(&folder.join("model.safetensors"), &tensors);
    model.clone()
}

fn numbers() -> Value {
    read_json(&golden("modern_bert.json"))
}

fn texts(model: &Value) -> Vec<&str> {
    model["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Includes a text of 4,000 tokens, whose gradients the next test compares.
#[test]
fn ids_embeddings_and_gradients_are_those_of_the_reference() {
    let (numbers, gradients) = (numbers(), read_safetensors(&golden("modern_bert_grads.safetensors")));
    for model in numbers["models"].as_array().unwrap() {
        let name = model["name"].as_str().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let positions = model["config"]["max_position_embeddings"].as_u64().unwrap() as usize;
        write_folder(folder.path(), &numbers, name, Some(positions));
        let mut trained = open(folder.path());
        let batch = trained.spec().tokenize(&texts(model)).unwrap();
        let ids: Vec<Vec<u32>> = serde_json::from_value(model["ids"].clone()).unwrap();
        assert_eq!(batch.ids, ids.concat(), "{name}");

        let (context, mut activations) = (Context::new(2), Activations::default());
        let expected: Vec<Vec<f32>> = serde_json::from_value(model["embeddings"].clone()).unwrap();
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            let encoder = open_for_inference(folder.path(), &context, Precision::F32, storage);
            let embeddings = TextEncoder::new(encoder, &context).unwrap().embed(&texts(model), "").unwrap();
            assert_close(embeddings.data(), &expected.concat(), name);
        }
        let batch = trained.spec().tokenize(&texts(model)[..5]).unwrap();
        for recompute in [false, true] {
            trained.set_gradient_checkpointing(recompute);
            let embeddings = trained.forward(&context, &batch, DropoutSeed::Off, &mut activations);
            assert_close(embeddings.data(), &expected[..5].concat(), name);
            let upstream = noise(embeddings.data().len(), 3);
            let upstream = Rows::new(&upstream, embeddings.rows(), 24, 24);
            let ours = backward(&mut trained, &context, &batch, DropoutSeed::Off, &mut activations, upstream);
            let own = gradients.keys().filter(|key| key.starts_with(&format!("{name}/"))).count();
            assert_eq!(own, trained.tensors().len(), "{name}");
            for tensor in trained.tensors() {
                let (shape, theirs) = &gradients[&format!("{name}/{}", tensor.name)];
                assert_eq!(*shape, tensor.shape, "{name} {}", tensor.name);
                assert!(theirs.iter().any(|value| *value != 0.0), "{name} {} has no gradient", tensor.name);
                assert_close(&ours[tensor.range.clone()], theirs, &format!("{name} {}", tensor.name));
            }
        }
    }
}

/// The reference's gradients in f64: those in f32 are sums of thousands of rounded numbers too.
#[test]
fn gradients_of_a_text_of_4063_tokens_are_near_those_in_f64() {
    let (numbers, expected) = (numbers(), read_safetensors(&golden("modern_bert_long_grads.safetensors")));
    let folder = tempfile::tempdir().unwrap();
    let model = write_folder(folder.path(), &numbers, "bekko-embedding-a8m", Some(4096));
    let mut trained = open(folder.path());
    let (context, mut activations) = (Context::new(2), Activations::default());
    let batch = trained.spec().tokenize(&texts(&model)[5..]).unwrap();
    assert_eq!(batch.tokens(), 4063);
    for recompute in [false, true] {
        trained.set_gradient_checkpointing(recompute);
        trained.forward(&context, &batch, DropoutSeed::Off, &mut activations);
        let upstream = noise(24, 3);
        let upstream = Rows::new(&upstream, 1, 24, 24);
        let ours = backward(&mut trained, &context, &batch, DropoutSeed::Off, &mut activations, upstream);
        assert_eq!(expected.len(), trained.tensors().len());
        for tensor in trained.tensors() {
            let (shape, expected) = &expected[&tensor.name];
            assert_eq!(*shape, tensor.shape, "{}", tensor.name);
            assert_close(&ours[tensor.range.clone()], expected, &tensor.name);
        }
    }
}

/// A text of one window and some longer ones, f32 and int8.
#[test]
fn embeddings_are_the_same_bits_on_every_instruction_set_and_in_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_folder(folder.path(), &numbers(), "with biases", Some(256));
    let texts = texts(&model);
    for precision in [Precision::F32, Precision::Int8] {
        let embed = |isa: InstructionSet, threads: usize, budget: usize| {
            let context = Context::with_instruction_set(threads, isa);
            let model = open_for_inference(folder.path(), &context, precision, WeightStorage::Packed);
            let encoder = TextEncoder::new(model, &context).unwrap().with_batch_tokens(budget);
            encoder.embed(&texts, "").unwrap()
        };
        let expected = embed(InstructionSet::available()[0], 1, 1 << 20);
        for isa in InstructionSet::available() {
            for (threads, budget) in [(1, 1), (3, 1 << 20), (2, 50)] {
                assert_eq!(embed(isa, threads, budget), expected, "{} {precision:?} {budget}", isa.name());
            }
        }
    }
}

#[test]
fn a_folder_without_a_length_reads_512_tokens_and_says_so() {
    let numbers = numbers();
    // mmBERT's tokenizer sets no limit, that of ModernBERT its number of positions.
    for (name, positions, limit, expected) in [
        ("bekko-embedding-a8m", 4096, None, 512),
        ("bekko-embedding-a8m", 256, None, 256),
        ("ModernBERT-base", 8192, None, 512),
        ("ModernBERT-base", 16384, None, 8192),
        ("ModernBERT-base", 8192, Some(8192), 8192),
        ("ModernBERT-base", 8192, Some(100), 100),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &numbers, name, limit);
        let path = folder.path().join("config.json");
        let mut config = read_json(&path);
        config["max_position_embeddings"] = positions.into();
        std::fs::write(&path, config.to_string()).unwrap();
        let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap();
        assert_eq!(opened.model.spec().settings().max_seq_length, expected, "{name} {positions}");
        let notice = opened.notices.iter().find(|notice| notice.contains("sets no max_seq_length"));
        assert_eq!(notice.is_some(), expected == 512, "{:?}", opened.notices);
        assert!(notice.is_none_or(|notice| notice.contains("set `max_seq_length` in `sentence_bert_config.json`")));
    }
}

#[test]
fn heads_and_a_prefix_are_left_out_of_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &numbers(), "ModernBERT-base", Some(64));
    let expected = open(folder.path()).fingerprint();
    let path = folder.path().join("model.safetensors");
    let mut tensors: BTreeMap<_, _> = read_safetensors(&path)
        .into_iter()
        .map(|(name, (shape, values))| (format!("model.{name}"), f32_tensor(&shape, &values)))
        .collect();
    for head in ["head.dense.weight", "head.norm.weight", "decoder.bias"] {
        tensors.insert(head.into(), f32_tensor(&[2], &[1.0, 2.0]));
    }
    write_safetensors(&path, &tensors);
    let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap();
    assert!(opened.notices.is_empty(), "{:?}", opened.notices);
    assert_eq!(opened.model.fingerprint(), expected);
}

/// Updates with weight decay move everything but the frozen layers; the saved folder opens to the
/// same embeddings.
#[test]
fn a_trained_model_is_saved_with_its_names_and_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let golden_model = write_folder(folder.path(), &numbers(), "mmBERT-small", Some(128));
    let mut model = open(folder.path());
    let mut plan = UpdatePlan::adamw(model.tensors().len());
    for (tensor, settings) in model.tensors().iter().zip(&mut plan.tensors) {
        settings.trains = !tensor.name.starts_with("layers.0.") && !tensor.name.starts_with("embeddings.");
    }
    model.set_update_plan(plan);
    let (context, mut activations) = (Context::new(2), Activations::default());
    let batch = model.spec().tokenize(&texts(&golden_model)).unwrap();
    let before = model.parameters().to_vec();
    for step in 1..=2 {
        let dropout = DropoutSeed::On { seed: 3, pass: step, first_token: 0, first_sequence: 0 };
        let embeddings = model.forward(&context, &batch, dropout, &mut activations);
        model.backward(&context, &batch, dropout, &mut activations, embeddings.view());
        model.update(&context, step, 1e-2, 1.0);
    }
    for tensor in model.tensors() {
        let moved = model.parameters()[tensor.range.clone()] != before[tensor.range.clone()];
        let frozen = tensor.name.starts_with("layers.0.") || tensor.name.starts_with("embeddings.");
        assert_eq!(moved, !frozen, "{}", tensor.name);
        assert_eq!(tensor.decays(), !tensor.name.ends_with("norm.weight"), "{}", tensor.name);
    }
    let saved = tempfile::tempdir().unwrap();
    let saved = saved.path().join("model");
    model.save(&saved, &[]).unwrap();
    let names: Vec<String> = read_safetensors(&saved.join("model.safetensors")).into_keys().collect();
    assert!(names.contains(&"layers.3.attn.Wqkv.weight".to_owned()) && names.contains(&"final_norm.weight".to_owned()));
    assert_eq!(read_json(&saved.join("config.json"))["architectures"], json!(["ModernBertModel"]));
    assert_eq!(open(&saved).fingerprint(), model.fingerprint());
    assert_eq!(open(&saved).spec().summary().modules[0].architecture.as_deref(), Some("ModernBertModel"));
}

/// Adapters change `Wqkv` unless the settings name other layers.
#[test]
fn adapters_train_and_open_again() {
    let base = tempfile::tempdir().unwrap();
    let golden_model = write_folder(base.path(), &numbers(), "granite-embedding-r2", Some(128));
    let settings = |targets: &[&str]| LoraSettings {
        rank: 2,
        alpha: 4.0,
        dropout: 0.0,
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        routes: Vec::new(),
        base: base.path().display().to_string(),
        merge: false,
    };
    let mut model: TrainingModel = open(base.path());
    let error = model.add_lora(settings(&["query"]), 1).unwrap_err().to_string();
    assert!(error.contains("the layers have attn.Wqkv, attn.Wo, mlp.Wi, mlp.Wo"), "{error}");
    model.add_lora(settings(&[]), 1).unwrap();
    let names: Vec<&str> = model.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    let expected =
        (0..3).flat_map(|layer| ["A", "B"].map(|part| format!("layers.{layer}.attn.Wqkv.lora_{part}.weight")));
    assert_eq!(names, expected.collect::<Vec<_>>());
    let (context, mut activations) = (Context::new(2), Activations::default());
    let batch = model.spec().tokenize(&texts(&golden_model)).unwrap();
    for step in 1..=3 {
        let embeddings = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
        let upstream = noise(embeddings.data().len(), step);
        let upstream = Rows::new(&upstream, embeddings.rows(), 24, 24);
        model.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream);
        model.update(&context, step, 1e-2, 1.0);
    }
    let trained = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let saved = tempfile::tempdir().unwrap();
    let saved = saved.path().join("adapters");
    model.save(&saved, &[]).unwrap();
    let opened = maana_model::open_adapter(&saved, &[base.path()], &context, Precision::F32).unwrap().model;
    let again = opened.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    assert_close(again.data(), trained.data(), "embeddings");
    assert!(trained.data() != open(base.path()).forward(&context, &batch, DropoutSeed::Off, &mut activations).data());
}

/// Encoding 8,192 tokens takes memory that grows with the tokens, not with their square.
#[test]
fn a_text_of_8192_tokens_takes_memory_for_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &numbers(), "bekko-embedding-a8m", Some(8192));
    let path = folder.path().join("config.json");
    let mut config = read_json(&path);
    config["max_position_embeddings"] = 8192.into();
    std::fs::write(&path, config.to_string()).unwrap();
    let context = Context::new(2);
    let model = open_for_inference(folder.path(), &context, Precision::F32, WeightStorage::Packed);
    let text = "the water and the king ".repeat(2000);
    let (mut activations, mut bytes) = (Activations::default(), Vec::new());
    for tokens in [1024, 8192] {
        let mut batch = model.spec().tokenize(&[text.as_str()]).unwrap();
        assert_eq!(batch.tokens(), 8192);
        batch.ids.truncate(tokens);
        batch.type_ids.truncate(tokens);
        batch.offsets = vec![0, tokens];
        assert!(model.embed(&context, &batch, &mut activations).data().iter().all(|value| value.is_finite()));
        bytes.push(activations.bytes());
    }
    assert!(bytes[1] <= 8 * bytes[0] + 4096, "{bytes:?}");
}
