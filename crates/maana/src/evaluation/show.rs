//! Tables and charts of scores.

use maana_chart::{Chart, Series};
use maana_eval::{Kind, Scores};
use std::collections::HashSet;

/// Formats scores as tables, one per set: a row per metric, a column per dimension.
pub fn table(scores: &[Scores]) -> String {
    let mut text = String::new();
    for group in scores.chunk_by(|a, b| (a.kind, a.set()) == (b.kind, b.set())) {
        if let Some(set) = group[0].set() {
            text += &format!("{set}\n");
        }
        let width = group[0].values.iter().map(|(key, _)| key.len()).max().unwrap_or(0).max("dimension".len());
        if !group[0].is_of_cross_encoder() {
            let header: String = group.iter().map(|scores| format!("{:>9}", scores.dimension)).collect();
            text += &format!("{:<width$}{header}\n", "dimension");
        }
        for (key, _) in &group[0].values {
            let cells: String =
                group.iter().map(|scores| format!("{:>9.4}", scores.get(key).unwrap_or(f64::NAN))).collect();
            text += &format!("{key:<width$}{cells}\n");
        }
    }
    text
}

/// A metric of a set at each dimension.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// The set.
    pub set: String,
    /// The task.
    pub task: &'static str,
    /// The metric.
    pub measure: String,
    /// Value at each dimension.
    pub values: Vec<f64>,
}

/// Returns the main measures of a set's scores at all dimensions.
pub fn suite_rows(set: &str, scores: &[Scores]) -> Vec<Measured> {
    let Some(first) = scores.first() else { return Vec::new() };
    let shown: &[(&str, &str)] = match first.kind {
        Kind::Retrieval if first.is_of_cross_encoder() => {
            &[("reranking", "ndcg@10"), ("reranking", "base_ndcg@10"), ("reranking", "accuracy@1")]
        }
        Kind::Reranking if first.is_of_cross_encoder() => {
            &[("reranking", "map"), ("reranking", "ndcg@"), ("reranking", "base_ndcg@")]
        }
        Kind::Similarity if first.is_of_cross_encoder() => &[("similarity", "spearman"), ("similarity", "pearson")],
        Kind::Binary if first.is_of_cross_encoder() => {
            &[("pair classification", "average_precision"), ("pair classification", "f1")]
        }
        Kind::Retrieval => &[("retrieval", "ndcg@10"), ("retrieval", "accuracy@1")],
        Kind::Similarity => &[("similarity", "spearman_"), ("similarity", "pearson_")],
        Kind::Binary => &[("pair classification", "_ap"), ("pair classification", "_f1")],
        Kind::Classification => &[("classification", "f1_macro"), ("classification", "f1_micro")],
        Kind::Triplet => &[("triplets", "_accuracy")],
        Kind::Reranking => &[("reranking", "map"), ("reranking", "ndcg@")],
        Kind::Translation => &[("matching", "mean_accuracy"), ("matching", "src2trg_f1"), ("matching", "trg2src_f1")],
        Kind::Mining => &[("paraphrase mining", "average_precision"), ("paraphrase mining", "f1")],
        Kind::Labels => &[("classification", "accuracy"), ("classification", "macro_f1"), ("clustering", "v_measure")],
        Kind::Loss => &[("loss", "loss")],
        Kind::Own => &[],
    };
    let row = |(task, part): &(&'static str, &str)| {
        let begins = |key: &str| part.ends_with(['_', '@']) && key.starts_with(part);
        let fits = |key: &str| key == *part || key.ends_with(part) || begins(key);
        let (measure, _) = first.values.iter().find(|(key, _)| fits(key))?;
        let values = scores.iter().map(|scores| scores.get(measure).unwrap_or(f64::NAN)).collect();
        Some(Measured { set: set.to_owned(), task, measure: measure.clone(), values })
    };
    shown.iter().filter_map(row).collect()
}

/// Formats the metrics as a table: a row per metric, a column per dimension.
pub fn suite_table(measured: &[Measured], dims: &[usize]) -> String {
    let width = |name: fn(&Measured) -> &str| measured.iter().map(|row| name(row).len()).max().unwrap_or(0);
    let (sets, tasks, measures) = (width(|row| &row.set), width(|row| row.task), width(|row| &row.measure));
    let header: String = dims.iter().map(|dim| format!("{dim:>9}")).collect();
    // The scores of a cross-encoder have no dimensions.
    let mut text = match dims {
        [] => String::new(),
        _ => format!("{:sets$}  {:tasks$}  {:measures$}{header}\n", "", "", "dimension"),
    };
    for row in measured {
        let cells: String = row.values.iter().map(|value| format!("{value:>9.4}")).collect();
        text += &format!("{:sets$}  {:tasks$}  {:measures$}{cells}\n", row.set, row.task, row.measure);
    }
    text
}

/// Metrics in one precision.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct InPrecision {
    /// Precision of the matrix products.
    pub precision: String,
    /// The metrics.
    pub measures: Vec<Measured>,
}

/// Draws the first metric of each set and task by dimension: one chart per precision, side by side.
pub fn chart(measured: &[InPrecision], dims: &[usize], title: &str) -> String {
    let of = |run: &InPrecision| {
        let mut first = HashSet::new();
        let rows = run.measures.iter().filter(|row| first.insert((&row.set, row.task)));
        let series = rows.map(|row| Series {
            name: format!("{}: {}", row.set, row.measure),
            points: row.values.iter().rev().enumerate().map(|(index, value)| (index as f64, *value)).collect(),
            labelled: false,
        });
        Chart {
            id: format!("suite-{}", run.precision),
            title: format!("{title} in {}", run.precision),
            description: "Metrics of every set by dimension".into(),
            x_label: "dimensions".into(),
            y_label: "metric".into(),
            x_names: Some(dims.iter().rev().map(ToString::to_string).collect()),
            from_zero: true,
            series: series.collect(),
        }
    };
    Chart::lines_side_by_side(&measured.iter().map(of).collect::<Vec<_>>())
}
