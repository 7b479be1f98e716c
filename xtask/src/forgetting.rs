//! `cargo xtask forgetting`: fine-tunes a model on Swahili pairs with several seeds, and measures
//! its blends with the base on sets like the training data and on sets of other domains. Writes
//! the tables of `docs/blending.md`.

use crate::command::{maana_or_release, output};
use crate::quality::{SWAHILI_SETS, mean_and_deviation};
use crate::results_file::replace_part;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = "docs/blending.md";
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
    /// Values by seed, each in the order of [`ALPHAS`], then that of the saved blend.
    values: Vec<Vec<f64>>,
}

/// Runs `DATA [--seeds N,N] [--base MODEL] [--maana PROGRAM]`. Runs that were interrupted continue.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let [data, options @ ..] = arguments else { bail!("cargo xtask forgetting DATA needs the folder of the data") };
    let data = std::fs::canonicalize(data).with_context(|| data.clone())?;
    let mut seeds = vec![1_u64, 2, 3];
    let (mut base, mut maana) = (BASE.to_owned(), None);
    let mut options = options.iter();
    while let Some(name) = options.next() {
        let mut value = || options.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--seeds" => {
                let value = value()?;
                let parsed: Result<Vec<u64>, _> = value.split(',').map(str::parse).collect();
                seeds = parsed.with_context(|| format!("--seeds {value}"))?;
            }
            "--base" => base = value()?.clone(),
            "--maana" => maana = Some(PathBuf::from(value()?)),
            _ => bail!("unknown option {name}; known are --seeds, --base and --maana"),
        }
    }
    let maana = maana_or_release(maana)?;
    let model = base.rsplit('/').next().unwrap_or("model");
    let out = PathBuf::from("target/forgetting").join(model);
    std::fs::create_dir_all(&out)?;
    let (mut rows, mut verdicts) = (Vec::new(), String::new());
    for seed in &seeds {
        let run = out.join(format!("seed-{seed}"));
        let recipe = out.join(format!("seed-{seed}.toml"));
        std::fs::write(&recipe, recipe_of(&base, &data, *seed))?;
        let mut train = Command::new(&maana);
        train.arg("train").arg(&recipe).arg("--out").arg(&run).args(run.exists().then_some("--resume"));
        let shown = output(&mut train)?;
        let verdict = shown.lines().find_map(|line| line.strip_prefix("verdict ")).context("no verdict")?;
        println!("seed {seed}: {verdict}");
        verdicts += &format!("* seed {seed}: {verdict}\n");
        let read = |name: &str| -> Result<Value> {
            let path = run.join("evaluation").join(name);
            Ok(serde_json::from_slice(&std::fs::read(&path).with_context(|| path.display().to_string())?)?)
        };
        add(&mut rows, &read("blend.json")?, &read("after.scores.json")?)?;
    }
    let text = format!("{}\nThe verdicts:\n\n{verdicts}", table(model, &seeds, &rows));
    println!("\n{text}");
    replace_part(Path::new(PAGE), &format!("forgetting: {model}"), &text)
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
         [evaluation]\nretrieval = [{}]\ndims = [384]\n\n\
         [blend]\nalphas = {alphas:?}\nguard = [{}]\ntolerance = \"chance\"\n",
        retrieval.join(", "),
        guards.join(", ")
    )
}

/// Adds the values of a run to the rows: MAP@100 of retrieval sets, the primary metric of others.
/// `after` has the scores of the saved blend.
fn add(rows: &mut Vec<Row>, blends: &Value, after: &Value) -> Result<()> {
    let points = blends["points"].as_array().context("blend.json has no points")?;
    let mut columns = Vec::new();
    for alpha in ALPHAS {
        let point = points.iter().find(|point| point["alpha"] == alpha);
        columns.push(point.with_context(|| format!("no blend with α = {alpha}"))?);
    }
    let first = columns[0];
    columns.push(points.iter().find(|point| point["dev"] == *after).context("blend.json lacks the saved blend")?);
    for part in ["dev", "guards"] {
        for (index, scores) in first[part].as_array().into_iter().flatten().enumerate() {
            let name = scores["name"].as_str().unwrap_or_default();
            let is_retrieval = scores["kind"] == "retrieval";
            let metric = if is_retrieval { "cosine_map@100" } else { scores["primary"].as_str().unwrap_or_default() };
            let set = name.strip_suffix("_dim_384").unwrap_or(name).to_owned();
            let values = columns.iter().map(|point| {
                let values = &point[part][index]["values"];
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

/// Formats mean and deviation over the seeds.
fn table(model: &str, seeds: &[u64], rows: &[Row]) -> String {
    let of = |alpha: &f64| match alpha {
        0.0 => "base".to_string(),
        1.0 => "tuned (α = 1)".to_string(),
        alpha => alpha.to_string(),
    };
    let header: Vec<String> = ALPHAS.iter().map(of).chain(["saved".into()]).collect();
    let mut text = format!(
        "{model}, {} seeds, mean ± standard deviation:\n\n| set | metric | {} |\n|---|---|{}\n",
        seeds.len(),
        header.join(" | "),
        "---:|".repeat(header.len())
    );
    for row in rows {
        let cell = |index: usize| {
            let values: Vec<f64> = row.values.iter().map(|values| values[index]).collect();
            let (mean, deviation) = mean_and_deviation(&values);
            if index == 0 { format!("{mean:.4}") } else { format!("{mean:.4} ± {deviation:.4}") }
        };
        let cells: Vec<String> = (0..header.len()).map(cell).collect();
        let guard = if row.is_guard { " (guard)" } else { "" };
        text +=
            &format!("| {}{guard} | {} | {} |\n", row.set, row.metric.trim_start_matches("cosine_"), cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results_file::markers;
    use serde_json::json;

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/blending.md")).unwrap();
        assert!(page.contains(&markers("forgetting: all-MiniLM-L6-v2").0));
    }

    #[test]
    fn the_saved_blend_has_a_column() {
        let point = |alpha: f64, value: f64| {
            let scores = |name: &str, key: &str, kind: &str| json!({"name": name, "kind": kind, "primary": key, "values": [[key, value]]});
            let (asp, sib) =
                (scores("asp-title2story_dim_384", "cosine_map@100", "retrieval"), scores("sib", "accuracy", "labels"));
            json!({"alpha": alpha, "dev": [asp], "guards": [sib]})
        };
        let shares = ALPHAS.iter().map(|alpha| point(*alpha, 0.5 - alpha / 4.0)).chain([point(0.15, 0.46)]);
        let blends = json!({"points": shares.collect::<Vec<Value>>()});
        let mut rows = Vec::new();
        add(&mut rows, &blends, &point(0.15, 0.46)["dev"]).unwrap();
        let text = table("a model", &[1], &rows);
        assert!(text.contains("| asp-title2story (guard) | map@100 | 0.5000 | 0.2500 ± 0.0000 |"), "{text}");
        assert!(text.contains("| 0.4250 ± 0.0000 | 0.4600 ± 0.0000 |\n"), "{text}");
        assert!(text.contains("| sib (guard) | accuracy |"), "{text}");
        assert!(add(&mut rows, &blends, &json!([])).is_err());
    }
}
