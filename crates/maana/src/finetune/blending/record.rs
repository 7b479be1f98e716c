//! The measured blends of a run, in `evaluation/blend.json`. They belong to one base, one trained
//! model and the settings with which they were measured; others are refused by name.

use super::super::error::FinetuneError;
use crate::recipe::{BlendTable, EvaluationTable, Recipe};
use maana_eval::Scores;
use maana_train::KeepBest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
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
        let blend = recipe.blend.clone().unwrap_or_default();
        let settings = settings(&blend, &recipe.evaluation, &recipe.training.keep_best);
        Self { settings, base, tuned: None, points: Vec::new() }
    }

    /// Checks that an earlier record, in `path`, is of the same settings and base.
    ///
    /// # Errors
    /// Names the settings that differ.
    pub(in crate::finetune) fn check(&self, earlier: &Self, path: &Path) -> Result<(), FinetuneError> {
        // A setting that a record lacks has its default there: an earlier version did not have it,
        // or it is only written if it differs from the default.
        let defaults = settings(&BlendTable::default(), &EvaluationTable::default(), &None);
        let value = |settings: &Map<String, Value>, name: &String| {
            settings.get(name).or(defaults.get(name)).cloned().unwrap_or_default()
        };
        let names: BTreeSet<&String> = self.settings.keys().chain(earlier.settings.keys()).collect();
        let differing = names.into_iter().filter_map(|name| {
            let (theirs, ours) = (value(&earlier.settings, name), value(&self.settings, name));
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

/// Returns settings by their names in a recipe.
fn settings(blend: &BlendTable, evaluation: &EvaluationTable, keep_best: &Option<KeepBest>) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut flatten = |table: &str, value: Value| match value {
        Value::Object(fields) => {
            settings.extend(fields.into_iter().map(|(key, value)| (format!("[{table}] {key}"), value)));
        }
        value => drop(settings.insert(table.into(), value)),
    };
    flatten("blend", json!(blend));
    flatten("evaluation", json!(evaluation));
    flatten("[training] keep_best", json!(keep_best));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(blend: &str) -> BlendRecord {
        let text = format!(
            "[model]\nbase = \"b\"\n[data]\ntrain = [\"t.jsonl\"]\n[loss]\nname = \"multiple_negatives_ranking\"\n{blend}"
        );
        BlendRecord::new(&crate::recipe::parse(&text, "the recipe", &[]).unwrap(), "base".into())
    }

    fn difference(ours: &BlendRecord, earlier: &BlendRecord) -> String {
        ours.check(earlier, Path::new("blend.json")).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_setting_that_a_record_lacks_has_its_default() {
        let default = record("[blend]\n");
        let mut older = default.clone();
        for name in ["[blend] tolerance", "[evaluation] dims", "[evaluation] sets", "[training] keep_best"] {
            assert!(older.settings.remove(name).is_some(), "{name}");
        }
        assert_eq!(difference(&default, &older), "");
        assert_eq!(difference(&older, &default), "");
        let ours = record("[evaluation]\ndims = [32]\n[blend]\ntolerance = 0.1\n");
        let error = difference(&ours, &older);
        assert!(error.contains("`[blend] tolerance` was 0.0 and is now 0.1"), "{error}");
        assert!(error.contains("`[evaluation] dims` was null and is now [32]"), "{error}");
    }

    /// The names of own evaluators are only written if there are any.
    #[test]
    fn a_setting_that_only_one_record_has_is_compared() {
        let (without, with) = (record("[blend]\n"), record("[evaluation]\nown = [\"mine\"]\n[blend]\n"));
        assert!(difference(&with, &without).contains("`[evaluation] own` was null and is now [\"mine\"]"));
        assert!(difference(&without, &with).contains("`[evaluation] own` was [\"mine\"] and is now null"));
        let best = |keep_best: &str| {
            record(&format!(
                "[training]\nevaluate = \"epoch\"\nkeep_best = {keep_best}\n[evaluation]\nsplit = 0.1\n[blend]\n"
            ))
        };
        let (text, table) = (best("\"loss\""), best("{ measures = [\"loss\"], greater_is_better = true }"));
        assert!(difference(&table, &text).contains("keep_best` was \"loss\""), "{}", difference(&table, &text));
        assert_eq!(difference(&table, &table), "");
    }
}
