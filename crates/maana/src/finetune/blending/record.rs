//! The measured blends of a run, in `evaluation/blend.json`. They belong to one base, one trained
//! model and the settings with which they were measured; others are refused by name.

use super::super::error::FinetuneError;
use crate::recipe::Recipe;
use maana_eval::Scores;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Measured blends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::finetune) struct BlendRecord {
    /// `[blend]`, `[evaluation]` and `keep_best`, by their names in a recipe.
    settings: Map<String, Value>,
    /// Fingerprint of the base.
    base: String,
    /// Fingerprint of the trained model, once it exists.
    tuned: Option<String>,
    points: Vec<Point>,
}

/// A blend and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::finetune) struct Point {
    /// Share of the trained model.
    pub(in crate::finetune) alpha: f64,
    /// Scores of the sets of `[evaluation]`.
    pub(in crate::finetune) dev: Vec<Scores>,
    /// Scores of the guards that are not among them.
    pub(in crate::finetune) guards: Vec<Scores>,
    /// Primary metric of each query or text of each guard, if falls are judged by chance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::finetune) items: Vec<Vec<f64>>,
}

impl BlendRecord {
    pub(in crate::finetune) fn new(recipe: &Recipe, base: String) -> Self {
        let mut settings = Map::new();
        let mut flatten = |table: &str, value: Value| match value {
            Value::Object(fields) => {
                settings.extend(fields.into_iter().map(|(key, value)| (format!("[{table}] {key}"), value)));
            }
            value => drop(settings.insert(table.into(), value)),
        };
        flatten("blend", json!(recipe.blend));
        flatten("evaluation", json!(recipe.evaluation));
        flatten("[training] keep_best", json!(recipe.training.keep_best));
        Self { settings, base, tuned: None, points: Vec::new() }
    }

    /// Checks that an earlier record, in `path`, is of the same settings and base.
    ///
    /// # Errors
    /// Names the settings that differ.
    pub(in crate::finetune) fn check(&self, earlier: &Self, path: &Path) -> Result<(), FinetuneError> {
        // A setting that the earlier version did not have had its default.
        let differing = self.settings.iter().filter_map(|(name, ours)| {
            let theirs = earlier.settings.get(name)?;
            (theirs != ours).then(|| format!("`{name}` was {theirs} and is now {ours}"))
        });
        let mut differences: Vec<String> = differing.collect();
        if self.base != earlier.base {
            differences.push("the base model has changed".into());
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(FinetuneError::Fit(format!(
            "{}: the blends of this run were measured with other settings: {}; restore them, or remove this file to \
             measure the blends again without training again",
            path.display(),
            differences.join("; ")
        )))
    }

    /// Forgets blends with another trained model.
    pub(super) fn of_trained_model(&mut self, fingerprint: String) {
        if self.tuned.as_ref() != Some(&fingerprint) {
            self.points.retain(|point| point.alpha == 0.0);
            self.tuned = Some(fingerprint);
        }
    }

    pub(in crate::finetune) fn has(&self, alpha: f64) -> bool {
        self.points.iter().any(|point| point.alpha == alpha)
    }

    pub(in crate::finetune) fn add(&mut self, point: Point) {
        self.points.push(point);
    }

    /// Returns the scores of a measured blend on the sets of `[evaluation]`.
    pub(super) fn dev(&self, alpha: f64) -> &[Scores] {
        &self.point(alpha).dev
    }

    /// Returns the points by ascending share.
    pub(super) fn by_share(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
        points
    }

    pub(super) fn point(&self, alpha: f64) -> &Point {
        self.points.iter().find(|point| point.alpha == alpha).expect("the blend was measured")
    }
}
