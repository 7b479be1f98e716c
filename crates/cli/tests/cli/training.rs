//! Messages of `maana train` about a recipe and its data, and the files of a run.

use crate::support::{Bench, fail, golden, maana, succeed, text};

#[test]
fn a_card_names_a_local_base_without_its_path() {
    let bench = Bench::new();
    let shown = succeed(bench.train("run").args(["--set", "training.max_steps=1"]));
    assert!(shown.contains("\nbefore\n") && shown.contains("\nafter\n"), "{shown}");
    for file in ["README.md", "report.html"] {
        let text = std::fs::read_to_string(bench.path("run/model").join(file)).unwrap();
        let folder = golden("tiny-bert").display().to_string();
        assert!(text.contains("tiny-bert") && !text.contains(&folder), "{file}: {text}");
    }
    let card = std::fs::read_to_string(bench.path("run/model/README.md")).unwrap();
    assert!(card.contains("# tiny-bert, fine-tuned") && !card.contains("base_model:"), "{card}");
}

#[test]
fn a_run_of_adapters_in_mini_batches_opens_with_its_base_and_resumes_with_its_settings_only() {
    let bench = Bench::new();
    let run = |settings: &[&str]| {
        let mut train = bench.train("run");
        train.args(["--set", "training.max_steps=1", "--set", "model.lora.rank=2"]);
        train.args(["--set", "training.mini_batch_size=5"]);
        settings.iter().for_each(|setting| {
            train.arg(setting);
        });
        train
    };
    succeed(&mut run(&[]));
    let model = bench.path("run/model");
    assert!(model.join("adapter_model.safetensors").exists() && !model.join("model.safetensors").exists());
    let card = std::fs::read_to_string(model.join("README.md")).unwrap();
    for part in [
        "CachedMultipleNegativesRankingLoss",
        "LoRA of rank 2 with alpha 8 on <code>query</code>, <code>value</code>; this",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let shown = succeed(maana().arg("similarity").arg(&model).args(["maji", "nyumba"]));
    assert!(shown.contains("maji"), "{shown}");
    let fault = fail(&mut run(&["--resume", "--set", "model.lora.alpha=3"]), 1);
    assert!(fault.contains("LoRA with alpha 8") && fault.contains("LoRA with alpha 3"), "{fault}");
    let fault = fail(&mut run(&["--dry-run", "--set", "model.lora.targets=[\"q_proj\"]"]), 1);
    assert!(fault.contains("[model.lora]") && fault.contains("`q_proj`"), "{fault}");
    let fault = fail(&mut run(&["--dry-run", "--set", "model.lora.ranks=3"]), 1);
    assert!(fault.contains("did you mean `rank`?"), "{fault}");
}

#[test]
fn a_run_that_is_resumed_with_other_evaluations_measures_the_base_again() {
    let bench = Bench::new();
    let steps = ["--set", "training.max_steps=1"];
    succeed(bench.train("run").args(steps));
    let before = || std::fs::read_to_string(bench.path("run/evaluation/before.json")).unwrap();
    assert!(before().contains("dim_8_") && before().contains("dim_16_"), "{}", before());
    succeed(bench.train("run").args(steps).args(["--resume", "--set", "evaluation.dims=[16]"]));
    assert!(!before().contains("dim_8_") && before().contains("dim_16_"), "{}", before());
}

#[test]
fn a_run_without_evaluation_prints_no_scores() {
    let bench = Bench::new();
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let recipe = recipe.replace("evaluate = \"epoch\"", "").replace("keep_best = \"eval_dim_16_cosine_ndcg@10\"", "");
    bench.write("recipe.toml", recipe.split("[evaluation]").next().unwrap());
    let shown = succeed(bench.train("run").args(["--set", "training.max_steps=1"]));
    assert!(shown.contains("model   ") && !shown.contains("before") && !shown.contains("after"), "{shown}");
}

/// Returns standard output and standard error of a dry run.
fn dry_run(bench: &Bench, settings: &[&str]) -> (String, String) {
    let mut dry = bench.train("run");
    settings.iter().for_each(|setting| {
        dry.args(["--set", setting]);
    });
    let output = dry.arg("--dry-run").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_dry_run_shows_roles_and_rows_as_the_loss_takes_them() {
    let bench = Bench::new();
    let long = "neno ".repeat(500);
    let rows = format!("{{\"positive\":\"swali\\tmoja\",\"anchor\":\"{long}\"}}\n").repeat(5);
    bench.write("pairs.jsonl", &rows);
    let (plan, notes) = dry_run(&bench, &["training.batch_sampler=shuffle"]);
    assert!(plan.contains("\ncolumns       query = `positive`, document = `anchor`\n"), "{plan}");
    assert!(notes.contains("query = `positive`, document = `anchor`; the order of [data] columns matters"), "{notes}");
    let rows: Vec<&str> = plan.lines().filter(|line| line.contains(" tokens  ")).collect();
    assert_eq!(rows.len(), 6, "{plan}");
    assert!(rows[0].starts_with("row 1         query     ") && rows[0].ends_with("tokens  swali moja"), "{rows:?}");
    assert!(rows[1].contains(" document   128 tokens  neno neno") && rows[1].ends_with('…'), "{rows:?}");
}

/// The memory of a batch is that of its largest mini-batch, and less with recomputed layers.
#[test]
fn a_dry_run_estimates_the_memory_of_mini_batches() {
    let bench = Bench::new();
    let text = |row: usize| (0..120).map(|word| format!("neno{} ", row * word % 97)).collect::<String>();
    let row = |row: usize| format!("{{\"positive\":\"{}\",\"anchor\":\"{}\"}}\n", text(row), text(row + 7));
    bench.write("pairs.jsonl", &(1..=64).map(row).collect::<String>());
    let gigabytes = |settings: &[&str]| -> f64 {
        let settings: Vec<&str> = settings.iter().copied().chain(["training.batch_size=64"]).collect();
        let (plan, _) = dry_run(&bench, &settings);
        let line = plan.lines().find(|line| line.starts_with("memory")).unwrap();
        let words: Vec<&str> = line.trim_end_matches(" GB for a batch").split(' ').collect();
        words[words.len() - 1].parse().unwrap()
    };
    let all = gigabytes(&[]);
    let recomputed = gigabytes(&["training.gradient_checkpointing=true"]);
    let in_parts = gigabytes(&["training.mini_batch_size=8"]);
    assert!(recomputed < all && in_parts < 0.3 * all, "{all} {recomputed} {in_parts} GB");
}

#[test]
fn a_dry_run_shows_the_groups_of_parameters() {
    let bench = Bench::new();
    let (plan, _) = dry_run(&bench, &[]);
    let shown = |plan: &str, start: &str| plan.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((shown(&plan, "parameters    "), shown(&plan, "group ")), (1, 0), "{plan}");
    let groups = r#"training.groups=[{pattern="embeddings.*", freeze=true}, {pattern="*.bias", factor=0.1}]"#;
    let (plan, _) = dry_run(&bench, &[groups]);
    assert_eq!((shown(&plan, "parameters    "), shown(&plan, "group ")), (1, 2), "{plan}");
    let frozen = plan.lines().find(|line| line.starts_with("group \"embeddings.*\" ")).unwrap();
    assert!(frozen.ends_with(" tensors: frozen"), "{frozen}");
    let groups = r#"training.groups=[{pattern="encoder.layers.*", freeze=true}]"#;
    let error = fail(bench.train("run").args(["--dry-run", "--set", groups]), 1);
    assert!(error.contains("`groups[0].pattern`") && error.contains("near ones are `encoder.layer."), "{error}");
}

#[test]
fn columns_that_look_misplaced_are_noted() {
    let bench = Bench::new();
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    bench.write(
        "recipe.toml",
        &recipe.replace("columns = [\"positive\", \"anchor\"]", "").replace("pairs.jsonl", "pairs.csv"),
    );
    let table = |header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..20).map(|number| row(number) + "\n").collect();
        bench.write("pairs.csv", &format!("{header}\n{rows}"));
    };
    table("id,anchor,positive", &|number| format!("a{number},swali {number},jibu {number}"));
    let (_, notes) = dry_run(&bench, &[]);
    assert!(notes.contains("`id` looks like ids") && notes.contains("columns = [\"anchor\", \"positive\"]"), "{notes}");
    assert!(notes.contains("`anchor` is number 2"), "{notes}");
    table("anchor,negative,positive", &|number| format!("swali {number},sio {number},jibu {number}"));
    let (_, notes) = dry_run(&bench, &[]);
    assert!(notes.contains("`positive` is number 3") && !notes.contains("ids"), "{notes}");
    table("anchor,positive,negative", &|number| format!("swali {number},jibu {number},sio {number}"));
    let (_, notes) = dry_run(&bench, &[]);
    assert!(notes.contains("negative = `negative`") && !notes.contains("is number"), "{notes}");
}

#[test]
fn drop_last_without_duplicates_plans_the_updates_that_can_be_made() {
    let bench = Bench::new();
    let settings = ["training.drop_last=true", "training.gradient_accumulation_steps=1", "training.reproduce=\"6.2\""];
    // The same document in every row: no batch of 8 can be filled.
    let rows: String = (0..100).map(|row| format!("{{\"positive\":\"swali {row}\",\"anchor\":\"jibu\"}}\n")).collect();
    bench.write("pairs.jsonl", &rows);
    let mut dry = bench.train("run");
    settings.iter().for_each(|setting| {
        dry.args(["--set", setting]);
    });
    let error = fail(dry.arg("--dry-run"), 1);
    assert!(error.contains("repeat so often") && !error.contains("100 rows do not fill"), "{error}");
    // With eight distinct rows, the plan states the number of updates that can be made.
    let rows: String = (0..96)
        .map(|row| format!("{{\"positive\":\"swali {row}\",\"anchor\":\"jibu {}\"}}\n", if row < 8 { row } else { 0 }))
        .collect();
    bench.write("pairs.jsonl", &rows);
    let (plan, notes) = dry_run(&bench, &settings);
    let updates = plan.lines().find(|line| line.starts_with("updates ")).unwrap();
    assert!(updates.ends_with("(the schedule assumes 36)"), "{plan}");
    let promised: usize = updates.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(promised > 0 && promised < 36 && notes.contains(&format!("{promised} of 36 updates")), "{notes}");
    assert!(plan.contains("reproduce = \"6.2\""), "{plan}");
}

#[test]
fn a_batch_of_one_row_is_noted() {
    let bench = Bench::new();
    let (_, notes) = dry_run(&bench, &["training.batch_size=1"]);
    assert!(notes.contains("have one row, whose loss is 0") && notes.contains("multiple_negatives_ranking"), "{notes}");
    let (_, notes) = dry_run(&bench, &[]);
    assert!(!notes.contains("whose loss is 0"), "{notes}");
}

#[test]
fn invalid_settings_are_refused_and_those_without_effect_are_noted() {
    let bench = Bench::new();
    for (setting, field) in [
        ("training.epochs=1e9", "`epochs`"),
        ("training.learning_rate=0", "`learning_rate`"),
        ("training.adam_epsilon=1e39", "`adam_epsilon`"),
        ("loss.matryoshka_weights=[0,0,0,0]", "`matryoshka_weights`"),
    ] {
        let error = fail(bench.train("run").args(["--dry-run", "--set", setting]), 1);
        assert!(error.contains(field), "{setting}: {error}");
    }
    // Memory is allocated for the existing rows only.
    succeed(bench.train("run").args(["--set", "training.batch_size=1000000000000", "--set", "training.max_steps=1"]));
    let (_, notes) = dry_run(&bench, &["training.warmup_steps=5000"]);
    assert!(notes.contains("warmup of 5000 updates"), "{notes}");
}

#[test]
fn a_run_is_not_resumed_from_another_base() {
    let bench = Bench::new();
    let base = bench.path("base");
    std::fs::create_dir_all(base.join("1_Pooling")).unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "1_Pooling/config.json",
    ] {
        std::fs::copy(golden("tiny-bert").join(file), base.join(file)).unwrap();
    }
    let setting = format!("model.base=\"{}\"", base.display());
    let settings = ["--set", &setting, "--set", "training.epochs=1"];
    succeed(bench.train("run").args(settings));
    succeed(bench.train("run").args(settings).arg("--resume"));
    let config = std::fs::read_to_string(base.join("config.json")).unwrap();
    std::fs::write(base.join("config.json"), config.replace("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-6"))
        .unwrap();
    let error = fail(bench.train("run").args(settings).arg("--resume"), 1);
    assert!(error.contains("the base model has changed"), "{error}");
}

#[test]
fn a_second_process_is_kept_out_of_a_run() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("run")).unwrap();
    let lock = std::fs::File::create(bench.path("run/lock")).unwrap();
    lock.try_lock().unwrap();
    for resume in [false, true] {
        if resume {
            std::fs::write(bench.path("run/recipe.toml"), "").unwrap();
        }
        let mut second = bench.train("run");
        second.args(["--set", "training.max_steps=1"]).args(resume.then_some("--resume"));
        let error = fail(&mut second, 1);
        assert!(error.contains("another process is training in this folder"), "{error}");
    }
    drop(lock);
    // Leftovers of a killed process do not block the same command.
    std::fs::remove_file(bench.path("run/recipe.toml")).unwrap();
    bench.write("run/.recipe.toml.999999.incomplete", "");
    succeed(bench.train("run").args(["--set", "training.max_steps=1"]));
}

/// Held-out rows, the dev loss, sets of several kinds, the mean of two measures and early stopping,
/// interrupted and resumed.
#[test]
fn a_run_measures_sets_of_every_kind_and_resumes_to_the_same_bits() {
    let bench = Bench::new();
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let recipe = recipe
        .replace("keep_best = \"eval_dim_16_cosine_ndcg@10\"", KEEP_BEST)
        .replace("evaluate = \"epoch\"", "evaluate = 0.25\nsave_every = 1")
        .replace("reproduce = \"3.0.1\"", "");
    bench.write("recipe.toml", &format!("{recipe}{SETS}"));
    bench.write("sts.csv", "a,b,score\nbei ya mahindi,bei ya nyanya,0.8\nmtoto,mfalme,0.1\nsoko,bei,0.5\n");

    let (plan, _) = dry_run(&bench, &[]);
    for line in [
        "rows          135",
        "evaluated on  loss: 15 rows\n",
        "evaluated on  sts: 3 scored pairs, at dims",
        "ends early    after 3",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    succeed(&mut bench.train("whole"));
    let before = std::fs::read_to_string(bench.path("whole/evaluation/before.json")).unwrap();
    for name in ["\"loss\"", "dim_64_cosine_ndcg@10", "sts_dim_16_spearman_cosine", "held_out_dim_8_mean_accuracy"] {
        assert!(before.contains(name), "{name}: {before}");
    }
    let card = std::fs::read_to_string(bench.path("whole/model/README.md")).unwrap();
    for part in ["#### Semantic Similarity", "#### Translation", "Validation Loss", "#### Before and After: dev loss"] {
        assert!(card.contains(part), "{part}\n{card}");
    }

    let mut child = bench.train("parts").stderr(std::process::Stdio::null()).spawn().unwrap();
    let started = std::time::Instant::now();
    while !bench.path("parts/checkpoint-2.0").exists() && !bench.path("parts/model").exists() {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the run does not start");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(bench.train("parts").arg("--resume"));
    let weights = |out: &str| std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap();
    assert!(weights("whole") == weights("parts"), "other bits after a kill");
    let error = fail(bench.train("parts").args(["--resume", "--set", "evaluation.split=20"]), 1);
    assert!(error.contains("`rows` was 135 and is now 130"), "{error}");
    // The refused call has measured other sets, of which nothing is taken.
    succeed(bench.train("parts").arg("--resume"));
    assert_eq!(std::fs::read_to_string(bench.path("parts/evaluation/before.json")).unwrap(), before);
}

const KEEP_BEST: &str = "keep_best = [\"dim_16_cosine_ndcg@10\", \"sts_dim_64_spearman_cosine\"]\n\
                         early_stopping_patience = 3\nearly_stopping_threshold = 0.001";
const SETS: &str = r#"
split = 0.1
loss = true
[[evaluation.sets]]
name = "sts"
files = ["sts.csv"]
[[evaluation.sets]]
name = "held_out"
kind = "translation"
"#;
