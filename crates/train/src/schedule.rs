//! The learning rate of each update, bit-identical to the schedules of Hugging Face transformers.

use crate::Schedule;

/// Returns the learning rate of update `step` (from 0) of `steps` as a fraction of the maximum,
/// with `warmup` updates. The first update of a warmup has 0.
pub(crate) fn factor(schedule: Schedule, step: u64, warmup: u64, steps: u64) -> f64 {
    let (at, rise, all) = (step as f64, warmup as f64, steps as f64);
    if schedule == Schedule::Constant {
        return 1.0;
    }
    if step < warmup {
        return at / rise.max(1.0);
    }
    match schedule {
        Schedule::Linear => ((all - at) / (all - rise).max(1.0)).max(0.0),
        Schedule::Cosine => {
            let progress = (at - rise) / (all - rise).max(1.0);
            (0.5 * (1.0 + libm::cos(std::f64::consts::PI * 0.5 * 2.0 * progress))).max(0.0)
        }
        Schedule::Constant | Schedule::ConstantWithWarmup => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_of_the_golden_run() {
        let golden = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/train_tiny.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
        let steps = golden["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 20);
        for (step, row) in steps.iter().enumerate() {
            let rate = 1e-3 * factor(Schedule::Cosine, step as u64, 2, 20);
            assert_eq!(rate, row["learning_rate"].as_f64().unwrap(), "update {step}");
        }
    }

    #[test]
    fn the_learning_rates_that_the_run_of_3_0_1_logged() {
        let golden = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/st301/run.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
        for row in golden["log_history"].as_array().unwrap() {
            if let Some(logged) = row.get("learning_rate") {
                let step = row["step"].as_u64().unwrap();
                assert_eq!(5e-4 * factor(Schedule::Cosine, step, 2, 12), logged.as_f64().unwrap(), "step {step}");
            }
        }
    }

    #[test]
    fn each_schedule_at_its_corners() {
        for schedule in [Schedule::Linear, Schedule::Cosine, Schedule::ConstantWithWarmup] {
            assert_eq!(factor(schedule, 0, 4, 10), 0.0, "{schedule:?} starts at 0");
            assert_eq!(factor(schedule, 2, 4, 10), 0.5, "{schedule:?} rises");
            assert_eq!(factor(schedule, 4, 4, 10), 1.0, "{schedule:?} reaches 1");
            assert_eq!(factor(schedule, 0, 0, 10), 1.0, "{schedule:?} without warmup");
        }
        assert_eq!(factor(Schedule::Linear, 7, 4, 10), 0.5);
        assert_eq!(factor(Schedule::Linear, 10, 4, 10), 0.0);
        assert_eq!(factor(Schedule::Cosine, 10, 4, 10), 0.0);
        assert_eq!(factor(Schedule::ConstantWithWarmup, 10, 4, 10), 1.0);
        assert_eq!(factor(Schedule::Constant, 0, 4, 10), 1.0, "constant knows no warmup");
        assert_eq!(factor(Schedule::Linear, 0, 1, 1), 0.0, "a single update that is all warmup");
        assert_eq!(factor(Schedule::Cosine, 1, 1, 1), 1.0, "no division by nothing");
    }
}
