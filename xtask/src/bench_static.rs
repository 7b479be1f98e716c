//! `cargo xtask bench-static`: compares static embeddings, tokenising included, with Model2Vec in
//! Python and in Rust, on the same table and the same texts. Every engine is a process that has
//! loaded the table and sleeps until its turn; rounds alternate between all of them.

use crate::bench_peers::engine::Setting;
use crate::bench_peers::machine::{self, Machine};
use crate::bench_peers::{Measured, alternating};
use crate::bench_search::glosses;
use crate::command::run as run_command;
use crate::results_file;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAANA: &str = "target/release/maana";
const WORK: &str = "target/peers/static";
const PEER: &str = "target/peers-model2vec/release/model2vec-peer";
const REQUIREMENTS: &str = "bench/peers/requirements-static.txt";
/// Texts a second that are wanted of two cores.
const TARGET: f64 = 100_000.0;

struct Options {
    rounds: usize,
    threads: usize,
    quick: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let threads = std::thread::available_parallelism()?.get();
        let quick = arguments.iter().any(|flag| flag == "--quick");
        let mut options = Self { rounds: if quick { 2 } else { 7 }, threads, quick };
        let mut rest = arguments.iter().filter(|flag| *flag != "--quick");
        while let Some(flag) = rest.next() {
            let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value"))?;
            let count = value
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .with_context(|| format!("{flag} {value}: not a count"))?;
            match flag.as_str() {
                "--rounds" => options.rounds = count,
                "--threads" => options.threads = count,
                _ => bail!("{flag}: unknown; use --rounds, --threads or --quick"),
            }
        }
        Ok(options)
    }
}

/// Measures all engines and writes the part of the results.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--manifest-path", "bench/model2vec/Cargo.toml"]);
    build.env("CARGO_TARGET_DIR", "target/peers-model2vec").env("RUSTFLAGS", "-C target-cpu=native");
    run_command(&mut build).context("model2vec-rs could not be built (its first build needs the network)")?;
    let python = crate::python::environment(Path::new("target/static-python"), Path::new(REQUIREMENTS), "the network")?;
    let (model, texts, [count, words]) = prepare(options.quick)?;
    std::fs::create_dir_all("target/peers/log")?;
    machine::warn_if_busy();
    let text = measure(&options, &settings(&options, &python, &model, &texts), count, words)?;
    let path = Path::new(if options.quick { "target/peers" } else { "bench" }).join("RESULTS.md");
    results_file::write_part(&path, "bench-static", &text)?;
    println!("{text}\n{}: written", path.display());
    Ok(())
}

/// Returns a table of 256 columns, distilled from all-MiniLM-L6-v2, and a file of glosses, which
/// are made once, and the numbers of glosses and of their different words.
fn prepare(quick: bool) -> Result<(PathBuf, PathBuf, [usize; 2])> {
    let folder = Path::new(WORK);
    std::fs::create_dir_all(folder)?;
    let mut glosses = glosses()?;
    if quick {
        glosses.truncate(20_000);
    }
    let texts = folder.join(if quick { "quick.jsonl" } else { "glosses.jsonl" });
    let lines: String = glosses.iter().map(|gloss| format!("{}\n", json!({"positive": gloss}))).collect();
    maana_files::write(&texts, lines)?;
    let model = folder.join("model");
    if !model.join("modules.json").is_file() {
        let mut distil = Command::new(MAANA);
        distil.arg("distill-static").arg(crate::bench_peers::minilm_folder()?).arg("--texts").arg(&texts);
        run_command(distil.args(["--column", "positive", "--vocabulary", "tokenizer", "--out"]).arg(&model))?;
    }
    let words: HashSet<&str> = glosses.iter().flat_map(|gloss| gloss.split(' ')).collect();
    Ok((model, texts, [glosses.len(), words.len()]))
}

fn settings(options: &Options, python: &Path, model: &Path, texts: &Path) -> Vec<Setting> {
    let [python, model, texts] = [python, model, texts].map(|path| path.display().to_string());
    let threads = options.threads.to_string();
    let setting = |name: &str, ours: bool, words: &[&str]| Setting {
        name: name.into(),
        ours,
        threads: options.threads,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let peer = [
        &python,
        "bench/peers/model2vec_peer.py",
        "encode",
        "--model",
        &model,
        "--texts",
        &texts,
        "--threads",
        &threads,
    ];
    let ours = [MAANA, "--threads", &threads, "bench", "serve-rounds", "encode", "--model", &model, "--texts", &texts];
    let forgetful: Vec<&str> = ours.into_iter().chain(["--forget-words"]).collect();
    vec![
        setting("model2vec (Python)", false, &peer),
        setting("model2vec-rs", false, &[PEER, &model, &texts]),
        setting("Maana, words not seen before", true, &forgetful),
        setting("Maana", true, &ours),
    ]
}

fn measure(options: &Options, settings: &[Setting], texts: usize, words: usize) -> Result<String> {
    let load_before = machine::load();
    let engines = alternating("static", settings, options.rounds);
    let median = |engine: &Measured| {
        let median = engine.median().filter(|median| *median > 0.0);
        median
            .with_context(|| format!("{}: {}", engine.name, engine.error.as_deref().unwrap_or("a round took no time")))
    };
    let medians = engines.iter().map(median).collect::<Result<Vec<f64>>>()?;
    let Machine { processor, cores, memory_gib, instructions, system } = Machine::this()?;
    let pins = std::fs::read_to_string(REQUIREMENTS)?;
    let pins: Vec<String> =
        pins.lines().filter(|line| !line.starts_with('#')).map(|line| line.replace("==", " ")).collect();
    let mut text = format!(
        "# Static embeddings compared with Model2Vec\n\nWritten by `cargo xtask bench-static`: {texts} short texts (WordNet's \
         glosses) through a table of 256 columns with the vocabulary of all-MiniLM-L6-v2, tokenising included, medians of {} \
         rounds, {} threads, {}, commit {}; load of the minute before {:.2}. Target: {TARGET:.0} texts a second on two \
         cores.\n\nMachine: {processor}, {cores} cores, {memory_gib} GiB, {system}; {}. Versions: {}, model2vec-rs 0.4.0.\n\n\
         | engine | time | texts a second | ratio | memory |\n|:--|--:|--:|--:|--:|\n",
        options.rounds,
        options.threads,
        machine::date()?,
        machine::commit()?,
        load_before,
        instructions.join(", "),
        pins.join(", ")
    );
    let ours = medians[medians.len() - 1];
    for (engine, median) in engines.iter().zip(&medians) {
        let memory = engine.peak_bytes.map_or(String::new(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
        let name = if engine.ours { format!("**{}**", engine.name) } else { engine.name.clone() };
        let _ = writeln!(
            text,
            "| {name} | {median:.3} s | {:.0} | {:.2}× | {memory} |",
            texts as f64 / median,
            median / ours
        );
    }
    let [.., cold, warm] = medians[..] else { bail!("two engines of ours are measured") };
    let _ = writeln!(
        text,
        "\nA new word takes {:.2} µs; the texts have {words} different ones.",
        1e6 * (cold - warm) / words as f64
    );
    text += METHOD;
    for engine in &engines {
        let _ = writeln!(text, "    {}", engine.command);
    }
    Ok(text)
}

const METHOD: &str = "
**Method.** Every engine is a process that has loaded the table, encoded all texts once and sleeps until its turn; rounds alternate. \
The ratio is the time next to ours. All engines read all tokens of a text and give rows of length 1. Words that Maana has \
tokenised before are looked up, also those of the round before; in the row of words not seen before it forgets all words before each \
round, as in a process that has just begun. The difference between the two rows, divided by the number of different words, is the \
time of a word that was not seen before. model2vec-rs has tokenizers of its own for WordPiece and Unigram.

";
