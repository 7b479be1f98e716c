//! The end of a server: requests that have arrived are answered, new connections are refused, and
//! it takes no longer than `--drain`.

use crate::support::{Client, Random, Server, encoded, same_bits};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn ending_under_load_loses_no_accepted_request() {
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(5))));
    });
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let address = server.address;
    let ended = std::thread::scope(|scope| {
        for number in 0..16 {
            let (answered, refused) = (&answered, &refused);
            scope.spawn(move || {
                let mut random = Random::new(500 + number);
                // Half of them keep their connection, half make one for each request.
                let mut kept = Client::new(address);
                loop {
                    let text = random.text(3);
                    let mut own = match Client::try_new(address) {
                        Ok(client) if number % 2 == 0 => Some(client),
                        // No new connections: the request was not accepted.
                        Err(_) if number % 2 == 0 => break,
                        _ => None,
                    };
                    let client = own.as_mut().unwrap_or(&mut kept);
                    let body = json!({"inputs": text}).to_string();
                    match client.send("POST", "/embed", &[], body.as_bytes()) {
                        Ok(answer) => {
                            same_bits(&answer.rows(), &encoded(&[&text], 64));
                            answered.fetch_add(1, Ordering::Relaxed);
                            if answer.header("connection") == Some("close") {
                                break;
                            }
                        }
                        Err(_) => {
                            // A new connection may arrive while the listener closes.
                            refused.fetch_add(number as usize % 2, Ordering::Relaxed);
                            break;
                        }
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 100 {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.stop();
        server.wait()
    });
    assert_eq!(ended.given_up, 0);
    assert_eq!(refused.into_inner(), 0, "connections broke without an answer; {} were answered", answered.into_inner());
}

#[test]
fn requests_are_given_up_after_the_time_for_draining() {
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_secs(3))));
        settings.times.drain = Duration::from_millis(600);
    });
    let mut client = Client::new(server.address);
    client.write("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap();
    server.until("it is held", |server| server.metric("maana_held_requests") == 1.0);
    let begun = Instant::now();
    server.stop();
    assert_eq!(server.wait().given_up, 1);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(client.read("POST").is_err());
}

#[test]
fn while_ending_the_server_is_alive_and_not_ready() {
    let server = Server::with(|settings| {
        settings.before_batch = Some(Arc::new(|_| std::thread::sleep(Duration::from_millis(400))));
    });
    let address = server.address;
    let (mut asks, mut watches) = (Client::new(address), Client::new(address));
    assert_eq!(watches.send("GET", "/health/ready", &[], b"").unwrap().status, 200);
    asks.write("POST", "/embed", &[], br#"{"inputs": "a"}"#).unwrap();
    server.until("it is held", |server| server.metric("maana_held_requests") == 1.0);
    server.stop();
    let ended = std::thread::spawn(|| server.wait());
    std::thread::sleep(Duration::from_millis(50));
    let answer = watches.send("GET", "/health/ready", &[], b"").unwrap();
    answer.error(503, "unhealthy");
    assert_eq!(answer.header("connection"), Some("close"));
    same_bits(&asks.read("POST").unwrap().rows(), &encoded(&["a"], 64));
    assert_eq!(ended.join().unwrap().given_up, 0);
    assert!(Client::try_new(address).is_err(), "the listener is closed");
}
