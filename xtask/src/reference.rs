//! `cargo xtask reference`: compares with Sentence Transformers in a Python environment with pinned
//! versions.

use crate::command::run;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// Opens a model folder with Sentence Transformers and compares its embeddings with ours, full and
/// truncated.
pub(crate) fn compare(model: Option<&str>) -> Result<()> {
    let model = Path::new(model.unwrap_or("maana-demo/run/model"));
    ensure!(
        model.join("modules.json").is_file(),
        "{}: not a model folder; create one with `cargo run --release -- demo`, or name another",
        model.display()
    );
    let python = crate::python::environment(
        Path::new("target/reference-python"),
        Path::new("xtask/python/requirements.txt"),
        "the network and about 7 GB of disk",
    )?;
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let work = Path::new("target/reference");
    std::fs::create_dir_all(work)?;
    let (texts, embeddings) = (work.join("texts.jsonl"), work.join("embeddings.npy"));
    let corpus = std::fs::read_to_string("recipes/demo/dev/corpus.jsonl")?;
    let some: Vec<&str> = corpus.lines().take(256).collect();
    std::fs::write(&texts, some.join("\n") + "\n")?;
    let mut encode = Command::new("target/release/maana");
    encode
        .arg("encode")
        .arg(model)
        .arg("--input")
        .arg(&texts)
        .args(["--column", "text", "--allow-blank", "--output"])
        .arg(&embeddings);
    run(&mut encode)?;
    let mut check = Command::new(python);
    run(check.arg("xtask/python/check_folder.py").arg(model).arg(&texts).arg(&embeddings).args(["128", "64"]))
}
