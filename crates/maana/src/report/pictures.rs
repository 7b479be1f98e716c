//! Charts of a run: their data, titles and descriptions.

use crate::card::{AtDimension, BlendFacts, CardFacts, SetScores, quantity};
use maana_chart::{Bar, Chart, Paint, Series};
use maana_data::ColumnSummary;
use maana_eval::Kind;
use maana_train::LogRow;

/// Maximum number of bars of a histogram.
const BARS: usize = 40;

/// A chart and its title, for the page.
#[derive(serde::Serialize)]
pub(super) struct Picture {
    title: String,
    svg: String,
}

/// Draws the quality by dimension before and after training as a separate SVG file on white, for
/// the first evaluation set.
pub fn metric_chart_svg(facts: &CardFacts) -> String {
    let sets = facts.by_set();
    let chart = match sets.first() {
        Some(set) if facts.is_cross_encoder() => by_epoch(facts, set, 0),
        Some(set) => by_dimension(set, 0),
        None => Chart { id: "quality".into(), title: "Quality by dimension".into(), ..Chart::default() },
    };
    chart.lines(Paint::White)
}

/// Draws the training loss by step as a separate SVG file on white.
pub fn loss_chart_svg(facts: &CardFacts) -> String {
    loss(facts).lines(Paint::White)
}

/// Draws the metrics of the blends by share of the trained model as a separate SVG file on white.
pub fn blend_chart_svg(facts: &CardFacts) -> Option<String> {
    facts.blend.as_ref().map(|blend| by_alpha(blend).lines(Paint::White))
}

/// Draws the metrics of the blends by share of the trained model.
pub(super) fn blend(facts: &CardFacts) -> Vec<Picture> {
    facts.blend.iter().map(|blend| picture(&by_alpha(blend))).collect()
}

/// Draws loss, learning rate and gradient norm by step.
pub(super) fn training(facts: &CardFacts) -> Vec<Picture> {
    let rate = by_step(facts, "learning-rate", "Learning rate", "learning rate", |row| match row {
        LogRow::Training { step, learning_rate, .. } => Some((*step as f64, *learning_rate)),
        LogRow::Evaluation { .. } => None,
    });
    let norm = by_step(facts, "gradient-norm", "Gradient norm before clipping", "gradient norm", |row| match row {
        LogRow::Training { step, gradient_norm, .. } => Some((*step as f64, *gradient_norm)),
        LogRow::Evaluation { .. } => None,
    });
    [loss(facts), Chart { from_zero: true, ..rate }, norm].iter().map(picture).collect()
}

/// Draws for each evaluation set the quality by dimension before and after, and by epoch for each
/// dimension.
pub(super) fn quality(facts: &CardFacts) -> Vec<Picture> {
    let charts = facts.by_set().into_iter().enumerate().flat_map(|(index, set)| {
        let epochs = by_epoch(facts, &set, index);
        let has_epochs = epochs.series.iter().any(|series| series.points.len() > 1);
        // A loss is that of all columns, and scores of pairs have no dimensions.
        let has_dimensions = set.kind != Kind::Loss && !facts.is_cross_encoder();
        let dimensions = has_dimensions.then(|| by_dimension(&set, index));
        dimensions.into_iter().chain(has_epochs.then_some(epochs))
    });
    charts.map(|chart| picture(&chart)).collect()
}

/// Draws the token lengths of each column of each training set.
pub(super) fn lengths(facts: &CardFacts) -> Vec<Picture> {
    let columns = facts.data.iter().flat_map(|set| set.columns.iter().map(move |column| (set, column)));
    columns
        .enumerate()
        .map(|(index, (set, column))| {
            let of = set.name.as_ref().map_or(String::new(), |name| format!(" of {name}"));
            let chart = Chart {
                id: format!("lengths-{index}"),
                title: format!("Lengths of {}{of}", column.name),
                description: format!(
                    "Number of texts by number of tokens in the first {} rows: from {} to {}, {:.1} on average.",
                    quantity::count(set.sampled),
                    column.min_tokens,
                    column.max_tokens,
                    column.mean_tokens
                ),
                x_label: "tokens".into(),
                y_label: "texts".into(),
                ..Chart::default()
            };
            Picture { title: chart.title.clone(), svg: chart.bars(&bars(column), Paint::Page) }
        })
        .collect()
}

fn picture(chart: &Chart) -> Picture {
    Picture { title: chart.title.clone(), svg: chart.lines(Paint::Page) }
}

fn loss(facts: &CardFacts) -> Chart {
    by_step(facts, "loss", "Training loss", "loss", |row| match row {
        LogRow::Training { step, loss, .. } => Some((*step as f64, *loss)),
        LogRow::Evaluation { .. } => None,
    })
}

fn by_step(
    facts: &CardFacts,
    id: &str,
    title: &str,
    y_label: &str,
    point: impl Fn(&LogRow) -> Option<(f64, f64)>,
) -> Chart {
    let points: Vec<(f64, f64)> = facts.record.rows.iter().filter_map(point).collect();
    let description = match (points.first(), points.last()) {
        (Some(first), Some(last)) => {
            format!("From {:.3e} at step {} to {:.3e} at step {}.", first.1, first.0, last.1, last.0)
        }
        _ => "Nothing was recorded.".into(),
    };
    Chart {
        id: id.into(),
        title: title.into(),
        description,
        x_label: "step".into(),
        y_label: y_label.into(),
        series: vec![Series { name: y_label.into(), points, labelled: false }],
        ..Chart::default()
    }
}

fn titled(what: &str, set: &SetScores<'_>) -> String {
    set.title().map_or_else(|| what.into(), |name| format!("{what}: {name}"))
}

fn by_dimension(set: &SetScores<'_>, index: usize) -> Chart {
    let mut rows = set.by_dimension();
    rows.reverse();
    let line = |name: &str, value: fn(&AtDimension) -> Option<f64>| {
        let points = rows.iter().enumerate().filter_map(|(at, row)| value(row).map(|value| (at as f64, value)));
        Series { name: name.into(), points: points.collect(), labelled: true }
    };
    let lines = [line("after training", |row| row.after), line("before training", |row| row.before)];
    let description = |row: &AtDimension| {
        let shown = |value: Option<f64>| value.map_or("not measured".into(), |value| format!("{value:.3}"));
        format!("{} dimensions: {} before, {} after.", row.dimension, shown(row.before), shown(row.after))
    };
    Chart {
        id: format!("dimensions-{index}"),
        title: titled("Quality by dimension", set),
        description: rows.iter().map(description).collect::<Vec<_>>().join(" "),
        x_label: "dimensions".into(),
        y_label: set.primary().into(),
        x_names: Some(rows.iter().map(|row| row.dimension.to_string()).collect()),
        from_zero: true,
        series: lines.into_iter().filter(|line| !line.points.is_empty()).collect(),
    }
}

fn by_alpha(blend: &BlendFacts) -> Chart {
    let series = |(index, metric): (usize, &str)| Series {
        name: metric.into(),
        points: blend.points.iter().filter_map(|point| Some((point.alpha, point.values().nth(index)?))).collect(),
        labelled: false,
    };
    Chart {
        id: "blend".into(),
        title: "Quality by share of the trained model".into(),
        description: blend.verdict_line(),
        x_label: "α: 0 is the base, 1 the trained model".into(),
        y_label: "metric".into(),
        series: blend.metrics().enumerate().map(series).collect(),
        ..Chart::default()
    }
}

fn by_epoch(facts: &CardFacts, set: &SetScores<'_>, index: usize) -> Chart {
    let series = set.after.iter().map(|scores| {
        let key = scores.prefixed_key(&scores.primary);
        let start = set.before.iter().find(|before| before.dimension == scores.dimension);
        let start = start.and_then(|before| before.get(&scores.primary)).map(|value| (0.0, value));
        let logged = facts.record.rows.iter().filter_map(|row| match row {
            LogRow::Evaluation { epoch, scores, .. } => {
                scores.iter().find(|(name, _)| *name == key).map(|(_, value)| (*epoch, *value))
            }
            LogRow::Training { .. } => None,
        });
        let name = match scores.is_of_cross_encoder() {
            true => scores.primary.clone(),
            false => format!("{} dims", scores.dimension),
        };
        Series { name, points: start.into_iter().chain(logged).collect(), labelled: false }
    });
    Chart {
        id: format!("epochs-{index}"),
        title: titled("Quality by epoch", set),
        description: match facts.is_cross_encoder() {
            true => format!("{} during training.", set.primary()),
            false => format!("{} of each dimension during training.", set.primary()),
        },
        x_label: "epoch".into(),
        y_label: set.primary().into(),
        series: series.collect(),
        ..Chart::default()
    }
}

/// Divides the histogram into at most [`BARS`] bars of equal width.
fn bars(column: &ColumnSummary) -> Vec<Bar> {
    let counts = &column.histogram;
    let Some(first) = counts.iter().position(|&texts| texts > 0) else { return Vec::new() };
    let last = counts.iter().rposition(|&texts| texts > 0).unwrap_or(first);
    let width = (last - first + 1).div_ceil(BARS);
    let bar = |(number, part): (usize, &[usize])| {
        let (from, texts) = (first + number * width, part.iter().sum::<usize>());
        let to = from + width - 1;
        let tokens = if width == 1 { format!("{from} tokens") } else { format!("{from} to {to} tokens") };
        let texts_named = if texts == 1 { "text" } else { "texts" };
        Bar {
            from: from as f64 - 0.5,
            to: to as f64 + 0.5,
            value: texts as f64,
            tooltip: format!("{tokens}: {} {texts_named}", quantity::count(texts)),
        }
    };
    counts[first..=last].chunks(width).enumerate().map(bar).collect()
}
