//! Values of all schedules against transformers and PyTorch (`golden/optim.json`).

use super::{Plateau, ReduceLrOnPlateau, Schedule};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../golden/optim.json")).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn every_update_of_every_schedule_has_the_learning_rate_of_transformers() {
    let golden = golden();
    let cases = golden["schedules"].as_array().unwrap();
    for case in cases {
        let mut table = case["parameters"].clone();
        table["name"] = case["name"].clone();
        let schedule: Schedule = serde_json::from_value(table).unwrap();
        let rate = case["learning_rate"].as_f64().unwrap();
        schedule.check(rate).unwrap();
        let [warmup, steps] = ["warmup", "steps"].map(|name| case[name].as_u64().unwrap());
        for (step, expected) in numbers(&case["rates"]).into_iter().enumerate() {
            let found = rate * schedule.factor(step as u64, warmup, steps, rate);
            let close = (found - expected).abs() <= 1e-14 * rate;
            assert!(close, "{schedule:?}, update {step}: {found} instead of {expected}");
        }
    }
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case["name"].as_str()).collect();
    assert_eq!(names.len(), 8, "all schedules but the constant ones");
}

#[test]
fn a_decay_may_be_a_share_of_the_run() {
    let schedule = |text: &str| serde_json::from_str::<Schedule>(text).unwrap();
    let share = schedule(r#"{"name": "warmup_stable_decay", "num_decay_steps": 0.3}"#);
    let count = schedule(r#"{"name": "warmup_stable_decay", "num_decay_steps": 4}"#);
    for step in 0..=11 {
        assert_eq!(share.factor(step, 2, 11, 1.0), count.factor(step, 2, 11, 1.0), "update {step}");
    }
}

#[test]
fn the_rate_on_a_plateau_is_that_of_pytorch() {
    for case in golden()["plateaus"].as_array().unwrap() {
        let settings: ReduceLrOnPlateau = serde_json::from_value(case["parameters"].clone()).unwrap();
        let mut plateau = Plateau::new(1e-3);
        for (index, (value, expected)) in numbers(&case["values"]).into_iter().zip(numbers(&case["rates"])).enumerate()
        {
            plateau.observe(&settings, value, case["mode"] == "max");
            assert_eq!(plateau.learning_rate, expected, "{settings:?}, evaluation {index}");
            // The state survives a checkpoint.
            plateau = serde_json::from_str(&serde_json::to_string(&plateau).unwrap()).unwrap();
        }
    }
}
