//! Search in a store and labels of a classifier, equal to those of the command line.

use crate::schema::check;
use crate::support::{Server, copy_folder, encoder, tiny};
use maana::classify::{Kind, fit_head};
use maana::files::replace;
use maana::kernels::Context;
use maana::search::store::{Stored, Writer};
use maana::search::{Fields, SearchOptions, Searcher, StoreLocation, add, create};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

const DOCUMENTS: [(&str, &str, &str); 5] = [
    ("a", "the house of the river", "en"),
    ("b", "habari ya asubuhi", "sw"),
    ("c", "the river", "en"),
    ("d", "bei ya mahindi", "sw"),
    ("e", "a house", "en"),
];

fn corpus(folder: &Path, documents: &[(&str, &str, &str)]) -> PathBuf {
    let path = folder.join("corpus.jsonl");
    let lines = documents.iter().map(|(id, text, lang)| json!({"id": id, "text": text, "lang": lang}));
    replace(&path, |out| lines.clone().try_for_each(|line| writeln!(out, "{line}"))).unwrap();
    path
}

fn fields() -> Fields {
    Fields { keep: vec!["lang".into()], ..Fields::default() }
}

fn store(folder: &Path) -> PathBuf {
    let path = folder.join("store");
    let encoder = encoder();
    let mut writer = create(&path, &encoder, &tiny().display().to_string(), Stored::F32).unwrap();
    add(&encoder, &mut writer, &corpus(folder, &DOCUMENTS), &fields(), &mut |_| {}).unwrap();
    path
}

fn ask(server: &Server, body: Value, status: u16) -> Value {
    let answer = server.post("/search", &body.to_string()).json(status);
    check("post", "/search", status, &answer);
    answer
}

fn ids(result: &Value) -> Vec<&str> {
    result["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[test]
fn hits_are_those_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(folder.path());
    let server = Server::with(|settings| settings.index = Some(StoreLocation::Folder(path.clone())));
    let (context, opened) = (Context::new(1), Searcher::open(&path).unwrap());
    let encoder = encoder();
    let queries = ["the river", "mahindi"];
    for (dim, hybrid, filters) in [
        (None, false, vec![]),
        (Some(16), false, vec![]),
        (None, true, vec![]),
        (None, false, vec![("lang".to_owned(), "sw".to_owned())]),
    ] {
        let question = SearchOptions { k: 3, dim, hybrid, filters: filters.clone(), ..SearchOptions::default() };
        let expected = maana::search::search(&opened, &encoder, &context, &queries, &question).unwrap();
        let filter: serde_json::Map<String, Value> =
            filters.into_iter().map(|(name, value)| (name, value.into())).collect();
        let body = json!({"query": queries, "k": 3, "dimensions": dim, "hybrid": hybrid, "filter": filter});
        let answer = ask(&server, body, 200);
        for (result, expected) in answer["results"].as_array().unwrap().iter().zip(&expected.hits) {
            assert_eq!(ids(result), expected.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>());
            for (hit, expected) in result["hits"].as_array().unwrap().iter().zip(expected) {
                assert_eq!(serde_json::from_value::<f32>(hit["score"].clone()).unwrap(), expected.score);
                assert_eq!(
                    (hit["text"].as_str(), hit["fields"]["lang"].as_str().is_some()),
                    (Some(&*expected.content.text), true)
                );
            }
        }
    }
    let all = ask(&server, json!({"query": "the river", "k": 1, "all_dimensions": true}), 200);
    let hit = &all["results"][0]["hits"][0];
    assert_eq!(hit["scores"].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(), ["16", "32", "64"]);
    assert_eq!(hit["scores"]["64"], hit["score"]);
    assert_eq!(server.get("/info").json(200)["index"], json!({"documents": 5, "dims": 64, "fields": ["lang"]}));
}

#[test]
fn invalid_searches_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(folder.path());
    let server = Server::with(|settings| settings.index = Some(StoreLocation::Folder(path)));
    for body in [
        json!({"query": "a", "k": 0}),
        json!({"query": "a", "k": 1001}),
        json!({"query": "a", "k": -1}),
        json!({"query": "a", "dimensions": 5}),
        json!({"query": "a", "filter": {"no": "x"}}),
        json!({"query": "a", "filter": {"lang": 1}}),
        json!({"query": vec!["a"; 257]}),
        json!({"k": 1}),
    ] {
        ask(&server, body, 422);
    }
    ask(&server, json!({"query": []}), 400);
    let error = ask(&server, json!({"query": "a", "filter": {"no": "x"}}), 422);
    assert!(error["error"].as_str().unwrap().contains("the fields are: lang"), "{error}");
}

#[test]
fn the_store_follows_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(folder.path());
    let server = Server::with(|settings| settings.index = Some(StoreLocation::Folder(path.clone())));
    let first = |query: &str| {
        let answer = ask(&server, json!({"query": query, "k": 1}), 200);
        answer["results"][0]["hits"][0]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(first("the river"), "c");
    let encoder = encoder();
    let mut writer = Writer::open(&path).unwrap();
    add(&encoder, &mut writer, &corpus(folder.path(), &[("new", "quite new", "en")]), &fields(), &mut |_| {}).unwrap();
    assert_eq!(first("quite new"), "new");
    writer.delete(&["c"]).unwrap();
    assert_ne!(first("the river"), "c");
    assert_eq!(server.get("/info").json(200)["index"]["documents"], 5);
    drop(writer);
    // A state that cannot be read leaves the previous one in use.
    std::fs::write(path.join("manifest"), "broken").unwrap();
    assert_eq!(first("quite new"), "new");
}

#[test]
fn a_store_of_another_model_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(folder.path());
    let other = folder.path().join("other");
    copy_folder(&tiny(), &other);
    let config = other.join("config_sentence_transformers.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"query\": \"\"", "\"query\": \"q: \"");
    std::fs::write(&config, text).unwrap();
    let error = Server::try_with(|settings| {
        settings.models[0].place = other.display().to_string();
        settings.index = Some(StoreLocation::Folder(path));
    });
    let error = error.err().unwrap();
    assert!(error.contains("holds vectors of"), "{error}");
}

#[test]
fn labels_are_those_of_the_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new(1);
    let encoder = encoder();
    let texts: Vec<String> =
        (0..24).map(|n| if n % 2 == 0 { format!("the house {n}") } else { format!("habari ya {n}") }).collect();
    let labels: Vec<String> = (0..24).map(|n| if n % 2 == 0 { "en".into() } else { "sw".into() }).collect();
    let (head, _) = fit_head(&encoder, &context, "tiny", &texts, &labels, Kind::Logistic, &mut |_| {}).unwrap();
    let file = head.save(folder.path()).unwrap();
    let server = Server::with(|settings| settings.head = Some(file));
    let asked: Vec<String> = vec!["the house".into(), "habari".into()];
    let expected = head.predict(&encoder, &context, &asked, &mut |_| {}).unwrap();
    let answer = server.post("/classify", &json!({"inputs": asked}).to_string()).json(200);
    check("post", "/classify", 200, &answer);
    for (row, labels) in answer.as_array().unwrap().iter().enumerate() {
        let labels = labels.as_array().unwrap();
        assert!(labels[0]["score"].as_f64() >= labels[1]["score"].as_f64());
        for label in labels {
            let class = if label["label"] == "en" { 0 } else { 1 };
            assert_eq!(label["score"].as_f64().unwrap(), expected.row(row)[class]);
        }
    }
    assert_eq!(server.get("/info").json(200)["classifier"], json!({"labels": ["en", "sw"]}));
}
