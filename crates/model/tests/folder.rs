//! Model folders: every form that is read, what is written, and what is refused with a message that
//! helps.

mod support;

use half::{bf16, f16};
use maana_kernels::{Context, Precision};
use maana_model::{Role, TextEncoder, Trainable, TrainingModel, WeightStorage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::{
    RawTensor, copy_folder, f32_tensor, golden, open, read_json, read_safetensors, tiny, write_safetensors, write_small,
};

fn embedding(model: &TrainingModel) -> Vec<f32> {
    let context = Context::new(1);
    TextEncoder::new(model.inference(), &context)
        .unwrap()
        .encode(&["the house of the king"], Role::Document)
        .unwrap()
        .into_vec()
}

fn fails(folder: &Path) -> String {
    match maana_model::open_for_training(folder, &Context::new(1), Precision::F32) {
        Ok(_) => panic!("the folder was accepted"),
        Err(error) => error.to_string(),
    }
}

/// A copy of tiny-bert with one change.
fn changed(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    change(folder.path());
    folder
}

fn raw_tensors() -> BTreeMap<String, RawTensor> {
    let tensors = read_safetensors(&golden("tiny-bert/model.safetensors"));
    tensors.into_iter().map(|(name, (shape, values))| (name, f32_tensor(&shape, &values))).collect()
}

#[test]
fn the_folder_of_version_3_opens_like_that_of_version_6() {
    let (new, old) = (tiny(), open(&golden("st301/model")));
    assert_eq!(new.spec().settings().max_seq_length, 128);
    assert_eq!(old.spec().settings().max_seq_length, 128);
    assert!(old.spec().settings().do_lower_case && !new.spec().settings().do_lower_case);
    assert_eq!(old.spec().summary().modules[1].settings[1], ("pooling_mode_cls_token".into(), "True".into()));
    assert!(old.spec().normalizes() && new.spec().normalizes());
    assert_eq!(new.spec().settings().prompts, [("document".into(), String::new()), ("query".into(), String::new())]);
}

#[test]
fn saving_what_was_read_gives_the_bytes_that_were_read() {
    for source in ["tiny-bert", "st301/model"] {
        let target = tempfile::tempdir().unwrap();
        let saved = target.path().join("saved");
        open(&golden(source)).save(&saved, &[("README.md", b"# card")]).unwrap();
        let bytes = |folder: &Path, name: &str| std::fs::read(folder.join(name)).unwrap();
        for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            assert!(bytes(&saved, name) == bytes(&golden(source), name), "{source}: {name}");
        }
        assert_eq!(bytes(&saved, "README.md"), b"# card");
        assert_eq!(embedding(&open(&saved)), embedding(&open(&golden(source))));
        let modules = read_json(&saved.join("modules.json"));
        assert_eq!(modules, read_json(&golden("st301/model/modules.json")));
        assert_eq!(
            read_json(&saved.join("1_Pooling/config.json")),
            read_json(&golden("st301/model/1_Pooling/config.json"))
        );
        let names: Vec<_> = std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["saved"], "nothing temporary is left");
    }
}

#[test]
fn a_saved_configuration_names_a_model_and_no_path() {
    let names = ["BAAI/bge-base-en-v1.5", "/home/asha/models/mine", "./mine", "C:\\models\\mine"];
    for (name, kept) in names.into_iter().zip([true, false, false, false]) {
        let source = changed(|folder| {
            let mut config = read_json(&folder.join("config.json"));
            config["_name_or_path"] = name.into();
            std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        });
        let target = tempfile::tempdir().unwrap();
        open(source.path()).save(&target.path().join("saved"), &[]).unwrap();
        let saved = read_json(&target.path().join("saved/config.json"));
        assert_eq!(saved.get("_name_or_path").is_some(), kept, "{name}: {saved}");
    }
}

#[test]
fn a_saved_model_replaces_an_older_one_but_nothing_else() {
    let target = tempfile::tempdir().unwrap();
    let saved = target.path().join("saved");
    tiny().save(&saved, &[("blend.svg", b"old")]).unwrap();
    std::fs::create_dir_all(saved.join("2_Dense")).unwrap();
    for own in ["notes.txt", ".git/HEAD", "results/mine.json"] {
        std::fs::create_dir_all(saved.join(own).parent().unwrap()).unwrap();
        std::fs::write(saved.join(own), "mine").unwrap();
    }
    tiny().save(&saved, &[]).unwrap();
    assert!(!saved.join("blend.svg").exists() && !saved.join("2_Dense").exists());
    for own in ["notes.txt", ".git/HEAD", "results/mine.json"] {
        assert_eq!(std::fs::read(saved.join(own)).unwrap(), b"mine", "{own}");
    }
    let foreign = target.path().join("letters");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "dear").unwrap();
    let error = tiny().save(&foreign, &[]).unwrap_err().to_string();
    assert!(error.contains("letters") && error.contains("not a model folder"), "{error}");
    assert_eq!(std::fs::read(foreign.join("letter.txt")).unwrap(), b"dear");
    let file = target.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(tiny().save(&file, &[]).is_err());
    let below_a_file = tiny().save(&file.join("model"), &[]).unwrap_err().to_string();
    assert!(below_a_file.contains("file"), "{below_a_file}");
}

#[test]
fn a_disk_that_fills_up_loses_neither_the_old_model_nor_space() {
    // /dev/full answers every write with "no space left".
    if !Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    let target = tempfile::tempdir().unwrap();
    let saved = target.path().join("saved");
    tiny().save(&saved, &[]).unwrap();
    let before = embedding(&open(&saved));
    // Writing next to the model is redirected to the full device by a name that leads there.
    let error = tiny().save(&saved, &[("../../../../../../../../../dev/full", b"card")]).unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(embedding(&open(&saved)), before);
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 1, "nothing temporary is left");
}

#[test]
fn halves_and_shards_and_prefixes_are_read() {
    let expected = embedding(&tiny());
    let narrow = |dtype: &'static str, convert: fn(f32) -> [u8; 2]| {
        changed(|folder| {
            let tensors = read_safetensors(&golden("tiny-bert/model.safetensors"));
            let tensors = tensors.into_iter().map(|(name, (shape, values))| {
                (name, RawTensor { dtype, shape, bytes: values.into_iter().flat_map(convert).collect() })
            });
            write_safetensors(&folder.join("model.safetensors"), &tensors.collect());
        })
    };
    for (folder, tolerance) in [
        (narrow("F16", |value| f16::from_f32(value).to_le_bytes()), 2e-3),
        (narrow("BF16", |value| bf16::from_f32(value).to_le_bytes()), 2e-2),
    ] {
        let model = open(folder.path());
        let worst = embedding(&model).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < tolerance, "{worst}");
        let again = folder.path().join("again");
        model.save(&again, &[]).unwrap();
        let values = |path: &Path| std::fs::read(path.join("model.safetensors")).unwrap().len();
        assert!(values(&again).abs_diff(values(folder.path())) < 200, "kept in half precision");
        assert_eq!(embedding(&open(&again)), embedding(&model));
    }

    let sharded = changed(|folder| {
        let all: Vec<_> = raw_tensors().into_iter().collect();
        let (first, second) = all.split_at(20);
        let mut map = serde_json::Map::new();
        for (file, part) in [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)]
        {
            write_safetensors(&folder.join(file), &part.iter().cloned().collect());
            map.extend(part.iter().map(|(name, _)| (name.clone(), Value::from(file))));
        }
        std::fs::remove_file(folder.join("model.safetensors")).unwrap();
        let index = json!({"metadata": {}, "weight_map": map});
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    });
    assert_eq!(embedding(&open(sharded.path())), expected);

    let prefixed = changed(|folder| {
        let mut tensors: BTreeMap<_, _> =
            raw_tensors().into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
        tensors.insert("cls.predictions.bias".into(), f32_tensor(&[3], &[1.0, 2.0, 3.0]));
        write_safetensors(&folder.join("model.safetensors"), &tensors);
    });
    let model = open(prefixed.path());
    assert_eq!(embedding(&model), expected);
    model.save(&prefixed.path().join("again"), &[]).unwrap();
    let saved = std::fs::read(prefixed.path().join("again/model.safetensors")).unwrap();
    assert!(saved == std::fs::read(golden("tiny-bert/model.safetensors")).unwrap(), "without prefix and head");
}

#[test]
fn a_plain_encoder_folder_says_what_was_assumed() {
    let folder = changed(|folder| {
        for name in ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"] {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
    });
    let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap();
    assert_eq!(opened.notices.len(), 1);
    assert!(opened.notices[0].contains("mean pooling without normalisation is assumed"), "{:?}", opened.notices);
    assert!(!opened.model.spec().normalizes());
    assert_eq!(opened.model.spec().settings().max_seq_length, 128);
}

#[test]
fn the_length_comes_from_the_folder_and_never_exceeds_the_positions() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "xlm-roberta", "");
    assert_eq!(open(folder.path()).spec().settings().max_seq_length, 30);
    let older = folder.path().join("sentence_xlm-roberta_config.json");
    std::fs::write(&older, r#"{"max_seq_length": 20}"#).unwrap();
    assert_eq!(open(folder.path()).spec().settings().max_seq_length, 30, "the name of today goes first");
    std::fs::remove_file(folder.path().join("sentence_bert_config.json")).unwrap();
    assert_eq!(open(folder.path()).spec().settings().max_seq_length, 20, "the name that older versions gave the file");
    std::fs::remove_file(older).unwrap();
    std::fs::write(folder.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 512}"#).unwrap();
    let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap();
    assert_eq!(opened.model.spec().settings().max_seq_length, 38);
    assert!(opened.notices[0].contains("max_seq_length 512 exceeds the model's 38 positions"));
    std::fs::write(folder.path().join("sentence_bert_config.json"), "{}").unwrap();
    let unlimited = r#"{"model_max_length": 1000000000000000019884624838656}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), unlimited).unwrap();
    let mut model = open(folder.path());
    assert_eq!(model.spec().settings().max_seq_length, 38);
    assert!(model.set_max_seq_length(39).unwrap_err().to_string().contains("use 38 or less"));
    assert!(model.set_max_seq_length(2).is_err());
    model.set_max_seq_length(10).unwrap();
    assert_eq!(model.spec().tokenize(&["the house ".repeat(40).as_str()]).unwrap().tokens(), 10);
}

/// A folder with two dense layers and normalisation behind two poolings.
fn with_dense() -> tempfile::TempDir {
    changed(|folder| {
        let mut modules = read_json(&golden("st301/model/modules.json"));
        modules[2] = json!({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"});
        modules.as_array_mut().unwrap().push(
            json!({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}),
        );
        std::fs::write(folder.join("modules.json"), modules.to_string()).unwrap();
        std::fs::write(
            folder.join("1_Pooling/config.json"),
            json!({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})
                .to_string(),
        )
        .unwrap();
        let dense = |name: &str, inputs: usize, outputs: usize, bias: bool, activation: &str| {
            let place = folder.join(name);
            std::fs::create_dir(&place).unwrap();
            let config = json!({"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation});
            std::fs::write(place.join("config.json"), config.to_string()).unwrap();
            let mut tensors = BTreeMap::new();
            let weights = support::noise(inputs * outputs, 5);
            tensors.insert("linear.weight".to_owned(), f32_tensor(&[outputs, inputs], &weights));
            if bias {
                tensors.insert("linear.bias".to_owned(), f32_tensor(&[outputs], &support::noise(outputs, 6)));
            }
            write_safetensors(&place.join("model.safetensors"), &tensors);
        };
        dense("2_Dense", 128, 20, true, "torch.nn.modules.activation.Tanh");
        dense("3_Dense", 20, 12, false, "torch.nn.modules.linear.Identity");
    })
}

#[test]
fn dense_modules_are_read_computed_and_written() {
    let folder = with_dense();
    let model = open(folder.path());
    assert_eq!(model.dimension(), 12);
    let names: Vec<&str> = model.tensors().iter().rev().take(3).map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["3_Dense.linear.weight", "2_Dense.linear.bias", "2_Dense.linear.weight"]);
    let ours = embedding(&model);

    // By hand: cls and mean side by side, tanh of the first layer, then the second.
    let flat = changed(|folder| {
        let pooling = json!({"embedding_dimension": 64, "pooling_mode": ["cls", "mean"]});
        std::fs::write(folder.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
        let mut modules = read_json(&golden("st301/model/modules.json"));
        modules.as_array_mut().unwrap().truncate(2);
        std::fs::write(folder.join("modules.json"), modules.to_string()).unwrap();
    });
    let pooled = embedding(&open(flat.path()));
    let (first, bias, second) = (support::noise(128 * 20, 5), support::noise(20, 6), support::noise(20 * 12, 5));
    let dot = |weights: &[f32], x: &[f32]| weights.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
    let middle: Vec<f32> = (0..20).map(|out| (dot(&first[out * 128..][..128], &pooled) + bias[out]).tanh()).collect();
    for (out, ours) in ours.iter().enumerate() {
        assert!((ours - dot(&second[out * 20..][..20], &middle)).abs() < 1e-5);
    }

    let saved = folder.path().join("saved");
    model.save(&saved, &[]).unwrap();
    assert_eq!(embedding(&open(&saved)), ours);
}

#[test]
fn an_order_of_poolings_that_flags_cannot_say_survives() {
    let folder = changed(|folder| {
        let pooling = json!({"embedding_dimension": 64, "pooling_mode": ["mean", "cls"], "include_prompt": true});
        std::fs::write(folder.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    });
    let model = open(folder.path());
    let saved = folder.path().join("saved");
    model.save(&saved, &[]).unwrap();
    assert_eq!(embedding(&open(&saved)), embedding(&model));
}

#[test]
fn broken_folders_are_refused_with_file_field_and_remedy() {
    type Change = fn(&Path);
    let cases: [(Change, &[&str]); 23] = [
        (|f| std::fs::remove_file(f.join("config.json")).unwrap(), &["config.json", "fetch the model again"]),
        (|f| std::fs::write(f.join("config.json"), "{").unwrap(), &["config.json", "not valid JSON"]),
        (|f| std::fs::remove_file(f.join("tokenizer.json")).unwrap(), &["tokenizer.json", "no such file"]),
        (
            |f| std::fs::remove_file(f.join("model.safetensors")).unwrap(),
            &["model.safetensors", "fetch the model again"],
        ),
        (
            |f| std::fs::rename(f.join("model.safetensors"), f.join("pytorch_model.bin")).unwrap(),
            &["pytorch_model.bin", "not a sound file of PyTorch", "fetch it again"],
        ),
        (|f| std::fs::write(f.join("model.safetensors"), "").unwrap(), &["model.safetensors", "damaged or cut short"]),
        (
            |f| {
                let bytes = std::fs::read(f.join("model.safetensors")).unwrap();
                std::fs::write(f.join("model.safetensors"), &bytes[..bytes.len() - 5]).unwrap();
            },
            &["model.safetensors", "damaged or cut short"],
        ),
        (
            |f| std::fs::write(f.join("model.safetensors"), u64::MAX.to_le_bytes()).unwrap(),
            &["model.safetensors", "damaged"],
        ),
        (
            |f| {
                let header = br#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}"#;
                let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
                bytes.extend(header);
                bytes.extend([0; 24]);
                std::fs::write(f.join("model.safetensors"), bytes).unwrap();
            },
            &["model.safetensors", "damaged"],
        ),
        (
            |f| {
                let header =
                    br#"{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,16]}}"#;
                let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
                bytes.extend(header);
                bytes.extend([0; 16]);
                std::fs::write(f.join("model.safetensors"), bytes).unwrap();
            },
            &["model.safetensors", "damaged"],
        ),
        (
            |f| {
                let mut tensors = raw_tensors();
                tensors.remove("encoder.layer.1.output.dense.weight");
                write_safetensors(&f.join("model.safetensors"), &tensors);
            },
            &["`encoder.layer.1.output.dense.weight` is missing", "do not belong together"],
        ),
        (
            |f| {
                let mut tensors = raw_tensors();
                tensors.insert("encoder.layer.0.output.dense.bias".into(), f32_tensor(&[63], &[0.0; 63]));
                write_safetensors(&f.join("model.safetensors"), &tensors);
            },
            &["`encoder.layer.0.output.dense.bias` has the shape [63]", "[64]"],
        ),
        (
            |f| {
                let mut tensors = raw_tensors();
                tensors.get_mut("embeddings.LayerNorm.bias").unwrap().bytes[3] = 0x7f;
                tensors.get_mut("embeddings.LayerNorm.bias").unwrap().bytes[2] = 0xc0;
                write_safetensors(&f.join("model.safetensors"), &tensors);
            },
            &["`embeddings.LayerNorm.bias`", "not a number or infinite"],
        ),
        (
            |f| {
                let mut tensors = raw_tensors();
                tensors.get_mut("embeddings.LayerNorm.bias").unwrap().dtype = "I32";
                write_safetensors(&f.join("model.safetensors"), &tensors);
            },
            &["`embeddings.LayerNorm.bias` is of type I32", "expected F32, F16, BF16 or F64"],
        ),
        (
            |f| {
                let mut config = read_json(&f.join("config.json"));
                config["vocab_size"] = 1000.into();
                std::fs::write(f.join("config.json"), config.to_string()).unwrap();
            },
            &["tokenizer.json", "2000 tokens", "1000", "do not belong together"],
        ),
        (
            |f| {
                std::fs::write(
                    f.join("modules.json"),
                    r#"[{"idx":0,"path":"","type":"sentence_transformers.models.CNN"}]"#,
                )
                .unwrap()
            },
            &["module `sentence_transformers.models.CNN` is not supported", "Transformer, Pooling"],
        ),
        (
            |f| {
                std::fs::write(f.join("modules.json"), r#"[{"idx":0,"path":"","type":"own.code.Transformer"}]"#)
                    .unwrap()
            },
            &["module `own.code.Transformer` is not supported"],
        ),
        (
            |f| {
                let mut modules = read_json(&f.join("modules.json"));
                modules[1]["path"] = "../../etc".into();
                std::fs::write(f.join("modules.json"), modules.to_string()).unwrap();
            },
            &["modules.json", "leads out of the folder"],
        ),
        (
            |f| std::fs::write(f.join("sentence_bert_config.json"), r#"{"max_seq_length": 2}"#).unwrap(),
            &["sentence_bert_config.json", "field `max_seq_length`", "leaves no room for a text", "use 3 or more"],
        ),
        (
            |f| {
                let mut settings = read_json(&f.join("tokenizer_config.json"));
                settings["model_max_length"] = 2.into();
                std::fs::write(f.join("tokenizer_config.json"), settings.to_string()).unwrap();
            },
            &["tokenizer_config.json", "field `model_max_length`", "leaves no room for a text"],
        ),
        (
            |f| std::fs::write(f.join("1_Pooling/config.json"), r#"{"pooling_mode": "attention"}"#).unwrap(),
            &["1_Pooling/config.json", "pooling_mode `attention`", "lasttoken"],
        ),
        (
            |f| std::fs::write(f.join("1_Pooling/config.json"), r#"{"word_embedding_dimension": 63}"#).unwrap(),
            &["field `word_embedding_dimension` is 63", "hidden size is 64"],
        ),
        (
            |f| {
                std::fs::write(f.join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../x.safetensors"}}"#)
                    .and_then(|()| std::fs::remove_file(f.join("model.safetensors")))
                    .unwrap()
            },
            &["`../x.safetensors`", "not a file of this folder"],
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let folder = changed(change);
        let error = fails(folder.path());
        for part in expected {
            assert!(error.contains(part), "case {number}: `{part}` is not in: {error}");
        }
    }
    assert!(fails(Path::new("/nonexistent/model")).contains("no such file"));
}

/// Any single byte of the header changed: an error or the same shapes, and no panic.
#[test]
fn no_damage_to_the_header_of_the_weights_is_fatal() {
    let bytes = std::fs::read(golden("tiny-bert/model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let folder = changed(|_| {});
    for place in (0..header).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x15;
        std::fs::write(folder.path().join("model.safetensors"), damaged).unwrap();
        let _ = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32);
    }
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    open(folder.path());
}

/// Stored vectors name the fingerprint of the model that made them: a refactoring must not change
/// it.
#[test]
fn fingerprints_stay_what_stored_vectors_have() {
    let hex = |folder: &Path| open(folder).fingerprint().map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(hex(&golden("tiny-bert")), "8842de40cc83a80726f03d20a5317be691befd1edc92f812b639a680bfa1a3fe");
    assert_eq!(hex(with_dense().path()), "891b15aaa5ce7ccb9fed44cdb3d863501eead56819dd54466eb3bdd04836aef8");
    for (family, expected) in [
        ("roberta", "8baacd7517f542c44ddac72cddc99bc30dfabdaae81bf4c29dd315a3bc413f15"),
        ("distilbert", "f4be841418381c5e7998d2ba681495c784d0f7c125b87b060abf90b83e2e8584"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path(), family, "");
        assert_eq!(hex(folder.path()), expected, "{family}");
    }
}

#[test]
fn weights_that_are_cut_or_written_while_mapped_are_an_error() {
    let context = Context::new(1);
    for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
        for cut in [true, false] {
            let folder = changed(|_| {});
            let path = folder.path().join("model.safetensors");
            let model = support::open_for_inference(folder.path(), &context, Precision::F32, storage);
            let encoder = TextEncoder::new(model, &context).unwrap();
            encoder.embed(&["habari ya asubuhi"], "").unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            match cut {
                true => file.set_len(1000).unwrap(),
                false => {
                    // As `cp` over it does: the same length at a later time.
                    let earlier = std::fs::metadata(&path).unwrap().modified().unwrap();
                    file.set_modified(earlier + std::time::Duration::from_millis(1)).unwrap();
                }
            }
            let error = encoder.embed(&["the house of the river"], "").err().unwrap();
            assert!(maana_files::FileChanged::caused(&error), "{error}");
            let error = error.to_string();
            assert!(error.contains("model.safetensors: changed while in use; replace files by renaming"), "{error}");
        }
    }
}

#[test]
fn a_dense_module_of_too_many_columns_is_refused_by_its_own_size() {
    let folder = with_dense();
    let path = folder.path().join("2_Dense/config.json");
    let mut config = read_json(&path);
    config["out_features"] = json!(65537);
    std::fs::write(&path, config.to_string()).unwrap();
    let error = fails(folder.path());
    assert!(error.contains("2_Dense/config.json: out_features is 65537; expected 1 to 65536"), "{error}");
}
