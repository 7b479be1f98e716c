//! `cargo xtask static-quality`: what a static model keeps of its teacher. Distils a model on pairs
//! of texts and measures both on retrieval sets at five dimensions.

use crate::command::{maana_or_release, run as run_command};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const WORK: &str = "target/static-quality";
const DIMS: [usize; 5] = [256, 128, 64, 32, 16];

/// Distils, measures, and prints the table.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut rest = arguments.iter();
    let data = PathBuf::from(rest.next().context("name the folder with pairs/ and ir/; see cargo xtask")?);
    let (mut base, mut maana) = ("sentence-transformers/all-MiniLM-L6-v2".to_owned(), None);
    while let Some(flag) = rest.next() {
        let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value"))?;
        match flag.as_str() {
            "--base" => base.clone_from(value),
            "--maana" => maana = Some(PathBuf::from(value)),
            _ => bail!("{flag}: unknown; use --base or --maana"),
        }
    }
    let maana = maana_or_release(maana)?;
    std::fs::create_dir_all(WORK)?;
    let texts = texts(&data.join("pairs/train.jsonl"))?;
    let mut sets: Vec<PathBuf> =
        std::fs::read_dir(data.join("ir"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    sets.sort();
    let mut models = vec![("teacher".to_owned(), PathBuf::from(&base))];
    for (name, epochs) in [("static, not trained", "0"), ("static, 20 epochs", "20")] {
        let out = Path::new(WORK).join(format!("epochs-{epochs}"));
        let mut distil = Command::new(&maana);
        distil.args(["distill-static", &base, "--epochs", epochs, "--texts"]).arg(&texts).arg("--out").arg(&out);
        run_command(&mut distil)?;
        models.push((name.to_owned(), out));
    }
    println!("{}", table(&maana, &models, &sets)?);
    Ok(())
}

/// Writes all texts of a file of pairs, one a row, and returns the file.
fn texts(pairs: &Path) -> Result<PathBuf> {
    let path = Path::new(WORK).join("texts.jsonl");
    let lines = std::fs::read_to_string(pairs).with_context(|| pairs.display().to_string())?;
    let mut texts = std::collections::BTreeSet::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line)?;
        let columns = row.as_object().into_iter().flatten();
        texts.extend(columns.filter_map(|(_, value)| value.as_str()).map(str::to_owned));
    }
    let rows: String = texts.iter().map(|text| format!("{}\n", serde_json::json!({"text": text}))).collect();
    maana_files::write(&path, rows)?;
    Ok(path)
}

/// Measures every model on every set at every dimension: nDCG@10.
fn table(maana: &Path, models: &[(String, PathBuf)], sets: &[PathBuf]) -> Result<String> {
    let mut text = String::from("| set | model |");
    text += &DIMS.map(|dim| format!(" {dim} |")).concat();
    text += "\n|:--|:--|";
    text += &"--:|".repeat(DIMS.len());
    text += "\n";
    for set in sets {
        let title = set.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        for (name, model) in models {
            let dims = DIMS.map(|dim| dim.to_string()).join(",");
            let scores = Path::new(WORK).join("scores.json");
            let mut evaluate = Command::new(maana);
            evaluate.arg("evaluate").arg(model).arg(set).args(["--dims", &dims, "--json"]).arg(&scores);
            run_command(&mut evaluate)?;
            let scores: Value = serde_json::from_slice(&std::fs::read(&scores)?)?;
            let _ = write!(text, "| {title} | {name} |");
            for dim in DIMS {
                let score = ndcg(&scores, dim).with_context(|| format!("no nDCG@10 at {dim} in {scores}"))?;
                let _ = write!(text, " {score:.3} |");
            }
            text += "\n";
        }
    }
    Ok(text)
}

/// Finds nDCG@10 at a dimension in the scores of `maana evaluate`.
fn ndcg(scores: &Value, dim: usize) -> Option<f64> {
    let key = format!("dim_{dim}_cosine_ndcg@10");
    scores.as_object()?.iter().find(|(name, _)| name.ends_with(&key)).and_then(|(_, value)| value.as_f64())
}
