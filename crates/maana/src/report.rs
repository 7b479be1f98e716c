//! The report of a run: one HTML file with the charts and tables of the card's facts. It loads
//! nothing from the network.

mod pictures;

use crate::card::{AtDimension, BlendFacts, BlendPoint, CardFacts, quantity};
use maana_chart as chart;
use maana_train::LogRow;
use minijinja::{AutoEscape, Environment};
use serde_json::json;
use std::fmt::Write;

pub use pictures::{blend_chart_svg, loss_chart_svg, metric_chart_svg};

/// Renders the report, `report.html`.
pub fn render(facts: &CardFacts) -> String {
    let mut environment = Environment::new();
    environment.set_syntax(crate::card::template_syntax());
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("count", |number: u64| quantity::count(number));
    environment
        .render_str(include_str!("report/report.html.jinja"), values(facts))
        .expect("the template is valid for every CardFacts")
}

fn values(facts: &CardFacts) -> minijinja::value::Serde<serde_json::Value> {
    minijinja::value::Serde(json!({
        "name": facts.name,
        "base_model": facts.base_model.as_ref().map(|base| &base.name),
        "languages": facts.languages.join(", "),
        "rows": facts.rows(),
        "dimension": facts.model.dimension,
        "labels": facts.model.labels,
        "label_count": facts.model.labels.len(),
        "style": style(),
        "tiles": tiles(facts),
        "training_charts": pictures::training(facts),
        "quality_charts": pictures::quality(facts),
        "blend": facts.blend.as_ref().map(blend),
        "blend_charts": pictures::blend(facts),
        "length_charts": pictures::lengths(facts),
        "sets": facts.by_set().iter().map(set_table).collect::<Vec<_>>(),
        "data": data(facts),
        "hyperparameters": hyperparameters(facts),
        "model": model(facts),
        "hardware": hardware(facts),
        "versions": facts.versions,
        "best_step": facts.record.best_step,
        "best_metric": facts.record.best_metric,
    }))
}

/// Returns the style sheet, with light and dark colours of the charts.
fn style() -> String {
    let colours = |colours: &[&str]| {
        colours.iter().enumerate().fold(String::new(), |mut out, (index, colour)| {
            let _ = write!(out, "--series-{index}:{colour};");
            out
        })
    };
    include_str!("report/report.css")
        .replace("/* series on light */", &colours(&chart::COLOURS_ON_WHITE))
        .replace("/* series on dark */", &colours(&chart::COLOURS_ON_DARK))
        + chart::STYLE
}

/// A key figure and its label.
#[derive(serde::Serialize)]
struct Tile {
    value: String,
    what: String,
}

fn tiles(facts: &CardFacts) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut tile = |value: String, what: String| tiles.push(Tile { value, what });
    for set in facts.by_set().iter().take(2) {
        if let Some(AtDimension { dimension: dim, before, after: Some(after) }) = set.by_dimension().first() {
            let from = before.map_or(String::new(), |before| format!("{before:.3} → "));
            let on = set.title().map_or(String::new(), |name| format!(" on {name}"));
            let at = if facts.is_cross_encoder() { String::new() } else { format!(" at {dim} dimensions") };
            tile(format!("{from}{after:.3}"), format!("{}{at}{on}", set.primary()));
        }
    }
    tile(quantity::count(facts.rows()), "training examples".into());
    tile(quantity::count(facts.record.steps), "updates".into());
    tile(quantity::duration(facts.hardware.seconds), format!("on {} threads", facts.hardware.threads));
    if let Some(bytes) = facts.hardware.peak_memory_bytes {
        tile(quantity::bytes(bytes), "peak memory".into());
    }
    tiles
}

/// All metrics of one evaluation set, a column per dimension.
#[derive(serde::Serialize)]
struct SetTable {
    set: Option<String>,
    dims: Vec<usize>,
    compared: bool,
    rows: Vec<MetricRow>,
}

#[derive(serde::Serialize)]
struct MetricRow {
    metric: String,
    is_primary: bool,
    cells: Vec<MetricCell>,
}

/// A metric at one dimension: before, after, and the difference with `up`, `down` or `same`.
#[derive(serde::Serialize)]
struct MetricCell {
    before: String,
    after: String,
    difference: String,
    direction: &'static str,
}

fn set_table(set: &crate::card::SetScores<'_>) -> SetTable {
    let dims: Vec<usize> = set.by_dimension().into_iter().map(|at| at.dimension).collect();
    let of = |side: &[&maana_eval::Scores], dim: usize, key: &str| {
        side.iter().find(|scores| scores.dimension == dim).and_then(|scores| scores.get(key))
    };
    let shown = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.4}"));
    let cell = |key: &str, dim: usize| {
        let (before, after) = (of(&set.before, dim, key), of(&set.after, dim, key));
        let difference = before.zip(after).map(|(before, after)| after - before);
        let direction = match difference {
            Some(by) if by >= 5e-5 => "up",
            Some(by) if by <= -5e-5 => "down",
            _ => "same",
        };
        let difference = difference.map_or("–".to_string(), |by| format!("{by:+.4}").replace('-', "−"));
        MetricCell { before: shown(before), after: shown(after), difference, direction }
    };
    let first = set.after.first().or(set.before.first());
    let keys = first.map_or(&[][..], |scores| &scores.values);
    let row = |key: &String| MetricRow {
        metric: key.clone(),
        is_primary: key == set.primary(),
        cells: dims.iter().map(|&dim| cell(key, dim)).collect(),
    };
    let rows = keys.iter().map(|(key, _)| row(key)).collect();
    SetTable { set: set.title().map(String::from), dims: dims.clone(), compared: !set.before.is_empty(), rows }
}

/// The blends with the base.
#[derive(serde::Serialize)]
struct BlendTable {
    verdict: String,
    metrics: Vec<String>,
    rows: Vec<BlendRow>,
}

#[derive(serde::Serialize)]
struct BlendRow {
    alpha: f64,
    is_chosen: bool,
    values: Vec<String>,
}

fn blend(facts: &BlendFacts) -> BlendTable {
    let row = |(index, point): (usize, &BlendPoint)| BlendRow {
        alpha: point.alpha,
        is_chosen: index == facts.chosen,
        values: point.values().map(|value| format!("{value:.4}")).collect(),
    };
    BlendTable {
        verdict: facts.verdict_line(),
        metrics: facts.metrics().map(String::from).collect(),
        rows: facts.points.iter().enumerate().map(row).collect(),
    }
}

/// One column of one set of training data.
#[derive(serde::Serialize)]
struct DataRow {
    set: String,
    rows: usize,
    column: String,
    min: usize,
    mean: String,
    max: usize,
}

fn data(facts: &CardFacts) -> Vec<DataRow> {
    let row = |set: &maana_data::DataSummary, column: &maana_data::ColumnSummary| DataRow {
        set: set.name.clone().unwrap_or_else(|| "unnamed".into()),
        rows: set.rows,
        column: column.name.clone(),
        min: column.min_tokens,
        mean: format!("{:.2}", column.mean_tokens),
        max: column.max_tokens,
    };
    facts.data.iter().flat_map(|set| set.columns.iter().map(move |column| row(set, column))).collect()
}

/// Returns the settings: name, value, and whether it differs from the default.
fn hyperparameters(facts: &CardFacts) -> Vec<(String, String, bool)> {
    let changed = |name: &String| facts.changed_hyperparameters.iter().any(|(other, _)| other == name);
    facts.hyperparameters.iter().map(|(name, value)| (name.clone(), value.clone(), changed(name))).collect()
}

fn model(facts: &CardFacts) -> Vec<(String, String)> {
    let model = &facts.model;
    let mut rows = vec![
        ("Modules".to_string(), model.module_names()),
        (
            "Encoder".to_string(),
            format!(
                "{}, {} layers, {} heads, width {}",
                model.model_type, model.layers, model.heads, model.hidden_size
            ),
        ),
        ("Parameters".to_string(), quantity::count(model.parameters)),
        ("Vocabulary".to_string(), quantity::count(model.vocabulary)),
        ("Longest text".to_string(), model.text_length()),
    ];
    for (set, loss) in facts.data.iter().zip(&facts.losses) {
        let of_set = if facts.data.len() > 1 { set.name.as_deref() } else { None };
        let title = of_set.map_or("Loss".into(), |name| format!("Loss of {name}"));
        rows.push((title, loss.classes.join(" of ")));
        let parameters = loss.parameters.iter().filter(|(name, _)| *name != "loss");
        rows.extend(parameters.map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string().replace(',', ", "), String::from);
            (name.clone(), value)
        }));
    }
    rows
}

fn hardware(facts: &CardFacts) -> Vec<(String, String)> {
    let (hardware, record) = (&facts.hardware, &facts.record);
    let mut rows: Vec<(String, String)> = Vec::new();
    if let Some(processor) = &hardware.processor {
        rows.push(("Processor".into(), processor.clone()));
    }
    rows.push(("Cores, threads".into(), format!("{}, {}", hardware.cores, hardware.threads)));
    rows.push(("Time, evaluations included".into(), quantity::duration(hardware.seconds)));
    rows.extend(record.times.summary().map(|told| ("Of it".into(), told)));
    rows.push(("Tokens trained on".into(), quantity::count(record.tokens)));
    let speeds = record.rows.iter().filter_map(|row| match row {
        LogRow::Training { tokens_per_second, .. } => Some(*tokens_per_second),
        LogRow::Evaluation { .. } => None,
    });
    let mut speeds: Vec<f64> = speeds.collect();
    speeds.sort_by(f64::total_cmp);
    if let Some(median) = speeds.get(speeds.len() / 2) {
        rows.push(("Tokens per second, median".into(), chart::grouped(&format!("{median:.0}"))));
    }
    if let Some(bytes) = hardware.peak_memory_bytes {
        rows.push(("Peak memory".into(), quantity::bytes(bytes)));
    }
    rows
}

#[cfg(test)]
mod tests;
