//! Embeddings: equal to the reference, to the plain twin, and to themselves in any company.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{
    Activations, Architecture, DropoutSeed, InferenceModel, Role, RolePrompts, Shape, TextEncoder, Trainable,
    TrainingModel, WeightStorage,
};
use maana_text::TokenBatch;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::plain::{Plain, PlainPooling};
use support::{
    RawTensor, copy_folder, golden, open, open_for_inference, read_json, read_safetensors, tiny, write_safetensors,
    write_small,
};

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tiny_bert_gives_the_embeddings_of_the_reference() {
    let (model, context) = (tiny(), Context::new(2));
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    let golden = read_json(&golden("tiny_encode.json"));
    let rows = golden["rows"].as_array().unwrap();
    let mut worst = 0.0f32;
    for row in rows {
        let expected: Vec<f32> = serde_json::from_value(row["embedding"].clone()).unwrap();
        let ours = encoder.encode(&[row["text"].as_str().unwrap()], Role::Document).unwrap();
        worst = worst.max(largest_difference(ours.row(0), &expected));
    }
    println!("{} texts, largest difference {worst:e}", rows.len());
    assert_eq!(rows.len(), 22);
    assert!(worst < 1e-5, "{worst:e}");
}

#[test]
fn every_family_agrees_with_its_plain_twin() {
    let context = Context::new(1);
    for (model_type, prefix) in [
        ("bert", "bert."),
        ("roberta", "roberta."),
        ("xlm-roberta", "roberta."),
        ("distilbert", "distilbert."),
        ("mpnet", "mpnet."),
        ("modernbert", "model."),
    ] {
        for prefix in ["", prefix] {
            let folder = tempfile::tempdir().unwrap();
            write_small(folder.path(), model_type, prefix);
            let model = open(folder.path());
            let plain = Plain::of(&model, PlainPooling::Mean);
            for text in ["", "the house of the king", "north and south and east and west are far away from here now"] {
                let ids = model.spec().tokenize(&[text]).unwrap().ids;
                let expected: Vec<f32> = plain.embed(&ids).into_iter().map(|value| value as f32).collect();
                let ours = TextEncoder::new(model.inference(), &context).unwrap().encode(&[text], Role::Query).unwrap();
                assert!(largest_difference(ours.row(0), &expected) < 2e-6, "{model_type} {text}");
            }
        }
    }
}

#[test]
fn a_selected_token_has_the_same_bits_as_among_all() {
    let texts = many_texts();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (key, first) in [("pooling_mode_cls_token", true), ("pooling_mode_lasttoken", false)] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden("tiny-bert"), folder.path());
        let pooling = json!({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": false, key: true});
        std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
        let (mut model, context) = (open(folder.path()), Context::new(2));
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            model.set_precision(precision);
            let model = model.inference();
            let (batch, mut keep) = (model.spec().tokenize(&all).unwrap(), Activations::default());
            let tokens = model.embed_tokens(&context, &batch, &mut keep);
            let alone = model.embed_unfinished(&context, &batch, &mut keep);
            assert_eq!((alone.rows(), alone.columns()), (all.len(), 64));
            for text in 0..all.len() {
                let token = if first { batch.offsets[text] } else { batch.offsets[text + 1] - 1 };
                assert_eq!(alone.row(text), tokens.row(token), "text {text}, {key}, {precision:?}");
            }
        }
    }
}

fn many_texts() -> Vec<String> {
    let words = ["house", "king", "water", "the", "north", "a", "green", "never"];
    (0..101).map(|i: usize| (0..i % 23).map(|j| words[(i * 7 + j * j) % 8]).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn an_encoder_that_is_stopped_computes_no_further_batch() {
    let (model, context, stop) = (tiny(), Context::new(1), Arc::new(AtomicBool::new(false)));
    let encoder = TextEncoder::new(model.inference(), &context).unwrap().with_stop(Arc::clone(&stop));
    assert_eq!(encoder.embed(&["the king"], "").unwrap().rows(), 1);
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(encoder.embed(&["the king"], ""), Err(maana_model::ModelError::Stopped)));
}

#[test]
fn an_embedding_has_the_same_bits_in_any_batch() {
    let model = tiny();
    let texts = many_texts();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let alone: Vec<Vec<f32>> = {
        let context = Context::new(1);
        let encoder = TextEncoder::new(model.inference(), &context).unwrap();
        all.iter().map(|text| encoder.encode(&[text], Role::Document).unwrap().row(0).to_vec()).collect()
    };
    for threads in [1, 2, 3] {
        let context = Context::new(threads);
        for budget in [1, 50, 333, 1 << 20] {
            let encoder = TextEncoder::new(model.inference(), &context).unwrap().with_batch_tokens(budget);
            let together = encoder.encode(&all, Role::Document).unwrap();
            for (index, alone) in alone.iter().enumerate() {
                assert_eq!(together.row(index), alone, "text {index}, {threads} threads, {budget} tokens");
            }
        }
    }
}

#[test]
fn dimensions_are_prefixes_of_length_one() {
    let (model, context) = (tiny(), Context::new(1));
    let whole = TextEncoder::new(model.inference(), &context).unwrap().encode(&["the house"], Role::Query).unwrap();
    let short = TextEncoder::new(model.inference(), &context).unwrap().with_dimension(16).unwrap();
    let short = short.encode(&["the house"], Role::Query).unwrap();
    let length = whole.row(0)[..16].iter().map(|value| value * value).sum::<f32>().sqrt();
    let expected: Vec<f32> = whole.row(0)[..16].iter().map(|value| value / length).collect();
    assert!(largest_difference(short.row(0), &expected) < 1e-6);
    for wrong in [0, 65] {
        let error =
            TextEncoder::new(model.inference(), &context).unwrap().with_dimension(wrong).err().unwrap().to_string();
        assert!(error.contains("have 64; use 1 to 64"), "{error}");
    }
}

fn with_settings(change: impl FnOnce(&Path)) -> TrainingModel {
    let folder = tempfile::tempdir().unwrap();
    support::copy_folder(&golden("tiny-bert"), folder.path());
    change(folder.path());
    open(folder.path())
}

#[test]
fn prompts_go_before_the_text_by_role_and_by_name() {
    let prompts = r#"{"prompts": {"query": "the king ", "passage": "water ", "other": "north "},
        "default_prompt_name": "other", "similarity_fn_name": "dot"}"#;
    let model =
        with_settings(|folder| std::fs::write(folder.join("config_sentence_transformers.json"), prompts).unwrap());
    let context = Context::new(1);
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    let plain = |text: &str| encoder.embed(&[text], "").unwrap();
    assert_eq!(encoder.encode(&["house"], Role::Query).unwrap(), plain("the king house"));
    assert_eq!(encoder.encode(&["house"], Role::Document).unwrap(), plain("water house"));
    assert_eq!(encoder.embed(&["house"], encoder.default_prompt()).unwrap(), plain("north house"));
    let error = encoder.prompt("missing").unwrap_err().to_string();
    assert!(error.contains("query, passage, other"), "{error}");
}

#[test]
fn an_empty_prompt_for_documents_hides_no_other() {
    // As Sentence Transformers 6.2 saves a model of the E5 family.
    let e5 = r#"{"prompts": {"query": "", "document": "", "passage": "water "}, "default_prompt_name": "passage"}"#;
    let model = with_settings(|folder| std::fs::write(folder.join("config_sentence_transformers.json"), e5).unwrap());
    let context = Context::new(1);
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    assert_eq!((encoder.role_prompt(Role::Query), encoder.role_prompt(Role::Document)), ("", "water "));
    assert_eq!(encoder.describe_prompt(Role::Query).unwrap(), "queries without a prompt");
    assert_eq!(encoder.describe_prompt(Role::Document).unwrap(), "documents behind \"water \" (passage)");
    assert_eq!(TextEncoder::new(tiny().inference(), &context).unwrap().describe_prompt(Role::Query), None);
}

#[test]
fn training_embeds_texts_behind_prompts_as_encoding_does() {
    let context = Context::new(2);
    for (mode, include_prompt) in [("mean", false), ("cls", false), ("weightedmean", true)] {
        let model = with_settings(|folder| {
            let pooling = json!({"embedding_dimension": 64, "pooling_mode": mode, "include_prompt": include_prompt});
            std::fs::write(folder.join("1_Pooling/config.json"), pooling.to_string()).unwrap();
        });
        let encoder = TextEncoder::new(model.inference(), &context).unwrap();
        let texts = ["house", "the north of the king", "never"];
        let mut batch = TokenBatch::new();
        for prompt in ["the water of ", "", "a green king: "] {
            let prompt = model.spec().prompt(prompt).unwrap();
            batch.extend(&prompt.tokenize(&texts, |texts| model.spec().tokenize(texts)).unwrap());
        }
        let trained = model.forward(&context, &batch, DropoutSeed::Off, &mut Activations::default());
        for (number, prompt) in ["the water of ", "", "a green king: "].into_iter().enumerate() {
            let encoded = encoder.embed(&texts, prompt).unwrap();
            let rows = trained.view().range(3 * number..3 * number + 3);
            assert_eq!(rows.to_matrix(), encoded, "{mode}, include_prompt {include_prompt}, {prompt:?}");
        }
        let with = encoder.embed(&texts, "the water of ").unwrap();
        assert_ne!(with, encoder.embed(&texts, "").unwrap(), "the prompt is attended to");
    }
}

#[test]
fn prompts_that_are_asked_for_take_the_place_of_the_models() {
    let prompts = r#"{"prompts": {"query": "the king ", "none": "water "}}"#;
    let model =
        with_settings(|folder| std::fs::write(folder.join("config_sentence_transformers.json"), prompts).unwrap());
    let context = Context::new(1);
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    let asked = |asked: &str| encoder.prompt_or_text(asked).map_err(|error| error.to_string());
    assert_eq!(asked("query").unwrap(), "the king ");
    assert_eq!(asked("none").unwrap(), "water ", "a name counts first");
    assert_eq!(asked("").unwrap(), "");
    assert_eq!(asked("north: ").unwrap(), "north: ");
    let error = asked("qurey").unwrap_err();
    assert!(
        error.contains("no prompt is called `qurey`; there are: query, none") && error.contains("\"qurey: \""),
        "{error}"
    );
    let chosen = RolePrompts { query: Some("north ".into()), document: None };
    let encoder = TextEncoder::new(model.inference(), &context).unwrap().with_prompts(chosen);
    let plain = |text: &str| encoder.embed(&[text], "").unwrap();
    assert_eq!(encoder.encode(&["house"], Role::Query).unwrap(), plain("north house"));
    assert_eq!(encoder.encode(&["house"], Role::Document).unwrap(), plain("house"));
}

#[test]
fn pooling_may_leave_the_prompt_out() {
    let pooling = r#"{"embedding_dimension": 64, "pooling_mode": ["mean", "max"], "include_prompt": false}"#;
    let model = with_settings(|folder| std::fs::write(folder.join("1_Pooling/config.json"), pooling).unwrap());
    let context = Context::new(1);
    let encoder = TextEncoder::new(model.inference(), &context).unwrap();
    assert_eq!(encoder.dimension(), 128);
    let without = encoder.embed(&["the king house"], "").unwrap();
    let with = encoder.embed(&["house"], "the king ").unwrap();
    assert!(largest_difference(without.row(0), with.row(0)) > 1e-3);
    // A prompt as long as the text leaves nothing, or only the closing token, to pool.
    let nothing = encoder.embed(&[""], "the king house").unwrap();
    assert!(nothing.row(0).iter().all(|value| value.is_finite()));
}

#[test]
fn fingerprints_tell_models_and_dimensions_apart() {
    let (model, context) = (tiny(), Context::new(1));
    let other = open(&golden("st301/model"));
    let whole = TextEncoder::new(model.inference(), &context).unwrap();
    let short = TextEncoder::new(model.inference(), &context).unwrap().with_dimension(32).unwrap();
    assert_eq!(whole.fingerprint(), TextEncoder::new(tiny().inference(), &context).unwrap().fingerprint());
    assert_ne!(whole.fingerprint(), short.fingerprint());
    assert_ne!(whole.fingerprint(), TextEncoder::new(other.inference(), &context).unwrap().fingerprint());
}

/// A model that is opened to encode holds only packed weights, and gives the same bits as one that
/// is opened to train, in every precision and from every type of weights.
#[test]
fn what_is_opened_to_encode_gives_the_same_bits() {
    let context = Context::new(2);
    let texts = ["the king house", "", "house of the king and the old house"];
    let folder = tempfile::tempdir().unwrap();
    for dtype in ["f32", "f16"] {
        let model = folder.path().join(dtype);
        copy_folder(&golden("tiny-bert"), &model);
        if dtype == "f16" {
            let path = model.join("model.safetensors");
            let halves = read_safetensors(&path).into_iter().map(|(name, (shape, values))| {
                let bytes = values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
                (name, RawTensor { dtype: "F16", shape, bytes })
            });
            write_safetensors(&path, &halves.collect());
        }
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let whole = maana_model::open_for_training(&model, &context, precision).unwrap().model;
            let packed = Arc::new(open_for_inference(&model, &context, precision, WeightStorage::Packed));
            let embed = |model: &Arc<InferenceModel>| {
                TextEncoder::new(Arc::clone(model), &context).unwrap().embed(&texts, "").unwrap()
            };
            let fingerprint = whole.fingerprint();
            let whole = Arc::new(whole.inference());
            assert_eq!(embed(&whole).data(), embed(&packed).data(), "{dtype} {precision:?}");
            assert_eq!(fingerprint, packed.fingerprint(&context));
            // A layer at a time, in each of several passes, as what is opened to train does. That
            // packs bf16 as f32 where no instruction takes bf16.
            let layer = packed.packed_bytes() / whole.spec().config().layers;
            let most = if precision == Precision::Bf16 { 2 * layer } else { layer };
            assert!((layer..=most).contains(&whole.packed_bytes()), "{} of {layer} bytes", whole.packed_bytes());
            let few = Arc::new(open_for_inference(&model, &context, precision, WeightStorage::Mapped));
            for _ in 0..2 {
                assert_eq!(embed(&whole).data(), embed(&few).data(), "{dtype} {precision:?}");
            }
            assert_eq!([whole.fingerprint(&context), few.fingerprint(&context)], [fingerprint; 2]);
            assert_eq!(few.packed_bytes() * few.spec().config().layers, packed.packed_bytes());
            // Words that the file holds as the machine does stay there.
            let words = 4 * whole.spec().config().vocabulary * whole.spec().config().hidden;
            let beside = packed.held_bytes() - packed.packed_bytes();
            assert_eq!(beside > words, dtype == "f16");
            assert!(beside + packed.packed_bytes() < whole.held_bytes());
        }
    }
}

/// Mapped weights are checked when an embedding is NaN; packed weights when the model is opened.
#[test]
fn a_nan_weight_is_named_at_the_latest_by_its_embedding() {
    let context = Context::new(2);
    for name in ["encoder.layer.1.output.dense.weight", "embeddings.word_embeddings.weight"] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden("tiny-bert"), folder.path());
        let path = folder.path().join("model.safetensors");
        let tensors = read_safetensors(&path).into_iter().map(|(tensor, (shape, mut values))| {
            if tensor == name {
                values.fill(f32::NAN);
            }
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (tensor, RawTensor { dtype: "F32", shape, bytes })
        });
        write_safetensors(&path, &tensors.collect());
        let before = maana_model::open_for_inference(folder.path(), &context, Precision::F32, WeightStorage::Packed);
        let few = open_for_inference(folder.path(), &context, Precision::F32, WeightStorage::Mapped);
        let after = TextEncoder::new(few, &context).unwrap().embed(&["the king"], "");
        for error in [before.err(), after.err()] {
            let error = error.expect("damaged weights are refused").to_string();
            assert!(error.contains(name) && error.contains("not a number"), "{error}");
        }
    }
}

/// In addition to its packed weights an encoder of the shape of bge-base holds at most a fifth, in
/// bf16.
#[test]
fn an_encoder_holds_little_but_its_packed_weights() {
    let context = Context::new(2);
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape { architecture: Architecture::Bert, layers: 2, hidden: 768, heads: 12, intermediate: 3072 };
    tiny().spec().random_of_shape(shape, 1).unwrap().save(folder.path(), &[]).unwrap();
    let model = open_for_inference(folder.path(), &context, Precision::Bf16, WeightStorage::Packed);
    let share = model.held_bytes() as f64 / model.packed_bytes() as f64;
    println!("{share:.3} times the packed bytes");
    assert!(share < 1.2);
}
