//! Admission: excess load is refused at once, admitted requests are answered, and a job of many
//! texts does not delay queries.

use crate::support::{Client, Random, Server, encoded, same_bits};
use maana_serve::{Limits, Settings};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Makes every batch take this time.
fn slow(settings: &mut Settings, time: Duration) {
    settings.before_batch = Some(Arc::new(move |_| std::thread::sleep(time)));
}

/// Runs at twice the capacity, for a second or for `MAANA_OVERLOAD_SECONDS`.
#[test]
fn at_twice_the_capacity_refusals_are_fast_and_answers_right() {
    let seconds = std::env::var("MAANA_OVERLOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1.0);
    // About 5,000 tokens per second; the clients could use far more.
    let server = Server::with(|settings| {
        slow(settings, Duration::from_millis(20));
        settings.limits = Limits { queued_tokens: 400, batch_tokens: 100, ..Limits::default() };
    });
    let (answered, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        for number in 0..24 {
            let (server, answered, refused) = (&server, &answered, &refused);
            scope.spawn(move || {
                let mut random = Random::new(1000 + number);
                let mut client = Client::new(server.address);
                while Instant::now() < end {
                    let words = 1 + random.below(30);
                    let text = random.text(words);
                    let sent = Instant::now();
                    let answer = client.post("/embed", &json!({"inputs": text}).to_string());
                    if answer.status == 429 {
                        refused.lock().unwrap().push(sent.elapsed());
                        assert_eq!(answer.header("retry-after"), Some("1"));
                        answer.error(429, "overloaded");
                        std::thread::sleep(Duration::from_millis(5));
                    } else {
                        same_bits(&answer.rows(), &encoded(&[&text], 64));
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut refused = refused.into_inner().unwrap();
    refused.sort_unstable();
    assert!(answered.into_inner() > 20 && refused.len() > 20, "{} were refused", refused.len());
    let median = refused[refused.len() / 2];
    assert!(median < Duration::from_millis(50), "a refusal takes {median:?}");
    assert_eq!(server.metric("maana_held_tokens{class=\"interactive\"}"), 0.0);
}

#[test]
fn a_query_passes_a_job_of_many_texts_and_the_job_continues() {
    let server = Server::with(|settings| {
        slow(settings, Duration::from_millis(10));
        settings.limits = Limits { batch_tokens: 64, ..Limits::default() };
    });
    let texts: Vec<String> = (0..800).map(|number| format!("the house {}", number % 7)).collect();
    let job_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rows = server.post("/embed", &json!({"inputs": texts}).to_string()).rows();
            same_bits(&rows[..7], &encoded(&texts[..7].iter().map(String::as_str).collect::<Vec<_>>(), 64));
            job_done.store(true, Ordering::Relaxed);
        });
        server.until("the job waits", |server| server.metric("maana_queue_texts{class=\"bulk\"}") > 0.0);
        let mut client = Client::new(server.address);
        for _ in 0..10 {
            let sent = Instant::now();
            client.post("/embed", r#"{"inputs": "a"}"#).rows();
            // The current batch, its own, and a bulk batch whose turn it is.
            assert!(sent.elapsed() < Duration::from_millis(500), "a query waited {:?}", sent.elapsed());
        }
        assert!(!job_done.load(Ordering::Relaxed), "the job takes longer than the queries");
    });
    assert!(job_done.into_inner());
}

#[test]
fn a_request_larger_than_the_queue_is_served_when_nothing_else_waits() {
    let server = Server::with(|settings| settings.limits.queued_tokens = 50);
    let body = json!({"inputs": vec!["the house"; 20], "input": vec!["the house"; 20]}).to_string();
    same_bits(&server.post("/embed", &body).rows(), &vec![encoded(&["the house"], 64).remove(0); 20]);
    assert_eq!(server.post("/v1/embeddings", &body).json(200)["data"].as_array().unwrap().len(), 20);
    let message = server.post("/embed_all", &body).error(413, "validation");
    assert!(message.contains("80 tokens") && message.contains("at most 50"), "{message}");
    assert_eq!(server.metric("maana_held_tokens{class=\"bulk\"}"), 0.0);
    server.post("/embed", r#"{"inputs": "the house"}"#).rows();
}

#[test]
fn a_request_too_large_for_the_deadline_is_refused_without_a_time_to_retry() {
    let server = Server::with(|settings| {
        slow(settings, Duration::from_millis(60));
        settings.limits.batch_tokens = 8;
        settings.times.answer = Duration::from_millis(400);
    });
    let body = json!({"inputs": vec!["the house"; 40], "input": vec!["the house"; 40]}).to_string();
    let answer = server.post("/embed", &body);
    assert_eq!(answer.header("retry-after"), None);
    let message = answer.error(413, "validation");
    assert!(message.contains("40 texts of 160 tokens") && message.contains("--deadline"), "{message}");
    let error = server.post("/v1/embeddings", &body).json(413);
    assert_eq!(error["error"]["type"], "invalid_request_error");
    server.post("/embed", r#"{"inputs": "the house"}"#).rows();
}

#[test]
fn dimensions_are_checked_before_anything_is_computed() {
    let batches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&batches);
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
    });
    server.post("/embed", r#"{"inputs": "a", "dimensions": 0}"#).error(422, "validation");
    for dimensions in ["1", "17", "65", "18446744073709551615"] {
        let body = format!(r#"{{"inputs": "a", "input": "a", "query": "a", "dimensions": {dimensions}}}"#);
        let message = server.post("/embed", &body).error(422, "validation");
        assert!(message.contains("allowed: 64, 32, 16"), "{message}");
        assert_eq!(server.post("/v1/embeddings", &body).json(400)["error"]["param"], "dimensions");
    }
    for dimensions in ["-1", "1.5", "\"64\"", "1e400", "[64]", "340282366920938463463374607431768211456"] {
        let body = format!(r#"{{"inputs": "a", "input": "a", "dimensions": {dimensions}}}"#);
        assert!([400, 422].contains(&server.post("/embed", &body).status), "{dimensions}");
        assert_eq!(server.post("/v1/embeddings", &body).status, 400, "{dimensions}");
    }
    let message = server.post("/similarity/matrix", r#"{"inputs": ["a"], "dimensions": [64, 5]}"#);
    message.error(422, "validation");
    assert_eq!(batches.load(Ordering::Relaxed), 0);
    server.post("/embed", r#"{"inputs": "a", "dimensions": 16}"#).rows();
    assert_eq!(batches.load(Ordering::Relaxed), 1);
}

#[test]
fn abandoned_requests_are_not_computed() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let tokens = Arc::new(AtomicUsize::new(0));
    let (closed, counted) = (Arc::clone(&gate), Arc::clone(&tokens));
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(move |batch| {
            counted.fetch_add(batch, Ordering::Relaxed);
            let open = closed.0.lock().unwrap();
            drop(closed.1.wait_while(open, |open| !*open).unwrap());
        }));
    });
    let mut first = Client::new(server.address);
    first.write("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap();
    server.until("the first is computed", |_| tokens.load(Ordering::Relaxed) > 0);
    let mut gone: Vec<Client> = (0..5).map(|_| Client::new(server.address)).collect();
    for client in &mut gone {
        client.write("POST", "/embed", &[], br#"{"inputs": "the house of the river"}"#).unwrap();
    }
    let mut stays = Client::new(server.address);
    stays.write("POST", "/embed", &[], br#"{"inputs": "the house"}"#).unwrap();
    server.until("all wait", |server| server.metric("maana_queue_texts{class=\"interactive\"}") == 6.0);
    drop(gone);
    server.until("the others have gone", |server| server.metric("maana_connections") <= 3.0);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    same_bits(&first.read("POST").unwrap().rows(), &encoded(&["a"], 64));
    same_bits(&stays.read("POST").unwrap().rows(), &encoded(&["the house"], 64));
    assert_eq!(tokens.load(Ordering::Relaxed), 3 + 4, "tokens of the two that stayed");
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

#[test]
fn an_answer_that_would_be_late_is_given_up_at_the_deadline() {
    let server = Server::with(|settings| {
        slow(settings, Duration::from_millis(600));
        settings.times.answer = Duration::from_millis(150);
    });
    let sent = Instant::now();
    let message = server.post("/embed", r#"{"inputs": "a"}"#).error(503, "overloaded");
    assert!(sent.elapsed() < Duration::from_millis(550), "{:?}: {message}", sent.elapsed());
    let alive = Instant::now();
    assert_eq!(server.get("/health/live").status, 200);
    assert!(alive.elapsed() < Duration::from_millis(300), "liveness does not wait: {:?}", alive.elapsed());
}
