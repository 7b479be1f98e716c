//! Every field of a folder's files that an embedding depends on: honoured as Sentence Transformers
//! does, or refused by name. The lists below are the project's own statement of what is read;
//! `docs/models.md` names each of these fields.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{TextEncoder, TrainingModel};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::{RawTensor, copy_folder, f32_tensor, golden, read_json, read_safetensors, write_safetensors};

/// Sets a field, `a/b` for one within another; null removes it.
fn edit(path: &Path, pointer: &str, value: &Value) {
    let mut json = if path.exists() { read_json(path) } else { json!({}) };
    let mut place = &mut json;
    let keys: Vec<&str> = pointer.split('/').collect();
    for key in &keys[..keys.len() - 1] {
        place = match place {
            Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
            object => object.as_object_mut().unwrap().entry(*key).or_insert(json!({})),
        };
    }
    let (object, key) = (place.as_object_mut().unwrap(), keys[keys.len() - 1]);
    match value {
        Value::Null => object.remove(key),
        other => object.insert(key.into(), other.clone()),
    };
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, json.to_string()).unwrap();
}

fn tiny_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    folder
}

fn texts(golden: &Value) -> Vec<&str> {
    golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn embeddings(model: &TrainingModel, texts: &[&str]) -> Vec<f32> {
    let context = Context::new(1);
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    encoder.embed(texts, encoder.default_prompt()).unwrap().into_vec()
}

/// Writes the tensors of tiny-bert again under other names or in another type, and the dense module
/// that a variant has.
fn change_weights(folder: &Path, variant: &Value, golden: &Value) {
    let path = folder.join("model.safetensors");
    let prefix = variant["legacy"].as_str();
    let in_f64 = variant["dtype"] == "F64";
    if prefix.is_some() || in_f64 {
        let mut tensors = BTreeMap::new();
        for (name, (shape, values)) in read_safetensors(&path) {
            let older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
            let name = prefix.map_or(name, |prefix| format!("{prefix}{older}"));
            let tensor = if in_f64 {
                let bytes = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
                RawTensor { dtype: "F64", shape, bytes }
            } else {
                f32_tensor(&shape, &values)
            };
            tensors.insert(name, tensor);
        }
        write_safetensors(&path, &tensors);
    }
    let Some(activation) = variant.get("dense") else { return };
    let config = folder.join("2_Dense/config.json");
    for (field, value) in
        [("in_features", json!(64)), ("out_features", json!(8)), ("activation_function", activation.clone())]
    {
        edit(&config, field, &value);
    }
    let floats = |name: &str| -> Vec<f32> { serde_json::from_value(golden["dense"][name].clone()).unwrap() };
    let tensors = BTreeMap::from([
        ("linear.weight".to_owned(), f32_tensor(&[8, 64], &floats("weight"))),
        ("linear.bias".to_owned(), f32_tensor(&[8], &floats("bias"))),
    ]);
    write_safetensors(&folder.join("2_Dense/model.safetensors"), &tensors);
    edit(&folder.join("modules.json"), "2/type", &json!("sentence_transformers.models.Dense"));
    edit(&folder.join("modules.json"), "2/path", &json!("2_Dense"));
}

#[test]
fn embeddings_follow_every_setting_as_the_reference_does() {
    let golden_models = read_json(&golden("models.json"));
    let texts = texts(&golden_models);
    let mut differ = 0;
    let plain = embeddings(&support::tiny(), &texts);
    for variant in golden_models["variants"].as_array().unwrap() {
        let folder = tiny_copy();
        for (file, changes) in variant["changes"].as_object().into_iter().flatten() {
            let path = folder.path().join(file);
            changes.as_object().unwrap().iter().for_each(|(field, value)| edit(&path, field, value));
        }
        change_weights(folder.path(), variant, &golden_models);
        let ours = embeddings(&support::open(folder.path()), &texts);
        let rows: Vec<Vec<f32>> = serde_json::from_value(variant["embeddings"].clone()).unwrap();
        let expected = rows.concat();
        let farthest = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(ours.len() == expected.len() && farthest < 2e-5, "{}: differs by {farthest}", variant["name"]);
        differ += usize::from(ours != plain);
    }
    println!("{differ} variants differ from tiny-bert");
    assert!(differ > 30);
}

/// Fields of a folder that cannot be honoured, with a value and a part of the message.
fn refused() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let config = "config.json";
    let sentence = "sentence_bert_config.json";
    let tokenizer = "tokenizer_config.json";
    let transformers = "config_sentence_transformers.json";
    vec![
        (config, "model_type", json!("t5"), "model_type `t5`"),
        (config, "hidden_act", json!("mish"), "hidden_act `mish`"),
        (config, "hidden_act", json!(1), "field `hidden_act`"),
        (config, "position_embedding_type", json!("relative_key"), "position_embedding_type"),
        (config, "is_decoder", json!(true), "is_decoder"),
        (config, "add_cross_attention", json!(true), "add_cross_attention"),
        (config, "pruned_heads", json!({"0": [1]}), "pruned_heads"),
        (config, "quantization_config", json!({"bits": 8}), "quantization_config"),
        (config, "auto_map", json!({"AutoModel": "a.B"}), "auto_map"),
        (config, "type_vocab_size", json!(1u64 << 63), "type_vocab_size"),
        ("adapter_config.json", "peft_type", json!("LORA"), "adapter"),
        (sentence, "transformer_task", json!("fill-mask"), "transformer_task"),
        (sentence, "module_output_name", json!("scores"), "module_output_name"),
        (sentence, "modality_config", json!({"image": {}}), "modality_config"),
        (sentence, "query_length", json!(32), "query_length"),
        (sentence, "document_length", json!(32), "document_length"),
        (sentence, "query_expansion", json!({"length": 32}), "query_expansion"),
        (sentence, "processing_kwargs", json!({"text": {"max_length": 4}}), "processing_kwargs"),
        (sentence, "model_args", json!({"add_pooling_layer": false}), "model_args.add_pooling_layer"),
        (sentence, "model_kwargs", json!({"num_hidden_layers": 1}), "model_kwargs.num_hidden_layers"),
        (sentence, "config_args", json!({"hidden_act": "relu"}), "config_args.hidden_act"),
        (sentence, "config_kwargs", json!({"hidden_act": "relu"}), "config_kwargs.hidden_act"),
        (sentence, "tokenizer_args", json!({"model_max_length": 4}), "tokenizer_args.model_max_length"),
        (sentence, "processor_kwargs", json!({"do_lower_case": false}), "processor_kwargs.do_lower_case"),
        (sentence, "max_seq_length", json!("6"), "max_seq_length"),
        (sentence, "do_lower_case", json!("no"), "do_lower_case"),
        (tokenizer, "truncation_side", json!("middle"), "truncation_side"),
        (tokenizer, "do_lower_case", json!("yes"), "do_lower_case"),
        (tokenizer, "strip_accents", json!(1), "strip_accents"),
        (tokenizer, "tokenizer_class", json!(["BertTokenizer"]), "tokenizer_class"),
        (tokenizer, "added_tokens_decoder", json!({"7": {"content": "the"}}), "token `the` has the id"),
        (tokenizer, "added_tokens_decoder", json!([]), "added_tokens_decoder"),
        (tokenizer, "additional_special_tokens", json!([1]), "additional_special_tokens"),
        ("1_Pooling/config.json", "pooling_mode", json!("attention"), "pooling_mode `attention`"),
        ("1_Pooling/config.json", "pooling_mode_first_last", json!(true), "pooling_mode_first_last"),
        ("1_Pooling/config.json", "embedding_dimension", json!(32), "embedding_dimension"),
        ("1_Pooling/config.json", "include_prompt", json!("no"), "include_prompt"),
        ("2_Normalize/config.json", "module_input_name", json!("token_embeddings"), "module_input_name"),
        ("modules.json", "2/type", json!("sentence_transformers.models.LSTM"), "LSTM"),
        ("modules.json", "2/name", json!("1"), "two modules have the name"),
        ("modules.json", "1/path", json!("../1_Pooling"), "leads out of the folder"),
        (transformers, "model_type", json!("SparseEncoder"), "model_type `SparseEncoder`"),
        (transformers, "prompts", json!(["query: "]), "prompts"),
        (transformers, "prompts", json!({"query": 1}), "prompt `query`"),
        (transformers, "default_prompt_name", json!("none"), "default_prompt_name"),
        (transformers, "similarity_fn_name", json!("jaccard"), "similarity_fn_name"),
        (
            transformers,
            "truncate_dim",
            json!(0),
            "config_sentence_transformers.json: truncate_dim is 0; expected 1 to 64",
        ),
        (transformers, "truncate_dim", json!(65), "truncate_dim is 65"),
    ]
}

#[test]
fn settings_that_cannot_be_honoured_are_refused_by_file_and_field() {
    for (file, field, value, expected) in refused() {
        let folder = tiny_copy();
        edit(&folder.path().join(file), field, &value);
        let error = match maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32) {
            Ok(_) => panic!("{file}: {field} {value} was accepted"),
            Err(error) => error.to_string(),
        };
        let named = error.contains(expected) && (error.contains(file) || error.contains("tokenizer"));
        assert!(named, "{file}: {field} {value}: {error}");
    }
}

/// Fields that say how Python computes, trains or prints, and change no embedding.
fn without_effect() -> Vec<(&'static str, &'static str, Value)> {
    let config = "config.json";
    let tokenizer = "tokenizer_config.json";
    vec![
        (config, "architectures", json!(["BertForMaskedLM"])),
        (config, "attention_probs_dropout_prob", json!(0.5)),
        (config, "hidden_dropout_prob", json!(0.5)),
        (config, "classifier_dropout", json!(0.5)),
        (config, "chunk_size_feed_forward", json!(2)),
        (config, "dtype", json!("float16")),
        (config, "torch_dtype", json!("float32")),
        (config, "gradient_checkpointing", json!(true)),
        (config, "initializer_range", json!(1.0)),
        (config, "output_attentions", json!(true)),
        (config, "output_hidden_states", json!(true)),
        (config, "pad_token_id", json!(3)),
        (config, "tie_word_embeddings", json!(false)),
        (config, "transformers_version", json!("4.0")),
        (config, "use_cache", json!(true)),
        ("sentence_bert_config.json", "unpad_inputs", json!(true)),
        ("sentence_bert_config.json", "model_args", json!({"trust_remote_code": true, "torch_dtype": "float16"})),
        (tokenizer, "add_bos_token", json!(false)),
        (tokenizer, "add_eos_token", json!(true)),
        (tokenizer, "chat_template", json!("{{ messages }}")),
        (tokenizer, "clean_up_tokenization_spaces", json!(true)),
        (tokenizer, "max_length", json!(3)),
        (tokenizer, "model_input_names", json!(["input_ids"])),
        (tokenizer, "padding_side", json!("left")),
        (tokenizer, "pad_to_multiple_of", json!(8)),
        (tokenizer, "stride", json!(2)),
        (tokenizer, "truncation_strategy", json!("only_first")),
        ("tokenizer.json", "decoder", Value::Null),
        (
            "tokenizer.json",
            "padding",
            json!({"strategy": {"Fixed": 20}, "direction": "Left", "pad_to_multiple_of": 8,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}),
        ),
        ("tokenizer.json", "version", json!("1.0")),
        ("modules.json", "1/idx", json!(9)),
        ("config_sentence_transformers.json", "__version__", json!({"sentence_transformers": "2.2.0"})),
    ]
}

#[test]
fn settings_without_effect_leave_embeddings_as_they_are() {
    let texts = ["the House of the king", ""];
    let plain = embeddings(&support::tiny(), &texts);
    for (file, field, value) in without_effect() {
        let folder = tiny_copy();
        edit(&folder.path().join(file), field, &value);
        assert_eq!(embeddings(&support::open(folder.path()), &texts), plain, "{file}: {field} {value}");
    }
}

#[test]
fn docs_name_every_field_of_these_lists() {
    let docs = std::fs::read_to_string(golden("../docs/models.md")).unwrap();
    let named = |field: &str| docs.contains(&format!("`{}`", field.rsplit('/').next().unwrap()));
    let golden_models = read_json(&golden("models.json"));
    let mut missing = Vec::new();
    for variant in golden_models["variants"].as_array().unwrap() {
        for (file, changes) in variant["changes"].as_object().into_iter().flatten() {
            missing.extend(
                changes.as_object().unwrap().keys().filter(|field| !named(field)).map(|f| format!("{file} {f}")),
            );
        }
    }
    missing.extend(
        refused().iter().filter(|(_, field, ..)| !named(field)).map(|(file, field, ..)| format!("{file} {field}")),
    );
    missing.extend(
        without_effect().iter().filter(|(_, field, _)| !named(field)).map(|(file, field, _)| format!("{file} {field}")),
    );
    missing.retain(|entry| !entry.contains("pooling_mode_first_last") && !entry.contains("peft_type"));
    missing.dedup();
    assert!(missing.is_empty(), "docs/models.md does not name {missing:?}");
}

#[test]
fn layers_that_config_json_does_not_count_are_mentioned() {
    let folder = tiny_copy();
    edit(&folder.path().join("config.json"), "num_hidden_layers", &json!(1));
    let opened = maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap();
    let note = opened.notices.join("\n");
    assert!(note.contains("16 tensors of the weights are not used") && note.contains("encoder.layer.1."), "{note}");
}

#[test]
fn tensors_that_nothing_reads_are_mentioned_and_heads_are_not() {
    let notes = |prefix: &str, name: &str| {
        let folder = tiny_copy();
        let path = folder.path().join("model.safetensors");
        let mut tensors: BTreeMap<String, RawTensor> = read_safetensors(&path)
            .into_iter()
            .map(|(name, (shape, values))| (format!("{prefix}{name}"), f32_tensor(&shape, &values)))
            .collect();
        tensors.insert(name.into(), f32_tensor(&[1], &[1.0]));
        write_safetensors(&path, &tensors);
        maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).unwrap().notices.join("\n")
    };
    for name in ["linear.weight", "bert.encoder.layer.0.lora_A.weight", "bert.embeddings.projection.weight"] {
        let note = notes("bert.", name);
        assert!(
            note.contains("a tensor of the weights is not used") && note.contains(name.trim_start_matches("bert.")),
            "{note}"
        );
    }
    assert!(notes("", "linear.weight").contains("linear.weight"));
    for name in ["bert.pooler.dense.scale", "cls.predictions.bias", "bert.embeddings.position_ids", "classifier.weight"]
    {
        assert_eq!(notes("bert.", name), "", "{name}");
    }
}

#[test]
fn sizes_are_compared_with_the_file_before_memory_is_taken() {
    for (field, value) in [
        ("num_hidden_layers", 1024u64),
        ("intermediate_size", 1 << 18),
        ("vocab_size", 1 << 24),
        ("type_vocab_size", 1 << 16),
    ] {
        let folder = tiny_copy();
        edit(&folder.path().join("config.json"), field, &json!(value));
        let error =
            maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).err().unwrap().to_string();
        assert!(error.contains("model.safetensors: tensor `"), "{field}: {error}");
    }
}

#[test]
fn a_directory_in_place_of_a_file_is_named() {
    for file in ["model.safetensors", "config.json", "tokenizer.json", "modules.json", "tokenizer_config.json"] {
        let folder = tiny_copy();
        std::fs::remove_file(folder.path().join(file)).unwrap();
        std::fs::create_dir(folder.path().join(file)).unwrap();
        let error =
            maana_model::open_for_training(folder.path(), &Context::new(1), Precision::F32).err().unwrap().to_string();
        assert!(error.contains(file) && error.contains("not a file"), "{error}");
    }
}

#[test]
fn settings_that_change_embeddings_change_the_fingerprint() {
    let plain = support::tiny().fingerprint();
    for (file, field, value) in [
        ("tokenizer_config.json", "do_lower_case", json!(false)),
        ("tokenizer_config.json", "truncation_side", json!("left")),
        ("tokenizer_config.json", "split_special_tokens", json!(true)),
        ("config.json", "hidden_act", json!("relu")),
    ] {
        let folder = tiny_copy();
        edit(&folder.path().join(file), field, &value);
        assert_ne!(support::open(folder.path()).fingerprint(), plain, "{field}");
    }
}
