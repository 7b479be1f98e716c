//! Keys and their rates, hosts, and cross-origin requests.

use crate::support::{Answer, Client, Server};

fn with_keys(text: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, text).unwrap();
    (folder, Server::with(|settings| settings.keys = Some(path)))
}

fn ask(server: &Server, path: &str, authorization: Option<&str>) -> Answer {
    let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("authorization", *value)).collect();
    let method = if path.starts_with("/health") || path.len() == 1 || path == "/info" { "GET" } else { "POST" };
    Client::new(server.address).send(method, path, &headers, br#"{"inputs": "a", "input": "a"}"#).unwrap()
}

#[test]
fn without_a_key_only_health_and_the_pages_are_served() {
    let (_folder, server) = with_keys("amina:first-key\njuma:second-key\n");
    for open in ["/health", "/health/live", "/health/ready", "/"] {
        assert_eq!(ask(&server, open, None).status, 200, "{open}");
    }
    for closed in ["/embed", "/info", "/tokenize", "/no-such-thing"] {
        for wrong in [None, Some("Bearer wrong"), Some("first-key"), Some("Bearer first-key2")] {
            let answer = ask(&server, closed, wrong);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            answer.error(401, "validation");
        }
    }
    let refused = ask(&server, "/v1/embeddings", None).json(401);
    assert_eq!(refused["error"]["code"], "invalid_api_key");
    for key in ["Bearer first-key", "Bearer second-key"] {
        assert_eq!(ask(&server, "/embed", Some(key)).status, 200);
        assert_eq!(ask(&server, "/v1/embeddings", Some(key)).status, 200);
    }
}

#[test]
fn a_key_that_exceeds_its_rate_is_refused_with_the_time_to_retry() {
    let (_folder, server) = with_keys("often:a\nseldom:b:2");
    let statuses: Vec<u16> = (0..6).map(|_| ask(&server, "/embed", Some("Bearer b")).status).collect();
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses[2..].contains(&429), "{statuses:?}");
    let refused = loop {
        let answer = ask(&server, "/v1/embeddings", Some("Bearer b"));
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json(429)["error"]["code"], "rate_limit_exceeded");
    assert!((0..20).all(|_| ask(&server, "/embed", Some("Bearer a")).status == 200));
}

#[test]
fn other_origins_may_send_requests_only_if_allowed() {
    let origin = [("origin", "https://example.org")];
    let closed = Server::new();
    let answer = Client::new(closed.address).send("POST", "/embed", &origin, br#"{"inputs": "a"}"#).unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    assert_eq!(Client::new(closed.address).send("OPTIONS", "/embed", &origin, b"").unwrap().status, 405);
    let open = Server::with(|settings| settings.cors = Some("https://example.org".into()));
    let answer = Client::new(open.address).send("OPTIONS", "/embed", &origin, b"").unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.org"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    // OpenAI's client has headers of its own.
    let asked =
        ("access-control-request-headers", "authorization,content-type,x-stainless-arch,x-stainless-retry-count");
    let preflight = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST"), asked];
        Client::new(open.address).send("OPTIONS", "/v1/embeddings", &headers, b"").unwrap()
    };
    assert_eq!(preflight("https://example.org").header("access-control-allow-headers"), Some(asked.1));
    let other = preflight("https://example.com");
    let allowed = ["origin", "headers", "methods"].map(|what| other.header(&format!("access-control-allow-{what}")));
    assert_eq!(allowed, [None, None, None]);
    let answer = Client::new(open.address).send("POST", "/embed", &origin, br#"{"inputs": "a"}"#).unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.org"));
}

#[test]
fn a_key_is_also_read_from_the_header_of_azure() {
    let (folder, server) = with_keys("amina:first-key\n");
    let ask = |key: &str| {
        let path = "/openai/deployments/any-name/embeddings?api-version=2024-10-21";
        let mut client = Client::new(server.address);
        client.send("POST", path, &[("api-key", key)], br#"{"input": "a", "model": "any-name"}"#).unwrap()
    };
    assert_eq!(ask("first-key").json(200)["model"], "tiny");
    assert_eq!(ask("wrong").json(401)["error"]["code"], "invalid_api_key");
    std::fs::write(folder.path().join("keys"), "juma:second-key\n").unwrap();
    server.until("the file is read again", |_| ask("second-key").status == 200);
    assert_eq!(ask("first-key").status, 401);
}

#[test]
fn a_local_server_answers_to_its_own_names() {
    let ask = |server: &Server, head: &str| {
        let mut client = Client::new(server.address);
        client.raw(format!("{head}\r\n\r\n").as_bytes()).unwrap();
        client.read("GET").unwrap()
    };
    let server = Server::new();
    for host in ["localhost:8080", "127.0.0.1", "[::1]:1"] {
        assert_eq!(ask(&server, &format!("GET /info HTTP/1.1\r\nhost: {host}")).status, 200, "{host}");
    }
    for head in [
        "GET /info HTTP/1.1\r\nhost: evil.example:8080",
        "GET http://evil.example/info HTTP/1.1\r\nhost: localhost",
        "GET /info HTTP/1.0\r\nhost: evil.example",
        "OPTIONS /embed HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example",
    ] {
        let message = ask(&server, head).error(403, "validation");
        assert!(message.contains("--allow-host evil.example"), "{message}");
    }
    assert_eq!(ask(&server, "GET /info HTTP/1.0").status, 200);
    let missing = ask(&server, "GET /info HTTP/1.1").error(400, "validation");
    assert!(missing.contains("no `Host`"), "{missing}");
    let twice = ask(&server, "GET /info HTTP/1.1\r\nhost: localhost\r\nhost: localhost").error(400, "validation");
    assert!(twice.contains("two `Host`"), "{twice}");
    let named = Server::with(|settings| settings.allow_hosts = vec!["maana.example".into()]);
    assert_eq!(ask(&named, "GET /info HTTP/1.1\r\nhost: Maana.Example:443").status, 200);
    ask(&named, "GET /info HTTP/1.1\r\nhost: evil.example").error(403, "validation");
    let (_folder, keyed) = with_keys("amina:key");
    assert_eq!(ask(&keyed, "GET /health HTTP/1.1\r\nhost: evil.example").status, 200, "its keys guard it");
}

#[test]
fn a_request_keeps_its_id_or_gets_one() {
    let server = Server::new();
    let named = Client::new(server.address).send("GET", "/health", &[("x-request-id", "mine-1")], b"").unwrap();
    assert_eq!(named.header("x-request-id"), Some("mine-1"));
    let (one, other) = (server.get("/health"), server.get("/health"));
    let (one, other) = (one.header("x-request-id").unwrap(), other.header("x-request-id").unwrap());
    assert!(!one.is_empty() && one != other, "{one} and {other}");
}
