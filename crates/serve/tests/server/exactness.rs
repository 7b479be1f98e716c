//! Every answer has the bits of `maana encode` for its own text, in any company.

use crate::support::{Client, Random, Server, encoded, same_bits};
use maana_serve::Limits;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_form_of_a_request_gives_the_same_bits() {
    let server = Server::new();
    let texts = ["the house", "", "habari ya asubuhi", "of the river"];
    for dimension in [64, 32, 16] {
        let expected = encoded(&texts, dimension);
        let body = json!({"inputs": texts, "dimensions": dimension}).to_string();
        same_bits(&server.post("/embed", &body).rows(), &expected);
        let body = json!({"input": texts, "dimensions": dimension}).to_string();
        same_bits(&floats(&server.post("/v1/embeddings", &body).json(200)), &expected);
        let body = json!({"input": texts, "dimensions": dimension, "encoding_format": "base64"}).to_string();
        same_bits(&bytes(&server.post("/v1/embeddings", &body).json(200)), &expected);
    }
    for text in texts {
        let tokens = server.post("/tokenize", &json!({"inputs": text}).to_string()).json(200);
        let ids: Vec<u64> = tokens[0].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect();
        let (bare, expected) = (&ids[1..ids.len() - 1], encoded(&[text], 64));
        same_bits(&server.post("/embed", &json!({"inputs": [ids]}).to_string()).rows(), &expected);
        same_bits(&server.post("/embed", &json!({"inputs": [bare]}).to_string()).rows(), &expected);
    }
}

fn floats(answer: &Value) -> Vec<Vec<f32>> {
    let rows = answer["data"].as_array().unwrap().iter();
    rows.map(|row| serde_json::from_value(row["embedding"].clone()).unwrap()).collect()
}

fn bytes(answer: &Value) -> Vec<Vec<f32>> {
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    let row = |row: &Value| {
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, row["embedding"].as_str().unwrap());
        bytes.unwrap().chunks_exact(4).map(number).collect()
    };
    answer["data"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn thirty_two_clients_at_once_each_get_their_own_answers() {
    // Small batches, so that requests are cut and mixed in every way.
    let server = Server::with(|settings| settings.limits = Limits { batch_tokens: 96, ..Limits::default() });
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (server, answered) = (&server, &answered);
            scope.spawn(move || {
                let mut random = Random::new(number);
                let mut client = Client::new(server.address);
                for _ in 0..12 {
                    let count = *random.one_of(&[1, 1, 1, 2, 5, 20]);
                    let texts: Vec<String> = (0..count).map(|_| random_text(&mut random)).collect();
                    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let dimension = *random.one_of(&[64, 32, 16]);
                    let expected = encoded(&borrowed, dimension);
                    let priority = *random.one_of(&["interactive", "bulk"]);
                    let path = *random.one_of(&["/embed", "/v1/embeddings"]);
                    let body = json!({"inputs": texts, "input": texts, "dimensions": dimension}).to_string();
                    let answer = client.send("POST", path, &[("x-priority", priority)], body.as_bytes()).unwrap();
                    let rows = if path == "/embed" { answer.rows() } else { floats(&answer.json(200)) };
                    same_bits(&rows, &expected);
                    answered.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(server.metric("maana_texts_total") as usize, answered.into_inner());
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

fn random_text(random: &mut Random) -> String {
    let words = *random.one_of(&[0, 1, 3, 10, 40, 200]);
    random.text(words)
}

#[test]
fn texts_are_cut_at_either_end_or_refused() {
    let server = Server::new();
    let long = format!("house {}", "the ".repeat(200));
    let whole = server.post("/embed", &json!({"inputs": long}).to_string()).rows();
    same_bits(&whole, &encoded(&[&long], 64));
    let left = server.post("/embed", &json!({"inputs": long, "truncation_direction": "Left"}).to_string()).rows();
    same_bits(&left, &encoded(&[&"the ".repeat(126)], 64));
    let refused = server.post("/embed", &json!({"inputs": ["a", long], "truncate": false}).to_string());
    let message = refused.error(422, "validation");
    assert!(message.contains("text 1") && message.contains("203 tokens") && message.contains("128"), "{message}");
}

#[test]
fn embeddings_without_normalisation_are_the_same_after_it() {
    let server = Server::new();
    let plain = server.post("/embed", r#"{"inputs": "the house", "normalize": false}"#).rows();
    let length = plain[0].iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() > 0.01, "length {length}");
    let expected = encoded(&["the house"], 64);
    for (ours, expected) in plain[0].iter().zip(&expected[0]) {
        assert!((ours / length - expected).abs() < 1e-6);
    }
    same_bits(&server.post("/embed", r#"{"inputs": "the house", "normalize": true}"#).rows(), &expected);
}
