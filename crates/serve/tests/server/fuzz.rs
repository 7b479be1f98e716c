//! Random requests: none stops the server, and none is answered with an unexpected status.
//! `MAANA_FUZZ` sets their number, `MAANA_FUZZ_SEED` the seed.

use crate::support::{Client, Random, Server};
use serde_json::{Value, json};

const ROUTES: [&str; 14] = [
    "/v1/embeddings",
    "/embeddings",
    "/embed",
    "/embed_all",
    "/tokenize",
    "/decode",
    "/similarity",
    "/similarity/matrix",
    "/rerank",
    "/v1/rerank",
    "/predict",
    "/search",
    "/classify",
    "/info",
];

const FIELDS: [&str; 30] = [
    "input",
    "inputs",
    "model",
    "dimensions",
    "encoding_format",
    "user",
    "prompt_name",
    "normalize",
    "truncate",
    "truncation_direction",
    "add_special_tokens",
    "ids",
    "skip_special_tokens",
    "source_sentence",
    "sentences",
    "parameters",
    "query",
    "texts",
    "documents",
    "top_n",
    "return_documents",
    "max_tokens_per_doc",
    "raw_scores",
    "return_text",
    "k",
    "filter",
    "hybrid",
    "all_dimensions",
    "",
    "\u{0}",
];

#[test]
fn random_requests_do_not_stop_the_server() {
    run(number("MAANA_FUZZ", 4000));
}

#[test]
#[ignore = "takes minutes; `cargo xtask fuzz` runs it"]
fn a_hundred_thousand_random_requests_do_not_stop_the_server() {
    run(number("MAANA_FUZZ", 100_000));
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn run(requests: u64) {
    let seed = number("MAANA_FUZZ_SEED", 5);
    println!("MAANA_FUZZ={requests} MAANA_FUZZ_SEED={seed}");
    let server = Server::with_reranker(|settings| settings.limits.body = 200_000);
    const CLIENTS: u64 = 4;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut random = Random::new(seed * 1000 + client);
                let mut client = Client::new(server.address);
                for _ in 0..requests / CLIENTS {
                    let body = body(&mut random);
                    let path = *random.one_of(&ROUTES);
                    let method = *random.one_of(&["POST", "POST", "POST", "POST", "POST", "POST", "GET", "PUT"]);
                    let answer = match client.send(method, path, &[], &body) {
                        Ok(answer) => answer,
                        // It may close a connection whose body it does not read to the end.
                        Err(_) => {
                            client = Client::new(server.address);
                            continue;
                        }
                    };
                    let meant = [200, 400, 404, 405, 413, 422, 429].contains(&answer.status);
                    assert!(meant, "{method} {path} {}: {:?}", String::from_utf8_lossy(&body), answer);
                    if answer.status >= 400 && method != "HEAD" {
                        let said: Value = serde_json::from_slice(&answer.body).expect("errors are JSON");
                        let messages = [&said["error"], &said["error"]["message"], &said["message"]];
                        assert!(messages.iter().any(|message| message.is_string()), "{said}");
                    }
                    if answer.header("connection") == Some("close") {
                        client = Client::new(server.address);
                    }
                }
            });
        }
    });
    assert_eq!(server.metric("maana_panics_total"), 0.0);
    server.until("nothing is held", |server| server.metric("maana_held_requests") == 0.0);
    server.post("/embed", r#"{"inputs": "a"}"#).rows();
}

/// Random bytes of a body: valid JSON of the wrong form, JSON that is cut or changed, and other
/// bytes.
fn body(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => (0..random.below(200)).map(|_| random.below(256) as u8).collect(),
        1 => "[".repeat(1 + random.below(100_000)).into_bytes(),
        2 => {
            let depth = 1 + random.below(300);
            format!("{{\"inputs\":{}1{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
        }
        3 => format!("{{\"inputs\":\"a\",\"input\":\"a\",\"dimensions\":{}}}", number_text(random)).into_bytes(),
        4 => "{\"inputs\":{".repeat(1 + random.below(2000)).into_bytes(),
        5 => {
            let mut bytes = fields(random).to_string().into_bytes();
            let place = random.below(bytes.len());
            bytes[place] = random.below(256) as u8;
            bytes
        }
        6 => {
            let mut bytes = fields(random).to_string().into_bytes();
            bytes.truncate(random.below(bytes.len()));
            bytes
        }
        7 => [b"{\"inputs\":\"".as_slice(), &[0xff, 0xfe, 0xc0, 0x80][..1 + random.below(4)], b"\"}"].concat(),
        8 => format!("{{\"inputs\":\"\\u{:04x}\",\"input\":\"\\ud800\"}}", random.below(65_536)).into_bytes(),
        _ => fields(random).to_string().into_bytes(),
    }
}

fn number_text(random: &mut Random) -> &'static str {
    const NUMBERS: [&str; 14] = [
        "-1",
        "0",
        "64",
        "65",
        "1e999",
        "-0.0",
        "1.0",
        "18446744073709551616",
        "9999999999999999999999999999999999999999",
        "1e-400",
        "0x10",
        "NaN",
        "Infinity",
        "00",
    ];
    random.one_of::<&str>(&NUMBERS)
}

fn fields(random: &mut Random) -> Value {
    let fields = (0..1 + random.below(5)).map(|_| (random.one_of(&FIELDS).to_string(), value(random, 0)));
    // Most have what the routes need, so that what comes behind it is reached.
    let mut fields: serde_json::Map<String, Value> = fields.collect();
    for (name, value) in [("inputs", json!("a")), ("input", json!("a")), ("query", json!("a")), ("texts", json!(["a"]))]
    {
        if random.below(3) > 0 {
            fields.entry(name).or_insert(value);
        }
    }
    fields.into()
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth > 3 { 9 } else { 12 }) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.below(100)),
        3 => json!(-(random.below(1 << 40) as i64)),
        4 => json!(u64::MAX - random.below(5) as u64),
        5 => json!(1.5e300 * random.below(7) as f64),
        6 => json!(random.one_of(&["", "a", "tiny", "query", "Left", "base64", "float", "\u{0}\u{ffff}", "\u{202e}x"])),
        7 => {
            let words = random.below(400);
            json!(random.text(words))
        }
        8 => json!(vec![random.below(70_000); random.below(40)]),
        9 => (0..random.below(5)).map(|_| value(random, depth + 1)).collect(),
        10 => {
            let texts: Vec<String> = (0..random.below(6)).map(|_| random.text(3)).collect();
            json!(texts)
        }
        _ => {
            let fields = (0..random.below(4)).map(|_| (random.one_of(&FIELDS).to_string(), value(random, depth + 1)));
            Value::Object(fields.collect())
        }
    }
}
