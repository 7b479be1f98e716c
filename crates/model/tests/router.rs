//! Models with towers by role (Router, before version 5 Asym): values and gradients of the
//! reference, folders, and refusals.

mod support;

use maana_kernels::{Context, Precision, Rows};
use maana_model::{DropoutSeed, LoraSettings, Role, StatePart, TextEncoder, Trainable, TrainingModel, WeightStorage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// The folder with adapters that PEFT wrote for both towers, and the folders of their base models.
fn adapted_router() -> (tempfile::TempDir, [PathBuf; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let (own, base) = (folder.path().join("adapters"), folder.path().join("base"));
    copy_folder(router().path(), &base);
    copy_folder(&base, &own);
    let towers = ["document_0_Transformer", "query_0_Transformer"];
    for tower in towers {
        for file in ["config.json", "model.safetensors"] {
            std::fs::remove_file(own.join(tower).join(file)).unwrap();
        }
        copy_folder(&golden("router_lora").join(tower), &own.join(tower));
    }
    (folder, towers.map(|tower| base.join(tower)))
}

fn lora(routes: &[&str], merge: bool) -> LoraSettings {
    let routes = routes.iter().map(|route| (*route).to_owned()).collect();
    LoraSettings { rank: 2, alpha: 8.0, dropout: 0.0, targets: Vec::new(), routes, base: "base".into(), merge }
}

#[test]
fn adapters_of_both_towers_written_by_peft_give_its_embeddings() {
    let golden = read_json(&golden("router_lora.json"));
    let (folder, bases) = adapted_router();
    let own = folder.path().join("adapters");
    let named = maana_model::adapter_bases(&own).unwrap();
    assert_eq!(named, ["../base/document_0_Transformer", "../base/query_0_Transformer"]);
    let model = maana_model::open_adapter(&own, &bases, &Context::new(1), Precision::F32).unwrap().model;
    let encoder = TextEncoder::new(model.inference(), &Context::new(1)).unwrap();
    for (role, of, column) in [(Role::Query, "query", "queries"), (Role::Document, "document", "documents")] {
        let ours = encoder.encode(&texts(&golden, column), role).unwrap();
        assert_close_absolutely(ours.data(), &floats(&golden[of]), of);
    }
    let fewer = maana_model::open_adapter(&own, &bases[..1], &Context::new(1), Precision::F32);
    let error = fewer.err().unwrap().to_string();
    assert!(error.contains("query_0_Transformer") && error.contains("base model of each tower"), "{error}");
    assert!(error_of(&own).contains("an adapter (PEFT) in place of a whole model"));
}

#[test]
fn gradients_of_adapters_of_a_tower_are_those_of_peft_by_name() {
    let numbers = read_json(&golden("router_lora.json"));
    let expected = read_safetensors(&golden("router_lora_grads.safetensors"));
    for (role, rank) in [("query", 2), ("document", 4)] {
        let folder = router();
        let mut model = open(folder.path());
        model.add_lora(LoraSettings { rank, ..lora(&[role], false) }, 1).unwrap();
        let path = golden("router_lora").join(format!("{role}_0_Transformer/adapter_model.safetensors"));
        let adapters = read_safetensors(&path);
        let prefix = format!("{role}_0_Transformer.");
        assert!(model.tensors().iter().all(|tensor| tensor.name.starts_with(&prefix)));
        for tensor in model.tensors().to_vec() {
            let (shape, values) = &adapters[&format!("base_model.model.{}", &tensor.name[prefix.len()..])];
            assert_eq!(*shape, tensor.shape, "{}", tensor.name);
            model.write_state(StatePart::Parameters, tensor.range.start, values);
        }
        // The other tower has no adapters, and its embeddings take no part in these gradients.
        let columns = [(Role::Query, "query", "queries"), (Role::Document, "document", "documents")];
        let (context, specs) = (Context::new(2), columns.map(|(role, ..)| model.role_specs().number(Some(role))));
        for ((_, of, column), number) in columns.into_iter().zip(specs) {
            let spec = model.role_specs().of(Some(if of == "query" { Role::Query } else { Role::Document }));
            let batch = spec.tokenize(&texts(&numbers, column)).unwrap();
            let mut activations = model.activations(number);
            let embedded = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
            if of == role {
                assert_close_absolutely(embedded.data(), &floats(&numbers[of]), of);
            }
            let upstream = floats(&numbers[format!("{of}_upstream")]);
            let upstream = Rows::new(&upstream, batch.sequences(), 64, 64);
            model.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream);
        }
        let gradients = model.gradients().to_vec();
        for tensor in model.tensors() {
            assert_close_absolutely(&gradients[tensor.range.clone()], &expected[&tensor.name].1, &tensor.name);
        }
    }
}

/// Trains adapters of some towers a little.
fn trained_adapters(folder: &Path, routes: &[&str], merge: bool) -> TrainingModel {
    let golden = read_json(&golden("router.json"));
    let mut model = open(folder);
    model.add_lora(lora(routes, merge), 1).unwrap();
    let context = Context::new(2);
    for step in 1..=2 {
        for (role, column) in [(Role::Query, "queries"), (Role::Document, "documents")] {
            let number = model.role_specs().number(Some(role));
            let batch = model.role_specs().of(Some(role)).tokenize(&texts(&golden["router"], column)).unwrap();
            let mut activations = model.activations(number);
            let embedded = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
            let upstream = support::noise(embedded.data().len(), step);
            let upstream = Rows::new(&upstream, embedded.rows(), embedded.columns(), embedded.columns());
            model.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream);
        }
        model.update(&context, step, 1e-2, 1.0);
    }
    model
}

#[test]
fn adapters_of_chosen_towers_are_saved_as_peft_does_and_open_again() {
    let files = |folder: &Path| {
        let has = |name: &str| folder.join(name).exists();
        (has("adapter_config.json") && has("adapter_model.safetensors"), has("model.safetensors"))
    };
    for (routes, adapted) in
        [(&["query"][..], &["query"][..]), (&["document"], &["document"]), (&[], &["document", "query"])]
    {
        let folder = router();
        let place = tempfile::tempdir().unwrap();
        let [adapters, whole] = ["adapters", "whole"].map(|name| place.path().join(name));
        for (path, merge) in [(&adapters, false), (&whole, true)] {
            trained_adapters(folder.path(), routes, merge).save(path, &[]).unwrap();
        }
        for role in ["query", "document"] {
            let tower = format!("{role}_0_Transformer");
            let is_adapted = adapted.contains(&role);
            assert_eq!(files(&adapters.join(&tower)), (is_adapted, !is_adapted), "{role} of {routes:?}");
            assert_eq!(files(&whole.join(&tower)), (false, true));
        }
        let bases = maana_model::adapter_bases(&adapters).unwrap();
        let expected = adapted.iter().map(|role| folder.path().join(format!("{role}_0_Transformer")));
        let expected = expected.map(|path| std::fs::canonicalize(path).unwrap().display().to_string());
        assert_eq!(bases, expected.collect::<Vec<_>>());
        let opened = maana_model::open_adapter(&adapters, &bases, &Context::new(1), Precision::F32).unwrap().model;
        assert_eq!(opened.fingerprint(), open(&whole).fingerprint(), "{routes:?}");
        assert_ne!(opened.fingerprint(), open(folder.path()).fingerprint());
    }
}

#[test]
fn routes_of_adapters_are_checked_by_name() {
    let error = |folder: &Path, routes: &[&str]| open(folder).add_lora(lora(routes, true), 1).unwrap_err().to_string();
    let fault = error(router().path(), &["image"]);
    assert!(fault.contains("no route `image`; its routes: document, query"), "{fault}");
    let fault = error(static_queries().path(), &["query"]);
    assert!(fault.contains("`query` is a static model"), "{fault}");
    let fault = error(&golden("tiny-bert"), &["query"]);
    assert!(fault.contains("its routes: none"), "{fault}");
    let mut model = open(static_queries().path());
    model.add_lora(lora(&[], true), 1).unwrap();
    assert!(model.tensors().iter().all(|tensor| tensor.name.starts_with("document_0_Transformer.")));
    // Both towers share the encoder.
    let mut model = open(asym().path());
    model.add_lora(lora(&[], true), 1).unwrap();
    assert_eq!(model.tensors().len(), 8);
}

/// An int8 embedding of a tower is near that in f32, and the same bits in any batch.
#[test]
fn towers_in_int8_are_near_those_in_f32() {
    let golden = read_json(&golden("router.json"));
    for (name, folder) in [("router", router()), ("router_static", static_queries()), ("asym", asym())] {
        let context = Context::new(2);
        let open = |storage| open_for_inference(folder.path(), &context, Precision::Int8, storage);
        let encoder = TextEncoder::new(open(WeightStorage::Packed), &context).unwrap();
        let mapped = TextEncoder::new(open(WeightStorage::Mapped), &context).unwrap();
        for (role, of, column) in [(Role::Query, "query", "queries"), (Role::Document, "document", "documents")] {
            let texts = texts(&golden[name], column);
            let ours = encoder.encode(&texts, role).unwrap();
            assert_eq!(mapped.encode(&texts, role).unwrap(), ours, "{name} {of}");
            let expected = floats(&golden[name][of]);
            for (row, (text, expected)) in texts.iter().zip(expected.chunks_exact(ours.columns())).enumerate() {
                let single = encoder.encode(&[text], role).unwrap();
                assert_eq!(single.row(0), ours.row(row), "{name} {of}");
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let cosine =
                    dot(ours.row(row), expected) / (dot(ours.row(row), ours.row(row)) * dot(expected, expected)).sqrt();
                assert!(cosine > 0.99, "{name} {of}: {cosine}");
            }
        }
    }
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
