//! Blends of the base and the trained model, and the choice among them: plain data and sentences.

use serde::{Deserialize, Serialize};

/// Measured blends of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlendFacts {
    /// The deciding metric, such as `dim_128_cosine_ndcg@10`.
    pub metric: String,
    /// The sets that must not fall, in the order of [`BlendPoint::guards`].
    pub guards: Vec<GuardFacts>,
    /// True if a guard falls only if a paired bootstrap over its queries or texts shows it.
    pub by_chance: bool,
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
    /// Indexes of the guards that fall by more than is accepted.
    pub fallen: Vec<usize>,
}

/// Comparison of the saved blend with the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// A gain of at least 0.01, and no guard falls.
    Win,
    /// A smaller gain or none, and no guard falls.
    Marginal,
    /// A loss; or no blend keeps the guards, and the base is saved.
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

    /// Describes the verdict in a line.
    pub fn verdict_line(&self) -> String {
        let chosen = self.chosen();
        let verdict = match self.verdict {
            Verdict::Win => "WIN",
            Verdict::Marginal => "MARGINAL",
            Verdict::Regression => "REGRESSION",
        };
        let no_blend_is_saved = self.chosen == 0 && self.verdict == Verdict::Regression;
        if let Some(least) = self.points.get(1).filter(|least| no_blend_is_saved && !least.fallen.is_empty()) {
            return format!(
                "{verdict}: no blend keeps all guards, so the base is saved; at α = {} {}, and guards fall: {}",
                least.alpha,
                self.change_of_metric(least),
                self.changes_of_guards(least, least.fallen.iter().copied())
            );
        }
        let guards = match self.guards.len() {
            0 => String::new(),
            _ if self.by_chance => self.chances(chosen),
            1 => "; the guard holds".into(),
            2 => "; both guards hold".into(),
            all => format!("; all {all} guards hold"),
        };
        let share = match chosen.alpha {
            0.0 => "α = 0, the base itself".into(),
            alpha => format!("α = {alpha}"),
        };
        format!("{verdict}: {} at {share}{guards}", self.change_of_metric(chosen))
    }

    /// Names the guards whose value is below that of the base, but within chance.
    fn chances(&self, point: &BlendPoint) -> String {
        let below = (0..self.guards.len()).filter(|&index| point.guards[index] < self.base().guards[index]);
        match self.changes_of_guards(point, below) {
            none if none.is_empty() => "; no guard falls".into(),
            below => format!("; no guard falls beyond chance ({below})"),
        }
    }

    fn change_of_metric(&self, point: &BlendPoint) -> String {
        let (base, value) = (self.base().value, point.value);
        format!("{} {base:.4} → {value:.4} ({:+.4})", self.metric, value - base)
    }

    fn changes_of_guards(&self, point: &BlendPoint, indexes: impl Iterator<Item = usize>) -> String {
        let change = |index: usize| {
            format!("{} {:.4} → {:.4}", self.guards[index].name, self.base().guards[index], point.guards[index])
        };
        indexes.map(change).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn blend() -> BlendFacts {
        let point = |alpha, value, guards: [f64; 2], fallen: &[usize]| BlendPoint {
            alpha,
            value,
            guards: guards.to_vec(),
            fallen: fallen.to_vec(),
        };
        let guard = |name: &str| GuardFacts { name: name.into(), metric: "dim_384_cosine_ndcg@10".into() };
        BlendFacts {
            metric: "dim_384_cosine_map@100".into(),
            guards: vec![guard("habari"), guard("afya")],
            by_chance: false,
            points: vec![
                point(0.0, 0.1211, [0.21, 0.2775], &[]),
                point(0.5, 0.3189, [0.2546, 0.3445], &[]),
                point(1.0, 0.4026, [0.1752, 0.1732], &[0, 1]),
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
            "WIN: dim_384_cosine_map@100 0.1211 → 0.3189 (+0.1978) at α = 0.5; both guards hold"
        );
        (facts.by_chance, facts.points[1].guards[0]) = (true, 0.2);
        let line = facts.verdict_line();
        assert!(line.ends_with("at α = 0.5; no guard falls beyond chance (habari 0.2100 → 0.2000)"), "{line}");
        facts.points[1].guards[0] = 0.21;
        assert!(facts.verdict_line().ends_with("; no guard falls"), "{}", facts.verdict_line());
        facts.points.remove(1);
        (facts.chosen, facts.verdict) = (0, Verdict::Regression);
        assert_eq!(
            facts.verdict_line(),
            "REGRESSION: no blend keeps all guards, so the base is saved; at α = 1 dim_384_cosine_map@100 0.1211 → \
             0.4026 (+0.2815), and guards fall: habari 0.2100 → 0.1752, afya 0.2775 → 0.1732"
        );
        facts.verdict = Verdict::Marginal;
        assert_eq!(
            facts.verdict_line(),
            "MARGINAL: dim_384_cosine_map@100 0.1211 → 0.1211 (+0.0000) at α = 0, the base itself; no guard falls"
        );
    }
}
