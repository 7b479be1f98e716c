//! Models with towers by role (Router, before version 5 Asym): values and gradients of the
//! reference, folders, and refusals.

mod support;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{DropoutSeed, Role, TextEncoder, Trainable, TrainingModel, WeightStorage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::{
    assert_close_absolutely, copy_folder, floats, golden, open, open_for_inference, read_json, read_safetensors,
};

/// The folder with a small BERT for queries and tiny-bert for documents.
fn router() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("router"), folder.path());
    copy_folder(&golden("tiny-bert"), &folder.path().join("document_0_Transformer"));
    folder
}

/// The folder in the form of version 2 with a Dense for each role behind tiny-bert.
fn asym() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    copy_folder(&golden("asym"), folder.path());
    folder
}

/// The folder with static embeddings for queries and tiny-bert with a Dense for documents.
fn static_queries() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("router_static"), folder.path());
    copy_folder(&golden("tiny-bert"), &folder.path().join("document_0_Transformer"));
    folder
}

fn texts<'a>(golden: &'a Value, of: &str) -> Vec<&'a str> {
    golden[of].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn encoder(folder: &Path, storage: WeightStorage) -> TextEncoder {
    let context = Context::new(2);
    TextEncoder::new(open_for_inference(folder, &context, Precision::F32, storage), &context).unwrap()
}

/// Embeddings of queries, of documents, and of the queries without a role.
fn embeddings(encoder: &TextEncoder, golden: &Value) -> [Vec<f32>; 3] {
    let (queries, documents) = (texts(golden, "queries"), texts(golden, "documents"));
    [
        encoder.encode(&queries, Role::Query).unwrap().data().to_vec(),
        encoder.encode(&documents, Role::Document).unwrap().data().to_vec(),
        encoder.embed(&queries, "").unwrap().data().to_vec(),
    ]
}

#[test]
fn the_role_of_a_text_chooses_its_tower_as_in_the_reference() {
    let golden = read_json(&golden("router.json"));
    for (name, folder) in [("router", router()), ("router_static", static_queries()), ("asym", asym())] {
        let golden = &golden[name];
        let expected = ["query", "document", "no_role"].map(|of| floats(&golden[of]));
        for storage in [WeightStorage::Packed, WeightStorage::Mapped] {
            let encoder = encoder(folder.path(), storage);
            let ours = embeddings(&encoder, golden);
            for (ours, expected) in ours.iter().zip(&expected) {
                assert_close_absolutely(ours, expected, name);
            }
            let query = encoder.for_role(Role::Query);
            assert_eq!(query.embed(&texts(golden, "queries"), "").unwrap().data(), ours[0]);
            assert_eq!(query.fingerprint(), encoder.for_role(Role::Document).fingerprint());
            assert_eq!(embeddings(&encoder.clone().with_context(&Context::new(1)), golden), ours);
            assert_eq!(
                query.clone().with_context(&Context::new(1)).embed(&["a"], "").unwrap(),
                query.embed(&["a"], "").unwrap()
            );
            assert!(!encoder.has_one_tower());
        }
        let model = open(folder.path());
        let shared = TextEncoder::new(model.inference(), &Context::new(1)).unwrap();
        let opened = encoder(folder.path(), WeightStorage::Packed);
        assert_eq!(embeddings(&shared, golden), embeddings(&opened, golden), "shared parameters");
        assert_eq!(shared.fingerprint(), opened.fingerprint());
        assert_eq!(model.fingerprint(), opened.model().fingerprint(&Context::new(1)));
    }
}

/// Gradients of queries in one tower and documents in the other.
fn gradients(model: &mut TrainingModel, golden: &Value) -> Vec<f32> {
    let context = Context::new(2);
    model.clear_gradients();
    for (role, of, column) in [(Role::Query, "query", "queries"), (Role::Document, "document", "documents")] {
        let number = model.role_specs().number(Some(role));
        let spec = model.role_specs().of(Some(role));
        let batch = spec.tokenize(&texts(golden, column)).unwrap();
        let mut activations = model.activations(number);
        let embedded = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
        assert_close_absolutely(embedded.data(), &floats(&golden[of]), of);
        let upstream = floats(&golden[format!("{of}_upstream")]);
        let columns = upstream.len() / batch.sequences();
        let upstream = Rows::new(&upstream, batch.sequences(), columns, columns);
        model.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream);
    }
    model.gradients().to_vec()
}

#[test]
fn gradients_of_both_towers_are_those_of_the_reference() {
    let golden_router = read_json(&golden("router.json"));
    let folders = [("router", router(), 26), ("router_static", static_queries(), 3), ("asym", asym(), 7)];
    for (name, folder, parts) in folders {
        let mut model = open(folder.path());
        let ours = gradients(&mut model, &golden_router[name]);
        let expected = read_safetensors(&golden(&format!("{name}_grads.safetensors")));
        assert_eq!(expected.len(), parts);
        for (key, (_, expected)) in expected {
            // Both towers of the second folder share its encoder.
            let tensor = model
                .tensors()
                .iter()
                .find(|tensor| tensor.name == key || tensor.name == format!("query_0_Transformer.{key}"));
            let tensor = tensor.unwrap_or_else(|| panic!("{name}: no tensor `{key}`"));
            assert_close_absolutely(&ours[tensor.range.clone()], &expected, &format!("{name}: {key}"));
        }
    }
}

#[test]
fn a_saved_model_has_its_towers_and_gives_the_same_bits() {
    let golden = read_json(&golden("router.json"));
    for (name, folder) in [("router", router()), ("router_static", static_queries()), ("asym", asym())] {
        let place = tempfile::tempdir().unwrap();
        let saved = place.path().join("saved");
        let model = open(folder.path());
        model.save(&saved, &[]).unwrap();
        let (before, after) = (encoder(folder.path(), WeightStorage::Packed), encoder(&saved, WeightStorage::Packed));
        assert_eq!(embeddings(&after, &golden[name]), embeddings(&before, &golden[name]));
        assert_eq!(after.fingerprint(), before.fingerprint());
        assert_eq!(after.summary(), before.summary());
        assert_eq!(model.summary(), before.summary());
        let again = open(&saved);
        assert_eq!(again.tensors(), model.tensors());
        assert_eq!(again.difference(&model), None);
        let config = read_json(&saved.join("router_config.json"));
        assert_eq!(config["parameters"]["default_route"], if name == "asym" { "query" } else { "document" });
        assert_eq!(read_json(&saved.join("modules.json")).as_array().unwrap().len(), 1);
    }
}

#[test]
fn the_summary_lists_the_modules_of_each_route_and_counts_shared_parts_once() {
    let summary = open(router().path()).summary();
    let kinds: Vec<(String, Vec<String>)> = summary.modules[0]
        .routes
        .iter()
        .map(|route| (route.name.clone(), route.modules.iter().map(|module| module.kind.clone()).collect()))
        .collect();
    let list = |kinds: &[&str]| kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>();
    assert_eq!(summary.modules[0].kind, "Router");
    assert_eq!(kinds[0], ("document".into(), list(&["Transformer", "Pooling", "Normalize"])));
    assert_eq!(kinds[1], ("query".into(), list(&["Transformer", "Pooling", "Dense", "Normalize"])));
    assert_eq!(summary.dimension, 64);
    let tiny = support::tiny().spec().summary().parameters;
    let of_dense = 2 * (64 * 10 + 10);
    assert_eq!(open(asym().path()).summary().parameters, tiny + of_dense);
}

#[test]
fn the_length_is_set_in_all_towers() {
    let folder = router();
    let encoder = encoder(folder.path(), WeightStorage::Packed);
    assert_eq!(encoder.for_role(Role::Query).max_seq_length(), 20);
    let shorter = encoder.clone().with_max_seq_length(5).unwrap();
    assert_eq!(shorter.for_role(Role::Query).max_seq_length(), 5);
    assert_ne!(shorter.fingerprint(), encoder.fingerprint());
    let error = encoder.with_max_seq_length(40).err().unwrap().to_string();
    assert!(error.contains("32 positions"), "{error}");
    let mut model = open(folder.path());
    model.set_max_seq_length(6).unwrap();
    assert!(
        [Role::Query, Role::Document]
            .iter()
            .all(|role| model.role_specs().of(Some(*role)).settings().max_seq_length == 6)
    );
    assert!(model.set_max_seq_length(40).is_err());
}

#[test]
fn a_model_without_a_default_route_asks_for_the_role() {
    let folder = router();
    edit(folder.path(), "router_config.json", "parameters", json!({"default_route": null, "allow_empty_key": false}));
    let encoder = encoder(folder.path(), WeightStorage::Packed);
    let error = encoder.embed(&["a"], "").unwrap_err().to_string();
    assert!(error.contains("as queries or as documents"), "{error}");
    encoder.encode(&["a"], Role::Query).unwrap();
    encoder.for_role(Role::Document).embed(&["a"], "").unwrap();
    let saved = folder.path().join("saved");
    open(folder.path()).save(&saved, &[]).unwrap();
    assert!(TextEncoder::new(open(&saved).inference(), &Context::new(1)).unwrap().embed(&["a"], "").is_err());
}

#[test]
fn adapters_and_routers_are_not_combined() {
    let settings =
        maana_model::LoraSettings { rank: 2, alpha: 2.0, targets: Vec::new(), base: "base".into(), merge: true };
    let error = open(router().path()).add_lora(settings, 1).unwrap_err().to_string();
    assert!(error.contains("Router"), "{error}");
}

fn edit(folder: &Path, file: &str, field: &str, value: Value) {
    let path = folder.join(file);
    let mut json = read_json(&path);
    *json.pointer_mut(&format!("/{field}")).unwrap() = value;
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn routers_that_cannot_be_read_are_refused_by_file_and_field() {
    let dense = "sentence_transformers.models.CNN";
    let cases: [(&str, Value, &[&str]); 9] = [
        ("structure", json!({}), &["no route"]),
        ("structure", json!([]), &["`structure`", "an object"]),
        ("structure/query", json!("query_0_Transformer"), &["route `query`", "list of modules"]),
        ("structure/query/0", json!("other"), &["route `query`", "`types` has no module `other`"]),
        ("types/query_2_Dense", json!(dense), &[dense, "word vectors"]),
        ("types/query_2_Dense", json!("sentence_transformers.models.Router"), &["models.Router"]),
        ("structure/query", json!(["query_1_Pooling"]), &["the order of modules Pooling"]),
        ("structure/query", json!(["query_0_Transformer", "query_1_Pooling"]), &["gives 12 columns", "`document` 64"]),
        ("parameters/default_route", json!("image"), &["`default_route` names the route `image`"]),
    ];
    for (field, value, expected) in cases {
        let folder = router();
        edit(folder.path(), "router_config.json", field, value);
        let error = error_of(folder.path());
        assert!(expected.iter().all(|part| error.contains(part)), "{field}: {error}");
    }
    let folder = router();
    std::fs::remove_file(folder.path().join("router_config.json")).unwrap();
    assert!(error_of(folder.path()).contains("router_config.json: no such file"));
    let folder = router();
    let mut modules = read_json(&folder.path().join("modules.json"));
    modules[1]["type"] = "sentence_transformers.models.Router".into();
    std::fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
    assert!(error_of(folder.path()).contains("a second Router"));
}

fn error_of(folder: &Path) -> String {
    let opened = maana_model::open_for_training(folder, &Context::new(1), Precision::F32);
    opened.err().expect("an error").to_string()
}

/// An update of one tower does not change the other: gradients and moments have their own places.
#[test]
fn an_update_of_one_tower_leaves_the_other() {
    let golden = read_json(&golden("router.json"));
    let folder = router();
    let mut model = open(folder.path());
    let before: BTreeMap<String, Vec<f32>> = values(&model);
    let context = Context::new(1);
    let (number, spec) = model.role_specs().query;
    let batch = spec.tokenize(&texts(&golden["router"], "queries")).unwrap();
    let mut activations = model.activations(number);
    let embedded = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let d_embeddings = support::noise(embedded.data().len(), 3);
    model.backward(
        &context,
        &batch,
        DropoutSeed::Off,
        &mut activations,
        Rows::new(&d_embeddings, batch.sequences(), 64, 64),
    );
    model.update(&context, 1, 1e-3, 1.0);
    for (name, values) in values(&model) {
        let changed = values != before[&name];
        let may_change = name.starts_with("query") && !name.contains("key.bias");
        assert!(changed == may_change || name.contains("key.bias"), "{name}");
    }
}

fn values(model: &TrainingModel) -> BTreeMap<String, Vec<f32>> {
    let values = |range: std::ops::Range<usize>| model.parameters()[range].to_vec();
    model.tensors().iter().map(|tensor| (tensor.name.clone(), values(tensor.range.clone()))).collect()
}
