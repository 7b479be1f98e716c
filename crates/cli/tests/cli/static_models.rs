//! Static models: from scratch, from an encoder, and in every command that embeds.

use crate::support::{Bench, command, fail, golden, succeed};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// The static recipe of the reference on the rows of the golden run, in small.
const RECIPE: &str = r#"
[model]
kind = "static"
base = "BASE"
dimension = 32
[data]
train = ["pairs.jsonl"]
columns = ["positive", "anchor"]
[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [32, 16, 8]
[training]
epochs = 3
batch_size = 32
learning_rate = 2e-1
warmup_ratio = 0.1
batch_sampler = "no_duplicates"
evaluate = "epoch"
save_every = 2
[evaluation]
retrieval = ["dev"]
"#;

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("recipe.toml", &RECIPE.replace("BASE", golden("tiny-bert").to_str().unwrap()));
    bench
}

#[test]
fn a_table_from_scratch_trains_to_the_same_bits_for_any_number_of_threads_and_kills() {
    let bench = bench();
    let start = Instant::now();
    let shown = succeed(&mut bench.train("whole"));
    assert!(!shown.contains("maana blend"), "a new table has no base to blend with: {shown}");
    let took = start.elapsed();
    let card = std::fs::read_to_string(bench.path("whole/model/README.md")).unwrap();
    assert!(card.contains("StaticEmbedding") && card.contains("MatryoshkaLoss"), "{card}");
    assert!(card.contains("It was trained with Maana on") && !card.contains("Base model"), "{card}");
    let made = succeed(command(&["train", "--from-card"]).arg(bench.path("whole/model/README.md")));
    assert!(made.contains("kind = \"static\"") && made.contains("dimension = 32"), "{made}");
    assert!(card.contains("- **Maximum sequence length:** no limit\n- **Output"), "{card}");
    assert!(!card.contains("truncated;") && !card.contains("2147483647"), "{card}");
    let report = std::fs::read_to_string(bench.path("whole/report.html")).unwrap();
    assert!(report.contains("no limit") && !report.contains("2,147,483,647"), "{report}");
    let recipe = bench.path("recipe.toml").display().to_string();
    let one = bench.path("one").display().to_string();
    succeed(&mut command(&["train", &recipe, "--out", &one, "--threads", "1"]));
    assert!(weights(&bench.path("whole/model")) == weights(&bench.path("one/model")));
    succeed(bench.train("lazy").args(["--set", "training.lazy_embeddings=true"]));
    assert!(weights(&bench.path("whole/model")) != weights(&bench.path("lazy/model")));
    // Killed in the middle and resumed.
    for _ in 0..3 {
        let mut command = bench.train("killed");
        command.args(bench.path("killed").exists().then_some("--resume"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(took / 3);
        let _ = child.kill();
        child.wait().unwrap();
    }
    succeed(bench.train("killed").args(bench.path("killed").exists().then_some("--resume")));
    assert!(weights(&bench.path("whole/model")) == weights(&bench.path("killed/model")));
    // A trained table is a base.
    let base = bench.path("whole/model");
    let recipe = RECIPE.replace("BASE", base.to_str().unwrap()).replace("kind = \"static\"", "");
    bench.write("recipe.toml", &recipe.replace("dimension = 32", "").replace("2e-1", "1e-2"));
    succeed(&mut bench.train("more"));
}

#[test]
fn settings_of_static_models_are_checked() {
    let bench = bench();
    for (from, to, expected) in [
        ("dimension = 32", "", "dimension is missing"),
        ("kind = \"static\"", "", "dimension belongs to a static model"),
        ("dimension = 32", "dimension = 0", "0 columns"),
        ("dimension = 32", "dimension = 32\nnum_labels = 2", "num_labels belongs to a cross-encoder"),
        ("dimension = 32", "dimension = 32\n[model.lora]\nrank = 2", "no linear layers"),
    ] {
        let recipe = RECIPE.replace("BASE", golden("tiny-bert").to_str().unwrap()).replace(from, to);
        bench.write("recipe.toml", &recipe);
        let error = fail(bench.train("wrong").arg("--dry-run"), 1);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_distilled_model_works_in_every_command_that_embeds() {
    let bench = bench();
    let base = golden("tiny-bert");
    let [base, pairs] = [base.to_str().unwrap(), &bench.path("pairs.jsonl").display().to_string()];
    let out = |name: &str| bench.path(name).display().to_string();
    let distil = |name: &str, further: &[&str]| {
        let words = ["distill-static", base, "--texts", pairs, "--column", "anchor", "--dimension", "16", "--out"];
        succeed(command(&words).arg(out(name)).args(further));
        weights(&bench.path(name))
    };
    let plain = distil("plain", &[]);
    assert!(plain == distil("threads", &["--threads", "1"]), "the same bits for any number of threads");
    let trained = distil("trained", &["--epochs", "5"]);
    assert!(trained == distil("again", &["--epochs", "5", "--threads", "1"]) && trained != plain);
    assert!(distil("small", &["--vocabulary", "texts"]).len() < plain.len());
    let card = std::fs::read_to_string(bench.path("trained/README.md")).unwrap();
    assert!(card.contains("static-embeddings") && card.contains("5 epochs"), "{card}");

    let model = out("trained");
    let shown = succeed(&mut command(&["info", &model]));
    assert!(shown.contains("static") && shown.contains("StaticEmbedding → Normalize"), "{shown}");
    assert!(shown.contains("max_seq_length           no limit"), "{shown}");
    let inspected = succeed(&mut command(&["inspect", pairs, "--model", &model]));
    assert!(inspected.contains("in tokens: ") && !inspected.contains("longer than"), "{inspected}");
    succeed(&mut command(&["similarity", &model, "the king", "the house"]));
    let embeddings = out("embeddings.npy");
    let encode = ["encode", &model, "--input", pairs, "--column", "anchor", "--output", &embeddings, "--dim", "8"];
    succeed(&mut command(&encode));
    let scores = succeed(&mut command(&["evaluate", &model, &out("dev")]));
    assert!(scores.to_lowercase().contains("ndcg"), "{scores}");
    let store = out("store");
    succeed(&mut command(&["index", &model, pairs, "--text", "positive", "--out", &store]));
    let hits = succeed(&mut command(&["search", &store, "the house of the king"]));
    assert!(!hits.is_empty());
    for (option, value, expected) in [
        ("--dimension", "0", "expected 1 or more"),
        ("--sif", "-1", "expected 0 (equal weights), or a number above 0 and below 1"),
        ("--sif", "nan", "expected 0 (equal weights)"),
        ("--learning-rate", "0", "expected a number above 0"),
    ] {
        let wrong = ["distill-static", base, "--texts", pairs, "--out", &out("x"), option, value];
        let error = fail(&mut command(&wrong), 2);
        assert!(error.contains(&format!("'{value}' for '{option}")) && error.contains(expected), "{error}");
    }
    let error = fail(&mut command(&["distill-static", &model, "--texts", pairs, "--out", &model]), 1);
    assert!(error.contains("this is the encoder"), "{error}");
    // Before anything is computed.
    for (place, expected) in [("plain", "a model is there already"), ("dev", "is not a model folder")] {
        let error = fail(&mut command(&["distill-static", base, "--texts", "none.txt", "--out", &out(place)]), 1);
        assert!(error.contains(expected), "{error}");
    }
}
