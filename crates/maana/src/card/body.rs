//! The Markdown of the card: tables and blocks for the template `card.md.jinja`, which contains the
//! text.

use super::blend_facts::{BlendFacts, BlendPoint};
use super::citations::citations;
use super::escape::{code, cut, fenced, inline, line, python, shell};
use super::facts::{AtDimension, CardFacts, LossFacts, SetScores};
use super::pair_usage::{self, CrossValues};
use super::quantity;
use super::table::{Align, table};
use super::template::markdown;
use maana_data::{ColumnSummary, DataSummary, LabelSummary};
use maana_eval::{Kind, Scores};
use maana_model::{ModuleSummary, Similarity};
use maana_train::{LogRow, TrainingRecord};
use serde_json::json;

/// Rows of a training log that are displayed unfolded.
const UNFOLDED_ROWS: usize = 30;
/// Characters of a sample that are displayed.
const SAMPLE_LETTERS: usize = 300;

/// Renders everything after the front matter.
pub(super) fn body(facts: &CardFacts) -> String {
    markdown()
        .render_str(include_str!("card.md.jinja"), values(facts))
        .expect("the template is valid for every CardFacts")
}

fn values(facts: &CardFacts) -> minijinja::value::Serde<serde_json::Value> {
    let dims = dims(facts);
    let smaller: Vec<usize> = dims.iter().copied().filter(|&dim| dim < facts.model.dimension).collect();
    let is_matryoshka = facts.loss_classes().iter().any(|class| ["MatryoshkaLoss", "Matryoshka2dLoss"].contains(class));
    let truncated = if is_matryoshka { smaller.get(smaller.len() / 2).copied() } else { None };
    let log = log_table(facts);
    let base = facts.base_model.as_ref();
    minijinja::value::Serde(json!({
        "name": facts.name,
        "languages": facts.languages.join(", "),
        "licence": facts.licence,
        "base_model": base.map(|base| &base.name),
        "base_on_hub": base.is_some_and(|base| base.hub_id.as_ref() == Some(&base.name)),
        "base_hub_id": base.and_then(|base| base.hub_id.as_ref()),
        "base_revision": base.and_then(|base| base.revision.as_ref()),
        "data_names": facts.data.iter().filter_map(|set| set.name.as_ref()).collect::<Vec<_>>(),
        "rows": facts.rows(),
        "dimension": facts.model.dimension,
        "max_seq_length": facts.model.longest_text(),
        "text_length": facts.model.text_length(),
        "cuts_texts": facts.model.cuts_texts(),
        "parameters": facts.model.parameters,
        "similarity": similarity(facts.model.similarity),
        "smaller": smaller.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        "is_matryoshka": is_matryoshka && !smaller.is_empty(),
        "cross": CrossValues::of(facts),
        "architecture": fenced("", &architecture(facts)),
        "shell_usage": fenced("bash", &match facts.is_cross_encoder() {
            true => pair_usage::shell_usage(facts, &model_argument(facts)),
            false => shell_usage(facts, truncated),
        }),
        "python_usage": fenced("python", &match facts.is_cross_encoder() {
            true => pair_usage::python_usage(facts, &model_argument(facts)),
            false => python_usage(facts, truncated),
        }),
        "truncated": truncated,
        "adapters": facts.adapters.as_ref().map(|adapters| json!({
            "rank": adapters.rank,
            "alpha": adapters.alpha.to_string(),
            "targets": adapters.targets,
            "merged": adapters.merged,
        })),
        "evaluation_sets": facts.evaluation_sets,
        "evaluations": evaluations(facts),
        "comparisons": comparisons(facts),
        "blend": facts.blend.as_ref().map(blend),
        "data": facts.data.iter().zip(&facts.losses).map(|(set, loss)| data_set(set, loss)).collect::<Vec<_>>(),
        "changed_hyperparameters": facts.changed_hyperparameters,
        "hyperparameters": facts.hyperparameters,
        "log": log.as_ref().map(|log| &log.text),
        "log_folded": log.as_ref().is_some_and(|log| log.rows > UNFOLDED_ROWS),
        "log_bold": log.as_ref().is_some_and(|log| log.has_bold),
        "best_metric": facts.record.best_metric,
        "best_value": facts.record.best_value.map(four),
        "best_step": facts.record.best_step,
        "stopped_early": facts.record.stopped_early,
        "steps": facts.record.steps,
        "hardware": hardware(facts),
        "versions": facts.versions,
        "citations": citations(&facts.loss_classes(), facts.is_cross_encoder()),
    }))
}

/// Returns the evaluated dimensions, or else the trained ones, largest first.
fn dims(facts: &CardFacts) -> Vec<usize> {
    let trained = facts.losses.iter().filter_map(|loss| loss.parameters.get("matryoshka_dims")?.as_array());
    let trained = trained.flatten().filter_map(|dim| dim.as_u64()).map(|dim| dim as usize);
    let mut dims: Vec<usize> = facts.after.iter().map(|scores| scores.dimension).collect();
    if dims.is_empty() {
        dims = trained.collect();
    }
    dims.sort_unstable_by(|a, b| b.cmp(a));
    dims.dedup();
    dims
}

fn similarity(similarity: Similarity) -> &'static str {
    match similarity {
        Similarity::Cosine => "Cosine Similarity",
        Similarity::Dot => "Dot Product",
        Similarity::Euclidean => "Euclidean Distance",
        Similarity::Manhattan => "Manhattan Distance",
    }
}

fn architecture(facts: &CardFacts) -> String {
    let class = if facts.is_cross_encoder() { "CrossEncoder" } else { "SentenceTransformer" };
    let mut lines = vec![format!("{class}(")];
    list_modules(&facts.model.modules, "  ", &mut lines);
    lines.push(")".into());
    lines.join("\n")
}

/// Lists modules as the reference prints them, the routes of a router behind it.
fn list_modules(modules: &[ModuleSummary], indent: &str, lines: &mut Vec<String>) {
    for (index, module) in modules.iter().enumerate() {
        if !module.routes.is_empty() {
            lines.push(format!("{indent}({index}): {}(", module.kind));
            lines.extend(module.settings.iter().map(|(name, value)| format!("{indent}  {name}={value}")));
            lines.push(format!("{indent}  (sub_modules): ModuleDict("));
            for route in &module.routes {
                lines.push(format!("{indent}    ({}): Sequential(", route.name));
                list_modules(&route.modules, &format!("{indent}      "), lines);
                lines.push(format!("{indent}    )"));
            }
            lines.extend([format!("{indent}  )"), format!("{indent})")]);
            continue;
        }
        let settings: Vec<String> = module.settings.iter().map(|(name, value)| format!("'{name}': {value}")).collect();
        let settings = if settings.is_empty() { String::new() } else { format!("{{{}}}", settings.join(", ")) };
        let encoder = module.architecture.as_ref().map(|class| format!(" with Transformer model: {class}"));
        lines.push(format!("{indent}({index}): {}({settings}){}", module.kind, encoder.unwrap_or_default()));
    }
}

/// Model in the examples of a card whose model has no name on the hub yet.
pub(crate) const PLACEHOLDER_ID: &str = "path/to/this/folder";

/// Returns the model argument of a command: its name on the hub, or a folder.
fn model_argument(facts: &CardFacts) -> String {
    facts.hub_id.clone().unwrap_or_else(|| PLACEHOLDER_ID.into())
}

fn shell_usage(facts: &CardFacts, truncated: Option<usize>) -> String {
    let model = shell(&model_argument(facts));
    let mut lines = Vec::new();
    if !facts.examples.is_empty() {
        let texts: Vec<String> = facts.examples.iter().map(|text| format!("  {}", shell(text))).collect();
        lines.push("# How alike are these sentences?".to_string());
        lines.push(format!("maana similarity {model} \\\n{}", texts.join(" \\\n")));
    }
    lines.push("# One embedding for each line of a file".into());
    lines.push(format!("maana encode {model} --input sentences.txt --output embeddings.npy"));
    if let Some(dim) = truncated {
        lines.push(format!("# Only the first {dim} numbers of each: smaller and faster to search"));
        lines.push(format!("maana encode {model} --input sentences.txt --output embeddings.npy --dim {dim}"));
    }
    lines.join("\n")
}

fn python_usage(facts: &CardFacts, truncated: Option<usize>) -> String {
    let model = python(&model_argument(facts));
    let cut = truncated.map_or(String::new(), |dim| format!("  # or SentenceTransformer({model}, truncate_dim={dim})"));
    let mut lines = vec![
        "from sentence_transformers import SentenceTransformer\n".to_string(),
        format!("model = SentenceTransformer({model}){cut}"),
        "sentences = [".into(),
    ];
    lines.extend(facts.examples.iter().map(|text| format!("    {},", python(text))));
    let count = facts.examples.len();
    lines.push("]".into());
    lines.push("embeddings = model.encode(sentences)".into());
    lines.push(format!("print(embeddings.shape)  # ({count}, {})\n", facts.model.dimension));
    lines.push("similarities = model.similarity(embeddings, embeddings)".into());
    lines.push("print(similarities)".into());
    if let Some(rows) = &facts.example_similarities {
        let row = |row: &Vec<f32>| row.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(", ");
        let rows: Vec<String> = rows.iter().map(|values| format!("[{}]", row(values))).collect();
        lines.push(format!("# tensor([{}])", rows.join(",\n#         ")));
    }
    lines.join("\n")
}

/// A table of measures, with the evaluator of the reference that gives the same.
#[derive(serde::Serialize)]
struct Evaluation {
    title: &'static str,
    evaluator: Option<&'static str>,
    names: Vec<String>,
    is_retrieval: bool,
    table: String,
}

fn evaluations(facts: &CardFacts) -> Vec<Evaluation> {
    // As in the reference, losses are in the log only.
    if facts.reproduce_301 {
        let shown = facts.after.iter().filter(|scores| scores.kind != Kind::Loss);
        return shown.map(|scores| evaluation(&[scores], true)).collect();
    }
    let sets = facts.by_set();
    let shown = sets.iter().filter(|set| !set.after.is_empty() && set.kind != Kind::Loss);
    shown.map(|set| evaluation(&set.after, false)).collect()
}

/// Measures down, evaluations across; the row of the primary measure is bold.
fn evaluation(all: &[&Scores], alone: bool) -> Evaluation {
    let mut header = vec!["Metric".to_string()];
    header.extend(all.iter().map(|scores| if alone { "Value".into() } else { inline(&scores.name) }));
    let align: Vec<Align> =
        header.iter().enumerate().map(|(n, _)| if n == 0 { Align::Left } else { Align::Right }).collect();
    let rows: Vec<Vec<String>> = all[0]
        .own_values()
        .map(|(key, _)| {
            let values = all.iter().map(|scores| scores.get(key).map_or("-".into(), |value| shown(scores, key, value)));
            bold_if(*key == all[0].primary, std::iter::once(inline(key)).chain(values))
        })
        .collect();
    let kind = all[0].kind;
    let (title, evaluator) = all[0].evaluator();
    Evaluation {
        title,
        evaluator,
        names: all.iter().map(|scores| scores.name.clone()).collect(),
        is_retrieval: kind == Kind::Retrieval,
        table: table(&header, &align, &rows),
    }
}

/// Formats a measure; of a reranking with its gain over the order of the documents, as the
/// reference does.
fn shown(scores: &Scores, key: &str, value: f64) -> String {
    match scores.get(&Scores::key_before(key)) {
        Some(before) => format!("{value:.4} ({:+.4})", value - before),
        None => four(value),
    }
}

/// For each set that was measured before training too: the primary measure of each dimension,
/// before and after.
#[derive(serde::Serialize)]
struct Comparison {
    set: Option<String>,
    metric: String,
    table: String,
}

fn comparisons(facts: &CardFacts) -> Vec<Comparison> {
    let compared = |set: &SetScores<'_>| {
        if set.before.is_empty() || set.after.is_empty() {
            return None;
        }
        let first = if facts.is_cross_encoder() { "Metric" } else { "Dimension" };
        let header = [first, "Before", "After", "Difference"].map(String::from);
        let rows: Vec<Vec<String>> = set
            .by_dimension()
            .into_iter()
            .map(|AtDimension { dimension, before, after }| {
                let difference =
                    before.zip(after).map_or("-".into(), |(before, after)| format!("{:+.4}", after - before));
                let shown = |value: Option<f64>| value.map_or("-".into(), four);
                let of = if facts.is_cross_encoder() { inline(set.primary()) } else { dimension.to_string() };
                vec![of, shown(before), shown(after), difference]
            })
            .collect();
        let table = table(&header, &[Align::Right; 4], &rows);
        Some(Comparison { set: set.title().map(String::from), metric: set.primary().into(), table })
    };
    facts.by_set().iter().filter_map(compared).collect()
}

/// The blends for the template.
#[derive(serde::Serialize)]
struct Blend {
    alpha: f64,
    is_base: bool,
    verdict: String,
    table: String,
}

/// A row for each blend: its share, the deciding metric, and that of each guard; the row of the
/// saved blend is bold.
fn blend(facts: &BlendFacts) -> Blend {
    let header: Vec<String> = std::iter::once("α".to_string()).chain(facts.metrics().map(inline)).collect();
    let row = |(index, point): (usize, &BlendPoint)| {
        let alpha = match point.alpha {
            0.0 => "0 (base)".to_string(),
            alpha => alpha.to_string(),
        };
        bold_if(index == facts.chosen, std::iter::once(alpha).chain(point.values().map(four)))
    };
    let rows: Vec<Vec<String>> = facts.points.iter().enumerate().map(row).collect();
    Blend {
        alpha: facts.chosen().alpha,
        is_base: facts.chosen().alpha == 0.0,
        verdict: inline(&facts.verdict_line()),
        table: table(&header, &vec![Align::Right; header.len()], &rows),
    }
}

/// A training set for the template.
#[derive(serde::Serialize)]
struct DataSet {
    name: Option<String>,
    rows: usize,
    columns: String,
    sampled: usize,
    statistics: String,
    samples: Option<String>,
    loss: Option<String>,
    loss_anchor: Option<String>,
    loss_parameters: String,
}

fn data_set(set: &DataSummary, loss: &LossFacts) -> DataSet {
    let label = set.label.as_ref();
    let names: Vec<&str> = set
        .columns
        .iter()
        .map(|column| &column.name)
        .chain(label.map(|label| &label.name))
        .map(String::as_str)
        .collect();
    let columns: Vec<String> = names.iter().map(|name| code(name)).collect();
    let columns = match columns.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => columns.concat(),
    };
    let names: Vec<String> = names.into_iter().map(inline).collect();
    let header: Vec<String> = std::iter::once(String::new()).chain(names.iter().cloned()).collect();
    let row = |title: &str, cell: &dyn Fn(&ColumnSummary) -> String, of_label: &dyn Fn(&LabelSummary) -> String| {
        let cells = set.columns.iter().map(cell).chain(label.map(of_label));
        std::iter::once(title.to_string()).chain(cells).collect::<Vec<_>>()
    };
    let blank = |_: &LabelSummary| String::new();
    let mut rows = vec![
        row("type", &|_| "string".into(), &|label| if label.is_list { "list" } else { "float" }.into()),
        row("fewest tokens", &|column| quantity::count(column.min_tokens), &blank),
        row("mean tokens", &|column| format!("{:.2}", column.mean_tokens), &blank),
        row("most tokens", &|column| quantity::count(column.max_tokens), &blank),
    ];
    if label.is_some() {
        let values = |label: &LabelSummary| format!("{} to {}, mean {:.2}", label.min, label.max, label.mean);
        rows.push(row("values", &|_| String::new(), &values));
    }
    let statistics = table(&header, &vec![Align::Left; header.len()], &rows);
    let shown = |row: &Vec<String>| {
        let cells = names
            .iter()
            .zip(row.iter().map(|text| code(&cut(text, SAMPLE_LETTERS))).chain(std::iter::repeat(String::new())));
        cells.map(|(_, cell)| cell).collect::<Vec<_>>()
    };
    let samples: Vec<Vec<String>> = set.samples.iter().map(shown).collect();
    let samples = (!samples.is_empty()).then(|| table(&names, &vec![Align::Left; names.len()], &samples));
    DataSet {
        name: set.name.clone(),
        rows: set.rows,
        columns,
        sampled: set.sampled,
        statistics,
        samples,
        loss: loss.classes.first().cloned(),
        loss_anchor: loss.classes.first().map(|class| class.to_lowercase()),
        loss_parameters: fenced("json", &serde_json::to_string_pretty(&loss.parameters).unwrap_or_default()),
    }
}

/// The training log as a table.
struct LogTable {
    text: String,
    rows: usize,
    has_bold: bool,
}

/// One line of the log: the values of one step.
struct LogLine {
    step: u64,
    epoch: f64,
    loss: Option<f64>,
    scores: Vec<Option<f64>>,
}

/// Returns the log: a row per step with epoch, step, loss and the primary metric of each
/// evaluation; the best step in bold.
fn log_table(facts: &CardFacts) -> Option<LogTable> {
    let keys = facts.after.iter().map(|scores| scores.prefixed_key(&scores.primary));
    let mut measures: Vec<String> = keys.filter(|key| is_logged(&facts.record, key)).collect();
    if facts.reproduce_301 {
        measures.sort();
    }
    let lines = log_lines(&facts.record, &measures);
    if lines.is_empty() {
        return None;
    }
    let header: Vec<String> = ["Epoch", "Step", "Training Loss"]
        .into_iter()
        .map(String::from)
        .chain(measures.iter().map(|key| if key == "loss" { "Validation Loss".into() } else { inline(key) }))
        .collect();
    let shown = |value: &Option<f64>| value.map_or("-".to_string(), four);
    let is_best = |line: &LogLine| facts.record.best_step == Some(line.step);
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let cells = [four(line.epoch), line.step.to_string(), shown(&line.loss)];
            bold_if(is_best(line), cells.into_iter().chain(line.scores.iter().map(shown)))
        })
        .collect();
    let text = table(&header, &vec![Align::Right; header.len()], &rows);
    Some(LogTable { text, rows: rows.len(), has_bold: lines.iter().any(is_best) })
}

fn is_logged(record: &TrainingRecord, key: &str) -> bool {
    record.rows.iter().any(|row| match row {
        LogRow::Evaluation { scores, .. } => scores.iter().any(|(name, _)| name == key),
        LogRow::Training { .. } => false,
    })
}

/// Returns the rows of the record, joined by step.
fn log_lines(record: &TrainingRecord, measures: &[String]) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> = Vec::new();
    for row in &record.rows {
        let (LogRow::Training { step, epoch, .. } | LogRow::Evaluation { step, epoch, .. }) = row;
        if lines.last().is_none_or(|line| line.step != *step) {
            lines.push(LogLine { step: *step, epoch: *epoch, loss: None, scores: vec![None; measures.len()] });
        }
        let line = lines.last_mut().expect("a line was pushed");
        match row {
            LogRow::Training { loss, .. } => line.loss = Some(*loss),
            LogRow::Evaluation { scores, .. } => {
                let of = |key: &String| scores.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
                line.scores = measures.iter().map(of).collect();
            }
        }
    }
    lines
}

fn hardware(facts: &CardFacts) -> Vec<(String, String)> {
    let (hardware, record) = (&facts.hardware, &facts.record);
    let mut rows = Vec::new();
    if let Some(processor) = &hardware.processor {
        rows.push(("Processor".into(), line(processor)));
    }
    rows.push(("Cores".into(), hardware.cores.to_string()));
    rows.push(("Threads".into(), hardware.threads.to_string()));
    rows.push(("Training time, evaluations included".into(), quantity::duration(hardware.seconds)));
    if record.tokens > 0 {
        rows.push(("Tokens trained on".into(), quantity::count(record.tokens)));
    }
    if let Some(bytes) = hardware.peak_memory_bytes {
        rows.push(("Peak memory".into(), quantity::bytes(bytes)));
    }
    rows
}

fn four(value: f64) -> String {
    format!("{value:.4}")
}

fn bold_if(bold: bool, cells: impl Iterator<Item = String>) -> Vec<String> {
    cells.map(|cell| if bold { format!("**{cell}**") } else { cell }).collect()
}
