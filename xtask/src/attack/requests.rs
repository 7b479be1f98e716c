//! Mutated requests to a server of the tiny model: it answers each of them with a status that is
//! meant, or closes the connection where the head is broken; afterwards it still runs, holds
//! nothing and has counted no panic.

use super::mutate::{Format, mutate};
use super::report::Report;
use super::{fixture, process};
use crate::serving::http;
use crate::serving::process::{Server, free_port};
use crate::serving::texts::Draws;
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests of one server.
const REQUESTS: usize = 60;
/// Time for an answer: a server of the debug profile on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest resident memory.
const MEMORY: u64 = 1 << 30;

const BODIES: [(&str, &str); 13] = [
    ("/v1/embeddings", r#"{"input": ["bei ya mahindi", "mvua"], "dimensions": 32, "encoding_format": "float"}"#),
    ("/v1/embeddings", r#"{"input": [[5, 6, 7], [8]], "encoding_format": "base64", "user": "a"}"#),
    ("/embed", r#"{"inputs": ["bei", "mvua"], "truncate": true, "normalize": false, "prompt_name": null}"#),
    ("/embed_all", r#"{"inputs": "bei ya mahindi", "truncation_direction": "Left"}"#),
    ("/similarity", r#"{"inputs": {"source_sentence": "bei", "sentences": ["mvua", "bei"]}}"#),
    ("/similarity/matrix", r#"{"inputs": ["bei", "mvua"], "dimensions": [64, 32]}"#),
    ("/rerank", r#"{"query": "bei", "texts": ["mvua", "bei"], "return_text": true, "raw_scores": true}"#),
    (
        "/v1/rerank",
        r#"{"query": "bei", "documents": ["mvua", {"text": "bei", "id": 5}], "top_n": 2, "return_documents": true}"#,
    ),
    ("/predict", r#"{"inputs": [["bei ya mahindi", "mvua"], ["bei"]], "raw_scores": true}"#),
    ("/tokenize", r#"{"inputs": ["bei ya mahindi"], "add_special_tokens": true}"#),
    ("/decode", r#"{"ids": [[5, 6, 7]], "skip_special_tokens": true}"#),
    ("/search", r#"{"query": "bei", "k": 3, "filter": {"label": "soko"}, "hybrid": true, "dimensions": 32}"#),
    ("/classify", r#"{"inputs": ["bei ya mahindi"]}"#),
];

pub(crate) fn attack(fixture: &Path, maana: &Path, folder: &Path, draws: &mut Draws) -> Result<Report> {
    fixture::copy(fixture, folder)?;
    let port = free_port()?;
    let mut command = process::limited(maana, folder);
    command.args(["serve", "model", "--index", "store", "--head", "labels", "--reranker", "cross"]);
    command.args(["--precision", "f32", "--log", "off"]);
    command.args(["--max-body", "1000000", "--port", &port.to_string()]);
    let log = folder.join("log.txt");
    let mut server = Server::start("maana serve", &mut command, port, &log, &http::get("/health/ready"))?;
    let (mut faults, mut refused) = (Vec::new(), false);
    let mut last = String::new();
    for _ in 0..REQUESTS {
        let (path, body) = BODIES[draws.below(BODIES.len())];
        let mut body = body.as_bytes().to_vec();
        let broken_head = draws.below(4) == 0;
        let request = if broken_head {
            let mut request = http::post(path, "", &String::from_utf8_lossy(&body));
            last = format!("{path}: {}", mutate(&mut request, Format::Bytes, draws));
            request
        } else {
            last = format!("{path}: {}", mutate(&mut body, Format::Json, draws));
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), &body].concat()
        };
        match exchange(server.address, &request, broken_head) {
            Ok(Some(status)) => {
                refused |= status >= 400;
                if ![100, 200, 400, 403, 404, 405, 408, 411, 413, 415, 421, 422, 424, 426, 431, 501, 505]
                    .contains(&status)
                {
                    faults.push(format!("{last}: answered {status}"));
                }
            }
            Ok(None) if broken_head => {}
            Ok(None) => faults.push(format!("{last}: no answer")),
            Err(error) if broken_head && error.kind() != std::io::ErrorKind::ConnectionRefused => {}
            Err(error) => faults.push(format!("{last}: {error}")),
        }
        if !server.runs() {
            faults.push(format!("{last}: the server ended; {}", server.last_words()));
            break;
        }
    }
    if server.runs() {
        faults.extend(afterwards(&server)?);
    }
    Ok(Report { mutation: format!("{REQUESTS} requests, the last: {last}"), refused, faults })
}

/// Sends bytes and returns the status of the answer; `None` if the connection was closed without
/// one.
fn exchange(address: SocketAddr, request: &[u8], broken_head: bool) -> std::io::Result<Option<u16>> {
    let mut stream = TcpStream::connect(address)?;
    // What waits for the rest of a body that was announced longer waits for ever: such a client
    // goes away.
    stream.set_read_timeout(Some(if broken_head { Duration::from_millis(300) } else { PATIENCE }))?;
    stream.write_all(request)?;
    if broken_head {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut received = Vec::new();
    let mut part = [0; 4096];
    while !received.windows(2).any(|end| end == b"\r\n") {
        match read(&mut stream, &mut part)? {
            0 => return Ok(None),
            length => received.extend_from_slice(&part[..length]),
        }
    }
    // The rest is read to its end, as a client does.
    while !broken_head && read(&mut stream, &mut part)? > 0 {}
    let line = String::from_utf8_lossy(&received);
    Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()))
}

/// Reads once, again after a signal.
fn read(stream: &mut TcpStream, part: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(part) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Faults that show when all requests are over.
fn afterwards(server: &Server) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let begin = Instant::now();
    let metrics = loop {
        let mut connection = http::Connection::open(server.address)?;
        let metrics = String::from_utf8_lossy(connection.exchange(&http::get("/metrics"))?.body).into_owned();
        if value(&metrics, "maana_held_requests") == Some(0.0) || begin.elapsed() > PATIENCE {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    for name in ["maana_held_requests", "maana_panics_total"] {
        if value(&metrics, name) != Some(0.0) {
            faults.push(format!("{name} is {:?} afterwards", value(&metrics, name)));
        }
    }
    if let Some(peak) = server.peak_bytes().filter(|peak| *peak > MEMORY) {
        faults.push(format!("the server took {} MB", peak >> 20));
    }
    Ok(faults)
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
