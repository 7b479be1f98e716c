//! `cargo xtask bench-python`: the package next to Sentence Transformers, fastembed and kjarni.

use crate::bench_peers::minilm_folder;
use crate::command::{cargo, run};
use crate::package::{lay_out, peers};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Texts that are embedded.
const TEXTS: &str = "10000";

/// Runs the comparison of `bench/peers/compare_python.py` with all-MiniLM-L6-v2 and short synthetic
/// texts. `arguments` are further options of the script.
pub(crate) fn compare(arguments: &[String]) -> Result<()> {
    let python = peers()?;
    cargo(&["build", "--release", "--workspace", "--lib", "--bins", "--quiet"])?;
    let package = lay_out("release", "target/python-release")?;
    let texts = Path::new("target/python-bench");
    if !texts.join("train.jsonl").is_file() {
        let flags = ["synthesize", "--pairs", TEXTS, "--queries", "1", "--seed", "9", "--out"];
        run(Command::new("target/release/maana").args(flags).arg(texts))?;
    }
    let mut script = Command::new(python);
    script.arg("bench/peers/compare_python.py").arg("--model").arg(minilm_folder()?);
    script.arg("--texts").arg(texts.join("train.jsonl"));
    let exported = Path::new("target/peers/exported/all-MiniLM-L6-v2");
    if exported.join("model.onnx").is_file() {
        script.arg("--exported").arg(exported);
    } else {
        println!("fastembed is left out; `cargo xtask bench-peers --quick` writes the ONNX model that it reads");
    }
    run(script.args(arguments).env("PYTHONPATH", package))
}
