//! An interrupted and resumed run ends with the bits of an uninterrupted one.

mod toy;

use maana_kernels::Context;
use maana_model::{StatePart, Trainable};
use maana_train::{
    Adafactor, Arguments, Evaluate, Group, Interval, KeepBest, LogRow, Optimizer, Outcome, ReduceLrOnPlateau, Run,
    Schedule, TrainError, TrainingRecord, TrainingSet, Version,
};
use std::path::Path;
use toy::{Notebook, Table, Toy, arguments, entries, run, run_on, timeless};

/// Settings that differ in the pending state of an interrupted run.
fn settings() -> Vec<Arguments> {
    let best = Some(KeepBest::from("dim_8_score"));
    vec![
        Arguments { keep_best: best.clone(), ..arguments(None) },
        Arguments {
            keep_best: best,
            save_every: Some(1.into()),
            save_total_limit: Some(1),
            ..arguments(Some(Version::V3_0_1))
        },
        Arguments { evaluate: Evaluate::Steps(2.into()), ..arguments(None) },
        Arguments { evaluate: Evaluate::Never, save_every: Some(2.into()), ..arguments(Some(Version::V3_0_1)) },
        Arguments {
            evaluate: Evaluate::EpochAndSteps(2.into()),
            keep_best: Some("dim_8_score".into()),
            ..arguments(None)
        },
        Arguments { mini_batch_size: Some(3), ..arguments(None) },
        Arguments { ema_decay: Some(0.6), keep_best: Some("dim_8_loss".into()), ..arguments(None) },
        Arguments { ema_decay: Some(0.6), evaluate: Evaluate::Never, save_every: Some(1.into()), ..arguments(None) },
        // Ends at the second evaluation if the toy's score rises.
        Arguments {
            keep_best: Some("dim_8_loss".into()),
            early_stopping_patience: Some(1),
            evaluate: Evaluate::Steps(Interval::Fraction(0.3)),
            save_every: Some(1.into()),
            ..arguments(None)
        },
        Arguments { lazy_embeddings: true, ..arguments(None) },
        Arguments { groups: frozen("words.*"), ema_decay: Some(0.6), ..arguments(None) },
        Arguments {
            optimizer: Optimizer::Adafactor(Adafactor::default()),
            groups: frozen("dense.bias"),
            ..arguments(None)
        },
        Arguments {
            schedule: Schedule::ReduceLrOnPlateau(ReduceLrOnPlateau { patience: 0, ..ReduceLrOnPlateau::default() }),
            evaluate: Evaluate::Steps(1.into()),
            keep_best: Some("dim_8_score".into()),
            ..arguments(None)
        },
    ]
}

fn frozen(pattern: &str) -> Vec<Group> {
    vec![Group { pattern: pattern.into(), freeze: true, ..Group::default() }]
}

/// Names of the tensors in the state of a checkpoint, without those of the parameters.
fn state_tensors(checkpoint: &Path) -> Vec<String> {
    let bytes = std::fs::read(checkpoint.join("training_state.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<String> = tensors.names().into_iter().map(String::from).collect();
    names.retain(|name| !name.starts_with("parameters."));
    names.sort();
    names
}

#[test]
fn a_checkpoint_has_the_state_that_the_optimizer_keeps() {
    let of = |arguments: Arguments| {
        let folder = tempfile::tempdir().unwrap();
        run(&mut Toy::new(), &mut Notebook::default(), &arguments, Some(folder.path()), false).unwrap();
        let last = entries(folder.path()).into_iter().rfind(|name| name.starts_with("checkpoint"));
        state_tensors(&folder.path().join(last.unwrap()))
    };
    assert_eq!(
        of(Arguments { groups: frozen("words.*"), ..arguments(None) }),
        [
            "first_moments.dense.bias",
            "first_moments.dense.weight",
            "second_moments.dense.bias",
            "second_moments.dense.weight"
        ]
    );
    assert_eq!(
        of(Arguments { optimizer: Optimizer::Adafactor(Adafactor::default()), ..arguments(None) }),
        [
            "second_moments.dense.bias",
            "second_moments.dense.weight.columns",
            "second_moments.dense.weight.rows",
            "second_moments.words.weight.columns",
            "second_moments.words.weight.rows"
        ]
    );
}

#[test]
fn the_learning_rate_falls_on_a_plateau() {
    let schedule = Schedule::ReduceLrOnPlateau(ReduceLrOnPlateau { patience: 0, factor: 0.5, ..Default::default() });
    let arguments = Arguments {
        schedule,
        evaluate: Evaluate::Steps(1.into()),
        keep_best: Some("dim_8_score".into()),
        log_every: 1.into(),
        ..arguments(None)
    };
    let scores = vec![0.5, 0.4, 0.6, 0.6, 0.7, 0.7];
    let mut notebook = Notebook { scores, ..Notebook::default() };
    let Outcome::Finished(record) = run(&mut Toy::new(), &mut notebook, &arguments, None, false).unwrap() else {
        panic!("nobody stopped it")
    };
    let rates: Vec<f64> = record
        .rows
        .iter()
        .filter_map(|row| match row {
            LogRow::Training { learning_rate, .. } => Some(*learning_rate / 0.02),
            LogRow::Evaluation { .. } => None,
        })
        .collect();
    assert_eq!(rates[..6], [1.0, 1.0, 0.5, 0.5, 0.25, 0.25], "{rates:?}");
}

#[test]
fn a_checkpoint_without_the_settings_of_the_optimizer_resumes() {
    let (arguments, folder) = (&settings()[0], tempfile::tempdir().unwrap());
    let expected = unbroken(arguments);
    let mut notebook = Notebook { stop_after: Some(7), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    for checkpoint in entries(folder.path()).into_iter().filter(|name| name.starts_with("checkpoint")) {
        let path = folder.path().join(checkpoint).join("trainer_state.json");
        let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        state["maana"].as_object_mut().unwrap().remove("plateau").unwrap();
        for field in ["optimizer", "lazy_embeddings", "groups", "layer_decay"] {
            state["maana"]["run"]["arguments"].as_object_mut().unwrap().remove(field).unwrap();
        }
        std::fs::write(&path, state.to_string()).unwrap();
    }
    let found = broken_from(arguments, folder.path());
    assert_same(&expected, &found, "resumed by a newer version");
}

/// Their sizes change no bit, so a run may continue with others.
#[test]
fn a_run_resumes_with_other_mini_batches() {
    let whole = unbroken(&arguments(None));
    let in_parts = Arguments { mini_batch_size: Some(3), mini_batch_tokens: Some(9), ..arguments(None) };
    assert_eq!(unbroken(&in_parts).0, whole.0);
    let folder = tempfile::tempdir().unwrap();
    let (mut model, mut notebook) = (Toy::new(), Notebook { stop_after: Some(7), ..Notebook::default() });
    run(&mut model, &mut notebook, &in_parts, Some(folder.path()), false).unwrap();
    let mut model = Toy::new();
    run(&mut model, &mut Notebook::default(), &arguments(None), Some(folder.path()), true).unwrap();
    assert_eq!(model.bits(), whole.0);
}

/// Returns the result of an uninterrupted run.
fn unbroken(arguments: &Arguments) -> (Vec<u32>, TrainingRecord, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, mut notebook) = (Toy::new(), Notebook::default());
    let Outcome::Finished(record) = run(&mut model, &mut notebook, arguments, Some(folder.path()), false).unwrap()
    else {
        panic!("nobody stopped it")
    };
    (model.bits(), record, notebook.micro_steps)
}

/// Resumes repeatedly with a new model each time, stopping as `stops` says, until the run is
/// complete.
fn broken(arguments: &Arguments, folder: &Path, mut stops: impl Iterator<Item = u64>) -> (Vec<u32>, TrainingRecord) {
    for call in 0.. {
        let (mut model, mut notebook) = (Toy::new(), Notebook { stop_after: stops.next(), ..Notebook::default() });
        // A resumed run has the parameters of the checkpoint, not those of the model.
        if call > 0 {
            let nines = vec![9.0; model.parameters().len()];
            Trainable::write_state(&mut model, StatePart::Parameters, 0, &nines);
        }
        match run(&mut model, &mut notebook, arguments, Some(folder), call > 0).unwrap() {
            Outcome::Finished(record) => return (model.bits(), record),
            Outcome::Interrupted { checkpoint, .. } => assert!(checkpoint.unwrap().join("trainer_state.json").exists()),
        }
    }
    unreachable!()
}

fn assert_same(expected: &(Vec<u32>, TrainingRecord, u64), found: &(Vec<u32>, TrainingRecord), what: &str) {
    assert_eq!(found.0, expected.0, "parameters, {what}");
    assert_eq!(timeless(&found.1.rows), timeless(&expected.1.rows), "log, {what}");
    let rest =
        |record: &TrainingRecord| (record.best_step, record.best_value.map(f64::to_bits), record.steps, record.tokens);
    assert_eq!(rest(&found.1), rest(&expected.1), "{what}");
}

#[test]
fn stopped_once_after_any_micro_batch() {
    for (index, arguments) in settings().into_iter().enumerate() {
        let expected = unbroken(&arguments);
        // Each setting stops at a third of the moments; together they cover all moments of a group
        // and of an epoch.
        for stop in (1 + index as u64 % 3..=expected.2).step_by(3) {
            let folder = tempfile::tempdir().unwrap();
            let found = broken(&arguments, folder.path(), std::iter::once(stop));
            assert_same(&expected, &found, &format!("stopped after {stop}"));
        }
    }
}

#[test]
fn stopped_after_every_micro_batch() {
    for arguments in settings() {
        let (expected, folder) = (unbroken(&arguments), tempfile::tempdir().unwrap());
        let found = broken(&arguments, folder.path(), std::iter::repeat(1));
        assert_same(&expected, &found, "stopped after every micro-batch");
        let passing = entries(folder.path()).into_iter().filter(|name| name.contains('.') && name != "record.jsonl");
        assert_eq!(passing.collect::<Vec<_>>(), Vec::<String>::new(), "passing checkpoints are gone");
        let lines = std::fs::read_to_string(folder.path().join("record.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), expected.1.rows.len());
    }
}

#[test]
fn a_finished_run_resumed_is_finished_and_the_same() {
    for arguments in settings() {
        let (expected, folder) = (unbroken(&arguments), tempfile::tempdir().unwrap());
        broken(&arguments, folder.path(), std::iter::empty());
        let (mut model, mut notebook) = (Toy::new(), Notebook::default());
        let Outcome::Finished(record) = run(&mut model, &mut notebook, &arguments, Some(folder.path()), true).unwrap()
        else {
            panic!("nobody stopped it")
        };
        assert_eq!(notebook.micro_steps, 0);
        assert_same(&expected, &(model.bits(), record.clone()), "resumed at the end");
        // The peak memory of an earlier process is kept by the one that completes the run.
        let checkpoint = folder.path().join(format!("checkpoint-{}", record.steps)).join("trainer_state.json");
        let state = std::fs::read_to_string(checkpoint).unwrap();
        let kept = state.split("\"peak_memory_bytes\":").nth(1).expect("it is written down").trim_start();
        assert!(!cfg!(target_os = "linux") || kept.starts_with(|letter: char| letter.is_ascii_digit()), "{kept:.20}");
    }
}

#[test]
fn resuming_without_a_checkpoint_starts_the_run() {
    let (arguments, folder) = (&settings()[0], tempfile::tempdir().unwrap());
    let expected = unbroken(arguments);
    let mut model = Toy::new();
    let out = folder.path().join("not/yet");
    let outcome = run(&mut model, &mut Notebook::default(), arguments, Some(&out), true).unwrap();
    let Outcome::Finished(record) = outcome else { panic!("nobody stopped it") };
    assert_same(&expected, &(model.bits(), record), "resumed from nothing");
}

/// Runs until there are two checkpoints, damages the newer one, and resumes.
fn harmed(harm: impl Fn(&Path), said: &str) {
    let arguments = &settings()[2];
    let (expected, folder) = (unbroken(arguments), tempfile::tempdir().unwrap());
    let mut notebook = Notebook { stop_after: Some(12), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    assert_eq!(entries(folder.path()), ["checkpoint-2", "checkpoint-4", "checkpoint-4.1", "record.jsonl"], "{said}");
    std::fs::remove_dir_all(folder.path().join("checkpoint-4")).unwrap();
    harm(&folder.path().join("checkpoint-4.1"));

    let (mut model, mut notebook) = (Toy::new(), Notebook::default());
    let outcome = run(&mut model, &mut notebook, arguments, Some(folder.path()), true).unwrap();
    let Outcome::Finished(record) = outcome else { panic!("nobody stopped it") };
    assert_eq!(notebook.events[0], "resumed checkpoint-2");
    let unusable = notebook.unusable.join("\n");
    assert!(unusable.starts_with("checkpoint-4.1.corrupt: ") && unusable.contains(said), "{unusable}");
    assert_same(&expected, &(model.bits(), record), said);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let tensors = "training_state.safetensors";
    let change = |folder: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.join(tensors);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    };
    harmed(|folder| change(folder, &|bytes| bytes.truncate(bytes.len() - 10)), "bytes instead of");
    harmed(|folder| change(folder, &|bytes| bytes.push(0)), "bytes instead of");
    harmed(|folder| change(folder, &|bytes| *bytes.last_mut().unwrap() ^= 1), "checksum");
    harmed(|folder| change(folder, &|bytes| bytes[20] ^= 1), "header");
    harmed(|folder| change(folder, &|bytes| bytes[3] ^= 0xff), "header");
    harmed(|folder| std::fs::remove_file(folder.join(tensors)).unwrap(), "has no training_state.safetensors");
    harmed(|folder| std::fs::remove_file(folder.join("trainer_state.json")).unwrap(), "has no trainer_state.json");
    harmed(|folder| std::fs::write(folder.join("trainer_state.json"), "{\"maana\": {").unwrap(), "damaged");
    harmed(|folder| std::fs::write(folder.join("trainer_state.json"), "{}").unwrap(), "damaged");
}

#[test]
fn a_half_written_checkpoint_is_never_picked() {
    let (arguments, folder) = (&settings()[0], tempfile::tempdir().unwrap());
    let expected = unbroken(arguments);
    let mut notebook = Notebook { stop_after: Some(10), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    for leftover in [
        "checkpoint-9.writing",
        "checkpoint-9.2.writing",
        "checkpoint-1.removing",
        ".checkpoint-9.1.4194300.incomplete",
    ] {
        std::fs::create_dir(folder.path().join(leftover)).unwrap();
        std::fs::write(folder.path().join(leftover).join("trainer_state.json"), "{").unwrap();
    }
    std::fs::create_dir(folder.path().join("checkpoint-notes")).unwrap();
    let found = broken_from(arguments, folder.path());
    assert_same(&expected, &found, "with leftovers");
    assert!(
        !entries(folder.path()).iter().any(|name| name.ends_with("ing") || name.ends_with("incomplete")),
        "leftovers are cleared away"
    );
    assert!(entries(folder.path()).contains(&"checkpoint-notes".to_string()), "what is not ours stays");
}

fn broken_from(arguments: &Arguments, folder: &Path) -> (Vec<u32>, TrainingRecord) {
    let mut model = Toy::new();
    let Outcome::Finished(record) = run(&mut model, &mut Notebook::default(), arguments, Some(folder), true).unwrap()
    else {
        panic!("nobody stopped it")
    };
    (model.bits(), record)
}

#[test]
fn without_any_usable_checkpoint_nothing_is_touched() {
    let (arguments, folder) = (&settings()[0], tempfile::tempdir().unwrap());
    let mut notebook = Notebook { stop_after: Some(9), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    for name in ["checkpoint-3", "checkpoint-3.1"] {
        std::fs::write(folder.path().join(name).join("trainer_state.json"), "").unwrap();
    }
    let before = entries(folder.path());
    let fault = run(&mut Toy::new(), &mut Notebook::default(), arguments, Some(folder.path()), true).unwrap_err();
    assert!(matches!(&fault, TrainError::NoUsableCheckpoint { reasons, .. } if reasons.len() == 2), "{fault}");
    assert!(fault.to_string().contains("checkpoint-3.1"), "{fault}");
    assert_eq!(entries(folder.path()), before);
}

#[test]
fn other_data_or_settings_are_refused_by_name() {
    let (arguments, folder) = (settings()[0].clone(), tempfile::tempdir().unwrap());
    let mut notebook = Notebook { stop_after: Some(10), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, &arguments, Some(folder.path()), false).unwrap();
    let refused = |table: &Table, arguments: &Arguments| {
        let mut notebook = Notebook { stop_after: Some(0), ..Notebook::default() };
        let fault = run_on(table, &mut Toy::new(), &mut notebook, arguments, Some(folder.path()), true).unwrap_err();
        let TrainError::OtherRun { differences, .. } = fault else { panic!("{fault}") };
        differences
    };
    let changed = Arguments { learning_rate: 0.03, seed: 7, ..arguments.clone() };
    let differences = refused(&Table::pairs(30), &changed);
    assert_eq!(differences, ["`learning_rate` was 0.02 and is now 0.03", "`seed` was 42 and is now 7"]);
    let differences = refused(&Table::pairs(31), &arguments).join("\n");
    assert!(differences.contains("`data`") && differences.contains("`rows` was 30 and is now 31"), "{differences}");

    let allowed = Arguments { save_total_limit: Some(5), save_every: Some(3.into()), ..arguments };
    let mut notebook = Notebook { stop_after: Some(0), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, &allowed, Some(folder.path()), true).unwrap();
}

#[test]
fn a_run_resumes_only_from_the_same_base() {
    let (context, loss, table, arguments) = (Context::new(1), toy::loss(), Table::pairs(30), settings()[0].clone());
    // The run begins with the first base and is interrupted; older runs have no base.
    for (begun, asked, goes_on) in [
        (None, "aaaaaaaaaaaaaaaa", true),
        (Some("aaaaaaaaaaaaaaaa"), "aaaaaaaaaaaaaaaa", true),
        (Some("aaaaaaaaaaaaaaaa"), "bbbbbbbbbbbbbbbb", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let call = |base, resume| {
            let sets = [TrainingSet::new(&table, loss.as_ref())];
            let new = Run::new(&context, &sets, toy::tokenize, &arguments);
            let run = Run { base, folder: Some(folder.path()), resume, ..new };
            run.train(&mut Toy::new(), &mut Notebook { stop_after: Some(10), ..Notebook::default() })
        };
        call(begun, false).unwrap();
        match call(Some(asked), true) {
            Ok(_) => assert!(goes_on),
            Err(fault) => {
                let fault = fault.to_string();
                assert!(
                    !goes_on && fault.contains("the base model has changed") && fault.contains("bbbbbbbbbbbb…"),
                    "{fault}"
                );
            }
        }
    }
}

#[test]
fn a_run_whose_evaluation_failed_begins_with_it_when_resumed() {
    for arguments in &settings()[..3] {
        let (expected, folder) = (unbroken(arguments), tempfile::tempdir().unwrap());
        let mut notebook = Notebook { fail_evaluation: true, ..Notebook::default() };
        let fault = run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap_err();
        assert!(matches!(&fault, TrainError::Evaluation { .. }), "{fault}");
        let found = broken_from(arguments, folder.path());
        assert_same(&expected, &found, "after a failed evaluation");
    }
}

#[test]
fn a_run_stopped_while_it_measures_begins_with_that_when_resumed() {
    for arguments in &settings()[..3] {
        let expected = unbroken(arguments);
        for number in 1..=2 {
            let folder = tempfile::tempdir().unwrap();
            let mut notebook = Notebook { stop_in_evaluation: Some(number), ..Notebook::default() };
            let outcome = run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
            let Outcome::Interrupted { checkpoint: Some(checkpoint), .. } = outcome else { panic!("it was stopped") };
            assert!(checkpoint.exists() && notebook.evaluations.len() == number);
            let found = broken_from(arguments, folder.path());
            assert_same(&expected, &found, "stopped in an evaluation");
        }
    }
}

#[test]
fn the_best_checkpoint_is_missed_before_it_is_needed() {
    let (arguments, folder) = (&settings()[0], tempfile::tempdir().unwrap());
    let mut notebook = Notebook { stop_after: Some(17), scores: vec![2.0, 1.0], ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    std::fs::remove_dir_all(folder.path().join("checkpoint-3")).unwrap();
    let fault = run(&mut Toy::new(), &mut Notebook::default(), arguments, Some(folder.path()), true).unwrap_err();
    assert!(fault.to_string().contains("the best checkpoint") && fault.to_string().contains("checkpoint-3"), "{fault}");
}

/// Runs in a separate process, which is killed.
#[test]
fn killed_at_random_moments() {
    const FOLDER: &str = "MAANA_TRAIN_TEST_FOLDER";
    let arguments = Arguments { epochs: 12.0, save_every: Some(1.into()), ..settings()[1].clone() };
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut notebook = Notebook { slow_ms: 4, ..Notebook::default() };
        run(&mut Toy::new(), &mut notebook, &arguments, Some(Path::new(&folder)), true).unwrap();
        return;
    }
    let (expected, folder) = (unbroken(&arguments), tempfile::tempdir().unwrap());
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed of the moments: {seed}");
    let mut state = u64::from(seed);
    for _ in 0..10 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_at_random_moments", "--quiet"])
            .env(FOLDER, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(std::time::Duration::from_millis(20 + (state >> 33) % 100));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let found = broken_from(&arguments, folder.path());
    assert_same(&expected, &found, "killed ten times");
}

/// Runs in a separate process with a limit on the size of files, so that a write fails as on a full
/// disk.
#[cfg(unix)]
#[test]
fn a_full_disk_damages_nothing() {
    const FOLDER: &str = "MAANA_TRAIN_TEST_FULL_FOLDER";
    let arguments = &settings()[0];
    if let Some(folder) = std::env::var_os(FOLDER) {
        let fault =
            run(&mut Toy::new(), &mut Notebook::default(), arguments, Some(Path::new(&folder)), true).unwrap_err();
        let TrainError::Io { path, .. } = &fault else { panic!("{fault}") };
        assert!(path.ends_with("checkpoint-3/training_state.safetensors"), "{fault}");
        return;
    }
    let (expected, folder) = (unbroken(arguments), tempfile::tempdir().unwrap());
    let mut notebook = Notebook { stop_after: Some(7), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, arguments, Some(folder.path()), false).unwrap();
    let before = entries(folder.path());
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact a_full_disk_damages_nothing"])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(entries(folder.path()), before, "the earlier checkpoint stands, the half-written one is gone");
    let found = broken_from(arguments, folder.path());
    assert_same(&expected, &found, "after a full disk");
}
