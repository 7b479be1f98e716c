//! `maana blend` and `[blend]`: blends of models, the choice among them at the end of a run, and
//! refusals.

use crate::support::{Bench, command, copy_folder, fail, golden, succeed, text};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn weights(model: &Path) -> Vec<u8> {
    std::fs::read(model.join("model.safetensors")).unwrap()
}

/// Trains tiny-bert for three epochs; checkpoints of all of them are kept.
fn trained() -> (Bench, String) {
    let bench = Bench::new();
    succeed(&mut bench.train("run"));
    (bench, golden("tiny-bert").display().to_string())
}

fn blend(words: &[&str], out: &Path) -> Command {
    let mut blend = command(&["blend"]);
    blend.args(words).arg("--out").arg(out);
    blend
}

#[test]
fn blends_lie_between_their_models_and_say_how_they_were_made() {
    let (bench, base) = trained();
    let tuned = bench.path("run/model").display().to_string();
    let out = |name: &str| bench.path(name);
    succeed(&mut blend(&[&base, &tuned, "--weights", "0,1"], &out("tuned")));
    assert!(weights(&out("tuned")) == weights(Path::new(&tuned)), "a weight of 1 keeps the bits");
    let threads = |count: &str, name: &str| {
        succeed(blend(&[&base, &tuned, "--weights", "0.3,0.7"], &out(name)).args(["--threads", count]));
        weights(&out(name))
    };
    assert!(threads("1", "one") == threads("2", "two"));
    assert!(weights(&out("one")) != weights(&out("tuned")));
    let card = std::fs::read_to_string(out("one/README.md")).unwrap();
    assert!(card.contains("| <code>tiny-bert</code> | 0.3 |") && card.contains("| 0.7 |"), "{card}");
    assert!(!card.contains(&base) && !card.contains(&tuned), "no path: {card}");
    for method in ["slerp", "ties"] {
        succeed(&mut blend(&[&base, &tuned, "--method", method], &out(method)));
        succeed(command(&["evaluate"]).arg(out(method)).arg(bench.path("dev")));
    }
    // The mean of a run's last checkpoints is that of their folders.
    let checkpoints: Vec<PathBuf> = {
        let entries = std::fs::read_dir(bench.path("run")).unwrap().map(|entry| entry.unwrap().path());
        let step =
            |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok() };
        let mut found: Vec<PathBuf> = entries.filter(|path| step(path).is_some()).collect();
        found.sort_by_key(step);
        found
    };
    let run = bench.path("run").display().to_string();
    succeed(&mut blend(&["--checkpoints", &run, "--last", "2"], &out("last")));
    let last: Vec<String> = checkpoints[1..].iter().map(|path| path.display().to_string()).collect();
    succeed(&mut blend(&[&last[0], &last[1]], &out("mean")));
    assert!(weights(&out("last")) == weights(&out("mean")));
    let error = fail(&mut blend(&["--checkpoints", &run, "--last", "9"], &out("more")), 1);
    assert!(error.contains("has 3 checkpoints") && error.contains("ask for fewer"), "{error}");
}

#[test]
fn models_that_do_not_fit_together_are_refused_by_name() {
    let bench = Bench::new();
    let base = golden("tiny-bert");
    let changed = |name: &str, file: &str, change: &dyn Fn(String) -> String| {
        let folder = bench.path(name);
        std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
        for file in [
            "config.json",
            "model.safetensors",
            "modules.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "config_sentence_transformers.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
        ] {
            if base.join(file).exists() {
                std::fs::copy(base.join(file), folder.join(file)).unwrap();
            }
        }
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|_| "{}".into());
        std::fs::write(folder.join(file), change(text)).unwrap();
        folder.display().to_string()
    };
    let json = |change: &'static dyn Fn(&mut serde_json::Value)| {
        move |text: String| {
            let mut json = serde_json::from_str(&text).unwrap();
            change(&mut json);
            serde_json::to_string(&json).unwrap()
        }
    };
    let pooling = json(&|json| json["pooling_mode"] = "mean".into());
    let prompts = json(&|json| json["prompts"] = serde_json::json!({"query": "query: "}));
    let epsilon = json(&|json| json["layer_norm_eps"] = 1e-6.into());
    let tokenizer = json(&|json| json["normalizer"]["lowercase"] = false.into());
    let base = base.display().to_string();
    let out = bench.path("out");
    for (other, expected) in [
        (changed("pooling", "1_Pooling/config.json", &pooling), "their pooling modules differ: cls and mean"),
        (changed("prompts", "config_sentence_transformers.json", &prompts), "their prompts differ: "),
        (changed("epsilon", "config.json", &epsilon), "their configurations differ: layer_norm_eps 1e-12 and 1e-6"),
        (changed("tokenizer", "tokenizer.json", &tokenizer), "their tokenizers differ"),
    ] {
        let error = fail(&mut blend(&[&base, &other, "--weights", "0.5,0.5"], &out), 1);
        assert!(
            error.contains(expected) && error.contains(&other) && error.contains("trained from one base"),
            "{error}"
        );
        assert!(!out.exists());
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    let (base, out) = (golden("tiny-bert").display().to_string(), bench.path("out"));
    for (words, expected) in [
        (vec![&base[..]], "two models or more"),
        (vec![&base, &base, "--weights", "0.3"], "1 weights are given; linear needs 2"),
        (vec![&base, &base, "--weights", "0.3,0.8"], "sum to 1.1"),
        (vec![&base, &base, "--weights=-0.5,1.5"], "the weight -0.5"),
        (vec![&base, &base, "--weights", "-0.3,1.3"], "the weight -0.3 is not 0 or more"),
        (vec![&base, &base, "--last", "3"], "--last belongs to --checkpoints; omit it, or name a run"),
        (vec![&base, &base, "--weights", "nan,1"], "the weight NaN"),
        (vec![&base, &base, "--density", "0.5"], "--density has an effect only with --method ties"),
        (vec![&base, &base, "--method", "ties", "--density", "1.5"], "density 1.5"),
        (vec![&base, "no/such-model"], "no/such-model"),
    ] {
        let error = fail(&mut blend(&words, &out), 1);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let error = fail(&mut blend(&[&base, &base], Path::new(&base)), 1);
    assert!(error.contains("would be overwritten"), "{error}");
    let error = fail(&mut blend(&[&base, &base], &bench.path("dev")), 1);
    assert!(error.contains("is not a model folder"), "{error}");
    fail(&mut blend(&["--checkpoints", "x", "--last", "1"], &out), 2);
}

/// Returns a bench whose recipe has this table `[blend]` and labelled texts as another domain.
fn blending(table: &str) -> Bench {
    let bench = Bench::new();
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    bench.write("recipe.toml", &format!("{recipe}\n[blend]\n{table}\n"));
    std::fs::create_dir(bench.path("other")).unwrap();
    let rows = |from: usize| -> String {
        let row = |row: usize| format!("neno {} la mada {}\tmada{}\n", row * 7 % 31, row % 3, row % 3);
        (from..from + 24).map(row).collect()
    };
    bench.write("other/mada.train.tsv", &rows(0));
    bench.write("other/mada.test.tsv", &rows(100));
    bench
}

const BLEND: &str = "alphas = [0.3, 0.7, 1.0]\nguard = [\"dev\", \"other\"]\ntolerance = 0.5";

fn record(bench: &Bench, run: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(bench.path(run).join("evaluation/blend.json")).unwrap()).unwrap()
}

/// Returns the primary metric of scores.
fn primary(scores: &serde_json::Value) -> f64 {
    let values = scores["values"].as_array().unwrap();
    values.iter().find(|value| value[0] == scores["primary"]).unwrap()[1].as_f64().unwrap()
}

#[test]
fn a_run_measures_its_blends_and_saves_the_best_whose_guards_hold() {
    let bench = blending(BLEND);
    let shown = succeed(&mut bench.train("run"));
    let verdict = shown.lines().find(|line| line.starts_with("verdict ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(verdict.contains("dim_16_cosine_ndcg@10") && verdict.contains("both guards hold"), "{verdict}");
    assert!(!shown.contains("maana blend"), "a run with [blend] needs no advice: {shown}");
    let record = record(&bench, "run");
    let points = record["points"].as_array().unwrap();
    let alphas: Vec<f64> = points.iter().map(|point| point["alpha"].as_f64().unwrap()).collect();
    assert_eq!(alphas, [0.0, 0.3, 0.7, 1.0]);
    let value = |point: &serde_json::Value| {
        let scores = point["dev"].as_array().unwrap();
        let scores = scores.iter().find(|scores| scores["dimension"] == 16).unwrap();
        let values = scores["values"].as_array().unwrap();
        values.iter().find(|value| value[0] == "cosine_ndcg@10").unwrap()[1].as_f64().unwrap()
    };
    let best =
        points[1..].iter().max_by(|a, b| value(a).total_cmp(&value(b)).then(std::cmp::Ordering::Greater)).unwrap();
    let alpha = best["alpha"].as_f64().unwrap();
    assert!(verdict.contains(&format!("at α = {alpha};")), "{verdict}: {alpha}");
    let after = std::fs::read(bench.path("run/evaluation/after.scores.json")).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&after).unwrap(), best["dev"]);
    // The saved model is what `maana blend` makes of the base and the best checkpoint.
    let card = std::fs::read_to_string(bench.path("run/model/README.md")).unwrap();
    assert!(card.contains("### Blend with the Base Model") && card.contains(&format!("with α = {alpha}.")), "{card}");
    assert!(bench.path("run/model/blend.svg").exists() && bench.path("run/blend.svg").exists());
    let report = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(report.contains("Blend with the base model") && report.contains("mada_accuracy"), "{report}");
    let plan = succeed(bench.train("plan").arg("--dry-run"));
    assert!(plan.contains("α = 0.3, 0.7, 1; guards: dev, mada"), "{plan}");
}

#[test]
fn a_share_of_one_saves_the_trained_model_and_zero_the_base() {
    let bench = blending("alphas = [1.0]");
    succeed(&mut bench.train("blended"));
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    bench.write("recipe.toml", recipe.split("[blend]").next().unwrap());
    let plain = succeed(&mut bench.train("plain"));
    assert!(weights(&bench.path("blended/model")) == weights(&bench.path("plain/model")));
    let base = golden("tiny-bert").display().to_string();
    let advice =
        plain.lines().find(|line| line.starts_with("blend   maana blend ")).unwrap_or_else(|| panic!("{plain}"));
    assert!(advice.contains(&base) && advice.contains("--weights 0.3,0.7"), "{advice}");
    // The printed command works.
    let words = advice.strip_prefix("blend   maana ").unwrap();
    succeed(Command::new("sh").args(["-c", &format!("exec \"$0\" {words}"), env!("CARGO_BIN_EXE_maana")]));
    let (expected, quarter) = (bench.path("expected"), bench.path("quarter"));
    let tuned = bench.path("plain/model").display().to_string();
    succeed(&mut blend(&[&base, &tuned, "--weights", "0.3,0.7"], &expected));
    assert!(weights(&bench.path("plain/blend")) == weights(&expected));
    // In binary, 0.75 and 1 − 0.75 are exact.
    succeed(&mut blend(&[&base, &tuned, "--weights", "0.25,0.75"], &quarter));
    bench.write("recipe.toml", &recipe.replace("alphas = [1.0]", "alphas = [0.75]"));
    succeed(&mut bench.train("part"));
    assert!(weights(&bench.path("part/model")) == weights(&quarter), "a run blends as the command does");
    bench.write("recipe.toml", &recipe.replace("alphas = [1.0]", "alphas = [0.0]"));
    succeed(&mut bench.train("none"));
    succeed(&mut blend(&[&base, &tuned, "--weights", "1,0"], &bench.path("base")));
    assert!(weights(&bench.path("none/model")) == weights(&bench.path("base")));
}

#[test]
fn a_run_whose_base_disappears_is_complete_without_measured_blends() {
    let bench = Bench::new();
    let base = bench.path("base");
    std::fs::create_dir_all(base.join("1_Pooling")).unwrap();
    for folder in ["", "1_Pooling"] {
        let entries = std::fs::read_dir(golden("tiny-bert").join(folder)).unwrap().flatten();
        for file in entries.filter(|entry| entry.path().is_file()) {
            std::fs::copy(file.path(), base.join(folder).join(file.file_name())).unwrap();
        }
    }
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let recipe = recipe.replace(golden("tiny-bert").to_str().unwrap(), base.to_str().unwrap());
    // The time of the run is long enough for advice.
    let recipe = recipe.replace("epochs = 3", "epochs = 20").replace("evaluate = \"epoch\"", "evaluate = \"never\"");
    bench.write("recipe.toml", &recipe.replace("keep_best = \"eval_dim_16_cosine_ndcg@10\"", ""));
    let mut train = bench.train("run");
    let mut child = train.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let begun = stderr.find(|line| line.starts_with("training  "));
    std::fs::remove_file(base.join("model.safetensors")).unwrap();
    let said: String = stderr.map(|line| line + "\n").collect();
    let output = child.wait_with_output().unwrap();
    assert!(begun.is_some() && output.status.success(), "{said}");
    assert!(said.contains("note: blends with the base could not be measured: "), "{said}");
    let shown = text(&output.stdout);
    assert!(shown.contains("blend   maana blend ") && bench.path("run/model/README.md").exists(), "{shown}");
}

#[test]
fn adapters_are_blended_by_what_they_add() {
    let bench = blending("alphas = [0.5]");
    let run = |out: &str, merge: &str| {
        let merge = format!("model.lora.merge={merge}");
        succeed(bench.train(out).args(["--set", "model.lora.rank=2", "--set", &merge]));
        succeed(command(&["evaluate"]).arg(bench.path(out).join("model")).arg(bench.path("dev")))
    };
    // The whole model and the adapters on their base are one model.
    assert_eq!(run("whole", "true"), run("adapters", "false"));
    assert!(bench.path("adapters/model/adapter_model.safetensors").exists());
    let blended = record(&bench, "adapters");
    assert_eq!(blended["points"].as_array().unwrap().len(), 2);
    assert_ne!(blended["points"][0]["dev"], blended["points"][1]["dev"]);
}

#[test]
fn killed_ten_times_a_run_with_blends_ends_with_the_same_bits() {
    let bench = blending("guard = [\"other\"]\nalphas = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]");
    let start = Instant::now();
    succeed(&mut bench.train("whole"));
    let whole = start.elapsed();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let (mut killed, mut blending) = (0, 0);
    for _ in 0..10 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut command = bench.train("killed");
        command.args(bench.path("killed").exists().then_some("--resume"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Up to a third of the whole time: some runs end while they train, others while they blend.
        std::thread::sleep(
            whole.mul_f64((random >> 40) as f64 / f64::from(1 << 24) / 3.0).max(Duration::from_millis(5)),
        );
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let path = bench.path("killed/evaluation/blend.json");
        blending += u32::from(path.exists() && record(&bench, "killed")["points"].as_array().unwrap().len() > 1);
    }
    println!("killed {killed} times, with measured blends after {blending}");
    succeed(bench.train("killed").args(bench.path("killed").exists().then_some("--resume")));
    assert!(weights(&bench.path("killed/model")) == weights(&bench.path("whole/model")), "{killed} kills");
    assert_eq!(record(&bench, "killed"), record(&bench, "whole"));
    // Each point is read, not measured again.
    let once = std::fs::read(bench.path("killed/evaluation/blend.json")).unwrap();
    succeed(bench.train("killed").arg("--resume"));
    assert_eq!(std::fs::read(bench.path("killed/evaluation/blend.json")).unwrap(), once);
    assert!(weights(&bench.path("killed/model")) == weights(&bench.path("whole/model")));
}

#[test]
fn blends_of_other_settings_are_refused_by_name() {
    let bench = blending(BLEND);
    succeed(&mut bench.train("run"));
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    for (old, new, expected) in [
        ("[0.3, 0.7, 1.0]", "[0.5]", "`[blend] alphas` was [0.3,0.7,1.0] and is now [0.5]"),
        ("tolerance = 0.5", "tolerance = 0", "`[blend] tolerance` was 0.5 and is now 0.0"),
        ("\"dev\", \"other\"", "\"other\"", "`[blend] guard` was [\"dev\",\"other\"]"),
        (
            "retrieval = [\"dev\"]",
            "retrieval = [\"dev\"]\ndims = [64, 16]",
            "`[evaluation] dims` was null and is now [64,16]",
        ),
    ] {
        assert!(recipe.contains(old), "{old}");
        bench.write("recipe.toml", &recipe.replace(old, new));
        let error = fail(bench.train("run").arg("--resume"), 1);
        assert!(error.contains(expected) && error.contains("evaluation/blend.json"), "{expected}: {error}");
    }
    // As the message says: without the file, other blends are measured without a new training.
    std::fs::remove_file(bench.path("run/evaluation/blend.json")).unwrap();
    bench.write("recipe.toml", &recipe.replace("[0.3, 0.7, 1.0]", "[0.5]"));
    let shown = succeed(bench.train("run").arg("--resume"));
    assert!(shown.contains("at α = 0.5;"), "{shown}");
}

#[test]
fn faults_of_a_blend_are_reported_before_training() {
    let bench = blending(BLEND);
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let line = recipe.lines().position(|line| line.starts_with("alphas")).unwrap() + 1;
    for (old, new, expected) in [
        (
            "\"other\"",
            "\"nowhere\"",
            "`nowhere` is neither a set of [evaluation] (dev) nor a file or folder".to_string(),
        ),
        ("[0.3, 0.7, 1.0]", "[0.3, 1.5]", format!("line {line}, column 10: [blend] alphas has 1.5")),
        ("[0.3, 0.7, 1.0]", "[0.7, 0.3]", "for example [0.3, 0.7]".into()),
        ("tolerance = 0.5", "tolerance = -1", "[blend] tolerance is -1".into()),
        ("tolerance", "tolerence", "did you mean `tolerance`?".into()),
        ("\"dev\", \"other\"", "\"other\", \"other/mada.test.tsv\"", "`mada` is the name of two sets".into()),
    ] {
        assert!(recipe.contains(old), "{old}");
        bench.write("recipe.toml", &recipe.replace(old, new));
        let error = fail(&mut bench.train("run"), 1);
        assert!(error.contains(&expected), "{expected}: {error}");
        assert!(!bench.path("run").exists(), "{expected}");
    }
    let without = recipe.replace("evaluate = \"epoch\"", "").replace("keep_best = \"eval_dim_16_cosine_ndcg@10\"", "");
    bench.write("recipe.toml", &without.replace("retrieval = [\"dev\"]", ""));
    let error = fail(&mut bench.train("run"), 1);
    assert!(error.contains("[blend] needs a set to choose by"), "{error}");
    // An empty set is an error too.
    bench.write("recipe.toml", &recipe);
    bench.write("other/mada.test.tsv", "");
    let output = bench.train("run").output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("mada.test.tsv"), "{}", text(&output.stderr));
}

#[test]
fn smaller_shares_are_searched_if_none_of_the_recipe_keeps_the_guards() {
    let bench = blending("alphas = [0.5, 1.0]\nguard = [\"against\"]");
    // The relevant documents of other queries: training moves them away.
    copy_folder(&bench.path("dev"), &bench.path("against"));
    let qrels = std::fs::read_to_string(bench.path("dev/qrels.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = qrels.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let turned = rows.iter().enumerate().map(|(row, cells)| {
        let other = rows[(row + rows.len() / 2) % rows.len()][1];
        format!("{}\t{other}\t1\n", cells[0])
    });
    bench.write("against/qrels.tsv", &format!("query-id\tcorpus-id\tscore\n{}", turned.collect::<String>()));
    let shown = succeed(&mut bench.train("run"));
    let verdict = shown.lines().find(|line| line.starts_with("verdict ")).unwrap_or_else(|| panic!("{shown}"));
    let measured = record(&bench, "run");
    let alphas = |record: &serde_json::Value| -> Vec<f64> {
        record["points"].as_array().unwrap().iter().map(|point| point["alpha"].as_f64().unwrap()).collect()
    };
    let all = alphas(&measured);
    assert_eq!(all[..4], [0.0, 0.5, 1.0, 0.25], "{shown}");
    assert!(all.len() == 7 && all[3..].iter().all(|alpha| *alpha > 0.0 && *alpha < 0.5), "{all:?}");
    let guard = |point: &serde_json::Value| primary(&point["guards"][0]);
    let points = measured["points"].as_array().unwrap();
    let holds: Vec<bool> = points.iter().map(|point| guard(point) >= guard(&points[0])).collect();
    let base = golden("tiny-bert").display().to_string();
    succeed(&mut blend(&[&base, &base], &bench.path("base")));
    let is_base = weights(&bench.path("run/model")) == weights(&bench.path("base"));
    assert_eq!(is_base, !holds[1..].contains(&true), "{verdict}: {all:?} {holds:?}");
    assert_eq!(is_base, verdict.contains("no blend keeps all guards, so the base is saved"), "{verdict}");
    // A run that stopped in the search continues with the next share.
    let mut stopped = measured.clone();
    stopped["points"].as_array_mut().unwrap().truncate(5);
    let saved = weights(&bench.path("run/model"));
    bench.write("run/evaluation/blend.json", &stopped.to_string());
    succeed(bench.train("run").arg("--resume"));
    assert_eq!(record(&bench, "run"), measured);
    assert!(weights(&bench.path("run/model")) == saved);
}

#[test]
fn falls_within_chance_are_accepted_and_described() {
    let bench = blending("alphas = [0.3, 1.0]\nguard = [\"dev\", \"other\"]\ntolerance = \"chance\"");
    let shown = succeed(&mut bench.train("run"));
    let verdict = shown.lines().find(|line| line.starts_with("verdict ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(verdict.contains("; no guard falls"), "{verdict}");
    let measured = record(&bench, "run");
    for point in measured["points"].as_array().unwrap() {
        let items: Vec<Vec<f64>> = serde_json::from_value(point["items"].clone()).unwrap();
        let mean = |items: &[f64]| items.iter().sum::<f64>() / items.len() as f64;
        let dev = point["dev"].as_array().unwrap().iter().max_by_key(|scores| scores["dimension"].as_u64()).unwrap();
        assert!((mean(&items[0]) - primary(dev)).abs() < 1e-12, "{point}");
        assert!((mean(&items[1]) - primary(&point["guards"][0])).abs() < 1e-12, "{point}");
        assert_eq!(items[1].len(), 24);
    }
    // Scores that were written before the run was stopped are without items.
    std::fs::remove_file(bench.path("run/evaluation/blend.json")).unwrap();
    succeed(bench.train("run").arg("--resume"));
    assert_eq!(record(&bench, "run"), measured);
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let sts = "guard = [\"sts.jsonl\"]";
    bench.write("recipe.toml", &recipe.replace("guard = [\"dev\", \"other\"]", sts));
    let scored = |score: &str| format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"score\": {score}}}\n");
    bench.write("sts.jsonl", &(scored("0.5") + &scored("1")));
    let error = fail(&mut bench.train("scored"), 1);
    assert!(error.contains("`sts` is of the kind similarity; set tolerance to a number"), "{error}");
}

/// Measurements of different sets are not compared: a base would seem to lose or win.
#[test]
fn a_run_whose_sets_have_changed_is_refused_by_name() {
    let bench = blending("alphas = [1.0]\nguard = [\"other\"]\ntolerance = 1.0");
    succeed(&mut bench.train("run"));
    let shorten = |file: &str| {
        let whole = std::fs::read_to_string(bench.path(file)).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        bench.write(file, &lines[1..].iter().map(|line| format!("{line}\n")).collect::<String>());
        whole
    };
    for (file, set) in [("dev/queries.jsonl", "retrieval dev"), ("other/mada.test.tsv", "guard labels mada")] {
        let whole = shorten(file);
        let error = fail(bench.train("run").arg("--resume"), 1);
        assert!(error.contains("has changed since this run began") && error.contains(set), "{error}");
        assert!(error.contains("evaluation: ") && error.contains("restore their files"), "{error}");
        bench.write(file, &whole);
    }
    let shown = succeed(bench.train("run").arg("--resume"));
    shorten("dev/queries.jsonl");
    std::fs::remove_dir_all(bench.path("run/evaluation")).unwrap();
    let again = succeed(bench.train("run").arg("--resume"));
    let verdict = |shown: &str| shown.lines().find(|line| line.starts_with("verdict ")).unwrap().to_owned();
    assert_ne!(verdict(&shown), verdict(&again));
}
