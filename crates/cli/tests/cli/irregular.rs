//! A named pipe in place of any file that is read: the command ends with an error instead of
//! waiting for a writer.

use crate::support::{Bench, CORPUS, command, copy_folder, golden, maana, succeed, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command that has to end by itself; returns whether it succeeded, and standard error.
fn ends(command: &mut Command) -> (bool, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} waits");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked") && output.status.code().is_some(), "{command:?}: {}\n{stderr}", output.status);
    (output.status.success(), stderr)
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(self::files(&path)),
            path => files.push(path),
        }
    }
    files.sort();
    files
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Puts a pipe in place of each file of a folder, one after the other, and runs the command.
/// `ignorable` are files without which the command may succeed; all others have to be named.
fn with_pipes(folder: &Path, ignorable: &[&str], mut run: impl FnMut() -> Command) {
    for path in files(folder) {
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        make_pipe(&path);
        let (succeeded, stderr) = ends(&mut run());
        let name = path.file_name().unwrap().to_str().unwrap();
        let named = stderr.contains(name) && stderr.contains("is a pipe, a device or a socket, not a file");
        assert!(if succeeded { ignorable.contains(&name) } else { named }, "{}: {succeeded}\n{stderr}", path.display());
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn pipes_in_place_of_a_models_files() {
    let bench = Bench::new();
    bench.write("texts.txt", "habari\n");
    let model = bench.path("model");
    copy_folder(&golden("tiny-bert"), &model);
    let ignorable = ["README.md", "vocab.txt", "special_tokens_map.json", "tokenizer_config.json"];
    with_pipes(&model, &ignorable, || {
        let mut encode = maana();
        encode.arg("encode").arg(&model).arg("--input").arg(bench.path("texts.txt"));
        encode.arg("--output").arg(bench.path("out.npy"));
        encode
    });
}

#[test]
fn pipes_in_place_of_a_stores_files() {
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    bench.write("more.jsonl", "{\"_id\": \"g\", \"text\": \"maji ya mto\"}\n");
    let path = |name: &str| bench.path(name).display().to_string();
    let (model, store) = (golden("tiny-bert").display().to_string(), path("store"));
    succeed(&mut command(&["index", &model, &path("corpus.jsonl"), "--out", &store]));
    succeed(&mut command(&["delete", &store, "b"]));
    succeed(&mut command(&["compact", &store, "--graph", "always"]));
    succeed(&mut command(&["delete", &store, "c"]));
    let folder = bench.path("store");
    let more = path("more.jsonl");
    // A reader needs no lock.
    with_pipes(&folder, &["lock"], || command(&["search", &store, "soko"]));
    with_pipes(&folder, &["lock"], || command(&["index-verify", &store]));
    with_pipes(&folder, &["graph"], || command(&["add", &store, &more]));
    // Temporary names of a writer that was stopped.
    for name in ["manifest.new", "graph.new"] {
        make_pipe(&folder.join(name));
        let (succeeded, stderr) = ends(&mut command(&["compact", &store, "--graph", "always"]));
        assert!(succeeded || stderr.contains("is a pipe"), "{name}: {stderr}");
        std::fs::remove_file(folder.join(name)).unwrap();
    }
}

#[test]
fn pipes_in_place_of_a_runs_files() {
    let bench = Bench::new();
    let train = || {
        let mut train = bench.train("run");
        train.args(["--set", "training.max_steps=2", "--set", "training.save_every=1"]);
        train
    };
    succeed(&mut train());
    let run = bench.path("run");
    let checkpoint = files(&run).into_iter().find(|path| path.ends_with("trainer_state.json")).unwrap();
    let checkpoint = checkpoint.parent().unwrap();
    for path in files(checkpoint).into_iter().chain(["record.jsonl", "lock"].map(|name| run.join(name))) {
        let aside = bench.path("aside");
        let is_there = path.exists();
        if is_there {
            std::fs::rename(&path, &aside).unwrap();
        }
        make_pipe(&path);
        ends(train().arg("--resume"));
        std::fs::remove_file(&path).unwrap();
        if is_there {
            std::fs::rename(&aside, &path).unwrap();
        }
    }
}

#[test]
fn pipes_in_place_of_other_inputs() {
    let bench = Bench::new();
    let pipe = bench.path("pipe.jsonl");
    make_pipe(&pipe);
    bench.write("texts.txt", "habari\n");
    let [pipe, texts, out] = [pipe, bench.path("texts.txt"), bench.path("out.npy")].map(|it| it.display().to_string());
    let model = golden("tiny-bert").display().to_string();
    for arguments in [
        &["train", &pipe][..],
        &["train", &pipe, "--dry-run"],
        &["classify", "predict", &texts, "--classifier", &pipe],
        &["serve", &model, "--port", "0", "--keys", &pipe],
        &["serve", &model, "--port", "0", "--tls-cert", &pipe, "--tls-key", &texts],
        &["serve", &model, "--port", "0", "--head", &pipe],
        &["encode", &model, "--input", &pipe, "--output", &out],
    ] {
        let (succeeded, stderr) = ends(&mut command(arguments));
        assert!(!succeeded, "{arguments:?}");
        assert!(stderr.contains("is a pipe, a device or a socket"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn pipes_in_place_of_the_hubs_cache() {
    let bench = Bench::new();
    let cache = bench.path("cache");
    let folder = cache.join("models--owner--name");
    copy_folder(&golden("tiny-bert"), &folder.join("snapshots/0123456789012345678901234567890123456789"));
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), "0123456789012345678901234567890123456789").unwrap();
    let info = || {
        let mut info = maana();
        info.args(["info", "owner/name"]).env("HF_HUB_CACHE", &cache);
        info
    };
    succeed(&mut info());
    for path in files(&folder) {
        let aside = bench.path("aside");
        std::fs::rename(&path, &aside).unwrap();
        make_pipe(&path);
        ends(&mut info());
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
}
