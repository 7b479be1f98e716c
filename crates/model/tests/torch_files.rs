//! Weights of PyTorch's `.bin` files: the same bits as the same weights in safetensors, wherever
//! they are read; damaged and hostile files.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{CrossEncoder, ModelError, TrainingModel, WeightStorage, weight_bytes};
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
    let legacy = ["legacy/state_dict.bin", "legacy/views.bin", "legacy/parts.bin"];
    for form in ["state_dict.bin", "parameters.bin", "views.bin"].into_iter().chain(legacy) {
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

/// Those of modules and routes count, and each tensor once.
#[test]
fn bytes_of_weights_are_those_of_the_files_that_are_read() {
    let length = |path: &str| std::fs::metadata(golden(path)).unwrap().len();
    assert_eq!(weight_bytes(&golden("cross/bert")), length("cross/bert/model.safetensors"));
    let both = cross_encoder(&[("state_dict.bin", PYTORCH), ("f16.safetensors", SAFETENSORS)]);
    assert_eq!(weight_bytes(both.path()), length("torch/f16.safetensors"));
    assert_eq!(weight_bytes(cross_encoder(&[("views.bin", PYTORCH)]).path()), length("torch/views.bin"));
    let shards = ["00001", "00002"].map(|number| length(&format!("torch/shards/pytorch_model-{number}-of-00002.bin")));
    assert_eq!(weight_bytes(&golden("torch/shards")), shards.iter().sum::<u64>());
    assert_eq!(weight_bytes(&golden("lora")), length("lora/adapter_model.safetensors"));
    let modules =
        ["2_Dense", "3_LayerNorm", "5_Dense"].map(|module| length(&format!("modules/{module}/{SAFETENSORS}")));
    assert_eq!(weight_bytes(&golden("modules")), modules.iter().sum::<u64>());
    assert_eq!(weight_bytes(Path::new("/nowhere")), 0);
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
    std::fs::copy(golden("torch/legacy/2_Dense.bin"), folder.path().join("2_Dense").join(PYTORCH)).unwrap();
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
    for form in ["torch/adapter_model.bin", "torch/legacy/adapter_model.bin"] {
        std::fs::copy(golden(form), &file).unwrap();
        let [model, twin] = [adapters.path(), &golden("lora")].map(|folder| open_adapter(folder).unwrap());
        assert_eq!((bits(&model), model.fingerprint()), (bits(&twin), twin.fingerprint()));
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let error = open_adapter(adapters.path()).map(drop).unwrap_err();
        assert!(error.contains("adapter_model.bin") && error.contains("cut short"), "{error}");
    }
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
    let legacy = std::fs::read(golden("torch/legacy/state_dict.bin")).unwrap();
    std::fs::write(&path, &legacy[..legacy.len() / 2]).unwrap();
    assert_error(folder.path(), &[PYTORCH, "storage `", "beyond the end of the file", "cut short", "fetch it again"]);
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
    let whole = std::fs::read(golden("torch/views.bin")).unwrap();
    // The pickle and the directory; the numbers between them have no structure.
    let pickle = whole.windows(2).position(|window| window == b"\x80\x02").unwrap();
    let directory = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    change_places("views.bin", (0..pickle + 6000).step_by(5).chain((directory..whole.len()).step_by(5)));
}

#[test]
fn no_change_of_a_file_before_pytorch_1_6_is_fatal() {
    let whole = std::fs::read(golden("torch/legacy/state_dict.bin")).unwrap();
    // The pickles and the first storages with their numbers of elements.
    let keys = whole.windows(3).rposition(|window| window == b"\x80\x02]").unwrap();
    change_places("legacy/state_dict.bin", (0..keys).step_by(7).chain((keys..keys + 2000).step_by(3)));
}

#[track_caller]
fn change_places(form: &str, places: impl Iterator<Item = usize>) {
    let folder = cross_encoder(&[(form, PYTORCH)]);
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
    for (number, at) in places.enumerate() {
        let mut bytes = whole.clone();
        bytes[at] = [0, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)][number % 4];
        try_folder(&bytes, &format!("byte {at}"));
    }
    for length in (0..whole.len()).step_by(1501) {
        try_folder(&whole[..length], &format!("cut behind {length}"));
    }
}
