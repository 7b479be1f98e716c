//! Blends of the base and the trained model, and the choice among them: plain data and sentences.

use serde::{Deserialize, Serialize};

/// Measured blends of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlendFacts {
    /// The deciding metric, such as `dim_128_cosine_ndcg@10`.
    pub metric: String,
    /// The sets that must not fall, in the order of [`BlendPoint::guards`].
    pub guards: Vec<GuardFacts>,
    /// Amount by which a guard may fall.
    pub tolerance: f64,
    /// The base, then the blends by ascending share.
    pub points: Vec<BlendPoint>,
    /// Index of the saved blend among the points.
    pub chosen: usize,
    /// Comparison of the saved blend with the base.
    pub verdict: Verdict,
}

/// A set that must not fall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// The set.
    pub name: String,
    /// Its primary metric.
    pub metric: String,
    /// True if a smaller value is better.
    pub smaller_is_better: bool,
}

/// A blend and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlendPoint {
    /// Share of the trained model: 0 is the base.
    pub alpha: f64,
    /// The deciding metric.
    pub value: f64,
    /// The primary metric of each guard.
    pub guards: Vec<f64>,
}

/// Comparison of the saved blend with the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// A gain of at least 0.01, and no guard falls.
    Win,
    /// A smaller gain or none, and no guard falls.
    Marginal,
    /// A loss, or a guard falls.
    Regression,
}

impl BlendPoint {
    /// Returns the deciding metric and those of the guards.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        std::iter::once(self.value).chain(self.guards.iter().copied())
    }
}

impl BlendFacts {
    /// Returns the base.
    pub fn base(&self) -> &BlendPoint {
        &self.points[0]
    }

    /// Returns the names of all metrics, in the order of [`BlendPoint::values`].
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.metric).chain(self.guards.iter().map(|guard| &guard.metric)).map(String::as_str)
    }

    /// Returns the saved blend.
    pub fn chosen(&self) -> &BlendPoint {
        &self.points[self.chosen]
    }

    /// Returns the change of each guard from the base, positive if it improves.
    pub(crate) fn changes<'a>(&'a self, point: &'a BlendPoint) -> impl Iterator<Item = f64> + 'a {
        self.guards
            .iter()
            .zip(point.guards.iter().zip(&self.base().guards))
            .map(|(guard, (value, base))| if guard.smaller_is_better { base - value } else { value - base })
    }

    /// Describes the verdict in a line.
    pub fn verdict_line(&self) -> String {
        let (base, chosen) = (self.base(), self.chosen());
        let verdict = match self.verdict {
            Verdict::Win => "WIN",
            Verdict::Marginal => "MARGINAL",
            Verdict::Regression => "REGRESSION",
        };
        let change = chosen.value - base.value;
        let value = format!("{} {:.4} → {:.4} ({change:+.4})", self.metric, base.value, chosen.value);
        let fallen: Vec<String> = self
            .guards
            .iter()
            .enumerate()
            .zip(self.changes(chosen))
            .filter(|(_, change)| change.is_nan() || *change < -self.tolerance)
            .map(|((index, guard), _)| {
                format!("{} {:.4} → {:.4}", guard.name, base.guards[index], chosen.guards[index])
            })
            .collect();
        let guards = match (self.guards.len(), fallen.len()) {
            (0, _) => String::new(),
            (1, 0) => "; the guard holds".into(),
            (all, 0) => format!("; all {all} guards hold"),
            _ => format!("; no blend keeps all guards, this one loses least: {}", fallen.join(", ")),
        };
        format!("{verdict}: {value} at α = {}{guards}", chosen.alpha)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn blend() -> BlendFacts {
        let point = |alpha, value, guards: [f64; 2]| BlendPoint { alpha, value, guards: guards.to_vec() };
        let guard = |name: &str| GuardFacts {
            name: name.into(),
            metric: "dim_384_cosine_ndcg@10".into(),
            smaller_is_better: false,
        };
        BlendFacts {
            metric: "dim_384_cosine_map@100".into(),
            guards: vec![guard("habari"), guard("afya")],
            tolerance: 0.0,
            points: vec![
                point(0.0, 0.1211, [0.21, 0.2775]),
                point(0.5, 0.3189, [0.2546, 0.3445]),
                point(1.0, 0.4026, [0.1752, 0.1732]),
            ],
            chosen: 1,
            verdict: Verdict::Win,
        }
    }

    #[test]
    fn verdicts_are_one_line() {
        let mut facts = blend();
        assert_eq!(
            facts.verdict_line(),
            "WIN: dim_384_cosine_map@100 0.1211 → 0.3189 (+0.1978) at α = 0.5; all 2 guards hold"
        );
        (facts.chosen, facts.verdict) = (2, Verdict::Regression);
        let line = facts.verdict_line();
        assert!(
            line.starts_with("REGRESSION: ") && line.ends_with("habari 0.2100 → 0.1752, afya 0.2775 → 0.1732"),
            "{line}"
        );
    }
}
