//! Rerankers: every route that ranks or predicts gives the scores of `maana score` to the bit, and
//! reports errors in the form of its API.

use crate::schema::check;
use crate::support::{Client, Random, Server, cross_encoder, encoded, same_bits, scorer};
use maana::model::CrossEncoder;
use maana_serve::{Limits, Source};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const QUERY: &str = "habari ya mto";
const DOCUMENTS: [&str; 5] = ["mto ni mkubwa", "rafiki yangu", "", "habari ya asubuhi, rafiki!", "rafiki yangu"];

/// Sends a request and compares the answer with the description.
#[track_caller]
fn post(server: &Server, path: &str, body: &Value, status: u16) -> Value {
    let answer = server.post(path, &body.to_string()).json(status);
    check("post", path, status, &answer);
    answer
}

/// Returns the logits of the query with each document, and their scores.
fn expected(encoder: &CrossEncoder, documents: &[&str]) -> [Vec<f32>; 2] {
    let pairs: Vec<(&str, &str)> = documents.iter().map(|document| (QUERY, *document)).collect();
    [encoder.logits(&pairs), encoder.score(&pairs)].map(|scores| scores.unwrap().into_vec())
}

/// Returns indices in the order of descending scores.
fn order(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// Checks that results are all documents with these scores, the best first.
#[track_caller]
fn same_ranking(results: &Value, field: &str, scores: &[f32]) {
    let results = results.as_array().unwrap();
    let indices: Vec<usize> = results.iter().map(|result| result["index"].as_u64().unwrap() as usize).collect();
    assert_eq!(indices, order(scores));
    let ours: Vec<f32> = results.iter().map(|it| serde_json::from_value(it[field].clone()).unwrap()).collect();
    let expected: Vec<f32> = indices.iter().map(|index| scores[*index]).collect();
    same_bits(&[ours], &[expected]);
}

#[test]
fn every_form_of_a_request_ranks_by_the_scores_of_maana_score() {
    let server = Server::with_reranker(|_| {});
    let [logits, scores] = expected(&scorer("bert"), &DOCUMENTS);
    assert!(scores.iter().all(|score| (0.0..1.0).contains(score)), "{scores:?}");
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        for (raw, scores) in [(false, &scores), (true, &logits)] {
            let body = json!({"query": QUERY, "texts": DOCUMENTS, "raw_scores": raw});
            same_ranking(&post(&server, path, &body, 200), "score", scores);
            let body = json!({"query": QUERY, "documents": DOCUMENTS, "raw_scores": raw, "model": "rerank-v3.5"});
            let answer = post(&server, path, &body, 200);
            same_ranking(&answer["results"], "relevance_score", scores);
            assert_eq!((&answer["object"], &answer["model"]), (&json!("rerank"), &json!("bert")));
            assert_eq!(answer["usage"]["total_tokens"], answer["meta"]["tokens"]["input_tokens"]);
        }
    }
    let body = json!({"query": QUERY, "texts": DOCUMENTS});
    same_ranking(&post(&server, "/", &body, 200), "score", &scores);
    let raw = server.post("/rerank", &body.to_string());
    assert_eq!((raw.header("x-model-id"), raw.header("x-compute-characters")), (Some("bert"), Some("76")));
    assert!(raw.header("x-compute-tokens").unwrap().parse::<usize>().unwrap() > 5 * 6);
}

#[test]
fn documents_come_back_as_requested() {
    let server = Server::with_reranker(|_| {});
    let documents = json!(["mto", {"text": "rafiki", "id": 7, "tags": ["a"]}, {"text": "leo"}]);
    let body = json!({"query": QUERY, "documents": documents, "return_documents": true, "rank_fields": ["text"]});
    let results = post(&server, "/v1/rerank", &body, 200)["results"].clone();
    for result in results.as_array().unwrap() {
        let index = result["index"].as_u64().unwrap() as usize;
        let expected = if index == 0 { json!({"text": "mto"}) } else { documents[index].clone() };
        assert_eq!(result["document"], expected);
    }
    let plain = json!({"query": QUERY, "documents": ["mto", "rafiki", "leo"], "return_documents": null, "top_n": null});
    let plain = post(&server, "/v1/rerank", &plain, 200);
    assert!(plain["results"][0].get("document").is_none());
    for (top_n, count) in [(1, 1), (2, 2), (3, 3), (1_000_000, 3)] {
        let body = json!({"query": QUERY, "documents": documents, "top_n": top_n});
        let results = post(&server, "/v2/rerank", &body, 200)["results"].clone();
        assert_eq!(results.as_array().unwrap()[..], plain["results"].as_array().unwrap()[..count]);
    }
    let body = json!({"query": QUERY, "texts": DOCUMENTS, "return_text": true, "top_n": 2});
    let ranked = post(&server, "/rerank", &body, 200);
    assert_eq!(ranked.as_array().unwrap().len(), 2);
    for text in ranked.as_array().unwrap() {
        assert_eq!(text["text"], DOCUMENTS[text["index"].as_u64().unwrap() as usize]);
    }
}

#[test]
fn predictions_are_the_labels_of_pairs_and_of_texts() {
    let server = Server::with(|settings| {
        settings.rerankers = vec![cross_encoder("bert"), cross_encoder("bert-classes")];
    });
    let pairs = [("habari ya mto", "mto ni mkubwa"), ("leo", "habari"), ("", "")];
    let classes = scorer("bert-classes");
    let logits = classes.logits(&pairs).unwrap();
    let body = json!({"inputs": pairs, "raw_scores": true, "model": "bert-classes"});
    let answer = post(&server, "/predict", &body, 200);
    for (row, predictions) in answer.as_array().unwrap().iter().enumerate() {
        let mut scores = vec![0.0; 3];
        for prediction in predictions.as_array().unwrap() {
            let label = classes.labels().iter().position(|label| *label == prediction["label"]).unwrap();
            scores[label] = serde_json::from_value(prediction["score"].clone()).unwrap();
        }
        same_bits(&[scores], &[logits.row(row).to_vec()]);
        let sorted: Vec<f64> = predictions.as_array().unwrap().iter().map(|it| it["score"].as_f64().unwrap()).collect();
        assert!(sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
    }
    let probabilities = post(&server, "/predict", &json!({"inputs": pairs, "model": "bert-classes"}), 200);
    for (predictions, raw) in probabilities.as_array().unwrap().iter().zip(answer.as_array().unwrap()) {
        let sum: f64 = predictions.as_array().unwrap().iter().map(|it| it["score"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{predictions}");
        assert_eq!(predictions[0]["label"], raw[0]["label"]);
    }
    let single = post(&server, "/predict", &json!({"inputs": pairs[0], "model": "bert-classes"}), 200);
    assert_eq!(single, probabilities[0]);
    let one = post(&server, "/predict", &json!({"inputs": [pairs[0]]}), 200);
    let score = scorer("bert").score(&pairs[..1]).unwrap();
    assert_eq!((one.as_array().unwrap().len(), &one[0][0]["label"]), (1, &json!("LABEL_0")));
    let first: f32 = serde_json::from_value(one[0][0]["score"].clone()).unwrap();
    same_bits(&[vec![first]], &[score.data().to_vec()]);
    let text = post(&server, "/predict", &json!({"inputs": "habari ya mto"}), 200);
    assert_eq!(text, post(&server, "/predict", &json!({"inputs": ["habari ya mto"]}), 200));
    let mixed = post(&server, "/predict", &json!({"inputs": [["habari ya mto"], pairs[0]]}), 200);
    assert_eq!(mixed, json!([text, one[0]]));
    assert_ne!(mixed[0], mixed[1]);
    assert_eq!(server.metric("maana_pairs_total"), 3.0 + 3.0 + 1.0 + 1.0 + 1.0 + 1.0 + 2.0);
    assert_eq!(server.metric("maana_texts_total"), 0.0);
}

#[test]
fn long_pairs_are_cut_at_either_end_or_refused() {
    let server = Server::with_reranker(|_| {});
    let (encoder, long) = (scorer("bert"), format!("mto {}", "rafiki ".repeat(60)));
    let score = |more: Value, document: &str| {
        let mut body = json!({"query": QUERY, "documents": [document], "raw_scores": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = post(&server, "/v1/rerank", &body, 200);
        vec![serde_json::from_value::<f32>(answer["results"][0]["relevance_score"].clone()).unwrap()]
    };
    let of = |document: &str| expected(&encoder, &[document])[0].clone();
    same_bits(&[score(json!({}), &long)], &[of(&long)]);
    // 40 tokens: three special ones, three of the query, 34 of the document.
    same_bits(&[score(json!({"truncation_direction": "left"}), &long)], &[of(&"rafiki ".repeat(34))]);
    same_bits(&[score(json!({"max_tokens_per_doc": 3}), &long)], &[of("mto rafiki rafiki")]);
    same_bits(&[score(json!({"max_tokens_per_doc": 4096}), "mto")], &[of("mto")]);
    let left = json!({"max_tokens_per_doc": 2, "truncation_direction": "left"});
    same_bits(&[score(left, &long)], &[of("rafiki rafiki")]);
    let body = json!({"query": QUERY, "texts": ["mto", long], "truncate": false});
    let refused = post(&server, "/rerank", &body, 422);
    let message = refused["error"].as_str().unwrap();
    assert!(message.contains("pair 1") && message.contains("67 tokens") && message.contains("40"), "{message}");
    let body = json!({"inputs": [["mto", "leo"], ["mto", long]], "truncate": false});
    let message = post(&server, "/predict", &body, 422)["error"].as_str().unwrap().to_owned();
    assert!(message.contains("pair 1"), "{message}");
}

#[test]
fn errors_have_the_form_of_each_api() {
    let server = Server::with_reranker(|settings| {
        settings.rerankers.push(cross_encoder("bert-classes"));
        settings.limits.inputs = 4;
    });
    let documents = ["mto"];
    for (body, status, kind, named) in [
        (json!({"query": QUERY, "documents": []}), 400, "empty", "documents"),
        (json!({"query": QUERY, "texts": []}), 400, "empty", "texts"),
        (json!({"query": QUERY, "documents": vec!["mto"; 5]}), 422, "validation", "5 texts, and 4 are allowed"),
        (json!({"query": QUERY}), 422, "validation", "`documents` (or `texts`) is missing"),
        (json!({"query": QUERY, "texts": documents, "documents": documents}), 422, "validation", "exclude each other"),
        (json!({"documents": documents}), 422, "validation", "query"),
        (json!({"query": 1, "documents": documents}), 422, "validation", "string"),
        (json!({"query": QUERY, "documents": "mto"}), 422, "validation", "sequence"),
        (json!({"query": QUERY, "documents": [1]}), 422, "validation", "a string, or an object with a `text`"),
        (json!({"query": QUERY, "documents": [{"image": "x"}]}), 422, "validation", "no `text`"),
        (json!({"query": QUERY, "documents": [{"text": 5}]}), 422, "validation", "not a string"),
        (json!({"query": QUERY, "documents": documents, "top_n": 0}), 422, "validation", "`top_n`: 0"),
        (json!({"query": QUERY, "documents": documents, "top_n": -1}), 422, "validation", "-1"),
        (json!({"query": QUERY, "documents": documents, "max_tokens_per_doc": 0}), 422, "validation", "max_tokens"),
        (json!({"query": QUERY, "documents": documents, "rank_fields": ["title"]}), 422, "validation", "rank_fields"),
        (json!({"query": QUERY, "documents": documents, "model": "no"}), 404, "validation", "bert, bert-classes"),
        (json!({"query": QUERY, "documents": documents, "model": "tiny"}), 404, "validation", "no reranker"),
        (json!({"query": QUERY, "documents": documents, "model": "bert-classes"}), 422, "validation", "3 labels"),
        (json!({"query": QUERY, "documents": documents, "truncation_direction": "up"}), 422, "validation", "up"),
    ] {
        let error = post(&server, "/rerank", &body, status);
        assert_eq!(error["error_type"], kind, "{body}: {error}");
        assert!(error["error"].as_str().unwrap().contains(named), "{body}: {error}");
        for path in ["/v1/rerank", "/v2/rerank"] {
            let error = post(&server, path, &body, if status == 422 { 400 } else { status });
            assert_eq!(error["error_type"], kind, "{body}: {error}");
            assert!(error["message"].as_str().unwrap().contains(named), "{body}: {error}");
            assert_eq!(error["detail"], error["message"]);
        }
    }
    for (body, status, kind) in [
        (json!({"inputs": []}), 400, "empty"),
        (json!({"inputs": ["a", "b", "c"]}), 422, "validation"),
        (json!({"inputs": [["a", "b", "c"]]}), 422, "validation"),
        (json!({"inputs": [["a"], "b"]}), 422, "validation"),
        (json!({"inputs": 1}), 422, "validation"),
        (json!({"inputs": vec![["a"]; 5]}), 422, "validation"),
        (json!({"inputs": "a", "model": "no"}), 404, "validation"),
        (json!({"inputs": "a", "model": "tiny"}), 404, "validation"),
    ] {
        let error = post(&server, "/predict", &body, status);
        assert_eq!(error["error_type"], kind, "{body}: {error}");
    }
    check("post", "/v1/rerank", 400, &server.post("/v1/rerank", "{").json(400));
    let refused = Client::new(server.address).send("GET", "/v1/rerank", &[], b"").unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
    assert!(refused.json(405)["message"].is_string());
}

#[test]
fn values_of_the_wrong_type_are_named() {
    let server = Server::with_reranker(|_| {});
    for (path, body, status, field) in [
        ("/rerank", json!({"query": "a", "texts": "a"}), 422, "`texts`: invalid type: string \"a\""),
        ("/rerank", json!({"query": "a", "texts": ["a", 1]}), 422, "`texts[1]`: invalid type: integer `1`"),
        ("/v1/rerank", json!({"query": ["a"], "documents": ["a"]}), 400, "`query`: invalid type: sequence"),
        ("/v1/rerank", json!({"query": "a", "documents": ["a", {"text": 5}]}), 400, "`documents[1]`: the `text`"),
        ("/predict", json!({"inputs": 1}), 422, "`inputs`: invalid type: integer `1`"),
        ("/predict", json!({"inputs": [["a"], [1]]}), 422, "`inputs[1]`: a string, or a list of one or two strings"),
        ("/embed", json!({"inputs": ["a", null]}), 422, "`inputs[1]`: invalid type: null"),
        ("/embed", json!({"inputs": "a", "truncate": "yes"}), 422, "`truncate`: invalid type: string \"yes\""),
        ("/tokenize", json!({"inputs": [1]}), 422, "`inputs`: expected a string or a list of strings"),
        ("/v1/embeddings", json!({"input": {"text": "a"}}), 400, "`input`: invalid type: map"),
        ("/v1/embeddings", json!({"input": "a", "dimensions": -1}), 400, "`dimensions`: invalid value: integer `-1`"),
        ("/similarity", json!({"inputs": {"sentences": ["a"]}}), 422, "`inputs`: missing field `source_sentence`"),
        ("/embed", json!({}), 422, "takes: missing field `inputs`"),
    ] {
        let error = server.post(path, &body.to_string()).json(status).to_string().replace("\\\"", "\"");
        assert!(error.contains(field) && error.contains(" at line 1 column "), "{path} {body}: {error}");
    }
}

#[test]
fn embedders_and_rerankers_are_found_by_their_names() {
    let server = Server::with_reranker(|settings| settings.rerankers.push(cross_encoder("bert-classes")));
    let embed =
        |server: &Server, model: &str| server.post("/embed", &json!({"inputs": "a", "model": model}).to_string());
    let rank = |server: &Server, model: &str| {
        let body = json!({"query": QUERY, "texts": ["mto"], "model": model}).to_string();
        server.post("/rerank", &body)
    };
    same_bits(&embed(&server, "any").rows(), &encoded(&["a"], 64));
    assert!(embed(&server, "bert").error(404, "validation").contains("is a reranker and makes no embeddings"));
    assert_eq!(rank(&server, "bert").status, 200);
    assert!(rank(&server, "any").error(404, "validation").contains("there are: bert, bert-classes"));
    assert_eq!(server.metric("maana_models"), 2.0, "the first of each kind is read at the start");
    assert_eq!(server.post("/predict", r#"{"inputs": "a", "model": "bert-classes"}"#).status, 200);
    assert_eq!(server.metric("maana_models"), 3.0);
    let models = server.get("/v1/models").json(200);
    check("get", "/v1/models", 200, &models);
    let described: Vec<Value> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["id"], it["capabilities"], it["answers_to_any_name"]]))
        .collect();
    assert_eq!(
        described,
        [
            json!(["tiny", ["embed"], true]),
            json!(["bert", ["rerank"], false]),
            json!(["bert-classes", ["rerank"], false])
        ]
    );
    assert_eq!(server.get("/v1/models/bert").json(200)["id"], "bert");
    assert_eq!(server.get("/v1/models/any").json(200)["id"], "tiny");
    let info = server.get("/info").json(200);
    check("get", "/info", 200, &info);
    assert_eq!((&info["models"], &info["rerankers"]), (&json!(["tiny"]), &json!(["bert", "bert-classes"])));
    let described = json!({"model_id": "bert", "model_dtype": "float32", "labels": ["LABEL_0"], "max_input_length": 40,
        "answers_to_any_name": false});
    assert_eq!(info["default_reranker"], described);
    assert!(info["model_type"]["embedding"].is_object());

    let strict = Server::with_reranker(|settings| settings.strict_model = true);
    assert_eq!((rank(&strict, "any").status, rank(&strict, "bert").status), (404, 200));
    let twice = Server::try_with(|settings| {
        settings.rerankers = vec![cross_encoder("bert"), cross_encoder("bert")];
    });
    assert!(twice.err().unwrap().contains("two models are called `bert`"));
    let wrong = Server::try_with(|settings| {
        settings.rerankers.push(Source { name: "rank".into(), ..settings.models[0].clone() })
    });
    let wrong = wrong.err().unwrap();
    assert!(wrong.starts_with("model `rank`: "), "{wrong}");
    let wrong = Server::try_with(|settings| settings.models = vec![cross_encoder("bert")]).err().unwrap();
    assert!(wrong.starts_with("model `bert`: "), "{wrong}");
}

#[test]
fn a_server_may_have_rerankers_only() {
    let server = Server::with_reranker(|settings| {
        settings.models.clear();
        settings.dims = maana_serve::Dims::Declared;
    });
    let [_, scores] = expected(&scorer("bert"), &DOCUMENTS);
    for path in ["/", "/rerank"] {
        same_ranking(&post(&server, path, &json!({"query": QUERY, "texts": DOCUMENTS}), 200), "score", &scores);
    }
    for (path, body) in
        [("/embed", json!({"inputs": "a"})), ("/tokenize", json!({"inputs": "a"})), ("/", json!({"inputs": "a"}))]
    {
        let error = post(&server, path, &body, 404);
        assert!(error["error"].as_str().unwrap().contains("no model of embeddings"), "{error}");
    }
    let error = server.post("/v1/embeddings", r#"{"input": "a"}"#).json(404);
    assert!(error["error"]["message"].as_str().unwrap().contains("no model of embeddings"), "{error}");
    let info = server.get("/info").json(200);
    check("get", "/info", 200, &info);
    let kind = json!({"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}});
    assert_eq!((&info["model_id"], &info["model_type"]), (&json!("bert"), &kind));
    assert_eq!((&info["default_model"], &info["models"]), (&Value::Null, &json!([])));
    assert_eq!(server.get("/v1/models/any").json(200)["id"], "bert");
    let refused = Server::try_with(|settings| {
        settings.models.clear();
        settings.rerankers.push(cross_encoder("bert"));
    });
    assert!(refused.err().unwrap().contains("--dims needs a model of embeddings"));
    let nothing = Server::try_with(|settings| settings.models.clear());
    assert!(nothing.err().unwrap().contains("there is no model to serve"));
}

#[test]
fn without_a_reranker_every_form_compares_embeddings() {
    let server = Server::new();
    let body = json!({"query": "the house", "texts": ["a", "the house", "a"], "raw_scores": true});
    let ranked = post(&server, "/rerank", &body, 200);
    let rows = encoded(&["the house", "a"], 64);
    let cosine: f32 = rows[0].iter().zip(&rows[1]).map(|(x, y)| x * y).sum();
    assert_eq!(ranked[0]["index"], 1);
    assert!((ranked[1]["score"].as_f64().unwrap() - f64::from(cosine)).abs() < 1e-6);
    assert_eq!((&ranked[1]["index"], &ranked[2]["index"]), (&json!(0), &json!(2)));
    let body =
        json!({"query": "the house", "documents": ["a", "the house", "a"], "top_n": 2, "max_tokens_per_doc": 4096});
    let answer = post(&server, "/v1/rerank", &body, 200);
    assert_eq!((&answer["model"], &answer["results"][1]["index"]), (&json!("tiny"), &json!(0)));
    let score = answer["results"][1]["relevance_score"].as_f64().unwrap();
    assert!((score - (1.0 + f64::from(cosine)) / 2.0).abs() < 1e-6);
    let body = json!({"query": "a", "documents": ["a"], "max_tokens_per_doc": 5});
    let error = post(&server, "/v2/rerank", &body, 400);
    assert!(error["message"].as_str().unwrap().contains("no reranker"), "{error}");
    let error = post(&server, "/predict", &json!({"inputs": "a"}), 404);
    assert!(error["error"].as_str().unwrap().contains("--reranker NAME=PATH"), "{error}");
}

#[test]
fn ten_thousand_documents_are_refused_by_a_limit_or_answered() {
    let documents: Vec<String> = (0..10_000).map(|number| "mto ni mkubwa ".repeat(number % 9)).collect();
    let body = json!({"query": QUERY, "documents": documents, "top_n": 3}).to_string();
    let message = Server::with_reranker(|_| {}).post("/v1/rerank", &body).json(400)["message"].to_string();
    assert!(message.contains("10000 texts, and 2048 are allowed") && message.contains("--max-inputs"), "{message}");
    let server = Server::with_reranker(|settings| settings.limits.inputs = 10_000);
    let nine: Vec<&str> = documents[..9].iter().map(String::as_str).collect();
    let [_, scores] = expected(&scorer("bert"), &nine);
    let all: Vec<f32> = (0..10_000).map(|number| scores[number % 9]).collect();
    let body = json!({"query": QUERY, "texts": documents}).to_string();
    let answer = server.post("/rerank", &body);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    same_ranking(&answer.json(200), "score", &all);
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

#[test]
fn pairs_share_the_server_with_texts_and_have_the_same_bits_in_any_company() {
    // Small batches, so that requests are cut and mixed in every way.
    let server = Server::with_reranker(|settings| settings.limits = Limits { batch_tokens: 64, ..Limits::default() });
    std::thread::scope(|scope| {
        for number in 0..12 {
            let server = &server;
            scope.spawn(move || {
                let (mut random, encoder) = (Random::new(number), scorer("bert"));
                let mut client = Client::new(server.address);
                for _ in 0..8 {
                    let count = *random.one_of(&[1, 2, 9, 20]);
                    let texts: Vec<String> = (0..count).map(|_| "habari ya mto ".repeat(random.below(9))).collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let priority = *random.one_of(&["interactive", "bulk"]);
                    let ranks = random.below(3) > 0;
                    let path = if ranks { "/rerank" } else { "/embed" };
                    let body = json!({"query": QUERY, "texts": texts, "inputs": texts}).to_string();
                    let answer = client.send("POST", path, &[("x-priority", priority)], body.as_bytes()).unwrap();
                    if ranks {
                        let [_, scores] = expected(&encoder, &texts);
                        same_ranking(&answer.json(200), "score", &scores);
                    } else {
                        same_bits(&answer.rows(), &encoded(&texts, 64));
                    }
                }
            });
        }
    });
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

#[test]
fn a_pair_that_panics_or_takes_too_long_fails_its_own_request() {
    // Batches with a pair of seven tokens panic.
    let server = Server::with_reranker(|settings| {
        settings.before_batch = Some(Arc::new(|tokens| assert!(tokens != 7, "a batch of seven tokens")));
    });
    let body = |document: &str| json!({"query": "mto", "documents": [document]}).to_string();
    let error = server.post("/v1/rerank", &body("habari ya leo")).json(500);
    check("post", "/v1/rerank", 500, &error);
    assert_eq!((server.metric("maana_panics_total"), server.metric("maana_held_requests")), (1.0, 0.0));
    server.post("/v1/rerank", &body("habari")).json(200);

    let slow = Server::with_reranker(|settings| {
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(600))));
        settings.times.answer = Duration::from_millis(150);
    });
    let late = slow.post("/v2/rerank", &body("habari"));
    assert!(late.header("retry-after").is_some());
    check("post", "/v2/rerank", 503, &late.json(503));
    slow.until("nothing is held", |server| server.metric("maana_held_requests") == 0.0);
}

#[test]
fn excess_pairs_are_refused_at_once() {
    let server = Server::with_reranker(|settings| {
        settings.limits = Limits { queued_tokens: 100, ..Limits::default() };
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(500))));
    });
    let body = json!({"query": QUERY, "documents": vec!["mto ni mkubwa"; 8]}).to_string();
    let mut first = Client::new(server.address);
    first.write("POST", "/v1/rerank", &[("x-priority", "interactive")], body.as_bytes()).unwrap();
    server.until("the first is admitted", |server| server.metric("maana_held_requests") == 1.0);
    let refused = server.post("/v1/rerank", &body);
    assert!(refused.header("retry-after").is_some());
    check("post", "/v1/rerank", 429, &refused.json(429));
    assert_eq!(first.read("POST").unwrap().status, 200);
}
