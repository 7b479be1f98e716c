//! Peak memory of a server under large requests. The only test of its process, so that nothing else
//! takes memory.
#![cfg(target_os = "linux")]

use maana::kernels::Context;
use maana_serve::{LogForm, Settings, Source, start};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Returns the peak of the process's resident memory in bytes, since the last reset.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Resets the peak to the current resident memory, and returns it.
fn reset_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

/// Sends a request, and reads the answer without keeping it; `pause` is the time before each read.
/// Returns the status and the bytes of the answer.
fn post(address: SocketAddr, path: &str, body: &str, pause: Duration) -> (u16, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let (mut bytes, mut status, mut piece) = (0, 0, vec![0; 64 << 10]);
    loop {
        std::thread::sleep(pause);
        let count = stream.read(&mut piece).unwrap();
        if count == 0 {
            return (status, bytes);
        }
        if bytes == 0 {
            status = std::str::from_utf8(&piece[9..12]).unwrap().parse().unwrap();
        }
        bytes += count;
    }
}

fn at_once(address: SocketAddr, path: &str, body: &str, clients: usize, pause: Duration) -> Vec<(u16, usize)> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(move || post(address, path, body, pause))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn large_requests_take_a_bounded_amount_of_memory() {
    const MB: u64 = 1 << 20;
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/tiny-bert");
    let mut settings = Settings::new(Source { name: "tiny".into(), place: place.into() });
    settings.log = LogForm::Off;
    let cross = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cross/bert");
    settings.rerankers = vec![Source { name: "cross".into(), place: cross.into() }];
    settings.limits.inputs = 10_000;
    settings.limits.memory = 64 << 20;
    settings.limits.tokenizing = 16 << 20;
    let running = start(settings, Arc::new(Context::new(2))).unwrap();
    let address = running.address();
    let measure = |name: &str, limit: u64, requests: &dyn Fn()| {
        let before = reset_peak();
        requests();
        let grown = peak().saturating_sub(before);
        println!("{name}: {} MB", grown / MB);
        assert!(grown < limit * MB, "{name} took {} MB, not {limit} MB", grown / MB);
    };
    let slowly = Duration::from_millis(2);

    // Eight answers of 20 MB each, to clients that read slowly.
    let rows = json!({"inputs": vec!["the ".repeat(100); 256]}).to_string();
    measure("/embed_all", 150, &|| {
        let answers = at_once(address, "/embed_all", &rows, 8, slowly);
        assert!(answers.iter().any(|(status, bytes)| *status == 200 && *bytes > 10_000_000), "{answers:?}");
        assert!(answers.iter().all(|(status, _)| [200, 429].contains(status)), "{answers:?}");
    });
    // Sixteen answers of 13 MB each.
    let words = json!({"inputs": "a ".repeat(131_000)}).to_string();
    measure("/tokenize", 250, &|| {
        let answers = at_once(address, "/tokenize", &words, 16, slowly);
        assert!(answers.iter().any(|(status, bytes)| *status == 200 && *bytes > 5_000_000), "{answers:?}");
        assert!(answers.iter().all(|(status, _)| [200, 429].contains(status)), "{answers:?}");
    });
    // A megabyte without white space, and many bytes that are not read.
    let unbroken = json!({"inputs": "日".repeat(340_000)}).to_string();
    let long = json!({"inputs": "a ".repeat(3_500_000)}).to_string();
    measure("/embed", 900, &|| {
        for body in [&unbroken, &long] {
            let answers = at_once(address, "/embed", body, 6, Duration::ZERO);
            assert!(answers.iter().any(|(status, _)| *status == 200), "{answers:?}");
            assert!(answers.iter().all(|(status, _)| [200, 429].contains(status)), "{answers:?}");
        }
    });
    // Ten thousand documents, whose texts and tokens are in memory at the same time.
    let documents = vec!["mto ni mkubwa ".repeat(40); 10_000];
    let documents = json!({"query": "habari", "documents": documents, "return_documents": true}).to_string();
    measure("/v1/rerank", 150, &|| {
        let answers = at_once(address, "/v1/rerank", &documents, 2, slowly);
        assert!(answers.iter().any(|(status, bytes)| *status == 200 && *bytes > 5_000_000), "{answers:?}");
        assert!(answers.iter().all(|(status, _)| [200, 429].contains(status)), "{answers:?}");
    });
    running.stop();
    running.wait();
}
