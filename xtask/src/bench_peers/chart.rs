//! Chart of the speed of each engine, relative to the fastest peer.

use super::plan::Target;
use super::report::Comparison;
use maana_chart::{Group, Labels, grouped_bars};

const LABELS: Labels = Labels {
    description: "Speed of each engine relative to the fastest peer",
    heading: "Speed relative to the fastest peer",
    aside: "longer is faster · dashed: target",
};

/// Draws all comparisons with results.
pub(crate) fn draw(comparisons: &[Comparison]) -> String {
    grouped_bars(&LABELS, &comparisons.iter().filter_map(group).collect::<Vec<_>>())
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

#[cfg(test)]
mod tests {
    use super::super::plan::Part;
    use super::super::report::Measured;
    use super::*;

    #[test]
    fn the_chart_names_every_engine_with_results() {
        let engine = |name: &str, ours: bool, seconds: f64| Measured {
            name: name.to_owned(),
            ours,
            command: name.to_owned(),
            seconds: vec![seconds],
            tokens: None,
            peak_bytes: None,
            first: Vec::new(),
            error: None,
        };
        let about = ("key".to_owned(), "Encode".to_owned(), Part::Encode, vec![Target::Faster(2.0)]);
        let engines = vec![engine("A", false, 3.0), engine("Maana", true, 1.0)];
        let comparison = Comparison::new(about, ("2026-01-01".to_owned(), "abc".to_owned(), 0.1), (1, 2), engines);
        let chart = draw(&[comparison]);
        assert!(chart.contains(">A<") && chart.contains(">Maana<") && chart.contains("3.00×"));
        assert!(chart.ends_with("</svg>\n"));
    }
}
