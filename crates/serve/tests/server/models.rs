//! Several models: read at their first request, released when memory is short; and errors of
//! starting.

use crate::support::{Server, copy_folder, encoded, same_bits, tiny};
use maana::search::StoreLocation;
use maana_serve::{Dims, Source};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn further(name: &str) -> Source {
    Source { name: name.into(), place: tiny().display().to_string() }
}

#[test]
fn models_are_read_at_their_first_request() {
    let server = Server::with(|settings| settings.models.extend([further("second"), further("third")]));
    let named = server.get("/info").json(200)["models"].clone();
    assert_eq!(named, json!(["tiny", "second", "third"]));
    assert_eq!(server.metric("maana_models"), 1.0);
    for name in ["second", "second", "tiny", "third"] {
        let answer = server.post("/embed", &json!({"inputs": "the house", "model": name}).to_string());
        assert_eq!(answer.header("x-model-id"), Some(name));
        same_bits(&answer.rows(), &encoded(&["the house"], 64));
        let answer = server.post("/v1/embeddings", &json!({"input": "a", "model": name}).to_string()).json(200);
        assert_eq!(answer["model"], name);
    }
    assert_eq!(server.metric("maana_models"), 3.0);
}

#[test]
fn settings_choose_the_prompts_of_the_roles() {
    let server = Server::with(|settings| {
        settings.query_prompt = Some("the king ".into());
        settings.document_prompt = Some("none".into());
    });
    let question = json!({"query": "house", "texts": ["house", "the king house"]});
    let ranked = server.post("/rerank", &question.to_string()).json(200);
    assert_eq!(ranked[0]["index"], 1);
    assert!(ranked[0]["score"].as_f64().unwrap() > 0.99999, "{ranked}");
    let error = Server::try_with(|settings| settings.query_prompt = Some("qurey".into())).err().unwrap();
    assert!(error.contains("no prompt is called `qurey`"), "{error}");
}

#[test]
fn a_text_is_cut_at_the_end_that_the_folder_names() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&tiny(), folder.path());
    let path = folder.path().join("tokenizer_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["truncation_side"] = "left".into();
    std::fs::write(&path, config.to_string()).unwrap();
    let server = Server::with(|settings| settings.models[0].place = folder.path().display().to_string());
    let text = format!("the king {}", "house ".repeat(200));
    let rows = |more: serde_json::Value| {
        let mut body = json!({"inputs": text});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/embed", &body.to_string()).rows()
    };
    assert_eq!(rows(json!({})), rows(json!({"truncation_direction": "left"})));
    assert_ne!(rows(json!({})), rows(json!({"truncation_direction": "right"})));
}

#[test]
fn the_model_unused_for_longest_is_released() {
    let file = std::fs::metadata(tiny().join("model.safetensors")).unwrap().len();
    let held = Server::new().metric("maana_model_bytes") as u64;
    // Before a model is read, the size of its file is the estimate: there is room for three models.
    let memory = 2 * held + file + held / 2;
    let server = Server::with(|settings| {
        settings.models.extend([further("second"), further("third"), further("fourth")]);
        settings.memory = Some(memory);
    });
    for (name, models) in
        [("second", 2.0), ("third", 3.0), ("second", 3.0), ("fourth", 3.0), ("tiny", 3.0), ("third", 3.0)]
    {
        let body = json!({"inputs": "the house", "model": name}).to_string();
        same_bits(&server.post("/embed", &body).rows(), &encoded(&["the house"], 64));
        assert_eq!(server.metric("maana_models"), models, "after {name}");
        assert!(server.metric("maana_model_bytes") <= memory as f64);
    }
}

#[test]
fn a_model_without_room_next_to_those_in_use_is_refused() {
    let weights = std::fs::metadata(tiny().join("model.safetensors")).unwrap().len();
    let server = Server::with(|settings| {
        settings.models.push(further("second"));
        settings.memory = Some(weights / 2);
    });
    let answer = server.post("/embed", r#"{"inputs": "a", "model": "second"}"#);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.error(503, "unhealthy").contains("no memory"));
    server.post("/embed", r#"{"inputs": "a"}"#).rows();
}

#[test]
fn concurrent_requests_read_a_model_once() {
    let server = Server::with(|settings| {
        settings.models.push(further("second"));
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(1))));
    });
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| server.post("/embed", r#"{"inputs": "a", "model": "second"}"#).rows());
        }
    });
    assert_eq!(server.metric("maana_models"), 2.0);
}

#[test]
fn a_single_model_answers_to_any_name_and_says_so() {
    let body = json!({"input": "the house", "inputs": "the house", "model": "text-embedding-ada-002"}).to_string();
    let any = Server::new();
    let answer = any.post("/v1/embeddings", &body).json(200);
    assert_eq!(answer["model"], "tiny", "the answer names the model");
    same_bits(&any.post("/embed", &body).rows(), &encoded(&["the house"], 64));
    for path in ["/v1/models/text-embedding-ada-002", "/v1/models/tiny"] {
        let model = any.get(path).json(200);
        assert_eq!((&model["id"], &model["answers_to_any_name"]), (&json!("tiny"), &json!(true)));
    }
    assert_eq!(any.get("/v1/models").json(200)["data"][0]["answers_to_any_name"], true);
    assert_eq!(any.get("/info").json(200)["answers_to_any_name"], true);

    let strict = Server::with(|settings| settings.strict_model = true);
    let several = Server::with(|settings| settings.models.push(further("second")));
    for server in [&strict, &several] {
        let error = server.post("/v1/embeddings", &body).json(404);
        assert_eq!((&error["error"]["code"], &error["error"]["param"]), (&json!("model_not_found"), &json!("model")));
        server.post("/embed", &body).error(404, "validation");
        assert_eq!(server.get("/v1/models/text-embedding-ada-002").status, 404);
        assert_eq!(server.get("/v1/models").json(200)["data"][0]["answers_to_any_name"], false);
    }
}

#[test]
fn the_card_of_a_model_declares_its_dimensions() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&tiny(), folder.path());
    let card = "# Title\n```json\n{\n \"loss\": \"x\",\n \"matryoshka_dims\": [\n 64,\n 24,\n 48\n ]\n}\n```\n";
    std::fs::write(folder.path().join("README.md"), card).unwrap();
    let place = folder.path().display().to_string();
    let dims = |dims: Dims| {
        let server = Server::with(|settings| {
            settings.models[0].place = place.clone();
            settings.dims = dims;
        });
        let info = server.get("/info").json(200);
        let refused = server.post("/embed", r#"{"inputs": "a", "dimensions": 7}"#).status;
        (info["dimensions"].clone(), info["dimensions_any"].clone(), refused)
    };
    assert_eq!(dims(Dims::Declared), (json!([64, 48, 24]), json!(false), 422));
    assert_eq!(dims(Dims::These(vec![8, 64])), (json!([64, 8]), json!(false), 422));
    assert_eq!(dims(Dims::Any), (json!([64, 48, 24]), json!(true), 200));
}

#[test]
fn errors_of_starting_name_their_cause_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "nobody").unwrap();
    let missing = folder.path().join("missing");
    let taken = Server::new();
    let cases: [(&str, Result<Server, String>); 10] = [
        ("--dims 65", Server::try_with(|settings| settings.dims = Dims::These(vec![65]))),
        ("two models are called `tiny`", Server::try_with(|settings| settings.models.push(further("tiny")))),
        ("line 1: the key is missing", Server::try_with(|settings| settings.keys = Some(file.clone()))),
        ("missing", Server::try_with(|settings| settings.keys = Some(missing.clone()))),
        ("missing", Server::try_with(|settings| settings.index = Some(StoreLocation::Folder(missing.clone())))),
        ("has no path", Server::try_with(|settings| settings.cors = Some("https://a.example/".into()))),
        ("missing", Server::try_with(|settings| settings.head = Some(missing.clone()))),
        ("model `tiny`", Server::try_with(|settings| settings.models[0].place = missing.display().to_string())),
        ("--host and --port", Server::try_with(|settings| settings.port = taken.address.port())),
        ("--host and --port", Server::try_with(|settings| settings.host = "no.such.host.invalid".into())),
    ];
    for (expected, started) in cases {
        let error = started.err().unwrap_or_else(|| panic!("it starts without {expected}"));
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
