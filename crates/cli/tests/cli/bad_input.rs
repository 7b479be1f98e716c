//! Bad input gives an error that names the cause, the place and the remedy; nothing panics, and no
//! file is lost.

use crate::support::{Bench, command, copy_folder, fail, golden, maana, succeed, text};
use std::path::Path;
use std::process::{Command, Stdio};

fn says(stderr: &str, parts: &[&str]) {
    println!("{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is missing in:\n{stderr}");
    }
    assert!(stderr.lines().any(|line| line.starts_with("error: ")), "{stderr}");
}

/// A copy of tiny-bert that a test may damage.
fn tiny_bert(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.path("broken");
    copy_folder(&golden("tiny-bert"), &folder);
    folder
}

fn info(folder: &Path) -> String {
    fail(maana().arg("info").arg(folder), 1)
}

#[test]
fn damaged_weights() {
    let bench = Bench::new();
    let model = tiny_bert(&bench);
    let path = model.join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();

    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    says(&info(&model), &["model.safetensors", "fetch it again"]);

    let mut hostile = whole.clone();
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&path, &hostile).unwrap();
    says(&info(&model), &["model.safetensors", "header"]);

    std::fs::write(&path, b"").unwrap();
    says(&info(&model), &["model.safetensors"]);

    std::fs::remove_file(&path).unwrap();
    says(&info(&model), &["model.safetensors"]);
}

/// Rewrites the header of the weights.
fn with_header(whole: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(&whole[8 + length..]);
    bytes
}

#[test]
fn hostile_and_missing_tensors() {
    let bench = Bench::new();
    let model = tiny_bert(&bench);
    let path = model.join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let name = "encoder.layer.1.output.dense.weight";

    let gone = with_header(&whole, |header| {
        let tensor = header.as_object_mut().unwrap().remove(name).unwrap();
        header["encoder.layer.1.output.dense.other"] = tensor;
    });
    std::fs::write(&path, gone).unwrap();
    says(&info(&model), &["model.safetensors", name]);

    let overlapping = with_header(&whole, |header| {
        let offsets = header["encoder.layer.0.output.dense.weight"]["data_offsets"].clone();
        header[name]["data_offsets"] = offsets;
    });
    std::fs::write(&path, overlapping).unwrap();
    says(&info(&model), &["model.safetensors"]);

    let reshaped = with_header(&whole, |header| {
        let shape: Vec<u64> = serde_json::from_value(header[name]["shape"].clone()).unwrap();
        header[name]["shape"] = serde_json::json!([shape[0] * 2, shape[1] / 2]);
    });
    std::fs::write(&path, reshaped).unwrap();
    says(&info(&model), &["model.safetensors", name, "shape"]);
}

#[test]
fn another_architecture_and_another_tokenizer() {
    let bench = Bench::new();
    let model = tiny_bert(&bench);
    let config = std::fs::read_to_string(model.join("config.json")).unwrap();
    std::fs::write(model.join("config.json"), config.replace("\"bert\"", "\"t5\"").replace("BertModel", "T5Model"))
        .unwrap();
    says(&info(&model), &["config.json", "t5", "bert", "xlm-roberta"]);

    let vocabulary = config.lines().find(|line| line.contains("\"vocab_size\"")).unwrap();
    std::fs::write(model.join("config.json"), config.replace(vocabulary, "  \"vocab_size\": 17")).unwrap();
    says(&info(&model), &["17"]);

    std::fs::write(model.join("config.json"), "{\"model_type\": ").unwrap();
    says(&info(&model), &["config.json"]);

    std::fs::write(model.join("config.json"), config).unwrap();
    std::fs::remove_file(model.join("tokenizer.json")).unwrap();
    says(&info(&model), &["tokenizer.json"]);
}

#[test]
fn recipes() {
    let bench = Bench::new();
    let set = |setting: &str| {
        let mut command = bench.train("run");
        let stderr = fail(command.args(["--set", setting, "--dry-run"]), 1);
        assert!(!bench.path("run").exists());
        stderr
    };
    says(&set("loss.matryoshka_dims=[128,64]"), &["128", "64"]);
    says(&set("loss.matryoshka_dims=[32,64]"), &["matryoshka_dims"]);
    says(&set("loss.n_dims_per_step=9"), &["[loss]", "`n_dims_per_step` is 9", "from 1 to 4"]);
    says(&set("model.max_seq_length=1"), &["[model]", "max_seq_length 1", "or more"]);
    says(&set("training.reproduce=3.0"), &["training.reproduce=3.0", "expected a string"]);
    says(&set("training.reproduce=\"6.3\""), &["6.3", "6.2", "3.0.1"]);
    says(&set("training.learning_rat=1"), &["learning_rat", "learning_rate"]);
    says(&set("training.keep_best=dim_64_ndcg"), &["dim_64_ndcg", "dim_64_cosine_ndcg@10"]);
    says(&set("data.columns=[\"positiv\",\"anchor\"]"), &["pairs.jsonl", "positiv", "positive"]);
    says(&set("data.train=[\"nowhere.jsonl\"]"), &["nowhere.jsonl"]);
    says(&set("evaluation.retrieval=[\"nowhere\"]"), &["nowhere: No such file"]);
    says(&set("model.base=\"nowhere/at-all\""), &["nowhere/at-all"]);
    says(&set("evaluation.dims=[99]"), &["99", "64"]);
    let missing = fail(maana().args(["train", "nowhere.toml"]), 1);
    says(&missing, &["nowhere.toml"]);
    bench.write("recipe.toml", "[model\nbase = 3");
    says(&set("training.epochs=1"), &["recipe.toml"]);
}

#[test]
fn texts() {
    let bench = Bench::new();
    let encode = |name: &str, bytes: &[u8]| {
        std::fs::write(bench.path(name), bytes).unwrap();
        let mut command = maana();
        command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path(name));
        let stderr = fail(command.arg("--output").arg(bench.path("out.npy")), 1);
        assert!(!bench.path("out.npy").exists(), "a partial file");
        stderr
    };
    says(&encode("bad.txt", b"one\ntw\xffo\n"), &["bad.txt", "line 2", "UTF-8"]);
    says(&encode("open.csv", b"text\n\"never closed\nmore\n"), &["open.csv", "line 2", "quote"]);
    says(&encode("half.jsonl", b"{\"text\": \"a\"}\n{\"text\": \n"), &["half.jsonl", "line 2"]);
    says(&encode("none.jsonl", b""), &["none.jsonl"]);
    says(&encode("not.parquet", b"PAR1 is not all"), &["not.parquet"]);
    let mut damaged = std::fs::read(golden("../crates/data/tests/tables/polars.parquet")).unwrap();
    damaged[613] ^= 0xff;
    says(&encode("damaged.parquet", &damaged), &["damaged.parquet: not a readable Parquet file"]);
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg("-").stdin(Stdio::null());
    says(&fail(command.arg("--output").arg(bench.path("out.npy")), 1), &["standard input", "no texts"]);
    let mut command = maana();
    let before = std::fs::read(bench.path("pairs.jsonl")).unwrap();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path("pairs.jsonl"));
    says(&fail(command.arg("--output").arg(bench.path("dev/../pairs.jsonl")), 1), &["is the input", "--output"]);
    assert!(std::fs::read(bench.path("pairs.jsonl")).unwrap() == before, "the input was overwritten");
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path("pairs.jsonl"));
    let stderr = fail(command.arg("--output").arg(bench.path("nowhere/out.npy")), 1);
    says(&stderr, &["nowhere: the folder does not exist", "create it, or give --output"]);
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path("pairs.jsonl"));
    let stderr = fail(command.args(["--column", "ancor", "--output"]).arg(bench.path("out.npy")), 1);
    says(&stderr, &["pairs.jsonl", "ancor", "anchor"]);

    for (rows, parts) in [
        ("{\"positive\": \"a\", \"anchor\": \" \"}\n", ["line 1", "anchor"]),
        ("{\"positive\": \"a\", \"anchor\": \"b\"}\n{\"positive\": 7, \"anchor\": \"b\"}\n", ["line 2", "positive"]),
    ] {
        bench.write("pairs.jsonl", rows);
        says(&fail(&mut bench.train("run"), 1), &[&["pairs.jsonl"], &parts[..]].concat());
    }
}

#[test]
fn a_line_of_a_megabyte_is_truncated_like_any_long_text() {
    let bench = Bench::new();
    bench.write("long.txt", &format!("short\n{}\n", "neno refu sana ".repeat(70_000)));
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path("long.txt"));
    succeed(command.arg("--output").arg(bench.path("long.jsonl")));
    assert_eq!(std::fs::read_to_string(bench.path("long.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn a_loss_of_nan_stops_the_run_and_names_the_batch() {
    let bench = Bench::new();
    let mut command = bench.train("run");
    let stderr = fail(command.args(["--set", "training.learning_rate=1e37"]), 1);
    says(&stderr, &["loss", "rows"]);
    assert!(!bench.path("run/model").exists());
}

#[test]
fn a_folder_with_other_files_is_not_changed() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("run")).unwrap();
    bench.write("run/diary.txt", "mine");
    says(&fail(&mut bench.train("run"), 1), &["run", "--out"]);
    assert_eq!(std::fs::read_to_string(bench.path("run/diary.txt")).unwrap(), "mine");

    succeed(bench.train("ours").args(["--set", "training.epochs=1"]));
    says(&fail(&mut bench.train("ours"), 1), &["ours", "--resume"]);
    says(&fail(bench.train("nothing").arg("--resume"), 1), &["nothing", "resume"]);

    bench.write("train.jsonl", "mine");
    let mut synthesize = maana();
    synthesize.args(["synthesize", "--pairs", "10", "--queries", "2", "--out"]).arg(bench.path(""));
    says(&fail(&mut synthesize, 1), &["train.jsonl", "--out"]);
    assert_eq!(std::fs::read_to_string(bench.path("train.jsonl")).unwrap(), "mine");

    let mut demo = maana();
    says(&fail(demo.args(["demo", "--out"]).arg(bench.path("run")), 1), &["run", "--out"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_partial_file_and_is_reported() {
    let bench = Bench::new();
    let words: String = (0..2000).map(|number| format!("neno {number}\n")).collect();
    bench.write("texts.txt", &words);
    for ending in ["npy", "jsonl", "parquet"] {
        let out = bench.path(&format!("out.{ending}"));
        // Files are limited to 100 blocks; with the signal ignored, writing more fails as on a full
        // disk.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_maana"), "encode"]);
        command.arg(golden("tiny-bert")).arg("--input").arg(bench.path("texts.txt")).arg("--output").arg(&out);
        says(&fail(&mut command, 1), &[&format!("out.{ending}: "), "remedy: free space"]);
        let left: Vec<_> = std::fs::read_dir(bench.folder.path()).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| !text(entry.file_name().as_encoded_bytes()).contains("out.")), "{left:?}");
    }
    // The weights of tiny-bert do not fit into 100 blocks either.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_maana"), "train"]);
    command.arg(bench.path("recipe.toml")).arg("--out").arg(bench.path("run"));
    says(&fail(&mut command, 1), &["run", "checkpoint", "remedy: free space"]);
    assert!(!bench.path("run/model").exists());
}

#[cfg(unix)]
#[test]
fn an_error_of_permission_names_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    std::fs::create_dir(bench.path("locked")).unwrap();
    std::fs::set_permissions(bench.path("locked"), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(bench.path("locked/probe"), "").is_ok() {
        println!("skipped: this user has write permission everywhere");
        return;
    }
    says(&fail(&mut bench.train("locked/run"), 1), &["locked/run", "ermission"]);
}

#[test]
fn the_command_line() {
    fail(maana().arg("teach"), 2);
    fail(maana().args(["encode", "x"]), 2);
    fail(maana().args(["similarity", "x", "one"]), 2);
    fail(maana().args(["--threads", "0", "info", "x"]), 2);
    fail(maana().args(["synthesize", "--pairs", "0", "--out", "x"]), 2);
    fail(maana().args(["synthesize", "--queries", "100000000", "--out", "x"]), 2);
    fail(maana().args(["encode", "x", "--input", "x.txt", "--output", "o.npy", "--batch-tokens", "0"]), 2);
    let model = golden("tiny-bert");
    let stderr = fail(maana().arg("similarity").arg(&model).args(["a", "b", "--dim", "65"]), 1);
    says(&stderr, &["65", "64"]);
    let stderr = fail(maana().arg("similarity").arg(&model).args(["a", "b", "--dim", "0"]), 1);
    says(&stderr, &["0", "64"]);
    let stderr =
        fail(maana().arg("encode").arg(&model).args(["--input", "x.txt", "--output", "o.npy", "--prompt", "query"]), 1);
    says(&stderr, &["x.txt"]);
    says(&fail(maana().arg("info").arg(model.join("config.json")), 1), &["config.json", "is a file", "folder"]);
    let bench = Bench::new();
    let mut command = maana();
    command.arg("evaluate").arg(&model).arg(bench.path("dev")).arg("--json").arg(bench.path("nowhere/scores.json"));
    says(&fail(&mut command, 1), &["nowhere", "--json"]);
    let mut command = maana();
    command.arg("encode").arg(&model).arg("--input").arg(bench.path("dev/queries.jsonl"));
    let stderr = fail(command.arg("--output").arg(bench.path("out.docx")), 1);
    says(&stderr, &["out.docx", ".npy", ".jsonl", ".parquet"]);
    let mut command = maana();
    command.arg("encode").arg(&model).arg("--input").arg(bench.path("dev/queries.jsonl"));
    let stderr = fail(command.args(["--prompt", "nobody", "--output"]).arg(bench.path("out.npy")), 1);
    says(&stderr, &["nobody", "prompt"]);
}

/// An output that is an input is refused before any work, also under another spelling and through
/// symbolic and hard links.
#[cfg(unix)]
#[test]
fn an_output_that_is_an_input_is_refused() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let copied = bench.path("model");
    std::fs::create_dir(&copied).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(golden("tiny-bert").join(name), copied.join(name)).unwrap();
    }
    let pairs = "{\"anchor\": \"bei ya mahindi\", \"positive\": \"bei imepanda\", \"label\": \"soko\"}\n";
    bench.write("p.jsonl", pairs);
    bench.write("corpus.jsonl", pairs);
    std::fs::hard_link(bench.path("p.jsonl"), bench.path("hard.jsonl")).unwrap();
    std::os::unix::fs::symlink("p.jsonl", bench.path("soft.jsonl")).unwrap();
    std::fs::create_dir(bench.path("head")).unwrap();
    bench.write("head/classifier.json", pairs);
    let cases: &[(&[&str], &str)] = &[
        (&["encode", &model, "--input", "p.jsonl", "--output", "hard.jsonl"], "hard.jsonl"),
        (&["encode", &model, "--input", "p.jsonl", "--output", "./dev/../soft.jsonl"], "soft.jsonl"),
        (&["dedupe", "p.jsonl", "--model", &model, "--groups", "p.jsonl"], "p.jsonl"),
        (&["dedupe", "p.jsonl", "--model", &model, "--groups", "x", "--output", "x"], "x"),
        (&["mine", "p.jsonl", "corpus.jsonl", "--model", &model, "--output", "corpus.jsonl"], "corpus.jsonl"),
        (&["hard-negatives", "p.jsonl", "--model", &model, "--output", "p.jsonl"], "p.jsonl"),
        (
            &["hard-negatives", "p.jsonl", "--model", &model, "--corpus", "corpus.jsonl", "--output", "corpus.jsonl"],
            "corpus.jsonl",
        ),
        (&["similarity", &model, "--pairs", "p.jsonl", "--output", "hard.jsonl"], "hard.jsonl"),
        (&["cluster", "p.jsonl", "--model", &model, "-k", "2", "--html", "p.jsonl"], "p.jsonl"),
        (&["classify", "predict", "p.jsonl", "--classifier", "head", "--output", "p.jsonl"], "p.jsonl"),
        (
            &["classify", "evaluate", "p.jsonl", "--classifier", "head", "--picture", "head/classifier.json"],
            "classifier.json",
        ),
        (&["classify", "fit", "head/classifier.json", "--model", &model, "--out", "head"], "classifier.json"),
        (&["evaluate", "model", "dev", "--json", "model/config.json"], "config.json"),
        (&["evaluate", &model, "dev", "--json", "dev/qrels.tsv"], "qrels.tsv"),
        (
            &["evaluate", &model, "p.jsonl", "--kind", "loss", "--recipe", "recipe.toml", "--json", "recipe.toml"],
            "recipe.toml",
        ),
        (&["evaluate", &model, "t.test.tsv", "--json", "t.train.tsv"], "t.train.tsv"),
    ];
    let before = |name: &str| std::fs::read(bench.path(name)).unwrap();
    bench.write("t.train.tsv", "bei ya mahindi\tsoko\nmtoto\twatu\n");
    bench.write("t.test.tsv", "bei imepanda\tsoko\nwatoto\twatu\n");
    let kept = [
        "p.jsonl",
        "corpus.jsonl",
        "head/classifier.json",
        "model/config.json",
        "dev/qrels.tsv",
        "recipe.toml",
        "t.train.tsv",
    ];
    let whole = kept.map(before);
    for (words, name) in cases {
        let error = fail(command(words).current_dir(bench.folder.path()), 1);
        let said = error.contains("which would be overwritten") || error.contains("name the same file");
        assert!(said && error.contains(name), "{words:?}: {error}");
        assert_eq!(kept.map(before), whole, "{words:?}");
    }
    let error = fail(
        command(&["mine", "p.jsonl", "--model", &model, "--output", "missing/x"]).current_dir(bench.folder.path()),
        1,
    );
    assert!(error.contains("missing: the folder does not exist") && error.contains("--output"), "{error}");
}
