//! Every route with valid and invalid requests, compared with `openapi.json`.

use crate::schema::check;
use crate::support::{Answer, Client, Server, encoded, same_bits};
use serde_json::{Value, json};

/// Sends a request and compares the answer with the description.
#[track_caller]
fn post(server: &Server, path: &str, body: Value, status: u16) -> Value {
    let answer = server.post(path, &body.to_string()).json(status);
    check("post", path, status, &answer);
    answer
}

#[track_caller]
fn get(server: &Server, path: &str, described: &str, status: u16) -> Value {
    let answer = server.get(path).json(status);
    check("get", described, status, &answer);
    answer
}

#[test]
fn the_routes_of_openai() {
    let server = Server::with(|settings| {
        settings.token_ids = true;
        settings.strict_model = true;
    });
    for body in [
        json!({"input": "the house", "model": "tiny", "user": "somebody", "encoding_format": "float"}),
        json!({"input": ["the house", "a"], "dimensions": 32, "encoding_format": null, "user": null}),
        json!({"input": [5, 6, 7], "encoding_format": "base64"}),
        json!({"input": [[5, 6], [7]], "truncate": true, "truncation_direction": "Left", "normalize": true}),
        json!({"input": "the house", "prompt_name": "query", "unknown": [1, {}]}),
        // As Infinity's client asks.
        json!({"input": "the house", "dimensions": 0, "modality": "text"}),
    ] {
        for path in ["/v1/embeddings", "/embeddings", "/openai/deployments/tiny/embeddings"] {
            let described = path.replace("/tiny/", "/{id}/");
            let answer = server.post(path, &body.to_string()).json(200);
            check("post", &described, 200, &answer);
            assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("tiny")));
            assert_eq!(answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"]);
        }
    }
    let answer = post(&server, "/v1/embeddings", json!({"input": ["the house", "a"]}), 200);
    assert_eq!(answer["usage"]["prompt_tokens"], 4 + 3);
    assert_eq!((&answer["data"][1]["index"], &answer["data"][1]["object"]), (&json!(1), &json!("embedding")));
    assert_eq!(get(&server, "/v1/models", "/v1/models", 200)["data"][0]["id"], "tiny");
    assert_eq!(get(&server, "/v1/models/tiny", "/v1/models/{id}", 200)["id"], "tiny");
    assert_eq!(get(&server, "/v1/models/gpt", "/v1/models/{id}", 404)["error"]["code"], "model_not_found");
}

#[test]
fn token_ids_are_refused_on_the_routes_of_openai_by_default() {
    let (refuses, takes) = (Server::new(), Server::with(|settings| settings.token_ids = true));
    for input in [json!([605, 768]), json!([[605], [768]])] {
        let error = &post(&refuses, "/v1/embeddings", json!({"input": input}), 400)["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("check_embedding_ctx_length=False") && message.contains("--token-ids"), "{message}");
        assert_eq!(error["param"], "input");
        post(&takes, "/v1/embeddings", json!({"input": input}), 200);
        post(&refuses, "/embed", json!({"inputs": input}), 200);
    }
    for (path, input, status) in [("/v1/embeddings", "input", 400), ("/embed", "inputs", 422), ("/decode", "ids", 422)]
    {
        let error = post(&takes, path, json!({input: [[605], [100_257]]}), status).to_string();
        assert!(error.contains("there is no token 100257; ids go from 0 to "), "{error}");
    }
    assert_eq!(refuses.get("/info").json(200)["token_ids"], false);
}

#[test]
fn paths_with_repeated_and_final_slashes_are_served() {
    let server = Server::new();
    for path in ["//embed", "/embed/", "//embed//"] {
        same_bits(&server.post(path, r#"{"inputs": "the house"}"#).rows(), &encoded(&["the house"], 64));
    }
    assert_eq!(server.post("/v1//embeddings", r#"{"input": "a"}"#).status, 200);
    assert_eq!(server.get("/v1/models/").json(200)["object"], "list");
    assert_eq!(server.get("/health/").json(200)["status"], "ready");
}

#[test]
fn compressed_bodies_are_read_or_refused_by_name() {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write;
    let server = Server::with(|settings| settings.limits.body = 100_000);
    let send = |coding: &str, body: &[u8]| {
        let headers = [("content-encoding", coding)];
        Client::new(server.address).send("POST", "/embed", &headers, body).unwrap()
    };
    let plain = br#"{"inputs": "the house"}"#;
    let gzip = |bytes: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(plain).unwrap();
    let bodies = [("gzip", gzip(plain)), ("X-Gzip", gzip(plain)), ("deflate", deflate.finish().unwrap())];
    for (coding, body) in &bodies {
        same_bits(&send(coding, body).rows(), &encoded(&["the house"], 64));
    }
    same_bits(&send("identity", plain).rows(), &encoded(&["the house"], 64));
    for coding in ["br", "zstd", "gzip, gzip"] {
        let refused = send(coding, plain);
        assert_eq!(refused.header("accept-encoding"), Some("gzip, deflate, identity"));
        let message = refused.error(415, "validation");
        assert!(message.contains(coding), "{message}");
        check("post", "/embed", 415, &refused.json(415));
    }
    assert!(send("gzip", plain).error(400, "validation").contains("gzip"));
    assert!(send("gzip", &gzip(plain)[..20]).error(400, "validation").contains("gzip"));
    // A hundred kilobytes that become a hundred megabytes.
    let bomb = gzip(&vec![b' '; 100_000_000]);
    assert!(bomb.len() > 100_000 / 2, "{}", bomb.len());
    send("gzip", &bomb[..bomb.len().min(99_999)]).error(413, "validation");
    assert!(server.post("/embed", "\u{feff}{}").error(400, "validation").contains("byte order mark"));
    assert!(server.post("/embed", r#"{"inputs": "\ud800"}"#).error(400, "validation").contains("`\\ud800`"));
    server.until("memory is given back", |server| server.metric("maana_connections") <= 1.0);
}

#[test]
fn errors_of_openai_have_its_format_and_name_the_field() {
    let server = Server::with(|settings| {
        settings.token_ids = true;
        settings.strict_model = true;
    });
    for (body, status, param) in [
        (json!({"input": "a", "model": "gpt"}), 404, json!("model")),
        (json!({"input": "a", "dimensions": 63}), 400, json!("dimensions")),
        (json!({"input": "a", "prompt_name": "no"}), 400, json!("prompt_name")),
        (json!({"input": "the ".repeat(200), "truncate": false}), 400, json!("input")),
        (json!({"input": [4_000_000_000u32]}), 400, json!("input")),
        (json!({"input": []}), 400, Value::Null),
        (json!({"inputs": "a"}), 400, Value::Null),
        (json!({"input": null}), 400, Value::Null),
        (json!({"input": "a", "encoding_format": "int8"}), 400, Value::Null),
        (json!({"input": "a", "modality": "image"}), 400, Value::Null),
        (json!("text"), 400, Value::Null),
    ] {
        let error = &post(&server, "/v1/embeddings", body.clone(), status)["error"];
        assert_eq!((&error["param"], &error["type"]), (&param, &json!("invalid_request_error")), "{body}");
    }
    check("post", "/v1/embeddings", 400, &server.post("/v1/embeddings", "{\"input\":").json(400));
}

#[test]
fn the_routes_of_text_embeddings_inference() {
    let server = Server::new();
    let texts = ["the house", "a"];
    let answer = post(&server, "/embed", json!({"inputs": texts, "truncate": null, "normalize": null}), 200);
    same_bits(&serde_json::from_value::<Vec<Vec<f32>>>(answer).unwrap(), &encoded(&texts, 64));
    let all = post(&server, "/embed_all", json!({"inputs": ["the house", "a"]}), 200);
    assert_eq!([all[0].as_array().unwrap().len(), all[1].as_array().unwrap().len()], [4, 3]);
    assert_eq!(all[0][0].as_array().unwrap().len(), 64);
    let alone = post(&server, "/embed_all", json!({"inputs": "a"}), 200);
    assert_eq!(alone[0], all[1], "the same bits alone");

    let tokens = post(&server, "/tokenize", json!({"inputs": "the house"}), 200);
    assert_eq!(tokens[0][1], json!({"id": 605, "text": "the", "special": false, "start": 0, "stop": 3}));
    assert_eq!((&tokens[0][0]["special"], &tokens[0][0]["start"]), (&json!(true), &Value::Null));
    let bare = post(&server, "/tokenize", json!({"inputs": ["the house"], "add_special_tokens": false}), 200);
    assert_eq!(bare[0].as_array().unwrap().len(), 2);
    assert_eq!(post(&server, "/decode", json!({"ids": [2, 605, 768, 3]}), 200), json!(["the house"]));
    let whole = post(&server, "/decode", json!({"ids": [[2, 605, 3], [768]], "skip_special_tokens": false}), 200);
    assert_eq!(whole, json!(["[CLS] the [SEP]", "house"]));

    let inputs = json!({"source_sentence": "the house", "sentences": ["the house", "a"]});
    let scores = post(&server, "/similarity", json!({"inputs": inputs, "parameters": {"prompt_name": "query"}}), 200);
    assert!((scores[0].as_f64().unwrap() - 1.0).abs() < 1e-6 && scores[1].as_f64().unwrap() < 0.9999);

    let inputs = json!({"source_sentence": "the house", "sentences": ["the house", "a"]});
    assert_eq!(
        post(&server, "/", json!({"inputs": inputs, "parameters": {}}), 200),
        scores,
        "by the form of the inputs"
    );
    let answer = post(&server, "/", json!({"inputs": texts}), 200);
    same_bits(&serde_json::from_value::<Vec<Vec<f32>>>(answer).unwrap(), &encoded(&texts, 64));

    let question = json!({"query": "the house", "texts": ["a", "the house"], "return_text": true, "raw_scores": true});
    let ranked = post(&server, "/rerank", question, 200);
    assert_eq!((&ranked[0]["index"], &ranked[0]["text"]), (&json!(1), &json!("the house")));
    let raw = ranked[1]["score"].as_f64().unwrap();
    let ranked = post(&server, "/rerank", json!({"query": "the house", "texts": ["a", "the house"]}), 200);
    assert!((ranked[1]["score"].as_f64().unwrap() - (1.0 + raw) / 2.0).abs() < 1e-6);
    assert!(ranked[1].get("text").is_none());
}

#[test]
fn errors_of_text_embeddings_inference_have_its_shape() {
    let server = Server::with(|settings| settings.strict_model = true);
    let long = "the ".repeat(200);
    for (path, body, status, kind) in [
        ("/embed", json!({"inputs": []}), 400, "empty"),
        ("/embed", json!({"inputs": "a", "prompt_name": "no"}), 422, "validation"),
        ("/embed", json!({"inputs": long, "truncate": false}), 422, "validation"),
        ("/embed", json!({"inputs": [[1, 2], [4_000_000_000u32]]}), 422, "validation"),
        ("/embed", json!({"inputs": [["a", "b"]]}), 422, "validation"),
        ("/embed", json!({"inputs": "a", "model": "no"}), 404, "validation"),
        ("/embed", json!({"inputs": "a", "truncation_direction": "Up"}), 422, "validation"),
        ("/embed", json!({}), 422, "validation"),
        ("/embed_all", json!({"inputs": {}}), 422, "validation"),
        ("/tokenize", json!({"inputs": [1]}), 422, "validation"),
        ("/tokenize", json!({"inputs": []}), 400, "empty"),
        ("/decode", json!({"ids": [4_000_000_000u32]}), 422, "tokenizer"),
        ("/decode", json!({"ids": "a"}), 422, "validation"),
        ("/similarity", json!({"inputs": {"source_sentence": "a", "sentences": []}}), 400, "empty"),
        ("/similarity/matrix", json!({"inputs": [], "dimensions": null}), 400, "empty"),
        ("/similarity/matrix", json!({"inputs": ["a"], "dimensions": []}), 422, "validation"),
        ("/similarity/matrix", json!({"inputs": ["a"], "dimensions": [64, 64]}), 422, "validation"),
        ("/similarity/matrix", json!({"inputs": vec!["a"; 513]}), 422, "validation"),
        ("/rerank", json!({"query": "a", "texts": []}), 400, "empty"),
        ("/rerank", json!({"query": 1, "texts": ["a"]}), 422, "validation"),
        ("/search", json!({"query": "a"}), 404, "validation"),
        ("/classify", json!({"inputs": "a"}), 404, "validation"),
    ] {
        let error = post(&server, path, body.clone(), status);
        assert_eq!(error["error_type"], kind, "{path} {body}: {error}");
    }
    check("post", "/embed", 400, &server.post("/embed", "not JSON").json(400));
}

#[test]
fn a_text_of_megabytes_costs_what_the_model_reads_of_it() {
    let server = Server::new();
    let (text, begun) = ("a ".repeat(3_500_000), std::time::Instant::now());
    let answer = server.post("/embed", &json!({"inputs": text}).to_string());
    assert_eq!(answer.header("x-compute-tokens"), Some("128"));
    same_bits(&answer.rows(), &encoded(&["a ".repeat(200).as_str()], 64));
    let refused = post(&server, "/tokenize", json!({"inputs": text}), 413);
    assert!(refused["error"].as_str().unwrap().contains("at most 262144 bytes of text are tokenised"), "{refused}");
    post(&server, "/decode", json!({"ids": vec![605; 300_000]}), 413);
    let tokens = post(&server, "/tokenize", json!({"inputs": text[..20_000]}), 200);
    assert_eq!(tokens[0].as_array().unwrap().len(), 10_002);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn long_answers_are_sent_in_chunks_and_base64_has_a_length() {
    let server = Server::new();
    let texts: Vec<String> = (0..1200).map(|number| format!("the house {}", "a ".repeat(number % 7))).collect();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let body = json!({"inputs": texts, "input": texts, "encoding_format": "base64"}).to_string();
    let rows = server.post("/embed", &body);
    assert_eq!((rows.header("transfer-encoding"), rows.header("content-length")), (Some("chunked"), None));
    let rows = rows.rows();
    same_bits(&rows[..7], &encoded(&borrowed[..7], 64));
    assert_eq!((rows.len(), &rows[1193], &rows[1199]), (1200, &rows[3], &rows[2]));
    let answer = server.post("/v1/embeddings", &body);
    let length: usize = answer.header("content-length").expect("base64 has a known length").parse().unwrap();
    assert_eq!((answer.header("transfer-encoding"), answer.body.len()), (None, length));
    assert_eq!(answer.json(200)["data"].as_array().unwrap().len(), 1200);
    let tokens = post(&server, "/tokenize", json!({"inputs": texts}), 200);
    let counts = tokens.as_array().unwrap().iter().map(|tokens| tokens.as_array().unwrap().len());
    assert!(counts.eq((0..1200).map(|number| 4 + number % 7)));
    let ids: Vec<Vec<u64>> = tokens
        .as_array()
        .unwrap()
        .iter()
        .map(|tokens| tokens.as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect())
        .collect();
    let decoded = post(&server, "/decode", json!({"ids": ids}), 200);
    assert_eq!((decoded.as_array().unwrap().len(), &decoded[2]), (1200, &json!("the house a a")));
    let matrix = post(&server, "/similarity/matrix", json!({"inputs": texts[..300], "dimensions": [64, 16]}), 200);
    assert_eq!(
        (&matrix["matrices"]["64"][299][0], &matrix["matrices"]["16"][0][7]),
        (&matrix["matrices"]["64"][0][299], &matrix["matrices"]["16"][7][0])
    );
    let all = post(&server, "/embed_all", json!({"inputs": texts[..200]}), 200);
    assert!(all.as_array().unwrap().iter().map(|text| text.as_array().unwrap().len()).eq((0..200).map(|n| 4 + n % 7)));
    let short = server.post("/embed", r#"{"inputs": "a"}"#);
    assert!(short.header("content-length").is_some());
}

#[test]
fn a_text_without_white_space_has_a_limit() {
    let server = Server::new();
    let refused = post(&server, "/embed", json!({"inputs": ["a", "x".repeat(1_500_000)]}), 413);
    assert!(
        refused["error"].as_str().unwrap().contains("text 1: it has 1500000 bytes without white space"),
        "{refused}"
    );
    let begin = std::time::Instant::now();
    server.post("/embed", &json!({"inputs": "x".repeat(1_000_000)}).to_string()).rows();
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_matrix_holds_every_pair_at_every_dimension() {
    let server = Server::new();
    let texts = ["the house", "a river", "the house"];
    let answer = post(&server, "/similarity/matrix", json!({"inputs": texts}), 200);
    assert_eq!(answer["dimensions"], json!([64, 32, 16]));
    for dimension in [64, 32, 16] {
        let rows = encoded(&texts, dimension);
        let matrix = &answer["matrices"][dimension.to_string()];
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let expected: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                assert!((matrix[i][j].as_f64().unwrap() - f64::from(expected)).abs() < 1e-5, "{dimension} {i} {j}");
            }
        }
        assert_eq!(matrix[0][2], matrix[2][0]);
    }
    let two = post(&server, "/similarity/matrix", json!({"inputs": texts, "dimensions": [16, 64]}), 200);
    assert_eq!((&two["dimensions"], &two["matrices"]["16"]), (&json!([16, 64]), &answer["matrices"]["16"]));
}

#[test]
fn routes_about_the_server() {
    let server = Server::new();
    let info = get(&server, "/info", "/info", 200);
    assert_eq!((&info["model_id"], &info["dimensions"]), (&json!("tiny"), &json!([64, 32, 16])));
    assert_eq!(info["model_type"], json!({"embedding": {"pooling": "cls"}}));
    assert_eq!((&info["max_input_length"], &info["normalized"]), (&json!(128), &json!(true)));
    for path in ["/health", "/health/ready", "/health/live", "/ping"] {
        let health = get(&server, path, path, 200);
        assert!(health["unix"].as_f64().unwrap() > 1.7e9, "{path}: {health}");
    }
    let committed: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    assert_eq!(server.get("/openapi.json").json(200), committed);
    for path in ["/", "/docs"] {
        let page = server.get(path);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
        assert!(page.text().to_lowercase().starts_with("<!doctype html>"), "{path}");
    }
    server.post("/embed", r#"{"inputs": "a"}"#);
    let metrics = server.get("/metrics").text();
    for line in [
        "maana_requests_total{route=\"/embed\",status=\"200\"} 1",
        "maana_tokens_total 3",
        "maana_ready 1",
        "maana_batch_texts_bucket{le=\"1\"} 1",
        "maana_queue_seconds_count 1",
        "# TYPE maana_inference_seconds histogram",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
    assert!(server.metric("process_resident_memory_bytes") > 1e6);
}

#[test]
fn unknown_paths_and_methods_are_reported_in_each_format() {
    let server = Server::new();
    let ask =
        |method: &str, path: &str| -> Answer { Client::new(server.address).send(method, path, &[], b"").unwrap() };
    ask("GET", "/nothing").error(404, "validation");
    assert_eq!(ask("GET", "/v1/nothing").json(404)["error"]["type"], "invalid_request_error");
    let answer = ask("GET", "/embed");
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.error(405, "validation");
    assert_eq!(ask("DELETE", "/v1/models").json(405)["error"]["param"], Value::Null);
    assert_eq!((ask("HEAD", "/health").status, ask("HEAD", "/nothing").status), (200, 404));
}

#[test]
fn headers_report_the_work_of_an_answer() {
    let server = Server::new();
    let answer = server.post("/embed", r#"{"inputs": ["the house", "日本"]}"#);
    for name in ["x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"] {
        assert!(answer.header(name).unwrap().parse::<u64>().unwrap() < 60_000, "{name}");
    }
    assert_eq!((answer.header("x-model-id"), answer.header("x-compute-type")), (Some("tiny"), Some("cpu")));
    assert_eq!(answer.header("x-compute-characters"), Some("11"));
    assert!(answer.header("x-compute-tokens").unwrap().parse::<usize>().unwrap() >= 7);
    assert!(answer.header("server-timing").unwrap().starts_with("tokenization;dur="));
    let mut client = Client::new(server.address);
    let wrong = client.send("POST", "/embed", &[("x-priority", "urgent")], br#"{"inputs": "a"}"#).unwrap();
    assert!(wrong.error(422, "validation").contains("x-priority"));
}
