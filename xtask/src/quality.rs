//! `cargo xtask quality` and `seeds`: the quality of precisions: retrieval of a model in f32, bf16
//! and int8, and fine-tuning in f32 and bf16 with several seeds. Runs the command line and prints
//! tables in Markdown.

use crate::command::output;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Retrieval sets of a folder of Swahili data: those like its training data, then those of other
/// domains.
pub(crate) const SWAHILI_SETS: [&str; 4] =
    ["tico19-en2sw", "injongo-same-intent", "asp-title2story", "xcopa-premise2choice"];

const MEASURE: &str = "cosine_ndcg@10";
const MAANA: &str = "target/release/maana";

/// Runs `MODEL SET...`: nDCG@10 of each retrieval set and of all queries together, in each
/// precision.
pub(crate) fn retrieval(arguments: &[String]) -> Result<()> {
    let [model, sets @ ..] = arguments else { bail!("cargo xtask quality MODEL SET... needs a model") };
    ensure!(!sets.is_empty(), "cargo xtask quality MODEL SET... needs folders of retrieval sets");
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let names: Vec<String> = sets.iter().map(|set| name(Path::new(set))).collect();
    let queries = sets.iter().map(|set| queries(Path::new(set))).collect::<Result<Vec<_>>>()?;
    let mut columns = Vec::new();
    for precision in ["f32", "bf16", "int8"] {
        let scores = evaluate(Path::new(MAANA), model, sets, precision)?;
        columns.push(names.iter().map(|name| score(&scores, name)).collect::<Result<Vec<f64>>>()?);
    }
    println!("\nnDCG@10 of {model}\n\n| set | queries | f32 | bf16 | int8 |\n|---|---:|---:|---:|---:|");
    let row = |name: &str, queries: usize, values: [f64; 3]| {
        let change = |value: f64| format!("{value:.4} ({:+.2} %)", 100.0 * (value / values[0] - 1.0));
        println!("| {name} | {queries} | {:.4} | {} | {} |", values[0], change(values[1]), change(values[2]));
    };
    for (index, name) in names.iter().enumerate() {
        row(name, queries[index], [0, 1, 2].map(|column: usize| columns[column][index]));
    }
    let all: usize = queries.iter().sum();
    let pooled = |values: &Vec<f64>| {
        values.iter().zip(&queries).map(|(value, count)| value * *count as f64).sum::<f64>() / all as f64
    };
    row("all queries", all, [0, 1, 2].map(|column: usize| pooled(&columns[column])));
    Ok(())
}

/// Runs `RECIPE SET [OPTIONS OF MAANA TRAIN]`: fine-tunes with each seed in f32 and in bf16.
pub(crate) fn seeds(arguments: &[String]) -> Result<()> {
    let [recipe, set, options @ ..] = arguments else {
        bail!("cargo xtask seeds RECIPE SET [options of maana train] needs a recipe and a retrieval set")
    };
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let out = PathBuf::from("target/seeds");
    println!("| seed | f32 | bf16 | difference |\n|---:|---:|---:|---:|");
    let mut all = [Vec::new(), Vec::new()];
    for seed in 1..=3 {
        let mut values = [0.0; 2];
        for (value, precision) in values.iter_mut().zip(["f32", "bf16"]) {
            let folder = out.join(format!("{precision}-{seed}"));
            let _ = std::fs::remove_dir_all(&folder);
            let mut train = Command::new(MAANA);
            train.arg("train").arg(recipe).arg("--out").arg(&folder).args(options);
            train.args(["--set", &format!("training.seed={seed}")]);
            train.args(["--set", &format!("training.precision=\"{precision}\"")]);
            output(&mut train)?;
            let model = folder.join("model").display().to_string();
            let scores = evaluate(Path::new(MAANA), &model, std::slice::from_ref(set), "f32")?;
            *value = score(&scores, &name(Path::new(set)))?;
        }
        println!("| {seed} | {:.4} | {:.4} | {:+.4} |", values[0], values[1], values[1] - values[0]);
        all.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
    }
    let [f32s, bf16s] = all.map(|values: Vec<f64>| mean_and_deviation(&values));
    let both = [f32s, bf16s].map(|(mean, spread)| format!("{mean:.4} ± {spread:.4}"));
    println!("| mean ± deviation | {} | {} | {:+.4} |", both[0], both[1], bf16s.0 - f32s.0);
    Ok(())
}

/// Returns the mean and the standard deviation of a sample; that of a single value is 0.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, variance.sqrt())
}

/// Largest relative loss of nDCG@10 on the demo's 300 queries. With so small a set, one query that
/// moves by one rank changes the result by 0.1 %. Tests limit the untrained model to 0.2 % and 1 %
/// on a five times larger set.
const MOST: [(&str, f64); 2] = [("bf16", 0.005), ("int8", 0.02)];

/// Fails if a precision loses more quality on a retrieval set than allowed.
pub(crate) fn gate(maana: &Path, model: &Path, set: &Path) -> Result<()> {
    let (model, sets) = (model.display().to_string(), [set.display().to_string()]);
    let measure = |precision: &str| score(&evaluate(maana, &model, &sets, precision)?, &name(set));
    let whole = measure("f32")?;
    for (precision, most) in MOST {
        let value = measure(precision)?;
        let change = value / whole - 1.0;
        println!("nDCG@10 of the fine-tuned model: f32 {whole:.4}, {precision} {value:.4} ({:+.2} %)", 100.0 * change);
        ensure!(-change <= most, "{precision} loses more than {} % of nDCG@10", 100.0 * most);
    }
    Ok(())
}

fn evaluate(maana: &Path, model: &str, sets: &[String], precision: &str) -> Result<Value> {
    let json = std::env::temp_dir().join(format!("maana-quality-{}.json", std::process::id()));
    let mut command = Command::new(maana);
    command.arg("evaluate").arg(model).args(sets).args(["--precision", precision, "--json"]).arg(&json);
    output(&mut command)?;
    let scores = serde_json::from_slice(&std::fs::read(&json)?)?;
    std::fs::remove_file(&json)?;
    Ok(scores)
}

pub(crate) fn score(scores: &Value, set: &str) -> Result<f64> {
    let all = scores.as_object().context("the scores are not an object")?;
    let ours: Vec<&Value> =
        all.iter().filter(|(key, _)| key.contains(set) && key.ends_with(MEASURE)).map(|(_, value)| value).collect();
    match ours[..] {
        [value] => value.as_f64().context("a score is not a number"),
        [] if all.iter().filter(|(key, _)| key.ends_with(MEASURE)).count() == 1 => {
            let only = all.iter().find(|(key, _)| key.ends_with(MEASURE)).and_then(|(_, value)| value.as_f64());
            only.context("a score is not a number")
        }
        _ => bail!("{} scores of {set} called {MEASURE}", ours.len()),
    }
}

fn name(set: &Path) -> String {
    set.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn queries(set: &Path) -> Result<usize> {
    let path = set.join("queries.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).count())
}
