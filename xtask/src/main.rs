//! `cargo xtask`: the project's own automation, with nothing to install.
#![forbid(unsafe_code)]

mod attack;
mod bars;
mod bench_peers;
mod bench_search;
mod bench_serve;
mod browser;
mod check;
mod clients;
mod container;
mod emulate;
mod postgres;
mod python;
mod quality;
mod reference;
mod results_file;
mod serving;
mod soak;

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const HELP: &str = "\
cargo xtask test    formatting, clippy, all tests, docs, the layers, the demo on a small setting, and the page in a browser
cargo xtask check   the rules of ARCHITECTURE.md alone: who may use whom, where `unsafe` may stand, who writes files, and that
                    every invariant names its test
cargo xtask reference [MODEL]
                    open a model folder with Sentence Transformers, and compare its embeddings with ours
cargo xtask bench-peers [--only encode,train,evaluate,start] [--rounds N] [--threads N] [--quick]
                    speed and memory beside Sentence Transformers, ONNX Runtime, OpenVINO and candle, round by round;
                    writes bench/RESULTS.md, results.svg and results.json (with --quick: into target/peers)
cargo xtask bench-search [--rows N,N] [--dims 768,384] [--graph-values N] [--rounds N] [--threads N] [--build] [--made] [--quick]
                    finding neighbours beside faiss and usearch; writes its part of bench/RESULTS.md; with --build the
                    indexes are built and kept, and nothing is measured; of more than --graph-values numbers no graphs are built,
                    and with --made no texts are embedded
cargo xtask bench-serve [--only minilm,bge-base] [--engines NAME,...] [--clients 1,8,64,512] [--rounds N] [--seconds N]
                       [--threads N] [--quick]
                    `maana serve` under load beside Infinity and FastAPI with Sentence Transformers, round by round; writes
                    its part of bench/RESULTS.md, serving.svg and serving.json (with --quick: into target/serve-peers)
cargo xtask quality MODEL SET...
                    retrieval of a model in f32, bf16 and int8, on folders of retrieval sets
cargo xtask seeds RECIPE SET [OPTIONS]
                    fine-tuning as a recipe says from three seeds, in f32 and in bf16, measured on a retrieval set
cargo xtask clients [--maana PROGRAM]
                    `maana serve` as other people's clients see it: OpenAI's, Hugging Face's, Schemathesis
cargo xtask soak [--seconds N] [--url http://HOST:PORT] [--maana PROGRAM] [--model MODEL] [--shared]
                    `maana serve` for N seconds (600) at twice what it can do: nothing lost or wrong, memory flat; then
                    SIGTERM and SIGKILL under load. With --url a server that runs already, without the last two;
                    with --shared bounds of time and memory for a machine on which other things run
cargo xtask store   100,000 random operations on the store, with restarts, beside a plain list
cargo xtask fuzz    100,000 requests that nobody should send, to a server of the tests
cargo xtask attack  [--minutes N] [--seed N] [--only NAME] [--trial N] [--maana PROGRAM]
                    every kind of file, request and hub answer, mutated, for N minutes (10): no panic, no hang, no lost file
cargo xtask postgres
                    the tests of stores on a PostgreSQL of their own, or on that of MAANA_TEST_POSTGRES
cargo xtask loom    the pool of threads in every order in which its threads can meet
cargo xtask browser [--screenshots DIR] [--only WORDS]
                    the server's page in headless Chromium: the numbers it shows beside the server's
cargo xtask container
                    the image of deploy/Containerfile as an OCI archive, tried, with its size; needs no tool for containers
cargo xtask emulate [avx512|neon] [FILTER]... [--minutes N]
                    the kernels' tests on instruction sets that this machine need not have; those whose names
                    contain FILTER; one that takes more than N minutes (40) has failed";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    std::env::set_current_dir(root)?;
    match std::env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("check") => check::check(),
        Some("reference") => reference::compare(std::env::args().nth(2).as_deref()),
        Some("bench-peers") => bench_peers::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("bench-search") => bench_search::measure(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("bench-serve") => bench_serve::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("quality") => quality::retrieval(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("seeds") => quality::seeds(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("clients") => clients::test(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("soak") => soak::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("store") => cargo(&["test", "--release", "-p", "maana-vectors", "--lib", "for_long", "--", "--ignored"]),
        Some("fuzz") => fuzz(),
        Some("attack") => attack::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("postgres") => postgres::test(),
        Some("loom") => loom(),
        Some("browser") => browser::run_page(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("container") => container::container(),
        Some("emulate") => emulate::emulate(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => {
            println!("{HELP}");
            Ok(())
        }
    }
}

fn test() -> Result<()> {
    let start = Instant::now();
    check::check()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["test", "--workspace"])?;
    on_every_instruction_set()?;
    fuzz()?;
    postgres::test_if_possible()?;
    loom()?;
    run(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    small_demo()?;
    browser::run_page(&[])?;
    clients::in_tests()?;
    soak::short()?;
    println!("all of it in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Instruction sets as `MAANA_ISA` names them.
const INSTRUCTION_SETS: [&str; 6] = ["portable", "neon", "avx2", "avx512", "avx512vnni", "avx512bf16"];

/// The tests of embeddings and of a short training once for each instruction set that the machine has, and the fingerprint of
/// embeddings, which all must share.
fn on_every_instruction_set() -> Result<()> {
    let mut ran: Vec<(&str, serde_json::Value)> = Vec::new();
    for set in INSTRUCTION_SETS {
        let mut info = Command::new("target/debug/maana");
        info.env("MAANA_ISA", set).args(["info", "golden/tiny-bert", "--fingerprint", "--json"]);
        let output = info.output().with_context(|| format!("{info:?}"))?;
        ensure!(output.status.success(), "{info:?}: {}", String::from_utf8_lossy(&output.stderr));
        let info: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        // A name that the machine does not know leaves it at its best.
        if info["instructions"] != set {
            continue;
        }
        println!("\n— instruction set {set}");
        let tests = ["--test", "bits", "--test", "encoding", "--test", "gradients", "--test", "golden"];
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

/// Requests that nobody should send, a hundred thousand of them.
fn fuzz() -> Result<()> {
    cargo(&["test", "--workspace", "--test", "server", "hundred_thousand", "--", "--ignored"])
}

/// The pool of threads in every order in which its threads can meet.
fn loom() -> Result<()> {
    run(Command::new("cargo")
        .args(["test", "-p", "maana-kernels", "--lib", "--release", "--target-dir", "target/loom", "interleavings"])
        .env("RUSTFLAGS", "--cfg loom"))
}

/// The demo with few updates; where its model cannot be had, it says so and passes.
fn small_demo() -> Result<()> {
    // As for the tests, which build the program too: with other features all would be built a second time.
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    let maana = Path::new("target/debug/maana");
    let out = std::env::temp_dir().join(format!("maana-demo-{}", std::process::id()));
    let model = "sentence-transformers/all-MiniLM-L6-v2";
    if !Command::new(maana).args(["info", model]).status()?.success() {
        println!("skipped: the demo, because {model} cannot be had here (see the error above)");
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

fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(&mut Command::new("cargo"), arguments)
}

/// Runs cargo with the instruction set that tests are to use.
fn cargo_on(set: &str, arguments: &[&str]) -> Result<()> {
    cargo_with(Command::new("cargo").env("MAANA_ISA", set), arguments)
}

fn cargo_with(command: &mut Command, arguments: &[&str]) -> Result<()> {
    // What this package was run with is not what others are built with: build scripts would run again for it.
    let own = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    own.for_each(|name| {
        command.env_remove(name);
    });
    println!("\n— cargo {}", arguments.join(" "));
    let status = command.args(arguments).status().context("cargo")?;
    ensure!(status.success(), "cargo {} failed: {status}", arguments.join(" "));
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    println!("\n— {command:?}");
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} failed: {status}") }
}
