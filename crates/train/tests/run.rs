//! Complete runs of a toy model: order of events, kept checkpoints and errors.

mod toy;

use maana_data::SetSampler;
use maana_kernels::Context;
use maana_model::{StatePart, Trainable};
use maana_train::{Arguments, Evaluate, Interval, LogRow, Outcome, Plan, Run, TrainError, TrainingSet, Version};
use std::error::Error;
use toy::{Notebook, Table, Toy, arguments, entries, run, run_on, timeless, tokenize};

const MANNERS: [Option<Version>; 2] = [None, Some(Version::V3_0_1)];

fn finished(outcome: Result<Outcome, TrainError>) -> maana_train::TrainingRecord {
    match outcome.unwrap() {
        Outcome::Finished(record) => record,
        Outcome::Interrupted { .. } => panic!("the run was to finish"),
    }
}

#[test]
fn a_run_does_what_its_plan_says_and_the_loss_falls() {
    for reproduce in MANNERS {
        let arguments = Arguments { epochs: 30.0, log_first: true, ..arguments(reproduce) };
        let plan = Plan::new(30, &arguments).unwrap();
        let (mut model, mut notebook) = (Toy::new(), Notebook::default());
        let record = finished(run(&mut model, &mut notebook, &arguments, None, false));

        assert_eq!(record.steps, plan.updates);
        assert_eq!(notebook.micro_steps, plan.micro_batches);
        let (mut logged, mut losses) = (Vec::new(), Vec::new());
        for row in &record.rows {
            if let LogRow::Training { step, epoch, loss, learning_rate, gradient_norm, .. } = row {
                logged.push((*step, *epoch));
                losses.push(*loss);
                let used = step - u64::from(reproduce.is_none());
                assert_eq!(*learning_rate, plan.learning_rate(used, &arguments), "{reproduce:?}, step {step}");
                assert!(gradient_norm.is_finite() && *gradient_norm > 0.0);
            }
        }
        let planned =
            |moments: &[maana_train::Moment]| moments.iter().map(|at| (at.step, at.epoch)).collect::<Vec<_>>();
        assert_eq!(logged, planned(&plan.log_rows));
        assert_eq!(notebook.evaluations, planned(&plan.evaluations));
        assert!(losses.last().unwrap() < &(0.7 * losses[0]), "{losses:?}");
        assert_eq!(model.updates as u64, plan.updates);
    }
}

/// Returns four rows that fill a batch of 4, and others that share a text, so that a batch takes
/// one of them.
fn repeating(rows: usize) -> Table {
    let text = |number: usize| format!("w{} w{}", number % toy::WORDS, number / toy::WORDS + 1);
    let distinct = (0..4).map(|row| vec![text(2 * row), text(2 * row + 1)]);
    let alike = (0..rows).map(|row| vec![text(8 + row), "w3".to_string()]);
    Table::new(distinct.chain(alike).collect())
}

#[test]
fn a_plan_of_repeating_texts_counts_the_batches_that_are_drawn() {
    for (reproduce, drop_last) in [(None, true), (None, false), (Some(Version::V3_0_1), true)] {
        let arguments = Arguments { drop_last, gradient_accumulation_steps: 1, ..arguments(reproduce) };
        let table = repeating(20);
        let plan = Plan::of(&[&table], SetSampler::default(), &arguments).unwrap();
        let mut notebook = Notebook::default();
        let record = finished(run_on(&table, &mut Toy::new(), &mut notebook, &arguments, None, false));
        assert_eq!((plan.updates, plan.micro_batches), (record.steps, notebook.micro_steps), "drop_last {drop_last}");
        // The schedule counts as that of the reference, which announces rows ÷ batch size.
        assert_eq!(plan.scheduled_updates, 18);
        assert_eq!(plan.updates < 18, drop_last);
        assert_eq!(Plan::new(24, &arguments).unwrap().updates, 18);
    }
}

#[test]
fn texts_that_repeat_too_often_for_any_batch_are_an_error() {
    let table = Table::new((0..10).map(|row| vec![format!("w{row}"), "w30".to_string()]).collect());
    let arguments = Arguments { drop_last: true, ..arguments(None) };
    let fault = Plan::of(&[&table], SetSampler::default(), &arguments).unwrap_err().to_string();
    assert!(fault.contains("10 rows repeat so often") && fault.contains("batch_sampler"), "{fault}");
    assert!(!fault.contains("do not fill"), "{fault}");
    // Each batch has one row, and there are as many batches as announced: the others are dropped.
    let plan = Plan::of(&[&table], SetSampler::default(), &Arguments { drop_last: false, ..arguments }).unwrap();
    assert_eq!((plan.micro_batches, plan.single_row_batches), (9, 9));
}

#[test]
fn the_best_parameters_come_back_at_the_end() {
    for (metric, scores, best) in [
        ("dim_8_score", [1.0, 3.0, 3.0], 1),
        ("eval_dim_8_score", [f64::NAN, 1.0, 0.5], 1),
        ("dim_8_loss", [1.0, 3.0, 2.0], 0),
    ] {
        for in_memory in [false, true] {
            let arguments = Arguments { keep_best: Some(metric.into()), ..arguments(None) };
            let folder = tempfile::tempdir().unwrap();
            let (mut model, mut notebook) = (Toy::new(), Notebook { scores: scores.to_vec(), ..Notebook::default() });
            let to = (!in_memory).then_some(folder.path());
            let record = finished(run(&mut model, &mut notebook, &arguments, to, false));
            let step = notebook.evaluations[best].0;
            assert_eq!((record.best_step, record.best_value), (Some(step), Some(scores[best])), "{metric}");
            assert_eq!(notebook.restored, Some(step));

            let mut shorter = Toy::new();
            let batches_per_epoch = 8;
            let stop_after = Some(batches_per_epoch * (best as u64 + 1));
            let mut notebook = Notebook { stop_after, ..Notebook::default() };
            let outcome = run(&mut shorter, &mut notebook, &arguments, None, false).unwrap();
            assert!(matches!(outcome, Outcome::Interrupted { checkpoint: None, .. }));
            assert_eq!(model.bits(), shorter.bits(), "{metric}: the parameters at step {step}");
        }
    }
}

#[test]
fn an_average_of_the_parameters_is_evaluated_and_remains_at_the_end() {
    let plain = |updates: u64| Arguments {
        max_steps: Some(updates),
        schedule: maana_train::Schedule::Constant,
        evaluate: Evaluate::Never,
        ..arguments(None)
    };
    let after = |arguments: &Arguments| {
        let mut model = Toy::new();
        finished(run(&mut model, &mut Notebook::default(), arguments, None, false));
        model.parameters().to_vec()
    };
    const UPDATES: u64 = 5;
    let mut average = after(&plain(1));
    for updates in 2..=UPDATES {
        let parameters = after(&plain(updates));
        average.iter_mut().zip(parameters).for_each(|(average, p)| *average += (1.0 - 0.7_f64) as f32 * (p - *average));
    }
    let averaging =
        Arguments { ema_decay: Some(0.7), evaluate: Evaluate::Steps(Interval::Updates(UPDATES)), ..plain(UPDATES) };
    let (mut model, folder) = (Toy::new(), tempfile::tempdir().unwrap());
    let record = finished(run(&mut model, &mut Notebook::default(), &averaging, Some(folder.path()), false));
    assert_eq!(model.parameters(), average);
    let Some(LogRow::Evaluation { scores, .. }) = record.rows.last() else { panic!("the last row is an evaluation") };
    assert_eq!(scores[0].1, average.iter().map(|x| f64::from(*x)).sum::<f64>(), "the average was evaluated");
    let saved = std::fs::read_to_string(folder.path().join("checkpoint-5/model.bits")).unwrap();
    assert_eq!(saved, format!("{:?}", &model.bits()[..4]), "the average was saved");
}

#[test]
fn the_best_checkpoint_outlives_the_limit() {
    let arguments = Arguments {
        keep_best: Some("dim_8_score".into()),
        save_total_limit: Some(2),
        evaluate: Evaluate::Steps(2.into()),
        ..arguments(None)
    };
    let folder = tempfile::tempdir().unwrap();
    let mut notebook = Notebook { scores: vec![0.1, 0.9, 0.2, 0.3, 0.4], ..Notebook::default() };
    let record = finished(run(&mut Toy::new(), &mut notebook, &arguments, Some(folder.path()), false));
    assert_eq!(record.best_step, Some(4));
    assert_eq!(entries(folder.path()), ["checkpoint-4", "checkpoint-9", "record.jsonl"]);
    let state = std::fs::read(folder.path().join("checkpoint-9/trainer_state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    assert_eq!(state["global_step"], 9);
    assert_eq!(state["best_metric"], 0.9);
    assert_eq!(state["best_model_checkpoint"], "checkpoint-4");
    let history = state["log_history"].as_array().unwrap();
    assert_eq!(history.iter().filter(|row| row["eval_dim_8_score"].is_number()).count(), 4);
    assert_eq!(history.iter().filter(|row| row["learning_rate"].is_number()).count(), 4);
    assert_eq!(entries(&folder.path().join("checkpoint-4/1_Pooling")), ["config.json"], "the model lies there as well");
}

#[test]
fn a_checkpoint_is_a_valid_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Toy::new();
    finished(run(&mut model, &mut Notebook::default(), &arguments(None), Some(folder.path()), false));
    let bytes = std::fs::read(folder.path().join("checkpoint-9/training_state.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), 9);
    let words = tensors.tensor("parameters.words.weight").unwrap();
    assert_eq!(words.shape(), [toy::WORDS, toy::HIDDEN]);
    let bits = words.data().chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap()));
    assert_eq!(bits.collect::<Vec<_>>(), model.bits()[..toy::WORDS * toy::HIDDEN]);
}

#[test]
fn every_row_of_the_log_is_a_line_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let record = finished(run(&mut Toy::new(), &mut Notebook::default(), &arguments(None), Some(folder.path()), false));
    let lines = std::fs::read_to_string(folder.path().join("record.jsonl")).unwrap();
    let rows: Vec<LogRow> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, record.rows);
    assert_eq!(rows.len(), 4 + 3);
    assert!(record.tokens > 0 && record.threads == 1 && record.seconds > 0.0);
}

#[test]
fn a_nan_loss_stops_the_run_and_names_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        Arguments { reproduce: Some(Version::V3_0_1), evaluate: Evaluate::Steps(1.into()), ..arguments(None) };
    let mut model = Toy::new();
    let mut rows: Vec<Vec<String>> =
        (0..30).map(|row| vec![format!("w{}", row % 39), format!("w{} w3", row % 38)]).collect();
    rows[14] = vec!["w39 w1".into(), "w2 w39".into()];
    Trainable::write_state(&mut model, StatePart::Parameters, 39 * toy::HIDDEN, &[f32::NAN]);
    let fault = run_on(&Table::new(rows), &mut model, &mut Notebook::default(), &arguments, Some(folder.path()), false);
    let fault = fault.unwrap_err();
    let TrainError::NotANumber { what: "loss", update: 2, rows, last_checkpoint, .. } = &fault else {
        panic!("{fault}")
    };
    assert!(rows.len() == 1 && rows[0].rows.contains(&14) && rows[0].rows.len() == 4, "{rows:?}");
    assert_eq!(last_checkpoint.as_deref(), Some(folder.path().join("checkpoint-1").as_path()));
    let message = fault.to_string();
    assert!(message.contains("14") && message.contains("checkpoint-1") && message.contains("update 2"), "{message}");
    assert_eq!(entries(folder.path()), ["checkpoint-1", "record.jsonl"]);
}

#[test]
fn an_infinite_gradient_stops_the_run_before_the_update() {
    let mut model = Toy::new();
    model.bad_gradients_from = Some(5);
    let fault = run(&mut model, &mut Notebook::default(), &arguments(None), None, false).unwrap_err();
    let TrainError::NotANumber { what: "gradient norm", update: 2, rows, .. } = &fault else { panic!("{fault}") };
    assert_eq!(
        rows.iter().map(|batch| batch.rows.len()).sum::<usize>(),
        12,
        "the rows of three micro-batches: {rows:?}"
    );
    assert!(model.bits().iter().all(|bits| f32::from_bits(*bits).is_finite()), "the parameters stay those of update 1");
}

#[test]
fn missing_columns_are_reported_before_the_folder_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let single = Table::new(vec![vec!["w1".into()]; 8]);
    let out = folder.path().join("out");
    let fault =
        run_on(&single, &mut Toy::new(), &mut Notebook::default(), &arguments(None), Some(&out), false).unwrap_err();
    assert!(matches!(&fault, TrainError::Columns { .. }), "{fault}");
    // The name in the recipe, not that of the loss that modifies it.
    assert!(fault.to_string().starts_with("the loss `multiple_negatives_ranking` needs"), "{fault}");
    assert!(!out.exists());
}

#[test]
fn errors_of_the_reading_thread_are_returned() {
    let row =
        |text: &str| vec![text.to_string(), format!("w1 {text}").replace("nothing known", "w2").trim().to_string()];
    let mut rows: Vec<Vec<String>> = (0..20).map(|number| row(&format!("w{number}"))).collect();
    rows[11] = row("nothing known");
    let run = |table: &Table| {
        run_on(table, &mut Toy::new(), &mut Notebook::default(), &arguments(None), None, false).unwrap_err()
    };
    let fault = run(&Table::new(rows.clone()));
    assert!(
        matches!(&fault, TrainError::Tokenize { column, rows, .. } if column == "anchor" && rows.contains(&11)),
        "{fault}"
    );
    assert!(fault.source().unwrap().to_string().contains("nothing known"));

    rows[11] = row(" ");
    let fault = run(&Table::new(rows.clone()));
    assert!(matches!(&fault, TrainError::NoTokens { row: 11, .. }), "{fault}");

    rows[11] = row("w2 w3");
    let mut table = Table::new(rows);
    table.unreadable = Some(11);
    let fault = run(&table);
    assert!(matches!(&fault, TrainError::Data { row: 11, .. }), "{fault}");
    assert!(fault.source().unwrap().to_string().contains("the disk is gone"));
}

#[test]
fn stopping_early_leaves_no_thread_behind() {
    for after in 0..5 {
        let mut notebook = Notebook { stop_after: Some(after), ..Notebook::default() };
        let arguments = Arguments { epochs: 1000.0, ..arguments(None) };
        let outcome = run(&mut Toy::new(), &mut notebook, &arguments, None, false).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted { checkpoint: None, .. }));
        assert_eq!(notebook.micro_steps, after);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_damages_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = arguments(None);
    let mut notebook = Notebook { stop_after: Some(9), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, &arguments, Some(folder.path()), false).unwrap();
    let before = entries(folder.path());

    let mut notebook = Notebook { fail_save: true, ..Notebook::default() };
    let fault = run(&mut Toy::new(), &mut notebook, &arguments, Some(folder.path()), true).unwrap_err();
    assert!(matches!(&fault, TrainError::SaveModel { .. }), "{fault}");
    assert!(fault.source().unwrap().to_string().contains("no space left"));
    assert_eq!(entries(folder.path()), before, "what stood still stands, and nothing half-written is left");

    let blocked = folder.path().join("a-file");
    std::fs::write(&blocked, "").unwrap();
    let fault = run(&mut Toy::new(), &mut Notebook::default(), &arguments, Some(&blocked), false).unwrap_err();
    assert!(fault.to_string().contains("a-file"), "{fault}");
}

#[test]
fn a_new_run_refuses_a_folder_with_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    finished(run(&mut Toy::new(), &mut Notebook::default(), &arguments(None), Some(folder.path()), false));
    let before = entries(folder.path());
    let fault =
        run(&mut Toy::new(), &mut Notebook::default(), &arguments(None), Some(folder.path()), false).unwrap_err();
    assert!(matches!(&fault, TrainError::EarlierRun { .. }), "{fault}");
    assert_eq!(entries(folder.path()), before);
}

#[test]
fn an_unknown_metric_is_named() {
    let arguments = Arguments { keep_best: Some("dim_9_score".into()), ..arguments(None) };
    let fault = run(&mut Toy::new(), &mut Notebook::default(), &arguments, None, false).unwrap_err().to_string();
    assert!(fault.contains("dim_9_score") && fault.contains("dim_8_score"), "{fault}");
}

/// The counter of transformers' `EarlyStoppingCallback`: it compares with the best value so far,
/// and only a difference above the threshold resets it.
#[test]
fn a_run_stops_after_evaluations_without_enough_gain() {
    let run_with = |measure: &str, patience, threshold, scores: &[f64]| {
        let arguments = Arguments {
            keep_best: Some(measure.into()),
            evaluate: Evaluate::Steps(1.into()),
            early_stopping_patience: Some(patience),
            early_stopping_threshold: threshold,
            ..arguments(None)
        };
        let mut notebook = Notebook { scores: scores.to_vec(), ..Notebook::default() };
        let Outcome::Finished(record) = run(&mut Toy::new(), &mut notebook, &arguments, None, false).unwrap() else {
            panic!("nobody stopped it")
        };
        (record.steps, record.stopped_early, record.best_step)
    };
    let all = Plan::new(30, &arguments(None)).unwrap().updates;
    assert_eq!(all, 9);
    assert_eq!(run_with("dim_8_score", 2, 0.0, &[1.0, 3.0, 2.0, 3.0, 9.0]), (4, true, Some(2)));
    assert_eq!(run_with("dim_8_score", 2, 0.0, &[1.0, 3.0, 2.0, 4.0, 3.0, 3.0]), (6, true, Some(4)));
    assert_eq!(run_with("dim_8_score", 2, 0.5, &[1.0, 1.4, 1.8, 1.9]), (3, true, Some(3)), "the best is kept");
    assert_eq!(run_with("eval_dim_8_loss", 1, 0.0, &[3.0, 2.0, 2.0]), (3, true, Some(2)));
    let rising: Vec<f64> = (0..9).map(f64::from).collect();
    assert_eq!(run_with("dim_8_score", 1, 0.0, &rising), (9, false, Some(9)));
    let last = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0];
    assert_eq!(run_with("dim_8_score", 1, 0.0, &last), (9, false, Some(8)), "complete anyway");
}

#[test]
fn the_mean_of_several_measures_selects_the_best() {
    let both = vec!["dim_8_score".to_string(), "eval_dim_8_score".to_string()];
    let arguments = Arguments { keep_best: Some(both.into()), ..arguments(None) };
    let mut notebook = Notebook { scores: vec![1.0, 3.0, 2.0], ..Notebook::default() };
    let Outcome::Finished(record) = run(&mut Toy::new(), &mut notebook, &arguments, None, false).unwrap() else {
        panic!("nobody stopped it")
    };
    assert_eq!(record.best_value, Some(3.0));
    assert_eq!(record.best_metric.as_deref(), Some("mean of dim_8_score, eval_dim_8_score"));
}

#[test]
fn threads_change_no_bit() {
    let (table, loss, arguments) = (Table::pairs(30), toy::loss(), arguments(None));
    let outcomes = [1, 2, 3].map(|threads| {
        let (mut model, context) = (Toy::new(), Context::new(threads));
        let sets = [TrainingSet::new(&table, loss.as_ref())];
        let run = Run::new(&context, &sets, tokenize, &arguments);
        let record = finished(run.train(&mut model, &mut Notebook::default()));
        (model.bits(), timeless(&record.rows))
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
}

#[test]
fn more_batches_than_planned_are_reported() {
    let rows = |rows: usize| (0..rows).map(|row| vec![format!("w{row}"), "w30".to_string()]).collect();
    let mut notebook = Notebook::default();
    let arguments = Arguments { epochs: 2.0, ..arguments(None) };
    finished(run_on(&Table::new(rows(8)), &mut Toy::new(), &mut notebook, &arguments, None, false));
    assert_eq!(notebook.events, ["left out 6 in epoch 0", "left out 6 in epoch 1"]);
    assert_eq!(notebook.micro_steps, 4);
}
