//! The choice among measured blends, and its verdict.

use super::guards::Guard;
use super::record::BlendRecord;
use crate::card::{BlendFacts, BlendPoint, Verdict};
use crate::recipe::BlendTable;
use maana_eval::Scores;
use maana_train::KeepBest;

/// Smallest gain of a win.
const WIN: f64 = 0.01;

/// Returns the deciding measure: that of the recipe, else the primary one of the first set at its
/// largest dimension.
pub(in crate::finetune) fn deciding(keep_best: &Option<KeepBest>, scores: &[Scores]) -> KeepBest {
    keep_best.clone().unwrap_or_else(|| {
        let of_first_set =
            scores.iter().take_while(|other| (other.kind, other.set()) == (scores[0].kind, scores[0].set()));
        let name = of_first_set.max_by_key(|scores| scores.dimension).map(|first| first.prefixed_key(&first.primary));
        KeepBest::from(name.unwrap_or_default().as_str())
    })
}

/// Returns the value of a measure, NaN if the scores lack it.
pub(in crate::finetune) fn value(measure: &KeepBest, scores: &[Scores]) -> f64 {
    let all: Vec<(String, f64)> = scores.iter().flat_map(Scores::prefixed).collect();
    measure.value(&all).unwrap_or(f64::NAN)
}

/// Chooses the best blend among those whose guards hold; without any, the one whose most
/// fallen guard falls least.
pub(super) fn choose(record: &BlendRecord, table: &BlendTable, measure: &KeepBest, guards: &[Guard]) -> BlendFacts {
    let point = |alpha: f64| {
        let point = record.point(alpha);
        let guards = guards.iter().map(|guard| guard.value(point)).collect();
        BlendPoint { alpha, value: value(measure, &point.dev), guards }
    };
    let alphas = std::iter::once(0.0).chain(table.alphas.iter().copied().filter(|alpha| *alpha != 0.0));
    let facts = BlendFacts {
        metric: measure.to_string(),
        guards: guards.iter().map(|guard| guard.facts(record.point(0.0))).collect(),
        tolerance: table.tolerance,
        points: alphas.map(point).collect(),
        chosen: 0,
        verdict: Verdict::Marginal,
    };
    judge(facts, table.alphas.contains(&0.0), &|value, best| measure.is_better(value, best))
}

/// Sets choice and verdict. `with_base` allows the base itself.
fn judge(mut facts: BlendFacts, with_base: bool, is_better: &dyn Fn(f64, f64) -> bool) -> BlendFacts {
    let candidates = usize::from(!with_base)..facts.points.len();
    let worst = |facts: &BlendFacts, index: usize| {
        let changes = facts.changes(&facts.points[index]);
        changes.fold(f64::INFINITY, |worst, change| if change.is_nan() { f64::NEG_INFINITY } else { worst.min(change) })
    };
    let holds = |index: &usize| worst(&facts, *index) >= -facts.tolerance;
    let better = |best: Option<usize>, index: usize| match best {
        Some(best) if !is_better(facts.points[index].value, facts.points[best].value) => Some(best),
        _ => Some(index),
    };
    let finite = |index: &usize| !facts.points[*index].value.is_nan();
    let best = candidates.clone().filter(holds).filter(finite).fold(None, better);
    let least_harm = || {
        let by_fall = |a: &usize, b: &usize| worst(&facts, *a).total_cmp(&worst(&facts, *b));
        candidates.clone().max_by(by_fall).expect("[blend] has at least one share")
    };
    let chosen = best.unwrap_or_else(least_harm);
    let (base, value) = (facts.points[0].value, facts.points[chosen].value);
    let gain = if is_better(1.0, 0.0) { value - base } else { base - value };
    facts.verdict = match best {
        Some(_) if gain >= WIN => Verdict::Win,
        Some(_) if gain >= 0.0 => Verdict::Marginal,
        _ => Verdict::Regression,
    };
    facts.chosen = chosen;
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::GuardFacts;

    /// Returns choice and verdict for points of a share, the deciding value and one guard; the
    /// first is the base.
    fn judged(points: &[(f64, f64, f64)], tolerance: f64, with_base: bool) -> (f64, Verdict) {
        let point =
            |(alpha, value, guard): &(f64, f64, f64)| BlendPoint { alpha: *alpha, value: *value, guards: vec![*guard] };
        let facts = BlendFacts {
            metric: "m".into(),
            guards: vec![GuardFacts { name: "g".into(), metric: "g_m".into(), smaller_is_better: false }],
            tolerance,
            points: points.iter().map(point).collect(),
            chosen: 0,
            verdict: Verdict::Marginal,
        };
        let facts = judge(facts, with_base, &|value, best| value > best);
        (facts.chosen().alpha, facts.verdict)
    }

    #[test]
    fn the_best_blend_whose_guards_hold_is_chosen() {
        let points = [(0.0, 0.1, 0.5), (0.3, 0.2, 0.6), (0.7, 0.3, 0.5), (1.0, 0.4, 0.3)];
        assert_eq!(judged(&points, 0.0, false), (0.7, Verdict::Win));
        assert_eq!(judged(&points, 0.2, false), (1.0, Verdict::Win));
        let equal = [(0.0, 0.1, 0.5), (0.3, 0.2, 0.6), (0.7, 0.2, 0.5)];
        assert_eq!(judged(&equal, 0.0, false), (0.3, Verdict::Win), "of equals the one nearest the base");
    }

    #[test]
    fn small_gains_are_marginal_and_losses_regressions() {
        let alone = |value| judged(&[(0.0, 0.5, 0.5), (1.0, value, 0.5)], 0.0, false).1;
        assert_eq!(
            [0.52, 0.505, 0.5, 0.49].map(alone),
            [Verdict::Win, Verdict::Marginal, Verdict::Marginal, Verdict::Regression]
        );
        assert_eq!(judged(&[(0.0, 0.5, 0.5), (1.0, 0.4, 0.5)], 0.0, true), (0.0, Verdict::Marginal));
    }

    #[test]
    fn without_a_blend_that_holds_the_one_that_loses_least_is_chosen() {
        let points = [(0.0, 0.1, 0.5), (0.5, 0.2, 0.48), (1.0, 0.4, 0.3)];
        assert_eq!(judged(&points, 0.0, false), (0.5, Verdict::Regression));
        let nan = [(0.0, 0.1, 0.5), (0.5, 0.2, f64::NAN), (1.0, 0.4, 0.3)];
        assert_eq!(judged(&nan, 0.0, false), (1.0, Verdict::Regression));
        let no_value = [(0.0, 0.1, 0.5), (0.5, f64::NAN, 0.5), (1.0, 0.4, 0.5)];
        assert_eq!(judged(&no_value, 0.0, false), (1.0, Verdict::Win));
    }
}
