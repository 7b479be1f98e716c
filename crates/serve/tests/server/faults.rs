//! Panics, slow and broken connections, and exceeded limits.

use crate::support::{Client, Server, copy_folder, encoded, same_bits, tiny};
use maana_serve::Limits;
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a_panic_fails_its_request_and_is_counted() {
    // Batches of seven tokens panic.
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(|tokens| assert!(tokens != 7, "a batch of seven tokens")));
    });
    for round in 1..=3 {
        let body = r#"{"inputs": "the the the the the", "input": "the the the the the"}"#;
        server.post("/embed", body).error(500, "backend");
        let error = server.post("/v1/embeddings", body).json(500);
        assert_eq!(error["error"]["type"], "server_error");
        assert_eq!(server.metric("maana_panics_total"), f64::from(2 * round));
        same_bits(&server.post("/embed", r#"{"inputs": "the house"}"#).rows(), &encoded(&["the house"], 64));
    }
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

#[test]
fn slow_clients_are_disconnected_and_do_not_delay_others() {
    let server = Server::with(|settings| {
        settings.times.head = Duration::from_millis(300);
        settings.times.body = Duration::from_millis(300);
    });
    let mut slow: Vec<Client> = (0..50).map(|_| Client::new(server.address)).collect();
    slow.iter_mut().for_each(|client| client.raw(b"POST /embed HTTP/1.1\r\nhost: localhost\r\nx-slow: ").unwrap());
    let mut half = Client::new(server.address);
    half.raw(b"POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"inputs\":").unwrap();
    let asked = Instant::now();
    server.post("/embed", r#"{"inputs": "a"}"#).rows();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let late = half.read("POST").unwrap();
    assert!(late.error(408, "validation").contains("in time"));
    for client in &mut slow {
        assert!(client.closes_within(Duration::from_secs(10)).is_some(), "it keeps a slow connection");
    }
    server.until("connections are closed", |server| server.metric("maana_connections") <= 2.0);
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
    let server = Server::with(|settings| settings.times.write = Duration::from_millis(300));
    let mut client = Client::new(server.address);
    let body = json!({"inputs": vec!["a"; 2000]}).to_string();
    // More answers than the operating system buffers.
    for _ in 0..40 {
        if client.write("POST", "/embed", &[], body.as_bytes()).is_err() {
            break;
        }
        if server.metric("maana_connections") < 2.0 {
            break;
        }
    }
    server.until("it is disconnected", |server| server.metric("maana_connections") <= 1.0);
    server.post("/embed", r#"{"inputs": "a"}"#).rows();
}

#[test]
fn half_closed_and_broken_connections_hold_nothing() {
    let server = Server::new();
    for number in 0..40 {
        let mut client = Client::new(server.address);
        match number % 4 {
            0 => drop(client.raw(b"POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 15\r\n\r\n{\"inp")),
            1 => {
                client.write("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap();
                client.stream().shutdown(Shutdown::Write).unwrap();
                let answer = client.read("POST").expect("a client that closed its own half still reads");
                let answer = if answer.status == 100 { client.read("POST").unwrap() } else { answer };
                same_bits(&answer.rows(), &encoded(&["a"], 64));
                assert!(client.closes_within(Duration::from_secs(10)).is_some(), "it hangs half closed");
            }
            2 => {
                client.stream().shutdown(Shutdown::Write).unwrap();
                assert!(client.closes_within(Duration::from_secs(10)).is_some());
            }
            _ => {
                client.raw(b"\x16\x03\x01\x02\x00\x01\x00 this is no HTTP \r\n\r\n").unwrap();
                let said = client.closes_within(Duration::from_secs(10)).expect("it keeps talking");
                assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&said));
            }
        }
    }
    server.until("all are gone", |server| server.metric("maana_connections") <= 1.0);
    server.until("nothing is held", |server| server.metric("maana_held_requests") == 0.0);
    server.post("/embed", r#"{"inputs": "a"}"#).rows();
}

#[test]
fn a_large_answer_reaches_a_client_that_has_closed_its_half() {
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(20))));
    });
    let mut client = Client::new(server.address);
    let body = json!({"inputs": vec!["a"; 2000]}).to_string();
    client.write("POST", "/embed", &[], body.as_bytes()).unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    let interim = client.read("POST").unwrap();
    assert_eq!((interim.status, interim.body.len()), (100, 0));
    // More than the operating system buffers.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.read("POST").unwrap().rows().len(), 2000);
}

#[test]
fn a_connection_is_kept_between_requests_for_a_limited_time() {
    let server = Server::with(|settings| {
        settings.times.keep_alive = Duration::from_millis(1200);
        settings.times.head = Duration::from_millis(200);
    });
    let mut client = Client::new(server.address);
    let health = |client: &mut Client| client.send("GET", "/health", &[], b"").map(|answer| answer.status);
    assert_eq!(health(&mut client).unwrap(), 200);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(health(&mut client).unwrap(), 200, "longer than a head may take");
    client.raw(b"GET /health HT").unwrap();
    assert!(client.closes_within(Duration::from_millis(900)).is_some(), "a head that stops halfway has less time");
    let mut idle = Client::new(server.address);
    assert_eq!(health(&mut idle).unwrap(), 200);
    assert!(idle.closes_within(Duration::from_secs(10)).is_some());
    assert_eq!(server.get("/info").json(200)["keep_alive_seconds"], 1.2);
}

#[test]
fn idle_connections_give_way_to_new_ones() {
    let server = Server::with(|settings| settings.limits = Limits { connections: 8, ..Limits::default() });
    let mut silent: Vec<Client> = (0..4).map(|_| Client::new(server.address)).collect();
    let mut idle: Vec<Client> = (0..4).map(|_| Client::new(server.address)).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.send("GET", "/health", &[], b"").unwrap().status, 200));
    for _ in 0..20 {
        let mut client = Client::new(server.address);
        assert_eq!(client.send("GET", "/health", &[], b"").unwrap().status, 200);
        idle.push(client);
    }
    assert!(silent[0].closes_within(Duration::from_secs(10)).is_some(), "the one that has been idle for longest");
    assert!(server.metric("maana_connections") <= 9.0);
}

#[test]
fn an_unsupported_framing_is_refused() {
    let server = Server::new();
    for coding in ["gzip, chunked", "chunked, chunked"] {
        let mut client = Client::new(server.address);
        let head = format!("POST /embed HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {coding}\r\n\r\n");
        client.raw(format!("{head}f\r\n{{\"inputs\": \"a\"}}\r\n0\r\n\r\n").as_bytes()).unwrap();
        let answer = client.read("POST").unwrap();
        assert!(answer.status == 501 || answer.status == 400, "{coding}: {answer:?}");
    }
}

#[test]
fn a_text_that_panics_fails_no_other_request() {
    // Batches with a text of seven tokens panic.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = Arc::clone(&gate);
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(move |tokens| {
            let open = closed.0.lock().unwrap();
            drop(closed.1.wait_while(open, |open| !*open).unwrap());
            assert!(tokens != 7 && tokens != 7 + 4 + 3, "a batch of seven tokens");
        }));
    });
    let mut clients: Vec<Client> = (0..4).map(|_| Client::new(server.address)).collect();
    clients[0].write("POST", "/embed", &[], br#"{"inputs": "the river"}"#).unwrap();
    server.until("the first is computed", |server| {
        server.metric("maana_held_requests") == 1.0 && server.metric("maana_queue_texts{class=\"interactive\"}") == 0.0
    });
    for (client, text) in clients[1..].iter_mut().zip(["the the the the the", "the house", "a"]) {
        client.write("POST", "/embed", &[], json!({"inputs": text}).to_string().as_bytes()).unwrap();
    }
    server.until("the others wait", |server| server.metric("maana_queue_texts{class=\"interactive\"}") == 3.0);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    let answers: Vec<_> = clients.iter_mut().map(|client| client.read("POST").unwrap()).collect();
    answers[1].error(500, "backend");
    for (answer, text) in [(&answers[0], "the river"), (&answers[2], "the house"), (&answers[3], "a")] {
        same_bits(&answer.rows(), &encoded(&[text], 64));
    }
    assert_eq!(server.metric("maana_panics_total"), 2.0, "together and alone");
    assert_eq!(server.metric("maana_held_requests"), 0.0);
}

#[test]
fn a_body_that_is_too_long_is_refused_with_and_without_a_length() {
    let server = Server::with(|settings| settings.limits.body = 2000);
    let body = json!({"inputs": "the ".repeat(1000), "input": ""}).to_string();
    let message = server.post("/embed", &body).error(413, "validation");
    assert!(message.contains("2000 bytes"), "{message}");
    assert_eq!(server.post("/v1/embeddings", &body).json(413)["error"]["type"], "invalid_request_error");
    let mut client = Client::new(server.address);
    client.raw(b"POST /embed HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..5 {
        client.raw(format!("3e8\r\n{}\r\n", "x".repeat(1000)).as_bytes()).unwrap();
    }
    client.raw(b"0\r\n\r\n").unwrap();
    client.read("POST").unwrap().error(413, "validation");
    let mut client = Client::new(server.address);
    client.raw(b"POST /embed HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{\"inputs\": \"a\"}\r\n0\r\n\r\n").unwrap();
    same_bits(&client.read("POST").unwrap().rows(), &encoded(&["a"], 64));
}

#[test]
fn too_many_texts_are_refused_in_the_format_of_each_api() {
    let server = Server::with(|settings| settings.limits.inputs = 3);
    let body = json!({"inputs": vec!["a"; 4], "input": vec!["a"; 4]}).to_string();
    assert!(server.post("/embed", &body).error(422, "validation").contains("4 texts, and 3"));
    server.post("/tokenize", &body).error(422, "validation");
    assert_eq!(server.post("/v1/embeddings", &body).status, 400);
    assert_eq!(server.post("/embed", &json!({"inputs": vec!["a"; 3]}).to_string()).rows().len(), 3);
}

#[test]
fn connections_beyond_the_limit_are_refused_except_for_health() {
    let server = Server::with(|settings| {
        settings.limits = Limits { connections: 3, ..Limits::default() };
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_secs(1))));
    });
    let mut busy: Vec<Client> = (0..3).map(|_| Client::new(server.address)).collect();
    busy.iter_mut().for_each(|client| client.write("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap());
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        let mut more = Client::new(server.address);
        let refused = more.send("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap();
        assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
        refused.error(503, "overloaded");
        let health = Client::new(server.address).send("GET", "/health", &[], b"").unwrap();
        assert_eq!(health.status, 200, "health is answered when all connections are busy");
    }
    drop(busy);
    for _ in 0..200 {
        let mut client = Client::new(server.address);
        if client.send("GET", "/health", &[], b"").is_ok_and(|answer| answer.status == 200) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no connection is accepted any more");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::new();
    let mut client = Client::new(server.address);
    for text in ["a", "the", "house"] {
        client.write("POST", "/embed", &[], json!({"inputs": text}).to_string().as_bytes()).unwrap();
    }
    for text in ["a", "the", "house"] {
        same_bits(&client.read("POST").unwrap().rows(), &encoded(&[text], 64));
    }
    client.stream().flush().unwrap();
    client.stream().shutdown(Shutdown::Both).unwrap();
    let mut rest = Vec::new();
    assert_eq!(client.stream().read_to_end(&mut rest).unwrap(), 0);
}

#[test]
fn weights_that_are_cut_under_a_server_are_an_error_and_bad_health() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&tiny(), folder.path());
    let server = Server::with(|settings| settings.models[0].place = folder.path().display().to_string());
    let ask = |status: u16| server.post("/embed", r#"{"inputs": "the house"}"#).status == status;
    assert!(ask(200) && server.get("/health").status == 200 && server.get("/health/live").status == 200);
    let weights = std::fs::File::options().write(true).open(folder.path().join("model.safetensors")).unwrap();
    weights.set_len(1000).unwrap();
    let body = server.post("/embed", r#"{"inputs": "the house"}"#).error(503, "unhealthy");
    assert!(body.contains("the weights of the model changed on the disk while in use"), "{body}");
    assert!(server.get("/health").status == 503 && server.get("/health/live").status == 503);
}
