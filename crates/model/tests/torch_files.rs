//! Weights of PyTorch's `.bin` files: the same bits as the same weights in safetensors, wherever
//! they are read; damaged and hostile files.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{CrossEncoder, ModelError, TrainingModel, WeightStorage};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use support::{copy_folder, golden, open, open_for_inference, read_json};
use tempfile::TempDir;

const PAIRS: [(&str, &str); 2] = [("the house of the king", "a river"), ("water", "the water of the sea")];

/// A copy of the golden cross-encoder with weights of `golden/torch` under these names.
fn cross_encoder(weights: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("cross/bert"), folder.path());
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    for (from, to) in weights {
        std::fs::copy(golden("torch").join(from), folder.path().join(to)).unwrap();
    }
    folder
}

/// Fingerprint and bits of the logits, in a precision.
fn results(folder: &Path, precision: Precision, storage: WeightStorage) -> ([u8; 32], Vec<u32>) {
    let context = Context::new(2);
    let encoder = CrossEncoder::new(open_for_inference(folder, &context, precision, storage), &context).unwrap();
    let logits = encoder.logits(&PAIRS).unwrap();
    (encoder.fingerprint(), logits.data().iter().map(|value| value.to_bits()).collect())
}

fn bits(model: &TrainingModel) -> Vec<u32> {
    model.parameters().iter().map(|value| value.to_bits()).collect()
}

#[track_caller]
fn assert_same(folder: &Path, twin: &Path) {
    for precision in [Precision::F32, Precision::Int8] {
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            assert_eq!(results(folder, precision, storage), results(twin, precision, storage), "{precision:?}");
        }
    }
    assert_eq!(bits(&open(folder)), bits(&open(twin)));
}

const PYTORCH: &str = "pytorch_model.bin";
const SAFETENSORS: &str = "model.safetensors";

#[test]
fn weights_of_pytorch_are_the_same_bits_as_safetensors() {
    for form in ["state_dict.bin", "parameters.bin", "views.bin"] {
        assert_same(cross_encoder(&[(form, PYTORCH)]).path(), &golden("cross/bert"));
    }
    for dtype in ["f64", "f16", "bf16"] {
        let [folder, twin] = [(format!("{dtype}.bin"), PYTORCH), (format!("{dtype}.safetensors"), SAFETENSORS)]
            .map(|(from, to)| cross_encoder(&[(&from, to)]));
        assert_same(folder.path(), twin.path());
    }
}

#[test]
fn shards_of_pytorch_are_found_by_their_index() {
    const INDEX: &str = "pytorch_model.bin.index.json";
    let folder = cross_encoder(&[]);
    copy_folder(&golden("torch/shards"), folder.path());
    assert_same(folder.path(), &golden("cross/bert"));

    let first = folder.path().join("pytorch_model-00001-of-00002.bin");
    let whole = std::fs::read(&first).unwrap();
    std::fs::remove_file(&first).unwrap();
    assert_error(folder.path(), &["pytorch_model-00001-of-00002.bin", "no such file", INDEX, "fetch the model again"]);
    std::fs::copy(folder.path().join("pytorch_model-00002-of-00002.bin"), &first).unwrap();
    assert_error(folder.path(), &["is in two files"]);
    std::fs::write(&first, whole).unwrap();
    std::fs::write(folder.path().join(INDEX), json!({"weight_map": {"a": "../x.bin"}}).to_string()).unwrap();
    assert_error(folder.path(), &[INDEX, "`../x.bin`, which is not a file of this folder"]);
}

#[test]
fn safetensors_win_where_both_forms_are_there() {
    let folder = cross_encoder(&[("state_dict.bin", PYTORCH), ("f16.safetensors", SAFETENSORS)]);
    let twin = cross_encoder(&[("f16.safetensors", SAFETENSORS)]);
    assert_same(folder.path(), twin.path());
}

#[test]
fn what_is_written_is_safetensors() {
    let folder = cross_encoder(&[("views.bin", PYTORCH)]);
    let saved = folder.path().join("saved");
    let model = open(folder.path());
    model.save(&saved, &[]).unwrap();
    assert!(saved.join(SAFETENSORS).exists() && !saved.join(PYTORCH).exists());
    assert_eq!(bits(&open(&saved)), bits(&model));
}

#[test]
fn modules_and_adapters_are_read_from_files_of_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    copy_folder(&golden("modules"), folder.path());
    let twin = open(folder.path());
    for module in ["2_Dense", "3_LayerNorm", "5_Dense"] {
        let place = folder.path().join(module);
        std::fs::remove_file(place.join(SAFETENSORS)).unwrap();
        std::fs::copy(golden("torch").join(format!("{module}.bin")), place.join(PYTORCH)).unwrap();
    }
    let model = open(folder.path());
    assert_eq!((bits(&model), model.fingerprint()), (bits(&twin), twin.fingerprint()));

    let open_adapter = |folder: &Path| {
        maana_model::open_adapter(folder, &[golden("tiny-bert")], &Context::new(1), Precision::F32)
            .map(|opened| opened.model)
            .map_err(|error| error.to_string())
    };
    let adapters = tempfile::tempdir().unwrap();
    std::fs::copy(golden("lora/adapter_config.json"), adapters.path().join("adapter_config.json")).unwrap();
    let file = adapters.path().join("adapter_model.bin");
    std::fs::copy(golden("torch/adapter_model.bin"), &file).unwrap();
    let [model, twin] = [adapters.path(), &golden("lora")].map(|folder| open_adapter(folder).unwrap());
    assert_eq!((bits(&model), model.fingerprint()), (bits(&twin), twin.fingerprint()));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let error = open_adapter(adapters.path()).map(drop).unwrap_err();
    assert!(error.contains("adapter_model.bin") && error.contains("cut short"), "{error}");
}

fn opened(folder: &Path) -> Result<TrainingModel, ModelError> {
    maana_model::open_for_training(folder, &Context::new(1), Precision::F32).map(|opened| opened.model)
}

#[track_caller]
fn assert_error(folder: &Path, expected: &[&str]) {
    let error = opened(folder).map(drop).unwrap_err().to_string();
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn files_of_pytorch_that_do_not_fit_are_refused_as_safetensors_are() {
    let folder = cross_encoder(&[("state_dict.bin", PYTORCH)]);
    let path = folder.path().join(PYTORCH);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_error(folder.path(), &[PYTORCH, "not a sound file of PyTorch", "cut short", "fetch it again"]);
    std::fs::write(&path, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.").unwrap();
    assert_error(folder.path(), &[PYTORCH, "before 1.6", "convert it in Python"]);
    std::fs::remove_file(&path).unwrap();
    assert_error(folder.path(), &[SAFETENSORS, PYTORCH, "fetch the model again"]);
    std::fs::create_dir(&path).unwrap();
    assert_error(folder.path(), &[PYTORCH, "is a folder"]);
    std::fs::remove_dir(&path).unwrap();

    // Other names and shapes than those of the configuration.
    std::fs::copy(golden("torch/tensors.bin"), &path).unwrap();
    assert_error(folder.path(), &[PYTORCH, "is missing", "do not belong together"]);
    std::fs::write(&path, &whole).unwrap();
    let config = folder.path().join("config.json");
    let mut json = read_json(&config);
    json["max_position_embeddings"] = json!(7);
    std::fs::write(&config, json.to_string()).unwrap();
    assert_error(folder.path(), &[PYTORCH, "has the shape", "`config.json` asks for [7, "]);
}

#[test]
fn a_value_that_is_not_a_number_is_refused_in_files_of_pytorch() {
    let folder = cross_encoder(&[("state_dict.bin", PYTORCH)]);
    let path = folder.path().join(PYTORCH);
    let mut bytes = std::fs::read(&path).unwrap();
    let weights = std::fs::read(golden("cross/bert/model.safetensors")).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let values = weights.tensor("bert.encoder.layer.0.output.dense.weight").unwrap().data();
    let at = bytes.windows(values.len()).position(|window| window == values).unwrap();
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert_error(folder.path(), &[PYTORCH, "`encoder.layer.0.output.dense.weight`", "not a number"]);
}

/// Every change opens to finite numbers or is refused with the file's name; nothing panics.
#[test]
fn no_change_of_a_file_of_pytorch_is_fatal() {
    let folder = cross_encoder(&[("views.bin", PYTORCH)]);
    let path = folder.path().join(PYTORCH);
    let whole = std::fs::read(&path).unwrap();
    let try_folder = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| opened(folder.path())));
        match outcome.unwrap_or_else(|_| panic!("{what}: a panic")) {
            Ok(model) => assert!(model.parameters().iter().all(|value| value.is_finite()), "{what}"),
            Err(error) => assert!(error.to_string().contains(PYTORCH), "{what}: {error}"),
        }
    };
    // The pickle and the directory; the numbers between them have no structure.
    let pickle = whole.windows(2).position(|window| window == b"\x80\x02").unwrap();
    let directory = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let structure = (0..pickle + 6000).step_by(5).chain((directory..whole.len()).step_by(5));
    for (number, at) in structure.enumerate() {
        let mut bytes = whole.clone();
        bytes[at] = [0, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)][number % 4];
        try_folder(&bytes, &format!("byte {at}"));
    }
    for length in (0..whole.len()).step_by(1501) {
        try_folder(&whole[..length], &format!("cut behind {length}"));
    }
}
