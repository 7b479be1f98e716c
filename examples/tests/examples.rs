//! Runs every example as a user does, from the root of the repository, and checks its output.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const EXAMPLES: [&str; 6] = ["compare", "search", "evaluate", "finetune", "own_loss", "embed_in_server"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Builds the examples, with the features of the whole workspace, as tests have them, and returns
/// their folder.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let build = ["build", "--quiet", "--offline", "--workspace", "--examples"];
        let built = Command::new(env!("CARGO")).args(build).current_dir(root()).status().unwrap();
        assert!(built.success());
        let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        profile.join("examples")
    })
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(folder().join(name));
    command.args(arguments).current_dir(root()).env("HF_HUB_OFFLINE", "1");
    command
}

fn run(name: &str, arguments: &[&str]) -> Vec<String> {
    let output = command(name, arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

fn number(line: &str, before: &str) -> f64 {
    let rest = line.split_once(before).unwrap_or_else(|| panic!("{line}")).1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn compare_prints_similarities() {
    let lines = run("compare", &[]);
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(lines[0], "3 embeddings of 64 dimensions");
    assert!(lines[1].starts_with(" 1.000 "), "{lines:?}");
    assert!(lines[4].ends_with("first two texts at 32 dimensions"), "{lines:?}");
}

#[test]
fn search_finds_documents() {
    let lines = run("search", &[]);
    assert_eq!((lines[0].as_str(), lines.len()), ("1767 documents indexed", 9), "{lines:?}");
    let hits = lines.iter().filter(|line| line.starts_with("  0."));
    assert_eq!(hits.count(), 6, "{lines:?}");
}

#[test]
fn evaluate_prints_a_table() {
    let lines = run("evaluate", &[]);
    assert_eq!(lines[0], "retrieval: 300 queries, 1767 documents");
    assert!(lines.iter().any(|line| line.starts_with("cosine_ndcg@10")), "{lines:?}");
    let best = number(lines.last().unwrap(), "best cosine_ndcg@10: ");
    assert!((0.01..1.0).contains(&best), "{best}");
}

/// The scores of a model this small say nothing about the method; the test checks that it was
/// trained.
#[test]
fn finetune_measures_and_saves_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let lines = run("finetune", &["golden/tiny-bert", model.to_str().unwrap()]);
    assert!(lines.contains(&"16 updates".to_owned()), "{lines:?}");
    for step in [0, 8, 16] {
        let line = lines.iter().find(|line| line.starts_with(&format!("step {step}: "))).unwrap();
        assert!((0.01..1.0).contains(&number(line, "nDCG@10 ")), "{lines:?}");
    }
    assert!(model.join("model.safetensors").exists());
    let [trained, base] = [model.to_str().unwrap(), "golden/tiny-bert"].map(|model| run("compare", &[model]));
    assert_eq!(trained[0], base[0]);
    assert_ne!(trained, base);
}

#[test]
fn own_loss_falls() {
    let lines = run("own_loss", &[]);
    let [first, last] = [lines.first(), lines.last()].map(|line| number(line.unwrap(), "loss "));
    assert!(last < first, "{lines:?}");
}

#[test]
fn embed_in_server_answers() {
    let mut server = command("embed_in_server", &["golden/tiny-bert", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let get = |target: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answers =
        ["/similarity?a=Bei%20ya+mahindi&b=Bei%20ya+mahindi", "/similarity?a=x", "/"].map(get).map(|answer| {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.lines().next().unwrap().to_owned(), body.to_owned())
        });
    server.kill().unwrap();
    server.wait().unwrap();
    let similarity = number(&answers[0].1.replace('}', ""), "{\"similarity\": ");
    assert!(answers[0].0.ends_with("200 OK") && (similarity - 1.0).abs() < 1e-5, "{answers:?}");
    assert!(answers[1].0.ends_with("400 Bad Request") && answers[2].0.ends_with("404 Not Found"), "{answers:?}");
}

#[test]
fn every_example_is_short_and_named_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for name in EXAMPLES {
        let code = std::fs::read_to_string(root().join(format!("examples/{name}.rs"))).unwrap();
        assert!(code.lines().count() <= 80, "{name} has {} lines", code.lines().count());
        assert!(readme.contains(&format!("--example {name}")), "README.md does not name {name}");
    }
}
