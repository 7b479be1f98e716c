//! The speed of each engine, the fastest peer of each comparison being 1.

use super::plan::Target;
use super::report::Comparison;
use crate::bars::{self, Group, Words};

const WORDS: Words = Words {
    description: "Speed of each engine; the fastest peer of each comparison is 1",
    heading: "Speed; the fastest peer of each comparison is 1",
    aside: "longer is faster · dashed: target",
};

/// The chart of all comparisons that have numbers.
pub(crate) fn draw(comparisons: &[Comparison]) -> String {
    bars::draw(&WORDS, &comparisons.iter().filter_map(group).collect::<Vec<_>>())
}

fn group(comparison: &Comparison) -> Option<Group<'_>> {
    let best = comparison.best_peer()?.median()?;
    let engines = comparison.engines.iter();
    let bars =
        engines.filter_map(|engine| Some((engine.name.as_str(), engine.ours, best / engine.median()?))).collect();
    let target = comparison.targets.iter().find_map(|target| match target {
        Target::Faster(least) => Some(*least),
        Target::Smaller(_) | Target::Within(_) => None,
    });
    Some(Group { title: comparison.title.clone(), bars, target })
}
