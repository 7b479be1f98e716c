//! `cargo xtask distillation`: mines hard negatives, trains a cross-encoder on them, scores them
//! with it, and trains bi-encoders on the scores, as `docs/distillation.md` describes. Writes the
//! table of that page.

mod lists;
mod steps;
mod table;

use crate::command::maana_or_release;
use crate::quality::{SWAHILI_SETS, score};
use crate::results_file::replace_part;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use steps::Steps;

const RECIPES: &str = "recipes/distillation";
const PAGE: &str = "docs/distillation.md";

/// Base of the teacher, which finds the candidates too, and base of the students.
const TEACHER: &str = "intfloat/multilingual-e5-small";
const BASE: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Negatives of a query in training; held-out lists, and their documents next to that of the pair.
const NEGATIVES: &str = "2";
const LISTS: usize = 300;
const CANDIDATES: &str = "9";

/// Precision of embeddings and scores.
const PRECISION: &str = "auto";

/// Recipes with their names in the table, in the order in which they are trained.
const BI_ENCODER: [&str; 2] = ["bi-encoder", "bi-encoder on pairs"];
const CROSS_ENCODER: [&str; 2] = ["cross-encoder", "cross-encoder (teacher)"];
const STUDENTS: [[&str; 2]; 4] = [
    ["hard-negatives", "hard negatives, no teacher"],
    ["kl", "student, KL divergence"],
    ["ranking-and-kl", "student, ranking and KL divergence"],
    ["margin-mse", "student, MarginMSE"],
];

/// Options of the command.
struct Options {
    data: PathBuf,
    pairs: usize,
    seed: u64,
    base: String,
    teacher: String,
    out: PathBuf,
    maana: Option<PathBuf>,
}

/// Runs `DATA [--teacher MODEL] [--base MODEL] [--pairs N] [--seed N] [--out DIR] [--maana
/// PROGRAM]`. A run that was interrupted continues.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let maana = maana_or_release(options.maana.clone())?;
    let maana = std::fs::canonicalize(&maana).with_context(|| maana.display().to_string())?;
    let mut steps = Steps::open(maana, options.out.clone(), options.settings()?)?;
    for (from, to, lines) in [("train", "pairs.jsonl", options.pairs), ("dev", "dev.jsonl", usize::MAX)] {
        copy_lines(&options.data.join(format!("pairs/{from}.jsonl")), &steps.path(to), lines)?;
    }
    teach(&mut steps, &options)?;
    let results = evaluate(&mut steps, &options)?;
    steps.write("results.json", &results)?;
    let table = table::of(&results)?;
    println!("\n{table}");
    replace_part(Path::new(PAGE), "distillation", &table)
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let [data, options @ ..] = arguments else {
            bail!("cargo xtask distillation DATA needs the folder of the data")
        };
        let mut parsed = Self {
            data: std::fs::canonicalize(data).with_context(|| data.clone())?,
            pairs: usize::MAX,
            seed: 42,
            base: BASE.into(),
            teacher: TEACHER.into(),
            out: PathBuf::from("target/distillation"),
            maana: None,
        };
        for pair in options.chunks(2) {
            match pair {
                [name, value] if name == "--pairs" => {
                    parsed.pairs = value.parse().with_context(|| format!("--pairs {value}"))?;
                }
                [name, value] if name == "--seed" => {
                    parsed.seed = value.parse().with_context(|| format!("--seed {value}"))?;
                }
                [name, value] if name == "--base" => parsed.base = model(value),
                [name, value] if name == "--teacher" => parsed.teacher = model(value),
                [name, value] if name == "--out" => parsed.out = PathBuf::from(value),
                [name, value] if name == "--maana" => parsed.maana = Some(PathBuf::from(value)),
                _ => bail!(
                    "unknown option {}; known are --pairs, --seed, --base, --teacher, --out and --maana, each with a value",
                    pair[0]
                ),
            }
        }
        Ok(parsed)
    }

    /// Returns everything that determines the results.
    fn settings(&self) -> Result<Value> {
        let mut recipes = serde_json::Map::new();
        for [recipe, _] in [BI_ENCODER, CROSS_ENCODER].iter().chain(&STUDENTS) {
            let path = Path::new(RECIPES).join(format!("{recipe}.toml"));
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            recipes.insert((*recipe).to_owned(), text.into());
        }
        Ok(json!({
            "data": self.data, "pairs": self.pairs, "seed": self.seed, "base": self.base, "teacher": self.teacher,
            "recipes": recipes,
        }))
    }
}

/// Returns the full path of a folder, or the name of a model on the hub.
fn model(value: &str) -> String {
    let path = Path::new(value);
    let full = path.exists().then(|| std::path::absolute(path).ok()).flatten();
    full.map_or_else(|| value.to_owned(), |full| full.display().to_string())
}

/// Runs all steps from the pairs to the students.
fn teach(steps: &mut Steps, options: &Options) -> Result<()> {
    let seed = format!("training.seed={}", options.seed);
    let base = |model: &str| vec![seed.clone(), format!("model.base={model}")];
    let mut mine = |title: &str, from: &str, to: &str, negatives: &str, bounds: &[&str]| {
        let mine = ["hard-negatives", from, "--model", &options.teacher, "--precision", PRECISION];
        let write = ["--negatives", negatives, "--tuples", "--output", to];
        steps.run(title, to, &[&mine[..], &write, bounds].concat())
    };
    let bounds = ["--relative-margin", "0.05", "--range-max", "300"];
    mine("hard negatives", "pairs.jsonl", "tuples.jsonl", NEGATIVES, &bounds)?;
    mine("lists", "pairs.jsonl", "lists.jsonl", NEGATIVES, &[])?;
    mine("held-out lists", "dev.jsonl", "candidates.jsonl", CANDIDATES, &[])?;
    let groups = options.data.join("pairs/dev.meta.tsv");
    let path = |name| steps.path(name);
    lists::write(LISTS, &path("dev.jsonl"), &groups, &path("candidates.jsonl"), &path("held-out.jsonl"))?;

    let recipes = Path::new(RECIPES);
    let [recipe, title] = CROSS_ENCODER;
    steps.train(title, recipes, recipe, &base(&options.teacher))?;
    let score = ["score", "cross-encoder/model", "lists.jsonl", "--columns", "anchor,positive,negative_1,negative_2"];
    let output = ["--precision", PRECISION, "--output", "scored.jsonl"];
    steps.run("scores", "scored.jsonl", &[&score[..], &output].concat())?;
    let [recipe, title] = BI_ENCODER;
    steps.train(title, recipes, recipe, &base(&options.base))?;
    for [recipe, title] in STUDENTS {
        steps.train(title, recipes, recipe, std::slice::from_ref(&seed))?;
    }
    Ok(())
}

/// Copies the first lines of a file.
fn copy_lines(from: &Path, to: &Path, lines: usize) -> Result<()> {
    let text = std::fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let kept: String = text.lines().take(lines).map(|line| format!("{line}\n")).collect();
    maana_files::write(to, kept).with_context(|| to.display().to_string())
}

/// Measures every model: the reranking of the held-out lists, and of bi-encoders retrieval.
fn evaluate(steps: &mut Steps, options: &Options) -> Result<Value> {
    let trained = |[recipe, title]: [&str; 2]| (title.to_owned(), recipe.to_owned(), format!("{recipe}/model"));
    let untrained = |role: &str, model: &str| {
        (format!("{} ({role})", model.rsplit('/').next().unwrap_or(model)), role.replace(' ', "-"), model.to_owned())
    };
    let mut models = vec![
        untrained("base", &options.base),
        untrained("base of the teacher", &options.teacher),
        trained(CROSS_ENCODER),
        trained(BI_ENCODER),
    ];
    models.extend(STUDENTS.map(trained));
    let mut rows = Vec::new();
    for (title, name, model) in models {
        let sets = if title == CROSS_ENCODER[1] { &[][..] } else { &SWAHILI_SETS };
        let folders: Vec<String> =
            sets.iter().map(|set| options.data.join("ir").join(set).display().to_string()).collect();
        let file = format!("{name}.json");
        let mut arguments = vec!["evaluate", model.as_str(), "held-out.jsonl"];
        arguments.extend(folders.iter().map(String::as_str));
        arguments.extend(["--precision", PRECISION, "--json", &file]);
        steps.run(&format!("evaluation: {name}"), &file, &arguments)?;
        let scores = steps.json(&file)?;
        let reranking = scores["held-out_ndcg@10"].as_f64().context("no nDCG@10 of the held-out lists")?;
        let mut retrieval = serde_json::Map::new();
        for set in sets {
            retrieval.insert((*set).to_owned(), score(&scores, set)?.into());
        }
        rows.push(json!({"model": title, "reranking": reranking, "retrieval": retrieval}));
    }
    let lines = |name| Ok::<_, anyhow::Error>(std::fs::read_to_string(steps.path(name))?.lines().count());
    Ok(json!({
        "pairs": lines("pairs.jsonl")?, "lists": lines("held-out.jsonl")?,
        "seed": options.seed, "models": rows, "seconds": steps.seconds(),
    }))
}
