//! Cross-encoders: values and gradients of the reference, forms of folders, new heads and refusals.

mod support;

use maana_kernels::{Activation, Context, Precision, Rows};
use maana_model::{
    Activations, CrossEncoder, DropoutSeed, HeadSettings, ModelError, Opened, ScoreActivation, TextEncoder, Trainable,
    TrainingModel, WeightStorage,
};
use maana_text::TokenBatch;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use support::{backward, copy_folder, floats, golden, open, open_for_inference, read_json, read_safetensors};

fn assert_close(ours: &[f32], expected: &[f32], what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let farthest = ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let scale = expected.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
    assert!(farthest < 1e-5 * scale, "{what} differs by {farthest} of {scale}");
}

fn pairs(golden: &Value) -> Vec<(&str, &str)> {
    let text = |text: &'_ Value| -> &'static str { text.as_str().unwrap().to_owned().leak() };
    golden["pairs"].as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// The golden folders, as their names.
fn models(golden: &Value) -> Vec<(&str, &Value)> {
    let models = golden["models"].as_array().unwrap().iter();
    models.map(|model| (model["name"].as_str().unwrap(), model)).collect()
}

fn cross_encoder(folder: &Path, precision: Precision, threads: usize) -> CrossEncoder {
    let context = Context::new(threads);
    CrossEncoder::new(open_for_inference(folder, &context, precision, WeightStorage::Packed), &context).unwrap()
}

fn open_for_scoring(folder: &Path, head: &HeadSettings) -> Result<Opened<TrainingModel>, ModelError> {
    maana_model::open_for_scoring(folder, &Context::new(1), Precision::F32, head)
}

fn error(folder: &Path) -> String {
    maana_model::open_for_training(folder, &Context::new(1), Precision::F32).err().unwrap().to_string()
}

/// A copy of a golden folder with changes of its JSON files.
fn changed(name: &str, changes: &[(&str, &str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("cross").join(name), folder.path());
    for (file, field, value) in changes {
        let path = folder.path().join(file);
        let mut json = read_json(&path);
        json[*field] = value.clone();
        std::fs::write(path, json.to_string()).unwrap();
    }
    folder
}

fn remove(folder: &Path, files: &[&str]) {
    files.iter().for_each(|file| std::fs::remove_file(folder.join(file)).unwrap());
}

/// The files that only version 6 writes.
const SINCE_6: [&str; 3] = ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"];

#[test]
fn logits_and_scores_are_those_of_the_reference() {
    let golden_file = read_json(&golden("cross.json"));
    let pairs = pairs(&golden_file);
    for (name, expected) in models(&golden_file) {
        let folder = golden("cross").join(name);
        let context = Context::new(2);
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            let model = open_for_inference(&folder, &context, Precision::F32, storage);
            let encoder = CrossEncoder::new(model, &context).unwrap();
            assert_eq!(json!(encoder.labels()), expected["labels"], "{name}");
            assert_eq!(json!(encoder.max_length()), expected["max_length"], "{name}");
            assert_close(encoder.logits(&pairs).unwrap().data(), &floats(&expected["logits"]), name);
            assert_close(encoder.score(&pairs).unwrap().data(), &floats(&expected["scores"]), name);
        }
    }
}

#[test]
fn gradients_are_those_of_the_reference_by_name() {
    let golden_file = read_json(&golden("cross.json"));
    let (pairs, expected) = (pairs(&golden_file), read_safetensors(&golden("cross_grads.safetensors")));
    for (name, fields) in models(&golden_file) {
        let mut model = open(&golden("cross").join(name));
        let labels = fields["labels"].as_array().unwrap().len();
        assert_eq!(model.dimension(), labels);
        let (context, batch) = (Context::new(2), model.spec().tokenize_pairs(&pairs).unwrap());
        let mut keep = Activations::default();
        model.forward(&context, &batch, DropoutSeed::Off, &mut keep);
        let upstream = floats(&golden_file["upstream"][labels.to_string()]);
        let upstream = Rows::new(&upstream, pairs.len(), labels, labels);
        let gradients = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut keep, upstream);
        let of_model = expected.iter().filter_map(|(key, value)| Some((key.strip_prefix(&format!("{name}/"))?, value)));
        let mut compared = 0;
        for (key, (shape, expected)) in of_model {
            let bare = key.split_once('.').unwrap().1;
            let tensor = model.tensors().iter().find(|tensor| tensor.name == key || tensor.name == bare);
            let tensor = tensor.unwrap_or_else(|| panic!("{name}: no tensor `{key}`"));
            assert_eq!(tensor.shape, *shape, "{key}");
            assert_close(&gradients[tensor.range.clone()], expected, &format!("{name} {key}"));
            compared += 1;
        }
        assert_eq!(compared, model.tensors().len(), "{name}");
    }
}

#[test]
fn a_score_has_the_same_bits_in_any_batch() {
    let golden_file = read_json(&golden("cross.json"));
    let pairs = pairs(&golden_file);
    let many: Vec<(&str, &str)> = (0..2500).map(|index| pairs[(index + index / 7) % pairs.len()]).collect();
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let encoder = cross_encoder(&golden("cross/bert-classes"), precision, 2);
        let expected = encoder.logits(&many).unwrap();
        let alone = cross_encoder(&golden("cross/bert-classes"), precision, 1).with_batch_tokens(1);
        assert_eq!(alone.logits(&many).unwrap(), expected, "{precision:?}");
        for (index, pair) in pairs.iter().enumerate() {
            let row = encoder.logits(&[*pair]).unwrap();
            let place = many.iter().position(|other| other == pair).unwrap();
            assert_eq!(row.view().row(0), expected.view().row(place), "{precision:?} {index}");
        }
        let documents: Vec<&str> = pairs.iter().map(|(_, document)| *document).collect();
        let of_query: Vec<(&str, &str)> = documents.iter().map(|document| ("habari yako", *document)).collect();
        assert_eq!(encoder.score_documents("habari yako", &documents).unwrap(), encoder.score(&of_query).unwrap());
    }
}

#[test]
fn scores_in_f32_and_int8_are_the_same_bits_on_every_instruction_set() {
    let golden_file = read_json(&golden("cross.json"));
    let pairs = pairs(&golden_file);
    for name in ["bert", "xlm-roberta", "modernbert-mean"] {
        for precision in [Precision::F32, Precision::Int8] {
            let score = |isa| {
                let context = Context::with_instruction_set(2, isa);
                let model = open_for_inference(&golden("cross").join(name), &context, precision, WeightStorage::Packed);
                let encoder = CrossEncoder::new(model, &context).unwrap();
                let together = encoder.score(&pairs).unwrap();
                let alone = pairs.iter().flat_map(|pair| encoder.score(&[*pair]).unwrap().data().to_vec());
                assert_eq!(alone.collect::<Vec<_>>(), together.data(), "{name} {precision:?} {isa:?}");
                together
            };
            let sets = maana_kernels::InstructionSet::available();
            let expected = score(sets[0]);
            for isa in &sets[1..] {
                assert_eq!(score(*isa), expected, "{name} {precision:?} {isa:?}");
            }
        }
    }
}

#[test]
fn no_pairs_have_no_scores() {
    let encoder = cross_encoder(&golden("cross/bert"), Precision::F32, 1);
    assert_eq!(encoder.score(&[]).unwrap().rows(), 0);
    assert_eq!(encoder.score_documents("habari", &[]).unwrap().rows(), 0);
}

#[test]
fn folders_of_older_versions_give_the_scores_of_the_reference() {
    let golden_file = read_json(&golden("cross.json"));
    let pairs = pairs(&golden_file);
    for case in golden_file["older"].as_array().unwrap() {
        let fields: Vec<(&str, &str, Value)> = case["fields"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(field, value)| ("config.json", field.as_str(), value.clone()))
            .collect();
        let folder = changed(case["folder"].as_str().unwrap(), &fields);
        remove(folder.path(), &SINCE_6);
        let opened =
            maana_model::open_for_inference(folder.path(), &Context::new(1), Precision::F32, WeightStorage::Packed);
        let Opened { model, notices } = opened.unwrap();
        let own_code = case["name"] == "a class of somebody";
        assert_eq!(notices.len(), usize::from(own_code), "{notices:?}");
        assert!(!own_code || notices[0].contains("somebody.Activation"), "{notices:?}");
        let encoder = CrossEncoder::new(model, &Context::new(1)).unwrap();
        assert_close(encoder.score(&pairs).unwrap().data(), &floats(&case["scores"]), &case["name"].to_string());
    }
}

#[test]
fn a_written_folder_has_the_names_of_the_reference_and_the_same_scores() {
    let golden_file = read_json(&golden("cross.json"));
    let pairs = pairs(&golden_file);
    for (name, _) in models(&golden_file) {
        let folder = golden("cross").join(name);
        let place = tempfile::tempdir().unwrap();
        let saved = place.path().join("saved");
        open(&folder).save(&saved, &[]).unwrap();
        let tensors = |folder: &Path| read_safetensors(&folder.join("model.safetensors"));
        assert_eq!(tensors(&saved), tensors(&folder), "{name}");
        for (file, field) in [
            ("config.json", "architectures"),
            ("config.json", "id2label"),
            ("config.json", "label2id"),
            ("config_sentence_transformers.json", "model_type"),
            ("config_sentence_transformers.json", "activation_fn"),
            ("sentence_bert_config.json", "transformer_task"),
            ("sentence_bert_config.json", "modality_config"),
            ("sentence_bert_config.json", "module_output_name"),
        ] {
            let [ours, theirs] = [&saved, &folder].map(|folder| read_json(&folder.join(file))[field].clone());
            // Labels by default are not written by transformers.
            assert!(ours == theirs || theirs.is_null(), "{name} {file} {field}: {ours} {theirs}");
        }
        assert_eq!(read_json(&saved.join("modules.json")), read_json(&folder.join("modules.json")));
        assert!(!saved.join("1_Pooling").exists());
        let scores = |folder: &Path| cross_encoder(folder, Precision::F32, 1).score(&pairs).unwrap();
        assert_eq!(scores(&saved), scores(&folder), "{name}");
        remove(&saved, &SINCE_6);
        assert_eq!(scores(&saved), scores(&folder), "{name} as before version 6");
    }
}

#[test]
fn another_length_is_written_where_each_version_reads_it() {
    let mut model = open(&golden("cross/bert"));
    model.set_max_seq_length(17).unwrap();
    let place = tempfile::tempdir().unwrap();
    let saved = place.path().join("saved");
    model.save(&saved, &[]).unwrap();
    assert_eq!(read_json(&saved.join("tokenizer_config.json"))["model_max_length"], 17);
    assert_eq!(read_json(&saved.join("sentence_bert_config.json"))["max_seq_length"], 17);
    assert_eq!(cross_encoder(&saved, Precision::F32, 1).max_length(), 17);
    let long = "habari ".repeat(60);
    assert_eq!(open(&saved).spec().tokenize_pairs(&[("mto", &long)]).unwrap().tokens(), 17);
}

#[test]
fn the_default_prompt_precedes_the_first_text_only() {
    let prompts = json!({"query": "habari "});
    let file = "config_sentence_transformers.json";
    let folder = changed("bert", &[(file, "prompts", prompts), (file, "default_prompt_name", json!("query"))]);
    let (with, without) =
        (cross_encoder(folder.path(), Precision::F32, 1), cross_encoder(&golden("cross/bert"), Precision::F32, 1));
    assert_eq!(with.prompt(), "habari ");
    let expected = without.score(&[("habari mto", "leo"), ("habari leo", "leo")]).unwrap();
    assert_eq!(with.score(&[("mto", "leo"), ("leo", "leo")]).unwrap(), expected);
    let none = with.with_prompt("").unwrap();
    assert_eq!(none.score(&[("habari mto", "leo"), ("habari leo", "leo")]).unwrap(), expected);
}

#[test]
fn a_model_that_embeds_gets_a_new_head_only_to_train() {
    let labels = Some(vec!["no".to_owned(), "yes".to_owned(), "perhaps".to_owned()]);
    let head = HeadSettings { labels: labels.clone(), activation: None, seed: 3 };
    let Opened { model, notices } = open_for_scoring(&golden("tiny-bert"), &head).unwrap();
    assert!(notices.iter().any(|notice| notice.contains("new one") && notice.contains("seed 3")), "{notices:?}");
    assert_eq!((model.dimension(), model.spec().settings().max_seq_length), (3, 128));
    assert_eq!(model.spec().class_name(), "BertForSequenceClassification");
    let tensor = |model: &TrainingModel, name: &str| {
        let tensor = model.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        model.parameters()[tensor.range.clone()].to_vec()
    };
    let weight = tensor(&model, "classifier.weight");
    let deviation = (weight.iter().map(|value| value * value).sum::<f32>() / weight.len() as f32).sqrt();
    // `initializer_range` of tiny-bert.
    assert!((0.06..0.10).contains(&deviation), "{deviation}");
    assert_eq!(tensor(&model, "classifier.bias"), [0.0; 3]);
    let again = open_for_scoring(&golden("tiny-bert"), &head).unwrap().model;
    assert_eq!(tensor(&again, "classifier.weight"), weight);
    let other = open_for_scoring(&golden("tiny-bert"), &HeadSettings { seed: 4, ..head }).unwrap().model;
    assert_ne!(tensor(&other, "classifier.weight"), weight);

    let place = tempfile::tempdir().unwrap();
    let saved = place.path().join("saved");
    model.save(&saved, &[]).unwrap();
    let encoder = cross_encoder(&saved, Precision::F32, 1);
    assert_eq!(Some(encoder.labels().to_vec()), labels);
    let batch = model.spec().tokenize_pairs(&[("the house", "of the king")]).unwrap();
    let rows = model.inference().embed(&Context::new(1), &batch, &mut Activations::default());
    assert_eq!(encoder.score(&[("the house", "of the king")]).unwrap(), rows);
}

#[test]
fn a_pooler_in_the_file_is_part_of_a_new_head() {
    let folder = changed("bert", &[("config.json", "architectures", json!(["BertModel"]))]);
    remove(folder.path(), &SINCE_6);
    let pooler = |model: &TrainingModel| {
        let tensor = model.tensors().iter().find(|tensor| tensor.name == "pooler.dense.weight").unwrap();
        model.parameters()[tensor.range.clone()].to_vec()
    };
    let model = open_for_scoring(folder.path(), &HeadSettings::default()).unwrap().model;
    assert_eq!(pooler(&model), pooler(&open(&golden("cross/bert"))));
    assert_eq!(model.spec().scoring().unwrap().labels, ["LABEL_0"]);
}

#[test]
fn a_head_stays_as_it_is_when_it_trains_on() {
    let head = HeadSettings { labels: None, activation: Some(ScoreActivation::Each(Activation::Identity)), seed: 0 };
    let Opened { model, notices } = open_for_scoring(&golden("cross/bert"), &head).unwrap();
    assert!(notices.is_empty(), "{notices:?}");
    assert_eq!(model.parameters(), open(&golden("cross/bert")).parameters());
    assert_eq!(model.spec().scoring().unwrap().activation, ScoreActivation::Each(Activation::Identity));
    let three = HeadSettings { labels: Some(vec!["a".into(), "b".into(), "c".into()]), ..HeadSettings::default() };
    let error = open_for_scoring(&golden("cross/bert"), &three).err().unwrap().to_string();
    assert!(error.contains("a head of 1 labels (LABEL_0), but 3 are asked for"), "{error}");
    let classes = open_for_scoring(&golden("cross/bert-classes"), &three).unwrap().model;
    assert_eq!(classes.spec().scoring().unwrap().labels, ["a", "b", "c"]);
}

#[test]
fn a_model_of_another_task_is_refused_with_the_remedy() {
    let context = Context::new(1);
    let open = |folder: &Path| open_for_inference(folder, &context, Precision::F32, WeightStorage::Packed);
    let error = CrossEncoder::new(open(&golden("tiny-bert")), &context).err().unwrap().to_string();
    assert!(error.contains("bi-encoder") && error.contains("maana search"), "{error}");
    let error = TextEncoder::new(open(&golden("cross/bert")), &context).err().unwrap().to_string();
    assert!(error.contains("cross-encoder") && error.contains("maana rerank"), "{error}");
}

#[test]
fn malformed_heads_are_refused_by_field() {
    let config = "config.json";
    let cases = [
        (
            (config, "id2label", json!({"0": "a", "1": "b"})),
            "tensor `classifier.weight` has the shape [1, 16], but `config.json` asks for [2, 16], a row for each \
             label in `id2label`",
        ),
        ((config, "id2label", json!({"1": "a"})), "field `id2label`"),
        ((config, "id2label", json!(["a"])), "field `id2label`"),
        ((config, "id2label", json!({})), "there are 0 labels"),
        ((config, "classifier_dropout", json!(1.5)), "field `classifier_dropout` is 1.5"),
        ((config, "problem_type", json!("single_label_classification")), "problem_type"),
        (
            ("config_sentence_transformers.json", "activation_fn", json!("torch.nn.Mish")),
            "`torch.nn.Mish` is not supported",
        ),
        (
            ("config_sentence_transformers.json", "model_type", json!("SparseEncoder")),
            "the order of modules Transformer",
        ),
        (("sentence_bert_config.json", "transformer_task", json!("text-generation")), "transformer_task"),
    ];
    for (change, expected) in cases {
        let folder = changed("bert", std::slice::from_ref(&change));
        let error = error(folder.path());
        assert!(error.contains(expected), "{change:?}: {error}");
    }
    let folder = changed("bert", &[]);
    let weights = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let name = b"classifier.weight";
    let place = bytes.windows(name.len()).position(|part| part == name).unwrap();
    bytes[place..place + name.len()].copy_from_slice(b"classifier.height");
    std::fs::write(weights, bytes).unwrap();
    let missing = error(folder.path());
    assert!(missing.contains("tensor `classifier.weight` is missing; it belongs to the head"), "{missing}");
    assert!(missing.contains("kind = \"cross_encoder\""), "{missing}");
    let folder = changed("bert", &[]);
    let modules = json!([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1", "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"}]);
    std::fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
    let error = error(folder.path());
    assert!(error.contains("LogitScore") && error.contains("generative"), "{error}");
}

#[test]
fn adapters_leave_a_new_head_untrained_and_are_refused() {
    let settings = maana_model::LoraSettings {
        rank: 2,
        alpha: 4.0,
        dropout: 0.0,
        targets: Vec::new(),
        routes: Vec::new(),
        base: "base".into(),
        merge: false,
    };
    let mut new = open_for_scoring(&golden("tiny-bert"), &HeadSettings::default()).unwrap().model;
    let error = new.add_lora(settings.clone(), 1).unwrap_err().to_string();
    assert!(error.contains("new head"), "{error}");

    let mut model = open(&golden("cross/bert"));
    model.add_lora(settings, 1).unwrap();
    let values: Vec<f32> = (0..model.tensors().iter().map(|tensor| tensor.range.len()).sum())
        .map(|index: usize| (index % 7) as f32 / 70.0)
        .collect();
    model.write_state(maana_model::StatePart::Parameters, 0, &values);
    let place = tempfile::tempdir().unwrap();
    let saved = place.path().join("adapters");
    model.save(&saved, &[]).unwrap();
    let written = read_safetensors(&saved.join("adapter_model.safetensors"));
    assert!(
        written.keys().all(|name| name.starts_with("base_model.model.bert.encoder.layer.")),
        "{:?}",
        written.keys()
    );
    assert_eq!(read_json(&saved.join("adapter_config.json"))["task_type"], "SEQ_CLS");
    let opened = maana_model::open_adapter(&saved, &[golden("cross/bert")], &Context::new(1), Precision::F32).unwrap();
    assert_eq!(opened.model.parameters(), model.parameters());
    assert!(opened.model.spec().scoring().is_ok());
}

#[test]
fn labels_are_part_of_the_fingerprint_and_of_differences() {
    let model = open(&golden("cross/bert"));
    let renamed = changed("bert", &[("config.json", "id2label", json!({"0": "relevance"}))]);
    let renamed = open(renamed.path());
    assert_ne!(model.fingerprint(), renamed.fingerprint());
    let difference = model.difference(&renamed).unwrap();
    assert!(difference.contains("scores pairs by relevance"), "{difference}");
    assert_eq!(model.inference().fingerprint(&Context::new(1)), model.fingerprint());
}

#[test]
fn a_stopped_cross_encoder_says_so() {
    let stop = Arc::new(AtomicBool::new(true));
    let encoder = cross_encoder(&golden("cross/bert"), Precision::F32, 1).with_stop(stop);
    assert!(matches!(encoder.score(&[("mto", "leo")]), Err(ModelError::Stopped)));
}

#[test]
fn a_pair_that_cannot_be_tokenised_has_its_number() {
    let encoder = cross_encoder(&golden("cross/bert"), Precision::F32, 1);
    let error = encoder.with_max_length(3).err().unwrap().to_string();
    assert!(error.contains("3 special tokens"), "{error}");
    let mut batch = TokenBatch::new();
    let tokenizer = open(&golden("cross/bert")).spec().tokenizer();
    let text = tokenizer.pair_text(0, "habari habari habari", 5, maana_text::Overlong::Refuse).unwrap();
    let error = tokenizer.append_pair(&mut batch, &text, &text, 5, maana_text::Overlong::Refuse).unwrap_err();
    assert!(error.to_string().starts_with("pair 0: "), "{error}");
}
