//! A complete run of version 3.0.1 of the reference, and the schedule of its model card.

use crate::support::{Bench, golden, maana, succeed};
use serde_json::Value;

#[test]
fn a_run_of_3_0_1_has_the_same_log_scores_and_best_model() {
    let bench = Bench::new();
    succeed(&mut bench.train("run"));
    let reference: Value = serde_json::from_slice(&std::fs::read(golden("st301/run.json")).unwrap()).unwrap();
    let record = std::fs::read_to_string(bench.path("run/record.jsonl")).unwrap();
    let rows: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let history = reference["log_history"].as_array().unwrap();
    let history: Vec<&Value> = history.iter().filter(|row| row.get("train_runtime").is_none()).collect();
    assert_eq!(rows.len(), history.len());
    let (mut metrics, mut worst_loss, mut worst_metric) = (0, 0.0_f64, 0.0_f64);
    for (ours, theirs) in rows.iter().zip(history) {
        assert_eq!(ours["step"], theirs["step"]);
        assert_eq!(ours["epoch"].as_f64(), theirs["epoch"].as_f64());
        if let Some(loss) = theirs.get("loss") {
            assert_eq!(ours["learning_rate"].as_f64(), theirs["learning_rate"].as_f64());
            let off = (ours["loss"].as_f64().unwrap() - loss.as_f64().unwrap()).abs();
            worst_loss = worst_loss.max(off);
            assert!(off <= 1e-3, "{ours}: the reference has {loss}");
            continue;
        }
        for score in ours["scores"].as_array().unwrap() {
            let (name, value) = (score[0].as_str().unwrap(), score[1].as_f64().unwrap());
            let theirs = theirs[format!("eval_{name}")].as_f64().unwrap_or_else(|| panic!("{name} is missing"));
            worst_metric = worst_metric.max((value - theirs).abs());
            assert!((value - theirs).abs() <= 1e-4, "{name}: {value} instead of {theirs}");
            metrics += 1;
        }
    }
    println!("largest differences: loss {worst_loss:e}, {metrics} metrics {worst_metric:e}");
    assert_eq!(metrics, 3 * 4 * 15);

    // The scores of the best step are those of the saved model, and its folder opens.
    let best = reference["best_step"].as_u64().unwrap();
    let best = rows.iter().find(|row| row["step"].as_u64() == Some(best) && row["event"] == "evaluation").unwrap();
    let expected = best["scores"].as_array().unwrap();
    let json = bench.path("again.json");
    let mut again = maana();
    again.arg("evaluate").arg(bench.path("run/model")).arg(bench.path("dev"));
    succeed(again.args(["--dims", "64,32,16,8", "--json"]).arg(&json));
    let again: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let again = again.as_object().unwrap();
    assert!(rows.iter().filter(|row| row["event"] == "evaluation").all(|row| row["precision"] == "f32"));
    for score in expected {
        let name = score[0].as_str().unwrap();
        assert_eq!(again[name], score[1], "{name} of the saved model");
    }
}

#[test]
fn a_folder_saved_by_3_0_1_is_read() {
    let info = succeed(maana().arg("info").arg(golden("st301/model")));
    assert!(info.contains("Transformer → Pooling → Normalize"), "{info}");
}

/// The training log of the model card: 282,883 distinct rows, 2,208 updates, four evaluations.
#[test]
fn a_dry_run_prints_the_schedule_of_the_card() {
    let bench = Bench::new();
    let rows: String =
        (0..282_883).map(|row| format!("{{\"positive\":\"p {row}\",\"anchor\":\"a {row}\"}}\n")).collect();
    bench.write("pairs.jsonl", &rows);
    let mut dry = bench.train("run");
    dry.args(["--dry-run", "--set", "training.epochs=4", "--set", "training.batch_size=32"]);
    dry.args(["--set", "training.gradient_accumulation_steps=16", "--set", "training.log_every=10"]);
    let plan = succeed(&mut dry);
    let line = |name: &str| plan.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{plan}"));
    assert!(line("rows").ends_with("282883"), "{plan}");
    assert!(line("updates").ends_with("2208"), "{plan}");
    assert!(line("warmup   ").ends_with("221"), "{plan}");
    let evaluations = "552 → 0.9990, 1105 → 1.9998, 1657 → 2.9988, 2208 → 3.9959";
    assert!(line("evaluations").ends_with(evaluations), "{plan}");
    // The first, some and the last rows of the card's log.
    let log = line("log rows");
    for row in ["10 → 0.0181", "20 → 0.0362", "30 → 0.0543", "550 → 0.9954", "1100 → 1.9907", "2200 → 3.9815"]
    {
        assert!(log.contains(&format!(" {row}")), "{row} is not in {log}");
    }
    assert!(line("memory").contains("GB") && line("time").contains("training"), "{plan}");
    assert!(!bench.path("run").exists(), "a dry run writes nothing");
}
