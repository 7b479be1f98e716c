//! Encodes with model2vec-rs for `cargo xtask bench-static`: loads once, then a round for every
//! line `go` on standard input.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use model2vec_rs::model::StaticModel;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts] = arguments.as_slice() else { bail!("usage: model2vec-peer MODEL TEXTS.jsonl") };
    let model = StaticModel::from_pretrained(model, None, None, None)?;
    let texts = read_texts(Path::new(texts))?;
    // All tokens of a text, as the other engines read them, into one buffer.
    let encode = || model.encode_flat_with_args(&texts, None);
    let first: Vec<f32> = encode().into_iter().take(4).collect();
    say(&json!({"ready": true, "first": first}))?;
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "go" => {}
            "quit" => break,
            other => bail!("{other:?}: not understood; a line is go or quit"),
        }
        let start = Instant::now();
        let values = encode();
        let seconds = start.elapsed().as_secs_f64();
        say(&json!({"seconds": seconds, "values": values.len()}))?;
    }
    Ok(())
}

fn say(line: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn read_texts(path: &Path) -> Result<Vec<String>> {
    let file = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = |line: &str| -> Result<String> {
        let row: Value = serde_json::from_str(line)?;
        Ok(row["positive"].as_str().with_context(|| format!("{}: a row without \"positive\"", path.display()))?.to_owned())
    };
    file.lines().map(text).collect()
}
