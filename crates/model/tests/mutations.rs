//! Folders with one field of one JSON file changed: each opens or is refused, and whatever opens
//! encodes or says why not. Nothing panics, and nothing takes memory that the files do not hold.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::TextEncoder;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use support::{copy_folder, golden, read_json};

const FILES: [&str; 9] = [
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "2_Normalize/config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
];

/// Values that a field of any kind may be hit with.
fn values() -> [Value; 12] {
    [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(7),
        json!(4_000_000_000u64),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("AAAA"),
        json!([]),
        json!({}),
    ]
}

/// Pointers to all fields. Of long lists and objects (vocabularies) the first three are enough.
fn pointers(json: &Value, pointer: &str, into: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match json {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let shown = if children.len() > 20 { 3 } else { children.len() };
    for (key, value) in children.into_iter().take(shown) {
        let pointer = format!("{pointer}/{key}");
        into.push(pointer.clone());
        pointers(value, &pointer, into);
    }
}

/// Opens the folder and encodes some texts; the outcome is only whether that ended without a panic.
fn try_folder(folder: &Path, context: &Context) -> Result<(), String> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let Ok(opened) = maana_model::open_for_training(folder, context, Precision::F32) else { return };
        let Ok(encoder) = TextEncoder::new(opened.model.inference(), context) else { return };
        for text in ["the house of the king", "", " ", "[MASK] <s> habari \u{e9}\u{65e5}"] {
            let _ = encoder.embed(&[text], encoder.default_prompt());
        }
    }));
    attempt.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().map_or("a panic".into(), |message| (*message).to_owned()),
    })
}

/// Tries every change of one field of `file` in the folder.
fn mutate(folder: &Path, file: &str, faults: &mut Vec<String>) -> usize {
    let path = folder.join(file);
    let whole = if path.exists() {
        read_json(&path)
    } else {
        json!({"cls_token": "[CLS]", "additional_special_tokens": ["the"]})
    };
    let context = Context::new(1);
    let mut places = vec![String::new()];
    pointers(&whole, "", &mut places);
    let mut tried = 0;
    for pointer in places {
        for value in values() {
            let mut json = whole.clone();
            *json.pointer_mut(&pointer).unwrap() = value.clone();
            std::fs::write(&path, json.to_string()).unwrap();
            tried += 1;
            if let Err(panic) = try_folder(folder, &context) {
                faults.push(format!("{file} {pointer} = {value}: {panic}"));
            }
        }
    }
    std::fs::write(&path, whole.to_string()).unwrap();
    tried
}

#[test]
fn no_value_of_a_field_is_fatal() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    let mut faults = Vec::new();
    let tried: usize = FILES.iter().map(|file| mutate(folder.path(), file, &mut faults)).sum();
    println!("{tried} folders");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Tokenizers of other kinds, around the same weights: SentencePiece, byte-level BPE, rare steps.
#[test]
fn no_value_of_a_field_of_other_tokenizers_is_fatal() {
    let golden_models = read_json(&golden("models.json"));
    let mut faults = Vec::new();
    let mut tried = 0;
    for name in ["as written", "Unigram as converters since 2023 write it", "ByteLevel True, class {}"] {
        let cases = golden_models["tokenizers"].as_array().unwrap();
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        let mut description = case["description"].clone();
        if name == "as written" {
            description["normalizer"] = json!({"type": "Sequence", "normalizers": [
                {"type": "NFKC"}, {"type": "Replace", "pattern": {"String": "b"}, "content": "a"}, {"type": "Prepend", "prepend": "a"}]});
            description["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
                {"type": "FixedLength", "length": 5}, {"type": "Digits", "individual_digits": true},
                {"type": "Split", "pattern": {"Regex": " "}, "behavior": "Removed", "invert": false},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}]});
            description["post_processor"] = json!({"type": "Sequence", "processors": [
                {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
                description["post_processor"]]});
        }
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden("tiny-bert"), folder.path());
        std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), case["config"].to_string()).unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            tried += mutate(folder.path(), file, &mut faults);
        }
    }
    println!("{tried} folders");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Faults on which the tokenizers crate panics, or that it accepts and the model would stumble
/// over.
#[test]
fn tokenizers_that_cannot_work_are_refused() {
    let template = |id: u32, type_id: u32, name: &str| {
        json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": name, "type_id": type_id}},
            {"Sequence": {"id": "A", "type_id": type_id}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [id], "tokens": ["[CLS]"]}}})
    };
    let precompiled = |map: Value| json!({"type": "Precompiled", "precompiled_charsmap": map});
    let cases = [
        ("normalizer", precompiled(Value::Null)),
        ("normalizer", precompiled(json!("AAAA"))),
        ("normalizer", precompiled(json!("/////////////////////w=="))),
        ("pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
        ("post_processor", template(4_000_000_000, 0, "[CLS]")),
        ("post_processor", template(2, 9, "[CLS]")),
        ("post_processor", template(2, u32::MAX, "[CLS]")),
        ("post_processor", template(2, 0, "[NONE]")),
        (
            "post_processor",
            json!({"type": "Sequence", "processors": [template(2, 0, "[CLS]"), template(2, 0, "[CLS]")]}),
        ),
        ("model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]})),
        ("model", json!({"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]]})),
    ];
    for (field, value) in cases {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&golden("tiny-bert"), folder.path());
        let path = folder.path().join("tokenizer.json");
        let mut json = read_json(&path);
        json[field] = value.clone();
        std::fs::write(&path, json.to_string()).unwrap();
        let class = json!({"tokenizer_class": "PreTrainedTokenizerFast"}).to_string();
        std::fs::write(folder.path().join("tokenizer_config.json"), class).unwrap();
        let context = Context::new(1);
        let outcome: Result<Result<(), String>, _> = catch_unwind(AssertUnwindSafe(|| {
            let opened = maana_model::open_for_training(folder.path(), &context, Precision::F32)
                .map_err(|error| error.to_string())?;
            let encoder = TextEncoder::new(opened.model.inference(), &context).map_err(|error| error.to_string())?;
            encoder.embed(&["the house of the king"], "").map_err(|error| panic!("opened, then {error}")).map(drop)
        }));
        let outcome = outcome.unwrap_or_else(|_| panic!("{field} {value}: a panic"));
        println!("{field} {value}: {outcome:?}");
        let fits = field == "post_processor" && value["type"] == "Sequence" && outcome.is_ok();
        assert!(
            fits || outcome.as_ref().is_err_and(|error| error.contains("tokenizer")),
            "{field} {value}: {outcome:?}"
        );
    }
}
