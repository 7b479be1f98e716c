//! `cargo xtask test`: everything that CI checks, and the tests that are commands of their own.

use crate::command::{cargo, cargo_on, output, run};
use crate::{attack, browser, check, clients, package, postgres, quality, soak};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

pub(crate) fn test() -> Result<()> {
    let start = Instant::now();
    check::check(&[])?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["check", "--package", "maana", "--lib", "--no-default-features"])?;
    cargo(&["test", "--workspace"])?;
    on_every_instruction_set()?;
    fuzz()?;
    attack::in_tests()?;
    postgres::test_if_possible()?;
    loom()?;
    run(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    small_demo()?;
    browser::run_page(&[])?;
    clients::in_tests()?;
    package::in_tests()?;
    soak::short()?;
    println!("all tests passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Instruction sets as `MAANA_ISA` names them.
const INSTRUCTION_SETS: [&str; 6] = ["portable", "neon", "avx2", "avx512", "avx512vnni", "avx512bf16"];

/// Runs the tests of embeddings and of a short training on each instruction set of the machine, and
/// compares the fingerprints of embeddings, which must be equal.
fn on_every_instruction_set() -> Result<()> {
    let mut ran: Vec<(&str, serde_json::Value)> = Vec::new();
    for set in INSTRUCTION_SETS {
        let mut info = Command::new("target/debug/maana");
        info.env("MAANA_ISA", set).args(["info", "golden/tiny-bert", "--fingerprint", "--json"]);
        let info: serde_json::Value = serde_json::from_str(&output(&mut info)?)?;
        // An unsupported name has no effect.
        if info["instructions"] != set {
            continue;
        }
        println!("\n— instruction set {set}");
        // The tests of bits run on every instruction set by themselves.
        let tests = ["--test", "encoding", "--test", "gradients", "--test", "golden"];
        cargo_on(set, &[&["test", "--workspace"], &tests[..]].concat())?;
        cargo_on(set, &["test", "--workspace", "--test", "cli", "--", "golden::", "precision::", "embeddings_of"])?;
        ran.push((set, info["embeddings"].clone()));
    }
    println!("\ninstruction sets that ran, and the fingerprints of embeddings:");
    for (set, embeddings) in &ran {
        println!("  {set:<12} f32 {}  int8 {}", embeddings["f32"], embeddings["int8"]);
    }
    ensure!(ran.windows(2).all(|pair| pair[0].1 == pair[1].1), "the fingerprints of embeddings differ");
    ensure!(!ran.is_empty(), "no instruction set ran");
    Ok(())
}

/// 100,000 random operations on the store, with restarts, compared with a plain list.
pub(crate) fn store() -> Result<()> {
    cargo(&["test", "--release", "-p", "maana-vectors", "--lib", "for_long", "--", "--ignored"])
}

/// Runs 100,000 malformed requests.
pub(crate) fn fuzz() -> Result<()> {
    cargo(&["test", "--workspace", "--test", "server", "hundred_thousand", "--", "--ignored"])
}

/// Runs the pool of threads in every interleaving.
pub(crate) fn loom() -> Result<()> {
    run(Command::new("cargo")
        .args(["test", "-p", "maana-kernels", "--lib", "--release", "--target-dir", "target/loom", "interleavings"])
        .env("RUSTFLAGS", "--cfg loom"))
}

/// Runs the demo with few updates; skipped where its model is unavailable.
fn small_demo() -> Result<()> {
    // With the features of the tests, which have built the program.
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    let maana = Path::new("target/debug/maana");
    let out = std::env::temp_dir().join(format!("maana-demo-{}", std::process::id()));
    let model = "sentence-transformers/all-MiniLM-L6-v2";
    if !Command::new(maana).args(["info", model]).status()?.success() {
        println!("skipped: the demo, because {model} is unavailable (see the error above)");
        return Ok(());
    }
    let demo = run(Command::new(maana).arg("demo").arg("--out").arg(&out).args([
        "--set",
        "training.max_steps=6",
        "--set",
        "training.evaluate=3",
        "--set",
        "training.log_every=2",
    ]));
    let report = out.join("run/model/report.html").is_file() && out.join("run/model/README.md").is_file();
    let outcome = demo.and_then(|()| {
        ensure!(report, "the demo wrote no card or report");
        quality::gate(maana, &out.join("run/model"), &out.join("demo/dev"))
    });
    std::fs::remove_dir_all(&out)?;
    outcome
}
