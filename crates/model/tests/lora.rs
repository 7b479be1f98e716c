//! Low-rank adapters: against PEFT, by name, and in folders as PEFT writes them.

mod support;

use maana_kernels::{Context, Matrix, Precision};
use maana_model::{Activations, DropoutSeed, LoraSettings, StatePart, Trainable, TrainingModel};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{assert_close, backward, copy_folder, golden, open, read_json, read_safetensors, tiny};

fn settings(merge: bool) -> LoraSettings {
    let base = golden("tiny-bert").display().to_string();
    LoraSettings { rank: 4, alpha: 8.0, dropout: 0.0, targets: Vec::new(), routes: Vec::new(), base, merge }
}

fn adapted(merge: bool, seed: u64) -> TrainingModel {
    let mut model = tiny();
    model.add_lora(settings(merge), seed).unwrap();
    model
}

fn open_adapter(folder: &Path) -> Result<TrainingModel, String> {
    let opened = maana_model::open_adapter(folder, &[golden("tiny-bert")], &Context::new(1), Precision::F32);
    opened.map(|opened| opened.model).map_err(|error| error.to_string())
}

fn matrix(rows: &Value) -> Matrix {
    let rows = rows.as_array().unwrap();
    let values: Vec<f32> =
        rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32).collect();
    Matrix::from_vec(rows.len(), values.len() / rows.len(), values)
}

fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Sets the adapters to those of the golden folder.
fn set_golden(model: &mut TrainingModel) {
    let theirs = read_safetensors(&golden("lora/adapter_model.safetensors"));
    let tensors = model.tensors().to_vec();
    assert_eq!(tensors.len(), theirs.len());
    for tensor in tensors {
        let (shape, values) = &theirs[&format!("base_model.model.{}", tensor.name)];
        assert_eq!(*shape, tensor.shape, "{}", tensor.name);
        model.write_state(StatePart::Parameters, tensor.range.start, values);
    }
}

/// Makes some updates on fixed texts.
fn train(model: &mut TrainingModel, updates: u64) {
    let context = Context::new(2);
    let batch = model.spec().tokenize(&["Mwanamke anashona.", "A", "nyumba ya maji"]).unwrap();
    let d_embeddings = Matrix::from_vec(3, 64, support::noise(3 * 64, 5));
    let mut keep = Activations::default();
    for step in 1..=updates {
        model.forward(&context, &batch, DropoutSeed::Off, &mut keep);
        model.backward(&context, &batch, DropoutSeed::Off, &mut keep, d_embeddings.view());
        model.update(&context, step, 1e-2, 1.0);
    }
}

#[test]
fn adapters_written_by_peft_give_its_embeddings() {
    let numbers = read_json(&golden("lora.json"));
    let context = Context::new(1);
    let model = open_adapter(&golden("lora")).unwrap();
    let batch = model.spec().tokenize(&texts(&numbers)).unwrap();
    let theirs = matrix(&numbers["embeddings"]);
    let ours = model.forward(&context, &batch, DropoutSeed::Off, &mut Activations::default());
    assert_close(ours.data(), theirs.data(), "embeddings");
    let ours = model.inference().embed(&context, &batch, &mut Activations::default());
    assert_close(ours.data(), theirs.data(), "embeddings of the model that encodes");
    assert_eq!(maana_model::adapter_bases(&golden("lora")).unwrap(), ["../tiny-bert"]);
    assert!(maana_model::adapter_bases(&golden("tiny-bert")).unwrap().is_empty());
}

#[test]
fn gradients_of_the_adapters_are_those_of_peft_by_name() {
    let numbers = read_json(&golden("lora.json"));
    let context = Context::new(2);
    let mut model = adapted(false, 1);
    set_golden(&mut model);
    let batch = model.spec().tokenize(&texts(&numbers)).unwrap();
    let mut keep = Activations::default();
    let embeddings = model.forward(&context, &batch, DropoutSeed::Off, &mut keep);
    assert_close(embeddings.data(), matrix(&numbers["embeddings"]).data(), "embeddings");
    let upstream = matrix(&numbers["upstream"]);
    let ours = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut keep, upstream.view());
    let theirs = read_safetensors(&golden("lora_grads.safetensors"));
    assert_eq!(theirs.len(), model.tensors().len());
    for tensor in model.tensors() {
        assert_close(&ours[tensor.range.clone()], &theirs[&tensor.name].1, &tensor.name);
    }
}

#[test]
fn adapters_that_were_just_added_change_nothing() {
    let (base, model) = (tiny(), adapted(false, 1));
    assert_eq!(model.fingerprint(), base.fingerprint());
    let values = |model: &TrainingModel| {
        let mut values = vec![0.0; model.tensors().iter().map(|tensor| tensor.range.len()).sum()];
        model.read_state(StatePart::Parameters, 0, &mut values);
        values
    };
    let drawn = values(&model);
    for tensor in model.tensors() {
        let values = &drawn[tensor.range.clone()];
        let bound = if tensor.name.ends_with("lora_B.weight") { 0.0 } else { 1.0 / 8.0 };
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest <= bound && largest >= 0.9 * bound, "{}: {largest}", tensor.name);
    }
    assert_ne!(drawn, values(&adapted(false, 2)), "drawn by the seed");
}

/// Weights of other layers, biases, norms and embeddings keep their bits, and a model that gets
/// the state of another has its embeddings.
#[test]
fn only_the_adapters_train() {
    let (base, mut model) = (tiny(), adapted(false, 1));
    train(&mut model, 3);
    for tensor in base.tensors() {
        let same = base.parameters()[tensor.range.clone()] == model.parameters()[tensor.range.clone()];
        let target = ["query.weight", "value.weight"].iter().any(|end| tensor.name.ends_with(end));
        assert_eq!(same, !target, "{}", tensor.name);
    }
    let mut resumed = adapted(false, 2);
    train(&mut resumed, 1);
    for part in [StatePart::Parameters, StatePart::FirstMoments, StatePart::SecondMoments] {
        let mut values = vec![0.0; model.tensors().iter().map(|tensor| tensor.range.len()).sum()];
        model.read_state(part, 0, &mut values);
        resumed.write_state(part, 0, &values);
    }
    assert_eq!(resumed.fingerprint(), model.fingerprint());
    assert!(model.parameter_bytes() < base.parameter_bytes() / 2, "{}", model.parameter_bytes());
}

/// Only adapters in the form of PEFT, or the whole model: both open with the same fingerprint.
#[test]
fn adapters_written_piece_by_piece_give_the_same_weights() {
    let mut trained = adapted(false, 1);
    train(&mut trained, 2);
    let mut adapters = vec![0.0; trained.tensors().last().unwrap().range.end];
    trained.read_state(StatePart::Parameters, 0, &mut adapters);
    // Pieces that end within tensors, as a checkpoint of a large model has them.
    for length in [100, 1000, adapters.len()] {
        let mut read = adapted(false, 2);
        for (number, piece) in adapters.chunks(length).enumerate() {
            read.write_state(StatePart::Parameters, number * length, piece);
        }
        let bits = |model: &TrainingModel| model.parameters().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(&read) == bits(&trained), "pieces of {length}");
    }
}

#[test]
fn a_folder_holds_adapters_as_peft_writes_them_or_the_merged_model() {
    let folder = tempfile::tempdir().unwrap();
    let (adapters, whole) = (folder.path().join("adapters"), folder.path().join("whole"));
    for (merge, path) in [(false, &adapters), (true, &whole)] {
        let mut model = adapted(merge, 1);
        train(&mut model, 2);
        model.save(path, &[]).unwrap();
    }
    assert!(!adapters.join("model.safetensors").exists() && !adapters.join("config.json").exists());
    assert!(!whole.join("adapter_config.json").exists());
    let shapes = |folder: &Path| -> Vec<(String, Vec<usize>)> {
        let tensors = read_safetensors(&folder.join("adapter_model.safetensors"));
        tensors.into_iter().map(|(name, (shape, _))| (name, shape)).collect()
    };
    assert_eq!(shapes(&adapters), shapes(&golden("lora")));
    let (ours, theirs) =
        (read_json(&adapters.join("adapter_config.json")), read_json(&golden("lora/adapter_config.json")));
    for (field, value) in ours.as_object().unwrap() {
        if field != "base_model_name_or_path" {
            assert_eq!(*value, theirs[field], "{field}");
        }
    }
    let base = maana_model::adapter_bases(&adapters).unwrap();
    assert_eq!(base.iter().map(PathBuf::from).collect::<Vec<_>>(), [golden("tiny-bert")]);
    assert_eq!(open_adapter(&adapters).unwrap().fingerprint(), open(&whole).fingerprint());
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let refused = |change: fn(&mut LoraSettings)| {
        let mut settings = settings(false);
        change(&mut settings);
        tiny().add_lora(settings, 1).unwrap_err().to_string()
    };
    assert!(refused(|settings| settings.rank = 0).contains("rank is 0; expected 1 to 64"));
    assert!(refused(|settings| settings.rank = 65).contains("rank is 65"));
    assert!(refused(|settings| settings.alpha = f64::NAN).contains("alpha is NaN"));
    let fault = refused(|settings| settings.targets = vec!["query".into(), "q_proj".into()]);
    assert!(fault.contains("`q_proj`") && fault.contains("attention.self.query"), "{fault}");
}

#[test]
fn folders_that_do_not_fit_are_refused_by_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("lora"), folder.path());
    let config = read_json(&golden("lora/adapter_config.json"));
    for (field, value, said) in [
        ("peft_type", json!("IA3"), "peft_type `IA3`"),
        ("use_dora", json!(true), "use_dora"),
        ("bias", json!("all"), "bias `all`"),
        ("modules_to_save", json!(["pooler"]), "modules_to_save"),
        ("lora_alpha", json!("x"), "lora_alpha"),
    ] {
        let mut changed = config.clone();
        changed[field] = value;
        std::fs::write(folder.path().join("adapter_config.json"), changed.to_string()).unwrap();
        let fault = open_adapter(folder.path()).map(drop).unwrap_err();
        assert!(fault.contains(said) && fault.contains("adapter_config.json"), "{fault}");
    }
    std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let path = folder.path().join("adapter_model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(open_adapter(folder.path()).map(drop).unwrap_err().contains("adapter_model.safetensors"));
    let mut bytes = whole.clone();
    let at = bytes.windows(7).position(|window| window == b"layer.1").unwrap();
    bytes[at + 6] = b'7';
    std::fs::write(&path, &bytes).unwrap();
    let fault = open_adapter(folder.path()).map(drop).unwrap_err();
    assert!(fault.contains("is missing") || fault.contains("belongs to no linear layer"), "{fault}");
    std::fs::remove_file(&path).unwrap();
    assert!(open_adapter(folder.path()).map(drop).unwrap_err().contains("no such file"));
    let fault = maana_model::open_for_training(&golden("lora"), &Context::new(1), Precision::F32).map(drop);
    assert!(fault.is_err(), "an adapter has no encoder of its own");
}

/// Adapters of all kinds of layers, with B drawn as well, and dropout.
fn with_dropout(folder: &Path, targets: &[&str]) -> TrainingModel {
    let mut model = open(folder);
    let targets = targets.iter().map(|target| String::from(*target)).collect();
    model.add_lora(LoraSettings { dropout: 0.3, targets, ..settings(true) }, 1).unwrap();
    let count = model.tensors().iter().map(|tensor| tensor.range.len()).sum();
    let values: Vec<f32> = support::noise(count, 3).into_iter().map(|value| 0.2 * value).collect();
    model.write_state(StatePart::Parameters, 0, &values);
    model
}

const SEED: DropoutSeed = DropoutSeed::On { seed: 42, pass: 3, first_token: 0, first_sequence: 0 };

/// A folder of a small encoder without other dropout, and layers of it.
fn small(family: &str, pooling: &str) -> (tempfile::TempDir, [&'static str; 4]) {
    let folder = tempfile::tempdir().unwrap();
    support::write_small(folder.path(), family, "");
    let mut config = support::small_config(family);
    for (name, value) in config.as_object_mut().unwrap() {
        if name.contains("dropout") {
            *value = json!(0.0);
        }
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let pooling = json!({"embedding_dimension": 24, "pooling_mode": pooling, "include_prompt": true});
    std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    match family {
        "modernbert" => (folder, ["Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"]),
        _ => (folder, ["query", "value", "intermediate.dense", "output.dense"]),
    }
}

#[test]
fn gradients_under_the_dropout_of_adapters_are_slopes() {
    let context = Context::new(2);
    for (family, pooling) in [("bert", "mean"), ("bert", "cls"), ("modernbert", "cls"), ("modernbert", "mean")] {
        let (folder, targets) = small(family, pooling);
        let mut model = with_dropout(folder.path(), &targets);
        let batch = model.spec().tokenize(&["the house of the king", "water", "north and south"]).unwrap();
        let upstream = Matrix::from_vec(3, 24, support::noise(3 * 24, 5));
        let value = |model: &TrainingModel| -> f64 {
            let embeddings = model.forward(&context, &batch, SEED, &mut Activations::default());
            embeddings.data().iter().zip(upstream.data()).map(|(x, d)| f64::from(*x) * f64::from(*d)).sum()
        };
        let mut keep = Activations::default();
        model.forward(&context, &batch, SEED, &mut keep);
        let ours = backward(&mut model, &context, &batch, SEED, &mut keep, upstream.view());
        let without = value(&model);
        let off = model.forward(&context, &batch, DropoutSeed::Off, &mut Activations::default());
        let off: f64 = off.data().iter().zip(upstream.data()).map(|(x, d)| f64::from(*x) * f64::from(*d)).sum();
        assert!((without - off).abs() > 1e-3, "dropout changes embeddings");
        let mut values = vec![0.0; ours.len()];
        model.read_state(StatePart::Parameters, 0, &mut values);
        for index in (0..ours.len()).step_by(37) {
            let mut slope = |step: f32| {
                model.write_state(StatePart::Parameters, index, &[values[index] + step]);
                value(&model)
            };
            let slope = (slope(1e-2) - slope(-1e-2)) / 2e-2;
            model.write_state(StatePart::Parameters, index, &[values[index]]);
            let difference = (slope - f64::from(ours[index])).abs();
            assert!(difference < 4e-3 * slope.abs().max(1.0), "{family}, {pooling}, {index}: {slope} {}", ours[index]);
        }
    }
}

/// The reference is PEFT with our masks in place of its own.
#[test]
fn losses_and_gradients_under_dropout_are_those_of_peft_by_name() {
    let numbers = read_json(&golden("lora_dropout.json"));
    let gradients = read_safetensors(&golden("lora_dropout_grads.safetensors"));
    let number = |name: &str| numbers[name].as_u64().unwrap();
    let seed = DropoutSeed::On { seed: number("seed"), pass: number("pass"), first_token: 0, first_sequence: 0 };
    let context = Context::new(2);
    let mut compared = 0;
    for (name, case) in numbers["cases"].as_object().unwrap() {
        let (folder, targets) = small(case["family"].as_str().unwrap(), case["pooling"].as_str().unwrap());
        assert_eq!(case["targets"], json!(targets), "{name}");
        let mut model = with_dropout(folder.path(), &targets);
        let batch = model.spec().tokenize(&texts(&numbers)).unwrap();
        let mut keep = Activations::default();
        let embeddings = model.forward(&context, &batch, seed, &mut keep);
        assert_close(embeddings.data(), matrix(&case["embeddings"]).data(), name);
        let upstream = Matrix::from_vec(embeddings.rows(), 24, support::noise(embeddings.data().len(), 5));
        let products = embeddings.data().iter().zip(upstream.data()).map(|(x, d)| f64::from(*x) * f64::from(*d));
        let loss = products.sum::<f64>();
        assert!((loss - case["loss"].as_f64().unwrap()).abs() < 1e-5, "{name}: {loss}");
        let ours = backward(&mut model, &context, &batch, seed, &mut keep, upstream.view());
        for tensor in model.tensors() {
            let key = format!("{name}.{}", tensor.name);
            assert_close(&ours[tensor.range.clone()], &gradients[&key].1, &key);
            compared += 1;
        }
    }
    assert_eq!(compared, gradients.len());
}

#[test]
fn the_dropout_of_adapters_has_the_same_bits_in_parts_recomputed_and_with_any_number_of_threads() {
    for (family, pooling) in [("bert", "mean"), ("bert", "cls"), ("modernbert", "cls")] {
        let (folder, targets) = small(family, pooling);
        let texts = ["the house of the king", "water", "north and south", "a", "the river", "the sea and the king"];
        let upstream = Matrix::from_vec(6, 24, support::noise(6 * 24, 5));
        let gradients = |threads: usize, size: usize, recompute: bool| {
            let (mut model, context) = (with_dropout(folder.path(), &targets), Context::new(threads));
            model.set_gradient_checkpointing(recompute);
            let batch = model.spec().tokenize(&texts).unwrap();
            let (mut keep, mut embeddings) = (Activations::default(), Vec::new());
            for start in (0..6).step_by(size) {
                let part = batch.part(start..start + size);
                let first_token = batch.offsets[start] as u64;
                let seed = DropoutSeed::On { seed: 42, pass: 3, first_token, first_sequence: start as u64 };
                embeddings.extend(model.forward(&context, &part, seed, &mut keep).data().to_vec());
                model.backward_part(&context, &part, seed, &mut keep, upstream.view().range(start..start + size));
            }
            model.finish_parts(&context, &mut keep);
            let all = embeddings.iter().chain(model.gradients());
            all.map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        let whole = gradients(1, 6, false);
        assert!(gradients(3, 6, false) == whole, "{family}, {pooling}: threads");
        assert!(gradients(2, 2, false) == whole, "{family}, {pooling}: parts");
        assert!(gradients(2, 3, true) == whole, "{family}, {pooling}: recomputed");
    }
}

#[test]
fn dropout_is_of_adapters_only_and_in_training_only_and_is_saved() {
    let context = Context::new(1);
    let (base, mut model) = (tiny(), tiny());
    let dropped = LoraSettings { dropout: 0.25, ..settings(false) };
    model.add_lora(dropped.clone(), 1).unwrap();
    let batch = model.spec().tokenize(&["Mwanamke anashona.", "A"]).unwrap();
    let embed = |model: &TrainingModel, seed| model.forward(&context, &batch, seed, &mut Activations::default());
    let equal = embed(&model, SEED).data() == embed(&base, SEED).data();
    assert!(equal, "adapters that change nothing drop nothing");
    train(&mut model, 2);
    assert!(embed(&model, SEED).data() != embed(&model, DropoutSeed::Off).data());
    let inference = model.inference().embed(&context, &batch, &mut Activations::default());
    assert_eq!(inference.data(), embed(&model, DropoutSeed::Off).data());
    assert!(model.describe_settings().ends_with("and dropout 0.25"), "{}", model.describe_settings());
    let folder = tempfile::tempdir().unwrap();
    model.write_into(folder.path(), &[]).unwrap();
    assert_eq!(read_json(&folder.path().join("adapter_config.json"))["lora_dropout"], 0.25);
    let opened = open_adapter(folder.path()).unwrap();
    assert_eq!(embed(&opened, SEED).data(), embed(&model, DropoutSeed::Off).data());
    for dropout in [-0.1, 1.0, f64::NAN] {
        let fault = tiny().add_lora(LoraSettings { dropout, ..dropped.clone() }, 1).unwrap_err().to_string();
        assert!(fault.contains("dropout is") && fault.contains("below 1"), "{fault}");
    }
}
