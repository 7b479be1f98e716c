//! `maana serve` as a process: it announces when it is ready, stops gracefully on signals, and can
//! be restarted after it was killed.

use crate::support::{copy_folder, fail, golden, maana, succeed};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server process and its address.
pub(crate) struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let model = golden("tiny-bert").display().to_string();
        Self::of(&[&[model.as_str()], arguments].concat())
    }

    /// Starts a server with these arguments, the first of which is the model.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        let mut command = maana();
        command.arg("serve").args(["--log", "off", "--threads", "2"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://").map(str::to_owned) else {
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            panic!("the server does not listen: {line}{stderr}");
        };
        Self { child, address }
    }

    /// Returns the answer to a request with this number of texts.
    fn embed(&self, texts: usize) -> std::io::Result<String> {
        embed(&self.address, texts)
    }

    /// Sends a request and returns the answer as JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn kill(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn embed(address: &str, texts: usize) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = format!("{{\"inputs\": {:?}}}", vec!["the house"; texts]);
    let head = format!(
        "POST /embed HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let answer = answer.strip_prefix("HTTP/1.1 200 OK").unwrap_or_else(|| panic!("{answer}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Ok(if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_owned() })
}

/// Joins the chunks of a body.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body += &rest[..size];
        chunks = &rest[size + 2..];
    }
    body
}

/// Returns the embedding that `maana encode` writes for the text.
fn encoded() -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let [texts, output] = ["texts.txt", "out.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&texts, "the house\n").unwrap();
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(&texts).arg("--output").arg(&output);
    succeed(&mut command);
    let line: serde_json::Value = serde_json::from_str(std::fs::read_to_string(&output).unwrap().trim()).unwrap();
    serde_json::from_value(line["embedding"].clone()).unwrap()
}

/// Returns the bits of the scores that `maana score` writes for the pairs.
fn scored(model: &Path, pairs: &[(&str, &str)], flags: &[&str]) -> Vec<u32> {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["pairs.jsonl", "scores.jsonl"].map(|name| folder.path().join(name));
    let line = |(a, b): &(&str, &str)| format!("{}\n", serde_json::json!({"a": a, "b": b}));
    std::fs::write(&input, pairs.iter().map(line).collect::<String>()).unwrap();
    succeed(maana().arg("score").arg(model).arg(&input).arg("--output").arg(&output).args(flags));
    let lines = std::fs::read_to_string(&output).unwrap();
    let score = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["score"].clone();
    lines.lines().map(|line| serde_json::from_value::<f32>(score(line)).unwrap().to_bits()).collect()
}

#[test]
fn answers_are_those_of_encode_and_pending_requests_are_answered_before_it_stops() {
    let mut served = Served::start(&["--port", "0"]);
    let rows: Vec<Vec<f32>> = serde_json::from_str(&served.embed(2).unwrap()).unwrap();
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!([bits(&rows[0]), bits(&rows[1])], [bits(&encoded()), bits(&encoded())]);
    let address = served.address.clone();
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || embed(&address, 500).map(|answer| answer.len()))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    served.kill("-TERM");
    for request in requests {
        assert!(request.join().unwrap().unwrap() > 500 * 64, "an answer is lost");
    }
    let status = served.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn rerankers_are_served_next_to_a_model_or_without_one() {
    let (model, cross) = (golden("tiny-bert"), golden("cross/bert"));
    let (model, reranker) = (model.to_str().unwrap(), format!("rank={}", cross.display()));
    let body = r#"{"query": "habari ya mto", "documents": ["leo", "mto ni mkubwa"], "raw_scores": true}"#;
    let both = Served::of(&[model, "--port", "0", "--reranker", &reranker]);
    let only = Served::of(&["--port", "0", "--reranker", &reranker]);
    let answers = [&both, &only].map(|served| served.ask("POST", "/v1/rerank", body));
    assert_eq!(answers[0], answers[1]);
    for (flags, raw) in [(&[][..], false), (&["--logits"][..], true)] {
        let body = serde_json::json!({"inputs": [["habari ya mto", "leo"], ["habari", ""]], "raw_scores": raw});
        let answer = only.ask("POST", "/predict", &body.to_string());
        let number = |value: &serde_json::Value| serde_json::from_value::<f32>(value.clone()).unwrap().to_bits();
        let served: Vec<u32> = answer.as_array().unwrap().iter().map(|labels| number(&labels[0]["score"])).collect();
        assert_eq!(served, scored(&cross, &[("habari ya mto", "leo"), ("habari", "")], flags));
    }
    assert_eq!((&answers[0]["model"], answers[0]["results"].as_array().unwrap().len()), (&"rank".into(), 2));
    assert_eq!(only.ask("GET", "/info", "")["default_model"], serde_json::Value::Null);
    assert_eq!(both.ask("GET", "/info", "")["rerankers"], serde_json::json!(["rank"]));

    let refused =
        |code: i32, arguments: &[&str]| fail(maana().arg("serve").args(["--port", "0"]).args(arguments), code);
    assert!(refused(2, &[]).contains("MODEL"));
    assert!(refused(2, &["--reranker", &reranker, "--model", model]).contains("MODEL"));
    let message = refused(1, &["--reranker", &reranker, "--index", "store"]);
    assert!(message.contains("--index needs a model of embeddings"), "{message}");
    let message = refused(1, &[model, "--reranker", &format!("rank={model}")]);
    assert!(message.contains("`rank`") && message.contains("embed"), "{message}");
    let message = refused(1, &[cross.to_str().unwrap()]);
    assert!(message.contains("pairs"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn pending_requests_are_answered_when_its_terminal_closes() {
    let mut served = Served::start(&["--port", "0"]);
    let address = served.address.clone();
    let request = std::thread::spawn(move || embed(&address, 500).map(|answer| answer.len()));
    std::thread::sleep(Duration::from_millis(300));
    served.kill("-HUP");
    assert!(request.join().unwrap().unwrap() > 500 * 64, "an answer is lost");
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

/// Runs the server as a user whose processes are limited, which root's are not.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_the_system_refuses_are_an_error_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (program, model) = (folder.path().join("maana"), folder.path().join("model"));
    std::fs::copy(env!("CARGO_BIN_EXE_maana"), &program).unwrap();
    copy_folder(&golden("tiny-bert"), &model);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let serve = |limit: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=61234", "--regid=61234", "--clear-groups", "prlimit", &format!("--nproc={limit}")]);
        command.arg(&program).arg("serve").arg(&model).args(["--threads", "1", "--port", "0", "--drain", "0"]);
        command.env("HOME", folder.path()).current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let Ok(mut allowed) = serve("1000").spawn() else {
        eprintln!("skipped: there is no setpriv here");
        return;
    };
    let mut line = String::new();
    BufReader::new(allowed.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ = allowed.kill();
    let _ = allowed.wait();
    if !line.starts_with("listening on") {
        eprintln!("skipped: another user cannot run the program here");
        return;
    }
    for limit in ["1", "2", "4", "6"] {
        let output = serve(limit).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "limit {limit}: {error}");
        assert!(error.contains("refuses a thread") && error.contains("ulimit -u"), "limit {limit}: {error}");
        assert!(!error.contains("panicked"), "limit {limit}: {error}");
    }
}

#[test]
fn a_second_ctrl_c_ends_it_immediately() {
    let mut served = Served::start(&["--port", "0"]);
    // An incomplete request keeps the server from stopping.
    let mut half = TcpStream::connect(&served.address).unwrap();
    half.write_all(b"POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    served.kill("-INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(served.child.try_wait().unwrap().is_none(), "the first signal waits");
    let sent = Instant::now();
    served.kill("-INT");
    assert_eq!(served.child.wait().unwrap().code(), Some(130));
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
}

#[test]
fn a_model_is_named_after_its_card_its_run_or_the_given_name() {
    let runs = tempfile::tempdir().unwrap();
    let model = |run: &str, card: Option<&str>| {
        let folder = runs.path().join(run).join("model");
        copy_folder(&golden("tiny-bert"), &folder);
        if let Some(card) = card {
            std::fs::write(folder.join("README.md"), card).unwrap();
        }
        folder.display().to_string()
    };
    let titled = "---\nlicense: mit\n---\n# tiny, fine-tuned\n";
    let on_hub = "# Tiny\nmodel = SentenceTransformer(\"maana/tiny\")\n";
    let (plain, first) = (model("plain", None), model("first", Some(titled)));
    let (second, hub) = (model("second", Some(titled)), model("hub", Some(on_hub)));
    let names = |arguments: &[&str]| {
        let info = Served::of(&[arguments, &["--port", "0"]].concat()).ask("GET", "/info", "");
        info["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[&plain, "--model", &first]), ["plain", "tiny, fine-tuned"]);
    let named = format!("mine={second}");
    assert_eq!(names(&[&first, "--model", &second, "--model", &hub]), ["first", "second", "maana/tiny"]);
    assert_eq!(names(&[&named, "--model", &first]), ["mine", "tiny, fine-tuned"]);
    let twice = ["serve", &named, "--model", &named.clone(), "--port", "0"];
    let error = fail(maana().args(twice), 1);
    assert!(error.contains("two models are called `mine`") && error.contains("NAME="), "{error}");
}

#[test]
fn it_restarts_on_the_same_port_after_it_was_killed() {
    let first = Served::start(&["--port", "0"]);
    let (address, answer) = (first.address.clone(), first.embed(1).unwrap());
    first.kill("-KILL");
    drop(first);
    let port = address.rsplit(':').next().unwrap();
    let second = Served::start(&["--port", port]);
    assert_eq!((second.address.as_str(), second.embed(1).unwrap()), (address.as_str(), answer));
}

#[test]
fn it_is_ready_within_seconds() {
    let start = Instant::now();
    let served = Served::start(&["--port", "0"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    served.embed(1).unwrap();
}

#[test]
fn invalid_arguments_are_named() {
    let model = golden("tiny-bert");
    let serve = |arguments: &[&str]| {
        let mut command = maana();
        command.arg("serve").arg(&model).args(["--port", "0"]).args(arguments);
        command
    };
    for (arguments, code, expected) in [
        (&["--dims", "0"][..], 2, "numbers above 0"),
        (&["--dims", "64,100"], 1, "--dims 100"),
        (&["--model", "second="], 1, "NAME=MODEL"),
        (&["--model", "=second"], 1, "NAME=MODEL"),
        (&["--cors", "https://a.example/"], 1, "has no path"),
        (&["--index", "postgres://nobody@127.0.0.1:1/none"], 1, "127.0.0.1:1"),
        (&["--model", "second=/no/such/folder"], 1, "no/such/folder"),
        (&["--keys", "/no/such/keys"], 1, "/no/such/keys"),
        (&["--index", "/no/such/store"], 1, "/no/such/store"),
        (&["--head", "/no/such/head"], 1, "/no/such/head"),
        (&["--tls-cert", "x"], 2, "--tls-key"),
        (&["--host", "999.1.1.1"], 1, "--host"),
        (&["--max-inputs", "0"], 2, "--max-inputs"),
    ] {
        let error = fail(&mut serve(arguments), code);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
