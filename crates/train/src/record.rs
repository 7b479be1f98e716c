//! `TrainingRecord`: everything that a run logged. Plain data; `record.jsonl` holds its rows one a line.

use crate::Precision;
use serde::{Deserialize, Serialize};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogRow {
    /// Some updates were made.
    Training {
        /// Updates made so far.
        step: u64,
        /// Epochs made so far, as the reference counts them.
        epoch: f64,
        /// Mean loss of the updates since the last such row.
        loss: f64,
        /// The learning rate as the reference logs it: that of this update, or of the next one where 3.0.1 is followed.
        learning_rate: f64,
        /// The norm of the last update's gradient, before clipping.
        gradient_norm: f64,
        /// Real tokens a second since the last such row (no padding is counted, there is none).
        tokens_per_second: f64,
        /// Seconds since the run began, over all resumptions.
        seconds: f64,
    },
    /// The model was measured.
    Evaluation {
        /// Updates made so far.
        step: u64,
        /// Epochs made so far.
        epoch: f64,
        /// Every measure, keys like `dim_128_cosine_ndcg@10`, in order.
        #[serde(with = "scores_with_nan")]
        scores: Vec<(String, f64)>,
        /// Seconds that the evaluation took.
        seconds: f64,
        /// Precision of the products that made the embeddings, if it was noted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        precision: Option<Precision>,
    },
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Every logged row in order.
    pub rows: Vec<LogRow>,
    /// The step whose parameters were kept as the best, if the run chose by a measure.
    pub best_step: Option<u64>,
    /// The measure that chose (`dim_128_cosine_ndcg@10`).
    pub best_metric: Option<String>,
    /// Its value at that step.
    pub best_value: Option<f64>,
    /// Updates made.
    pub steps: u64,
    /// Seconds that training took, over all resumptions, evaluations included.
    pub seconds: f64,
    /// What these seconds went to.
    #[serde(default)]
    pub times: Times,
    /// Tokens that went through the model in training.
    pub tokens: u64,
    /// Threads that computed.
    pub threads: usize,
    /// Most memory that the process held, in bytes, if the system tells; over all resumptions.
    pub peak_memory_bytes: Option<u64>,
}

/// Seconds of a run by what they went to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Forward, backward and the optimizer.
    pub computing: f64,
    /// Waiting for the next batch of tokens.
    pub waiting: f64,
    /// Measuring the model.
    pub evaluating: f64,
    /// Writing checkpoints.
    pub saving: f64,
}

impl Times {
    /// A sentence for people, or nothing of a run that did nothing.
    pub fn told(&self) -> Option<String> {
        let all = self.computing + self.waiting + self.evaluating + self.saving;
        let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / all);
        (all > 0.0).then(|| {
            let [computing, waiting] = [self.computing, self.waiting].map(share);
            let [evaluating, saving] = [self.evaluating, self.saving].map(share);
            format!(
                "{computing} computing, {waiting} waiting for batches, {evaluating} measuring, {saving} writing checkpoints"
            )
        })
    }
}

/// JSON has no NaN: a measure that is none is written as `null`, and read again as NaN.
mod scores_with_nan {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(scores: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        scores.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
        let scores = Vec::<(String, Option<f64>)>::deserialize(deserializer)?;
        Ok(scores.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_that_is_not_a_number_survives() {
        let scores = vec![("a".to_string(), 0.1 + 0.2), ("b".to_string(), f64::NAN)];
        let line =
            serde_json::to_string(&LogRow::Evaluation { step: 3, epoch: 0.5, scores, seconds: 1.0, precision: None })
                .unwrap();
        let LogRow::Evaluation { scores, .. } = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(scores[0], ("a".to_string(), 0.1 + 0.2), "every bit of a number");
        assert!(scores[1].1.is_nan());
    }
}
