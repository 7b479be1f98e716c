//! Runs that are killed or stopped and continue to bit-identical results.

use crate::prompts::model_with_prompts;
use crate::support::{Bench, fail, golden, maana, succeed, text};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Returns a run that is long enough to be killed: 20 epochs with an evaluation, and therefore a
/// checkpoint, after every two updates.
fn long_run(bench: &Bench, out: &str) -> Command {
    let mut command = bench.train(out);
    for setting in ["training.epochs=20", "training.evaluate=2", "training.gradient_accumulation_steps=2"] {
        command.args(["--set", setting]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn weights(bench: &Bench, out: &str) -> Vec<u8> {
    std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap()
}

#[test]
fn killed_ten_times_at_random_moments_a_run_ends_with_the_same_bits() {
    killed_ten_times(&[], "model.safetensors");
}

#[test]
fn killed_ten_times_a_run_of_adapters_in_mini_batches_ends_with_the_same_bits() {
    let settings = [
        "model.lora.rank=2",
        "model.lora.dropout=0.2",
        "training.mini_batch_size=5",
        "training.gradient_checkpointing=true",
    ];
    killed_ten_times(&settings, "adapter_model.safetensors");
}

#[test]
fn killed_ten_times_a_run_over_layers_in_mini_batches_ends_with_the_same_bits() {
    let settings =
        ["loss.adaptive_layers={n_layers_per_step=1}", "loss.n_dims_per_step=2", "training.mini_batch_size=5"];
    killed_ten_times(&settings, "model.safetensors");
}

#[test]
fn killed_ten_times_a_run_with_a_classifier_ends_with_the_same_bits() {
    let bench = Bench::new();
    let rows = std::fs::read_to_string(bench.path("pairs.jsonl")).unwrap();
    let labelled = rows.lines().enumerate().map(|(number, row)| {
        let mut row: serde_json::Value = serde_json::from_str(row).unwrap();
        row["label"] = (number * number % 3).into();
        format!("{row}\n")
    });
    bench.write("pairs.jsonl", &labelled.collect::<String>());
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let recipe = recipe.replace("name = \"multiple_negatives_ranking\"\nmatryoshka_dims = [64, 32, 16, 8]", "LOSS");
    let recipe = recipe.replace("LOSS", "name = \"softmax\"\nnum_labels = 3");
    bench.write("recipe.toml", &recipe.replace("\"anchor\"]", "\"anchor\", \"label\"]"));
    let settings =
        ["training.ema_decay=0.9", "training.keep_best=\"loss\"", "evaluation.split=20", "evaluation.loss=true"];
    survives_ten_kills(&bench, &settings, "model.safetensors");
}

#[test]
fn killed_ten_times_a_run_with_a_guide_ends_with_the_same_bits() {
    let guide = format!("loss.guide={}", golden("tiny-bert").display());
    killed_ten_times(&["loss.name=gist_embed", &guide], "model.safetensors");
}

/// Two data sets with prompts and losses of their own, batches of 512 rows in mini-batches, early
/// stopping and a blend.
const TWO_SETS: &str = r#"
[model]
base = "BASE"
[data]
prompts = "model"
[[data.sets]]
name = "pairs"
train = ["many.jsonl"]
negatives = { count = 1 }
[[data.sets]]
name = "scored"
train = ["scored.jsonl"]
weight = 0.1
prompts = {}
loss = { name = "cosent" }
[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [64, 16]
[training]
batch_size = 512
mini_batch_size = 64
learning_rate = 1e-3
warmup_steps = 2
batch_sampler = "no_duplicates"
keep_best = ["pairs_loss", "scored_loss"]
early_stopping_patience = 4
early_stopping_threshold = 100.0
save_every = 1
log_every = 1
[evaluation]
split = 8
loss = true
retrieval = ["dev"]
[blend]
alphas = [0.5, 1.0]
guard = ["dev"]
tolerance = 1.0
"#;

#[test]
fn killed_ten_times_a_run_with_two_sets_early_stopping_and_a_blend_ends_with_the_same_bits() {
    let bench = Bench::new();
    let words = ["maji", "moto", "nyumba", "mto", "mlima", "barabara", "jua", "soko", "shule", "shamba", "house"];
    let word = |number: usize| words[number * number % 121 % 11];
    let pair = |row: usize| {
        let text = |kind: usize| format!("{} {} {} {row}", word(row), word(row / 11 + kind), word(row / 7 + 3 * kind));
        let negatives: Vec<String> = (0..1 + row % 3).map(|number| text(5 + number)).collect();
        serde_json::json!({"anchor": text(1), "positive": text(2), "negatives": negatives}).to_string() + "\n"
    };
    bench.write("many.jsonl", &(0..600).map(pair).collect::<String>());
    let scored = |row: usize| {
        let (first, second) = (format!("{} {row} a", word(row)), format!("{} {row} b", word(row + row % 3)));
        serde_json::json!({"sentence1": first, "sentence2": second, "score": f64::from(row.is_multiple_of(3))})
            .to_string()
            + "\n"
    };
    bench.write("scored.jsonl", &(0..300).map(scored).collect::<String>());
    bench.write("recipe.toml", &TWO_SETS.replace("BASE", &model_with_prompts(&bench)));
    survives_ten_kills(&bench, &[], "model.safetensors");

    let rows = std::fs::read_to_string(bench.path("killed/record.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["step"]), (&"evaluation".into(), &10.into()), "stopped at the fifth evaluation");
    assert!(rows.contains("\"set_losses\":[[\"pairs\","), "{rows}");
    let card = std::fs::read_to_string(bench.path("killed/model/README.md")).unwrap();
    for part in
        ["#### pairs\n", "#### scored\n", "CachedMultipleNegativesRankingLoss", "CoSENTLoss", "<code>negative_1</code>"]
    {
        assert!(card.contains(part), "{part}: {card}");
    }
}

/// Kills a run with these settings ten times, and compares `weights` with those of a whole run.
fn killed_ten_times(settings: &[&str], weights: &str) {
    survives_ten_kills(&Bench::new(), settings, weights);
}

pub(crate) fn survives_ten_kills(bench: &Bench, settings: &[&str], weights: &str) {
    let long_run = |bench: &Bench, out: &str| {
        let mut command = long_run(bench, out);
        settings.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        command
    };
    let weights = |out: &str| std::fs::read(bench.path(out).join("model").join(weights)).unwrap();
    let start = Instant::now();
    succeed(&mut long_run(bench, "whole"));
    let whole = start.elapsed();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut killed = 0;
    for attempt in 0..10 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut command = long_run(bench, "killed");
        if bench.path("killed").exists() {
            command.arg("--resume");
        }
        let mut child = command.spawn().unwrap();
        // Within the first fifth of the time of a whole run, which includes loading the model and
        // the evaluation before training.
        std::thread::sleep(whole.mul_f64((random >> 40) as f64 / f64::from(1 << 24) * 0.2));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        println!("attempt {attempt}: killed after {:?}", start.elapsed());
    }
    assert!(killed >= 5, "only {killed} runs were still running when they were killed");
    let mut last = long_run(bench, "killed");
    if bench.path("killed").exists() {
        last.arg("--resume");
    }
    succeed(&mut last);
    assert!(weights("killed") == weights("whole"), "other bits after {killed} kills");
    let record = |out: &str| {
        let record = std::fs::read_to_string(bench.path(out).join("record.jsonl")).unwrap();
        let rows = record.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let strip = |mut row: serde_json::Value| {
            row.as_object_mut().unwrap().retain(|key, _| !["seconds", "tokens_per_second"].contains(&key.as_str()));
            row
        };
        rows.map(strip).collect::<Vec<_>>()
    };
    assert_eq!(record("killed"), record("whole"), "the records differ in more than times");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_checkpoint_and_prints_how_to_continue() {
    let bench = Bench::new();
    succeed(&mut long_run(&bench, "whole"));
    let mut command = long_run(&bench, "stopped");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !bench.path("stopped/record.jsonl").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "the run does not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "a command after `&&` needs a finished model\n{stdout}\n{stderr}");
    assert!(stderr.contains("stopping: writing a checkpoint"), "{stderr}");
    let resume = stdout.lines().find_map(|line| line.strip_prefix("continue with: maana "));
    let resume = resume.unwrap_or_else(|| panic!("{stdout}"));
    assert!(!bench.path("stopped/model").exists(), "the run is not finished");
    // The printed command contains the settings, without which the run would be a different one.
    let mut again = Command::new("sh");
    succeed(again.args(["-c", &format!("exec \"$0\" {resume}"), env!("CARGO_BIN_EXE_maana")]));
    assert!(weights(&bench, "stopped") == weights(&bench, "whole"));
}

/// Starts `maana encode` with lines from a pipe and the output `e.npy` in a folder.
#[cfg(unix)]
fn encode_a_pipe(folder: &std::path::Path) -> std::process::Child {
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).args(["--input", "-", "--output", "e.npy", "--threads", "1"]);
    let mut child = command.current_dir(folder).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // After the first line the output file exists, and the program waits for more lines.
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"habari\n").unwrap();
    child
}

#[cfg(unix)]
fn wait_for(failure: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{failure}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_command_immediately_and_leaves_no_temporary_file() {
    use std::os::unix::process::ExitStatusExt;
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = encode_a_pipe(folder.path());
        wait_for("encoding does not start", || !names(folder.path()).is_empty());
        // `wait` would close the input, and the end of the input finishes the output.
        let _input = child.stdin.take();
        let sent = Instant::now();
        signal(&child, name);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "ended as by the signal itself: {status}");
        assert!(sent.elapsed() < Duration::from_secs(2), "{name}: {:?}", sent.elapsed());
        assert_eq!(names(folder.path()), [""; 0], "{name}");
    }
}

#[cfg(unix)]
#[test]
fn leftovers_of_a_killed_command_are_removed_by_its_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = encode_a_pipe(folder.path());
    wait_for("encoding does not start", || !names(folder.path()).is_empty());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(names(folder.path()), [format!(".e.npy.{}.incomplete", killed.id())]);
    let mut living = encode_a_pipe(folder.path());
    let kept = format!(".e.npy.{}.incomplete", living.id());
    wait_for("the leftover stays", || names(folder.path()) == [kept.clone()]);
    let mut last = encode_a_pipe(folder.path());
    std::io::Write::write_all(&mut last.stdin.take().unwrap(), b"habari\n").unwrap();
    assert!(last.wait().unwrap().success());
    let mut found = names(folder.path());
    found.sort();
    assert_eq!(found, [kept, "e.npy".into()], "the file of a running process must be kept");
    drop(living.stdin.take());
    living.wait().unwrap();
    assert_eq!(names(folder.path()), ["e.npy"]);
}

#[cfg(unix)]
#[test]
fn an_ignored_signal_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' HUP; exec \"$0\" encode \"$1\" --input - --output e.npy",
        env!("CARGO_BIN_EXE_maana"),
    ]);
    let mut child = command.arg(golden("tiny-bert")).current_dir(folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"habari\n").unwrap();
    wait_for("encoding does not start", || !names(folder.path()).is_empty());
    signal(&child, "HUP");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"habari\n").unwrap();
    assert!(child.wait().unwrap().success(), "as under nohup");
    assert_eq!(names(folder.path()), ["e.npy"]);
}

/// With a file size limit of 0, writes fail as on a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file_unchanged_and_nothing_else() {
    let bench = Bench::new();
    let (model, dev) = (golden("tiny-bert").display().to_string(), bench.path("dev").display().to_string());
    bench.write("texts.txt", "habari\nya\nasubuhi\n");
    let texts = bench.path("texts.txt").display().to_string();
    let out = tempfile::tempdir().unwrap();
    for (words, file) in [
        (vec!["evaluate", &model, &dev, "--json", "out.json"], "out.json"),
        (vec!["encode", &model, "--input", &texts, "--output", "out.npy"], "out.npy"),
        (vec!["encode", &model, "--input", &texts, "--output", "out.parquet"], "out.parquet"),
        (vec!["cluster", &texts, "--model", &model, "-k", "2", "--output", "out.jsonl"], "out.jsonl"),
        (vec!["mine", &texts, "--model", &model, "--output", "out.tsv"], "out.tsv"),
    ] {
        std::fs::write(out.path().join(file), "old").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_maana")]);
        let error = fail(command.args(&words).current_dir(out.path()).env("HF_HUB_OFFLINE", "1"), 1);
        assert!(error.contains(file) && error.contains("existing files are unchanged"), "{words:?}: {error}");
        assert_eq!(std::fs::read_to_string(out.path().join(file)).unwrap(), "old", "{words:?}");
        assert_eq!(names(out.path()), [file], "{words:?}");
        std::fs::remove_file(out.path().join(file)).unwrap();
    }
}

#[test]
fn an_interrupted_demo_is_resumed_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |out: &str| {
        let mut command = maana();
        command
            .args(["demo", "--out", out])
            .current_dir(folder.path())
            .env("HF_HUB_CACHE", folder.path().join("cache"));
        fail(&mut command, 1)
    };
    for _ in 0..2 {
        // Its files were written; the model is not available offline.
        let error = demo("out");
        assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
        std::fs::write(folder.path().join("out/.demo.toml.4194300.incomplete"), "left").unwrap();
    }
    std::fs::create_dir(folder.path().join("own")).unwrap();
    std::fs::write(folder.path().join("own/letter.txt"), "dear").unwrap();
    assert!(demo("own").contains("exists already"));
    assert_eq!(names(&folder.path().join("own")), ["letter.txt"]);
}
