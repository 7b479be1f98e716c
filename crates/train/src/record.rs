//! The record of a run: everything that it logged. `record.jsonl` has one row per line.

use crate::Precision;
use serde::{Deserialize, Serialize};

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogRow {
    /// Training, since the last such row.
    Training {
        /// Completed updates.
        step: u64,
        /// Completed epochs, as the reference counts them.
        epoch: f64,
        /// Mean loss of the updates since the last such row.
        loss: f64,
        /// Mean loss of each data set's micro-batches since the last such row, before its weight;
        /// only with several sets, and only of those that had one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        set_losses: Vec<(String, f64)>,
        /// Learning rate as the reference logs it: that of this update, or of the next one when
        /// reproducing 3.0.1.
        learning_rate: f64,
        /// Norm of the last update's gradient before clipping.
        gradient_norm: f64,
        /// Tokens per second since the last such row.
        tokens_per_second: f64,
        /// Seconds since the start of the run, over all resumptions.
        seconds: f64,
    },
    /// An evaluation.
    Evaluation {
        /// Completed updates.
        step: u64,
        /// Completed epochs.
        epoch: f64,
        /// All metrics in order, with keys such as `dim_128_cosine_ndcg@10`.
        #[serde(with = "scores_with_nan")]
        scores: Vec<(String, f64)>,
        /// Seconds of the evaluation.
        seconds: f64,
        /// Precision of the products for the embeddings, if it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        precision: Option<Precision>,
    },
}

impl LogRow {
    /// Returns the number of completed updates.
    pub fn step(&self) -> u64 {
        match self {
            Self::Training { step, .. } | Self::Evaluation { step, .. } => *step,
        }
    }

    /// Returns the values of the row under the names of the Hugging Face trainer's log.
    pub fn logged(&self) -> Vec<(String, f64)> {
        match self {
            Self::Training { epoch, loss, learning_rate, gradient_norm, .. } => {
                let values =
                    [("loss", loss), ("grad_norm", gradient_norm), ("learning_rate", learning_rate), ("epoch", epoch)];
                values.map(|(name, value)| (name.to_owned(), *value)).into()
            }
            Self::Evaluation { epoch, scores, seconds, .. } => {
                let scores = scores.iter().map(|(name, value)| (format!("eval_{name}"), *value));
                scores.chain([("eval_runtime".to_owned(), *seconds), ("epoch".to_owned(), *epoch)]).collect()
            }
        }
    }
}

/// The record of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// All rows in order.
    pub rows: Vec<LogRow>,
    /// Update with the best parameters, if the run selects by a metric.
    pub best_step: Option<u64>,
    /// The deciding metric (`dim_128_cosine_ndcg@10`).
    pub best_metric: Option<String>,
    /// Its value at that update.
    pub best_value: Option<f64>,
    /// True if the run ended early, because evaluations did not improve the metric any more.
    #[serde(default)]
    pub stopped_early: bool,
    /// Completed updates.
    pub steps: u64,
    /// Seconds of training, over all resumptions, including evaluations.
    pub seconds: f64,
    /// Division of these seconds.
    #[serde(default)]
    pub times: Times,
    /// Tokens that passed through the model in training.
    pub tokens: u64,
    /// Threads of the computation.
    pub threads: usize,
    /// Peak memory of the process in bytes, if the system reports it, over all resumptions.
    pub peak_memory_bytes: Option<u64>,
}

/// Seconds of a run by activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Forward, backward and the optimizer.
    pub computing: f64,
    /// Waiting for the next batch of tokens.
    pub waiting: f64,
    /// Evaluating the model.
    pub evaluating: f64,
    /// Writing checkpoints.
    pub saving: f64,
}

impl Times {
    /// Returns a sentence for display, or `None` for a run that did nothing.
    pub fn summary(&self) -> Option<String> {
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

/// JSON has no NaN: a metric that is NaN is written as `null`, and read as NaN.
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
    fn a_metric_that_is_nan_survives() {
        let scores = vec![("a".to_string(), 0.1 + 0.2), ("b".to_string(), f64::NAN)];
        let line =
            serde_json::to_string(&LogRow::Evaluation { step: 3, epoch: 0.5, scores, seconds: 1.0, precision: None })
                .unwrap();
        let LogRow::Evaluation { scores, .. } = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(scores[0], ("a".to_string(), 0.1 + 0.2), "every bit of a number");
        assert!(scores[1].1.is_nan());
    }
}
