//! Runs the program, and writes small recipes for the tiny model of the golden files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn golden(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies a folder with the folders in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Returns the program with default reactions to signals. Tests in the background (`nohup`, `&` of
/// a shell) would pass on ignored signals, which the program leaves ignored.
#[cfg(target_os = "linux")]
fn program() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_maana")]);
    command
}

#[cfg(not(target_os = "linux"))]
fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_maana"))
}

/// Returns the program without variables of the environment that concern models; `MAANA_ISA` is
/// passed on.
pub(crate) fn maana() -> Command {
    let mut command = program();
    for name in ["HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN"] {
        command.env_remove(name);
    }
    command.env("HF_HUB_OFFLINE", "1");
    command
}

/// Six documents: three pairs of near duplicates.
pub(crate) const CORPUS: &str = r#"{"_id": "a", "title": "Soko", "text": "bei ya mahindi imepanda", "lang": "sw"}
{"_id": "b", "title": "", "text": "mtoto anacheza mpira", "lang": "sw"}
{"_id": "c", "title": "", "text": "the old king lived in the house", "lang": "en"}
{"_id": "d", "title": "Soko", "text": "bei ya mahindi imepanda sana", "lang": "sw"}
{"_id": "e", "title": "", "text": "watoto wanacheza mpira", "lang": "sw"}
{"_id": "f", "title": "", "text": "an old king lived in a house", "lang": "en"}
"#;

/// Returns the program with these arguments.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = maana();
    command.args(words);
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program prints UTF-8")
}

/// Runs a command that must succeed, and returns its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// Runs a command that must fail with this exit code and without a panic, and returns its standard
/// error.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(code), "{command:?}\n{}\n{stderr}", text(&stdout));
    assert!(!stderr.contains("panicked"), "{command:?} panicked:\n{stderr}");
    stderr
}

/// A folder with a recipe for tiny-bert, the rows of the golden run, and its retrieval set.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("st301/run.json")).unwrap()).unwrap();
        let lines = |rows: Vec<serde_json::Value>| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let bench = Self { folder };
        bench.write("pairs.jsonl", &lines(run["rows"].as_array().unwrap().clone()));
        let texts = |kind: &str| {
            let texts = run["retrieval"][kind].as_object().unwrap().iter();
            lines(texts.map(|(id, text)| serde_json::json!({"_id": id, "text": text})).collect())
        };
        std::fs::create_dir(bench.path("dev")).unwrap();
        bench.write("dev/queries.jsonl", &texts("queries"));
        bench.write("dev/corpus.jsonl", &texts("corpus"));
        let mut qrels = "query-id\tcorpus-id\tscore\n".to_string();
        for (query, documents) in run["retrieval"]["relevant"].as_object().unwrap() {
            for document in documents.as_array().unwrap() {
                qrels += &format!("{query}\t{}\t1\n", document.as_str().unwrap());
            }
        }
        bench.write("dev/qrels.tsv", &qrels);
        bench.write("recipe.toml", &RECIPE.replace("BASE", golden("tiny-bert").to_str().unwrap()));
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Returns `maana train` with this recipe and the output folder `out`.
    pub(crate) fn train(&self, out: &str) -> Command {
        let mut command = maana();
        command.arg("train").arg(self.path("recipe.toml")).arg("--out").arg(self.path(out)).args(["--threads", "2"]);
        command
    }
}

/// Settings of the golden run of version 3.0.1.
const RECIPE: &str = r#"
[model]
base = "BASE"
max_seq_length = 128
[data]
train = ["pairs.jsonl"]
columns = ["positive", "anchor"]
[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [64, 32, 16, 8]
[training]
epochs = 3
batch_size = 8
gradient_accumulation_steps = 4
learning_rate = 5e-4
schedule = "cosine"
warmup_ratio = 0.1
batch_sampler = "no_duplicates"
evaluate = "epoch"
save_total_limit = 3
keep_best = "eval_dim_16_cosine_ndcg@10"
log_every = 2
reproduce = "3.0.1"
[evaluation]
retrieval = ["dev"]
"#;
