//! `cargo xtask distillation`: mines hard negatives, trains a cross-encoder on them, scores them
//! with it, and trains bi-encoders on the scores, as `docs/distillation.md` describes. Writes the
//! table of that page.

use crate::command::{maana_or_release, output};
use crate::quality::{SWAHILI_SETS, score};
use crate::results_file::markers;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const RECIPES: &str = "recipes/distillation";
const PAGE: &str = "docs/distillation.md";

/// Negatives of a query in training, and in the lists that are reordered.
const NEGATIVES: usize = 3;
const CANDIDATES: usize = 19;

/// Models in the order of the table: the name, its folder below that of the results, and true for
/// bi-encoders.
const MODELS: [(&str, &str, bool); 6] = [
    ("base", "", true),
    ("bi-encoder on pairs", "bi-encoder", true),
    ("cross-encoder (teacher)", "cross-encoder", false),
    ("hard negatives, no teacher", "hard-negatives", true),
    ("student, MarginMSE", "margin-mse", true),
    ("student, KL divergence", "kl", true),
];

/// A folder of results, and the times of the steps that made them.
struct Steps {
    maana: PathBuf,
    out: PathBuf,
    base: Option<String>,
    seed: u64,
    seconds: Vec<(String, f64)>,
}

impl Steps {
    /// Runs a step unless its result exists.
    fn run(&mut self, title: &str, result: &str, arguments: &[&str]) -> Result<()> {
        if self.out.join(result).exists() {
            return Ok(());
        }
        println!("{title}");
        let began = Instant::now();
        let mut command = Command::new(&self.maana);
        command.current_dir(&self.out).args(arguments);
        output(&mut command)?;
        self.seconds.push((title.into(), began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Trains with a recipe. A run that was interrupted continues.
    fn train(&mut self, title: &str, recipe: &str) -> Result<()> {
        std::fs::copy(Path::new(RECIPES).join(format!("{recipe}.toml")), self.out.join(format!("{recipe}.toml")))?;
        let file = format!("{recipe}.toml");
        let mut settings = vec![format!("training.seed={}", self.seed)];
        if let Some(base) = self.base.as_ref().filter(|_| recipe.ends_with("encoder")) {
            settings.push(format!("model.base={base}"));
        }
        let resume = self.out.join(recipe).join("recipe.toml").exists();
        let mut arguments = vec!["train", file.as_str(), "--out", recipe];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
        arguments.extend(resume.then_some("--resume"));
        self.run(title, &format!("{recipe}/model"), &arguments)
    }
}

/// Runs `DATA [--pairs N] [--seed N] [--base MODEL] [--out DIR] [--maana PROGRAM]`. A run that was
/// interrupted continues.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let [data, options @ ..] = arguments else { bail!("cargo xtask distillation DATA needs the folder of the data") };
    let data = std::fs::canonicalize(data).with_context(|| data.clone())?;
    let (mut pairs, mut seed, mut base, mut maana) = (3000_usize, 42_u64, None, None);
    let mut out = PathBuf::from("target/distillation");
    for pair in options.chunks(2) {
        match pair {
            [name, value] if name == "--pairs" => pairs = value.parse().with_context(|| format!("--pairs {value}"))?,
            [name, value] if name == "--seed" => seed = value.parse().with_context(|| format!("--seed {value}"))?,
            [name, value] if name == "--base" => {
                let folder = std::fs::canonicalize(value).ok();
                base = Some(folder.map_or_else(|| value.clone(), |folder| folder.display().to_string()));
            }
            [name, value] if name == "--out" => out = PathBuf::from(value),
            [name, value] if name == "--maana" => maana = Some(PathBuf::from(value)),
            _ => bail!("unknown option {}; known are --pairs, --seed, --base, --out and --maana", pair[0]),
        }
    }
    let maana = maana_or_release(maana)?;
    std::fs::create_dir_all(&out)?;
    let maana = std::fs::canonicalize(&maana).with_context(|| maana.display().to_string())?;
    let mut steps = Steps { maana, out, base, seed, seconds: Vec::new() };
    copy_lines(&data.join("pairs/train.jsonl"), &steps.out.join("pairs.jsonl"), pairs)?;
    copy_lines(&data.join("pairs/dev.jsonl"), &steps.out.join("dev.jsonl"), usize::MAX)?;
    teach(&mut steps)?;
    let results = evaluate(&steps, &data, pairs)?;
    let path = steps.out.join("results.json");
    maana_files::write(&path, format!("{results:#}\n")).with_context(|| path.display().to_string())?;
    let table = table(&results)?;
    println!("\n{table}");
    write_page(Path::new(PAGE), &table)
}

/// Runs all steps from the pairs to the students.
fn teach(steps: &mut Steps) -> Result<()> {
    steps.train("bi-encoder on pairs", "bi-encoder")?;
    mine(steps, "hard negatives", ["pairs.jsonl", "tuples.jsonl"], NEGATIVES)?;
    mine(steps, "candidates", ["dev.jsonl", "candidates.jsonl"], CANDIDATES)?;
    lists(&steps.out.join("candidates.jsonl"), &steps.out.join("held-out.jsonl"))?;
    steps.train("cross-encoder", "cross-encoder")?;
    let names: Vec<String> = (1..=NEGATIVES).map(|number| format!("negative_{number}")).collect();
    let columns = format!("anchor,positive,{}", names.join(","));
    let score = ["score", "cross-encoder/model", "tuples.jsonl", "--columns", &columns];
    steps.run("scores", "scored.jsonl", &[&score[..], &["--output", "scored.jsonl"]].concat())?;
    steps.run("logits", "logits.jsonl", &[&score[..], &["--logits", "--output", "logits.jsonl"]].concat())?;
    steps.train("hard negatives, no teacher", "hard-negatives")?;
    steps.train("student, MarginMSE", "margin-mse")?;
    steps.train("student, KL divergence", "kl")
}

/// Finds hard negatives of pairs.
fn mine(steps: &mut Steps, title: &str, [pairs, output]: [&str; 2], negatives: usize) -> Result<()> {
    let negatives = negatives.to_string();
    let command = ["hard-negatives", pairs, "--model", "bi-encoder/model", "--output", output];
    let options = ["--relative-margin", "0.05", "--tuples", "--negatives", &negatives];
    steps.run(title, output, &[&command[..], &options].concat())
}

/// Copies the first lines of a file.
fn copy_lines(from: &Path, to: &Path, lines: usize) -> Result<()> {
    let text = std::fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let kept: String = text.lines().take(lines).map(|line| format!("{line}\n")).collect();
    maana_files::write(to, kept).with_context(|| to.display().to_string())
}

/// Writes tuples as lists to be reordered: query, positive, and the negatives.
fn lists(tuples: &Path, to: &Path) -> Result<()> {
    let text = std::fs::read_to_string(tuples).with_context(|| tuples.display().to_string())?;
    let list = |line: &str| -> Result<String> {
        let row: Value = serde_json::from_str(line)?;
        let negatives: Vec<&Value> = (1..).map_while(|number| row.get(format!("negative_{number}"))).collect();
        Ok(format!("{}\n", json!({"query": row["anchor"], "positive": row["positive"], "negative": negatives})))
    };
    let rows = text.lines().map(list).collect::<Result<String>>()?;
    maana_files::write(to, rows).with_context(|| to.display().to_string())
}

/// Measures every model: the reranking of the held-out candidates, and of bi-encoders retrieval.
fn evaluate(steps: &Steps, data: &Path, pairs: usize) -> Result<Value> {
    let recipe = std::fs::read_to_string(Path::new(RECIPES).join("bi-encoder.toml"))?;
    let own = recipe.lines().find_map(|line| line.strip_prefix("base = ")).context("bi-encoder.toml has no base")?;
    let own = own.trim_matches('"');
    let base = steps.base.clone().unwrap_or_else(|| own.to_owned());
    let mut models = Vec::new();
    for (title, folder, embeds) in MODELS {
        let model = if folder.is_empty() { base.clone() } else { format!("{folder}/model") };
        let mut command = Command::new(&steps.maana);
        command.current_dir(&steps.out).args(["evaluate", &model, "held-out.jsonl"]);
        if embeds {
            command.args(SWAHILI_SETS.map(|set| data.join("ir").join(set)));
        }
        command.args(["--json", "measured.json"]);
        output(&mut command)?;
        let scores: Value = serde_json::from_slice(&std::fs::read(steps.out.join("measured.json"))?)?;
        let reranking = scores["held-out_ndcg@10"].as_f64().context("no nDCG@10 of the held-out lists")?;
        let mut retrieval = serde_json::Map::new();
        for set in SWAHILI_SETS.iter().filter(|_| embeds) {
            retrieval.insert((*set).to_owned(), score(&scores, set)?.into());
        }
        models.push(json!({"model": title, "reranking": reranking, "retrieval": retrieval}));
    }
    let seconds: Vec<Value> =
        steps.seconds.iter().map(|(step, seconds)| json!({"step": step, "seconds": seconds.round()})).collect();
    Ok(json!({"base": base, "pairs": pairs, "seed": steps.seed, "models": models, "steps": seconds}))
}

/// Formats the results in Markdown.
fn table(results: &Value) -> Result<String> {
    let base = results["base"].as_str().unwrap_or_default();
    let mut text = format!(
        "nDCG@10 of models from `{base}` on {} pairs: of held-out queries with {CANDIDATES} hard negatives each \
         (reranking), and of retrieval sets.\n\n| model | reranking | {} |\n|---|---:|{}\n",
        results["pairs"],
        SWAHILI_SETS.join(" | "),
        "---:|".repeat(SWAHILI_SETS.len())
    );
    for model in results["models"].as_array().context("no models")? {
        let cell = |value: &Value| value.as_f64().map_or("–".to_owned(), |value| format!("{value:.4}"));
        let cells: Vec<String> = SWAHILI_SETS.iter().map(|set| cell(&model["retrieval"][set])).collect();
        let title = model["model"].as_str().unwrap_or_default();
        text += &format!("| {title} | {} | {} |\n", cell(&model["reranking"]), cells.join(" | "));
    }
    let steps = results["steps"].as_array().context("no steps")?;
    let shown: Vec<String> = steps
        .iter()
        .map(|step| format!("{} {} s", step["step"].as_str().unwrap_or_default(), step["seconds"]))
        .collect();
    if !shown.is_empty() {
        text += &format!("\nTime: {}.\n", shown.join("; "));
    }
    Ok(text)
}

/// Replaces the table of the page.
fn write_page(page: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let text = with_table(&text, table).with_context(|| page.display().to_string())?;
    maana_files::write(page, text).with_context(|| page.display().to_string())
}

fn with_table(page: &str, table: &str) -> Result<String> {
    let (begin, end) = markers("distillation");
    let (before, rest) = page.split_once(&begin).context("the page has no place for the table")?;
    let (_, after) = rest.split_once(&end).context("the place for the table has no end")?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/distillation.md")).unwrap();
        let filled = with_table(&page, "| a |\n").unwrap();
        assert!(filled.contains("| a |"));
        assert_eq!(with_table(&filled, "| a |").unwrap(), filled);
        for (_, folder, _) in MODELS.iter().filter(|(_, folder, _)| !folder.is_empty()) {
            let recipe = format!("{}/../{RECIPES}/{folder}.toml", env!("CARGO_MANIFEST_DIR"));
            assert!(std::fs::exists(&recipe).unwrap(), "{recipe}");
            assert!(page.contains(folder), "{folder}");
        }
    }

    #[test]
    fn results_become_a_table() {
        let results = json!({
            "base": "b", "pairs": 10, "seed": 1, "steps": [{"step": "scores", "seconds": 3.0}],
            "models": [{"model": "cross-encoder", "reranking": 0.5, "retrieval": {}}],
        });
        let text = table(&results).unwrap();
        assert!(text.contains("| cross-encoder | 0.5000 | – | – | – | – |") && text.contains("scores 3.0 s"), "{text}");
    }
}
