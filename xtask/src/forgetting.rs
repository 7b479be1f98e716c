//! `cargo xtask forgetting`: fine-tunes a model on Swahili pairs with several seeds, and measures
//! its blends with the base on sets like the training data and on sets of other domains. Prints
//! tables in Markdown.

use crate::command::{maana_or_release, output};
use crate::quality::{SWAHILI_SETS, mean_and_deviation};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const BASE: &str = "sentence-transformers/all-MiniLM-L6-v2";
const ALPHAS: [f64; 6] = [0.0, 1.0, 0.85, 0.7, 0.5, 0.3];

/// Sets that must not fall.
const GUARDS: [&str; 2] = ["asp-title2story", "xcopa-premise2choice"];
const OTHER_GUARDS: [&str; 1] = ["classification/sib200_swh_topic.test.tsv"];

/// A measure of a set: its name, and the key of the metric.
struct Row {
    set: String,
    metric: String,
    is_guard: bool,
    /// Values by seed, each in the order of [`ALPHAS`].
    values: Vec<Vec<f64>>,
}

/// Runs `DATA [--seeds N,N] [--base MODEL] [--maana PROGRAM]`. Runs that were interrupted continue.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let [data, options @ ..] = arguments else { bail!("cargo xtask forgetting DATA needs the folder of the data") };
    let data = std::fs::canonicalize(data).with_context(|| data.clone())?;
    let mut seeds = vec![1_u64, 2, 3];
    let (mut base, mut maana) = (BASE.to_owned(), None);
    for pair in options.chunks(2) {
        match pair {
            [name, value] if name == "--seeds" => {
                let parsed: Result<Vec<u64>, _> = value.split(',').map(str::parse).collect();
                seeds = parsed.with_context(|| format!("--seeds {value}"))?;
            }
            [name, value] if name == "--base" => base = value.clone(),
            [name, value] if name == "--maana" => maana = Some(PathBuf::from(value)),
            _ => bail!("unknown option {}; known are --seeds, --base and --maana", pair[0]),
        }
    }
    let maana = maana_or_release(maana)?;
    let out = PathBuf::from("target/forgetting").join(base.rsplit('/').next().unwrap_or("model"));
    std::fs::create_dir_all(&out)?;
    let (mut rows, mut verdicts) = (Vec::new(), Vec::new());
    for seed in &seeds {
        let run = out.join(format!("seed-{seed}"));
        let recipe = out.join(format!("seed-{seed}.toml"));
        std::fs::write(&recipe, recipe_of(&base, &data, *seed))?;
        let mut train = Command::new(&maana);
        train.arg("train").arg(&recipe).arg("--out").arg(&run).args(run.exists().then_some("--resume"));
        let shown = output(&mut train)?;
        let verdict = shown.lines().find_map(|line| line.strip_prefix("verdict ")).context("no verdict")?;
        println!("seed {seed}: {verdict}");
        verdicts.push(verdict.to_owned());
        let blends: Value = serde_json::from_slice(&std::fs::read(run.join("evaluation/blend.json"))?)?;
        add(&mut rows, &blends)?;
    }
    print(&base, &seeds, &rows);
    println!("\nWith the guards:\n");
    verdicts.iter().zip(&seeds).for_each(|(verdict, seed)| println!("* seed {seed}: {verdict}"));
    Ok(())
}

/// Returns the recipe: one epoch, batches of 32, a learning rate of 5e-5 with a cosine, in-batch
/// negatives under Matryoshka.
fn recipe_of(base: &str, data: &Path, seed: u64) -> String {
    let data = data.display();
    let retrieval: Vec<String> = SWAHILI_SETS.iter().map(|set| format!("\"{data}/ir/{set}\"")).collect();
    let others = OTHER_GUARDS.map(|path| format!("{data}/{path}"));
    let guards: Vec<String> =
        GUARDS.map(String::from).iter().chain(&others).map(|guard| format!("\"{guard}\"")).collect();
    let mut alphas = ALPHAS[1..].to_vec();
    alphas.sort_by(f64::total_cmp);
    let settings = std::fs::read(Path::new(base).join("config_sentence_transformers.json")).unwrap_or_default();
    let settings: Value = serde_json::from_slice(&settings).unwrap_or_default();
    let has_prompts = settings["prompts"].as_object().is_some_and(|prompts| !prompts.is_empty());
    let prompts = if has_prompts { "prompts = \"model\"\n" } else { "" };
    format!(
        "[model]\nbase = \"{base}\"\n\n[data]\ntrain = [\"{data}/pairs/train.jsonl\"]\ncolumns = [\"anchor\", \"positive\"]\n{prompts}\n\
         [loss]\nname = \"multiple_negatives_ranking\"\nmatryoshka_dims = [384, 256, 128, 64, 32]\n\n\
         [training]\nepochs = 1\nbatch_size = 32\nlearning_rate = 5e-5\nschedule = \"cosine\"\nseed = {seed}\n\
         precision = \"bf16\"\nlog_every = 20\n\n\
         [evaluation]\nretrieval = [{}]\ndims = [384]\n\n[blend]\nalphas = {alphas:?}\nguard = [{}]\n",
        retrieval.join(", "),
        guards.join(", ")
    )
}

/// Adds the values of a run to the rows: MAP@100 of retrieval sets, the primary metric of others.
fn add(rows: &mut Vec<Row>, blends: &Value) -> Result<()> {
    let points = blends["points"].as_array().context("blend.json has no points")?;
    let point = |alpha: f64| {
        points.iter().find(|point| point["alpha"] == alpha).with_context(|| format!("no blend with α = {alpha}"))
    };
    let first = point(0.0)?;
    for part in ["dev", "guards"] {
        for (index, scores) in first[part].as_array().into_iter().flatten().enumerate() {
            let name = scores["name"].as_str().unwrap_or_default();
            let is_retrieval = scores["kind"] == "retrieval";
            let metric = if is_retrieval { "cosine_map@100" } else { scores["primary"].as_str().unwrap_or_default() };
            let set = name.strip_suffix("_dim_384").unwrap_or(name).to_owned();
            let values = ALPHAS.iter().map(|alpha| {
                let values = &point(*alpha)?[part][index]["values"];
                let value = values.as_array().into_iter().flatten().find(|value| value[0] == metric);
                value.and_then(|value| value[1].as_f64()).with_context(|| format!("no {metric} of {set}"))
            });
            let values = values.collect::<Result<Vec<f64>>>()?;
            match rows.iter_mut().find(|row| row.set == set && row.metric == metric) {
                Some(row) => row.values.push(values),
                None => {
                    let is_guard = part == "guards" || GUARDS.contains(&set.as_str());
                    rows.push(Row { set, metric: metric.into(), is_guard, values: vec![values] });
                }
            }
        }
    }
    Ok(())
}

/// Prints mean and deviation over the seeds.
fn print(base: &str, seeds: &[u64], rows: &[Row]) {
    let of = |alpha: &f64| match alpha {
        0.0 => "base".to_string(),
        1.0 => "tuned (α = 1)".to_string(),
        alpha => alpha.to_string(),
    };
    println!("\n{base}, {} seeds, mean ± standard deviation\n", seeds.len());
    println!("| set | metric | {} |", ALPHAS.iter().map(of).collect::<Vec<_>>().join(" | "));
    println!("|---|---|{}", "---:|".repeat(ALPHAS.len()));
    for row in rows {
        let cell = |index: usize| {
            let values: Vec<f64> = row.values.iter().map(|values| values[index]).collect();
            let (mean, deviation) = mean_and_deviation(&values);
            if index == 0 { format!("{mean:.4}") } else { format!("{mean:.4} ± {deviation:.4}") }
        };
        let cells: Vec<String> = (0..ALPHAS.len()).map(cell).collect();
        let guard = if row.is_guard { " (guard)" } else { "" };
        println!("| {}{guard} | {} | {} |", row.set, row.metric.trim_start_matches("cosine_"), cells.join(" | "));
    }
}
