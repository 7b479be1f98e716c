//! The choice among measured blends, and its verdict.

use super::chance;
use super::guards::Guard;
use super::record::{BlendRecord, Point};
use crate::card::{BlendFacts, BlendPoint, Verdict};
use crate::recipe::{BlendTable, Tolerance};
use maana_eval::Scores;
use maana_train::KeepBest;

/// Smallest gain of a win.
const WIN: f64 = 0.01;

/// Shares that are measured below the least of a recipe if none of its own keeps all guards.
const SEARCHED: usize = 4;

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

/// Describes the measured blends and chooses the best among those that keep all guards; without
/// any, the base.
pub(super) fn choose(record: &BlendRecord, table: &BlendTable, measure: &KeepBest, guards: &[Guard]) -> BlendFacts {
    let base = record.point(0.0);
    let falls = |index: usize, point: &Point| match table.tolerance {
        Tolerance::Chance => chance::falls(&base.items[index], &point.items[index]),
        Tolerance::Amount(accepted) => {
            let change = guards[index].value(point) - guards[index].value(base);
            let gain = if guards[index].smaller_is_better() { -change } else { change };
            gain.is_nan() || gain < -accepted
        }
    };
    let point = |point: &Point| BlendPoint {
        alpha: point.alpha,
        value: value(measure, &point.dev),
        guards: guards.iter().map(|guard| guard.value(point)).collect(),
        fallen: (0..guards.len()).filter(|&index| falls(index, point)).collect(),
    };
    let facts = BlendFacts {
        metric: measure.to_string(),
        guards: guards.iter().map(|guard| guard.facts(base)).collect(),
        by_chance: table.tolerance == Tolerance::Chance,
        points: record.by_share().into_iter().map(point).collect(),
        chosen: 0,
        verdict: Verdict::Marginal,
    };
    judge(facts, table.alphas.contains(&0.0), &|value, best| measure.is_better(value, best))
}

/// Returns the next share to measure if none of `alphas` keeps all guards: halves the interval
/// between the largest smaller share that keeps them, at first the base, and the next one. Shares
/// have five decimals.
pub(super) fn smaller_share(facts: &BlendFacts, alphas: &[f64]) -> Option<f64> {
    let least = alphas.iter().copied().find(|alpha| *alpha > 0.0)?;
    let kept = |point: &&BlendPoint| point.alpha > 0.0 && point.fallen.is_empty();
    let searched = facts.points.iter().filter(|point| point.alpha > 0.0 && point.alpha < least).count();
    if searched == SEARCHED || facts.points.iter().filter(kept).any(|point| point.alpha >= least) {
        return None;
    }
    let low = facts.points.iter().filter(kept).map(|point| point.alpha).fold(0.0, f64::max);
    let above = facts.points.iter().map(|point| point.alpha).filter(|alpha| *alpha > low);
    let half = (low + above.fold(least, f64::min)) / 2.0;
    Some((half * 1e5).round() / 1e5)
}

/// Sets choice and verdict. `with_base` allows the base itself.
fn judge(mut facts: BlendFacts, with_base: bool, is_better: &dyn Fn(f64, f64) -> bool) -> BlendFacts {
    let candidate = |index: &usize| {
        let point = &facts.points[*index];
        (with_base || point.alpha > 0.0) && point.fallen.is_empty() && !point.value.is_nan()
    };
    let better = |best: Option<usize>, index: usize| match best {
        Some(best) if !is_better(facts.points[index].value, facts.points[best].value) => Some(best),
        _ => Some(index),
    };
    let best = (0..facts.points.len()).filter(candidate).fold(None, better);
    let chosen = best.unwrap_or(0);
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

    /// Returns the facts of points of a share, the deciding value and one guard; the first is the
    /// base.
    fn facts(points: &[(f64, f64, f64)], tolerance: f64) -> BlendFacts {
        let falls = |guard: f64| guard.is_nan() || guard < points[0].2 - tolerance;
        let point = |(alpha, value, guard): &(f64, f64, f64)| BlendPoint {
            alpha: *alpha,
            value: *value,
            guards: vec![*guard],
            fallen: falls(*guard).then_some(0).into_iter().collect(),
        };
        BlendFacts {
            metric: "m".into(),
            guards: vec![GuardFacts { name: "g".into(), metric: "g_m".into() }],
            by_chance: false,
            points: points.iter().map(point).collect(),
            chosen: 0,
            verdict: Verdict::Marginal,
        }
    }

    /// Returns choice and verdict.
    fn judged(points: &[(f64, f64, f64)], tolerance: f64, with_base: bool) -> (f64, Verdict) {
        let facts = judge(facts(points, tolerance), with_base, &|value, best| value > best);
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
    fn without_a_blend_that_keeps_the_guards_the_base_is_chosen() {
        let points = [(0.0, 0.1, 0.5), (0.5, 0.2, 0.48), (1.0, 0.4, 0.3)];
        assert_eq!(judged(&points, 0.0, false), (0.0, Verdict::Regression));
        assert_eq!(judged(&points, 0.0, true), (0.0, Verdict::Marginal), "the recipe allows the base");
        let nan = [(0.0, 0.1, 0.5), (0.5, 0.2, f64::NAN), (1.0, 0.4, 0.3)];
        assert_eq!(judged(&nan, 0.0, false), (0.0, Verdict::Regression));
        let no_value = [(0.0, 0.1, 0.5), (0.5, f64::NAN, 0.5), (1.0, 0.4, 0.5)];
        assert_eq!(judged(&no_value, 0.0, false), (1.0, Verdict::Win));
    }

    /// Returns the shares that are measured after those of a recipe, if the guard holds up to
    /// `limit`.
    fn searched(alphas: &[f64], limit: f64) -> Vec<f64> {
        let point = |alpha: f64| (alpha, alpha, if alpha <= limit { 0.5 } else { 0.4 });
        let mut points: Vec<_> =
            std::iter::once(0.0).chain(alphas.iter().copied().filter(|alpha| *alpha > 0.0)).map(point).collect();
        let mut found = Vec::new();
        while let Some(alpha) = smaller_share(&facts(&points, 0.0), alphas) {
            found.push(alpha);
            points.push(point(alpha));
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        found
    }

    #[test]
    fn shares_below_the_least_are_searched_only_if_no_guard_holds() {
        assert_eq!(searched(&[0.5, 1.0], 0.7), [0.0; 0], "a share of the recipe holds");
        assert_eq!(searched(&[0.5, 1.0], 0.3), [0.25, 0.375, 0.3125, 0.28125]);
        assert_eq!(searched(&[0.0, 0.5], 0.0), [0.25, 0.125, 0.0625, 0.03125], "nothing but the base holds");
        assert_eq!(searched(&[0.0], -1.0), [0.0; 0], "there is no share to divide");
    }
}
