//! `cargo xtask bench-search`: compares search with faiss and usearch on the same files of vectors.
//! Every engine is a process that has loaded its index and sleeps until its turn; rounds alternate
//! between all of them.

use crate::bench_peers::machine::{self, Machine};
use crate::command::run;
use crate::debian;
use crate::results_file;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const MAANA: &str = "target/release/maana";
const WORK: &str = "target/peers/search";
/// The recall at which engines are compared.
const ENOUGH: f64 = 0.99;

struct Options {
    /// Number of vectors of each comparison.
    rows: Vec<usize>,
    dims: Vec<usize>,
    /// Largest number of values (vectors times columns) for which graphs are built, which takes
    /// long.
    graph_values: usize,
    rounds: usize,
    threads: usize,
    quick: bool,
    build: bool,
    texts: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let threads = std::thread::available_parallelism()?.get();
        let quick = arguments.iter().any(|flag| flag == "--quick");
        let (rows, rounds) = if quick { (vec![20_000], 2) } else { (vec![200_000, 1_000_000], 5) };
        let [build, made] = ["--build", "--made"].map(|name| arguments.iter().any(|flag| flag == name));
        let texts = !quick && !made;
        let mut options =
            Self { rows, dims: vec![768, 384], graph_values: usize::MAX, rounds, threads, quick, build, texts };
        let mut rest = arguments.iter().filter(|flag| !["--quick", "--build", "--made"].contains(&flag.as_str()));
        while let Some(flag) = rest.next() {
            let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value"))?;
            let count = |value: &str| value.parse().with_context(|| format!("{flag} {value}: not a count"));
            match flag.as_str() {
                "--rows" => options.rows = value.split(',').map(count).collect::<Result<_>>()?,
                "--graph-values" => options.graph_values = count(value)?,
                "--dims" => options.dims = value.split(',').map(count).collect::<Result<_>>()?,
                "--rounds" => options.rounds = count(value)?,
                "--threads" => options.threads = count(value)?,
                _ => bail!("{flag}: unknown; see cargo xtask"),
            }
        }
        Ok(options)
    }
}

/// An engine and its efforts.
struct Setting {
    name: &'static str,
    words: Vec<String>,
    efforts: &'static [usize],
}

/// Result of one effort of one engine.
struct Outcome {
    name: &'static str,
    effort: usize,
    seconds: Vec<f64>,
    last: Value,
}

impl Outcome {
    fn rate(&self, queries: usize) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        queries as f64 / sorted[sorted.len() / 2]
    }

    fn recall(&self) -> f64 {
        self.last["recall"].as_f64().unwrap_or(0.0)
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with("Maana")
    }
}

const QUERIES: usize = 1000;

/// Notes on the target, which are included in the report.
const NOTES: &str = "bench/search-notes.md";

pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let requirements = Path::new("bench/peers/requirements-search.txt");
    let python = crate::python::environment(Path::new("target/search-python"), requirements, "the network")?;
    machine::warn_if_busy();
    let mut text = about(requirements, &options)?;
    if options.texts {
        let (folder, rows) = embedded_texts()?;
        let title = format!("{rows} embeddings × 384 of WordNet's glosses by all-MiniLM-L6-v2");
        text += &compare(&options, &python, &folder, 384 * rows, &title)?;
    }
    for rows in &options.rows {
        for dims in &options.dims {
            let folder = vectors(*rows, *dims)?;
            text += &compare(&options, &python, &folder, rows * dims, &format!("{rows} synthetic vectors × {dims}"))?;
        }
    }
    if options.build {
        println!("the indexes are built; run the command without --build to measure");
        return Ok(());
    }
    text += &std::fs::read_to_string(NOTES).unwrap_or_default();
    text += METHOD;
    let path = Path::new(if options.quick { "target/peers" } else { "bench" }).join("RESULTS.md");
    results_file::write_part(&path, "bench-search", &text)?;
    println!("{text}\n{}: written", path.display());
    Ok(())
}

/// Returns the folder of synthetic vectors, which are created once.
fn vectors(rows: usize, dims: usize) -> Result<PathBuf> {
    let folder = Path::new(WORK).join(format!("{rows}x{dims}"));
    if !folder.join("truth.npy").is_file() {
        std::fs::create_dir_all(&folder)?;
        let counts = [rows, dims, QUERIES].map(|count| count.to_string());
        let flags = ["--rows", &counts[0], "--dims", &counts[1], "--queries", &counts[2]];
        run(Command::new(MAANA).args(["bench", "make-vectors"]).args(flags).arg("--out").arg(&folder))?;
    }
    Ok(folder)
}

/// Folder of the glosses in Debian's `wordnet-base`.
const WORDNET: &str = "/usr/share/wordnet";

/// Returns WordNet's glosses, 117,000 short texts.
pub(crate) fn glosses() -> Result<Vec<String>> {
    debian::install(&[("wordnet-base", "/usr/share/wordnet/data.noun")])?;
    let mut glosses = Vec::new();
    for part in ["noun", "verb", "adj", "adv"] {
        let lines = std::fs::read_to_string(Path::new(WORDNET).join(format!("data.{part}")))?;
        // Lines of the licence begin with a space.
        let of_synsets = lines.lines().filter(|line| !line.starts_with(' '));
        glosses.extend(of_synsets.filter_map(|line| Some(line.split_once(" | ")?.1.trim().to_owned())));
    }
    Ok(glosses)
}

/// Returns the folder of embeddings of WordNet's glosses, which are created once, and their number.
/// Every n-th gloss is a query instead.
fn embedded_texts() -> Result<(PathBuf, usize)> {
    let folder = Path::new(WORK).join("wordnet");
    std::fs::create_dir_all(&folder)?;
    let glosses = glosses()?;
    let every = glosses.len() / QUERIES;
    let is_query = |number: usize| number.is_multiple_of(every) && number / every < QUERIES;
    let part = |queries: bool| {
        let texts = glosses.iter().enumerate().filter(|(number, _)| is_query(*number) == queries);
        texts.fold(String::new(), |all, (_, gloss)| all + gloss + "\n")
    };
    if !folder.join("truth.npy").is_file() {
        let model = crate::bench_peers::minilm_folder()?;
        for (name, texts) in [("base", part(false)), ("queries", part(true))] {
            let (input, output) = (folder.join(name).with_extension("txt"), folder.join(name).with_extension("npy"));
            std::fs::write(&input, texts)?;
            let mut encode = Command::new(MAANA);
            encode.arg("encode").arg(&model).arg("--input").arg(&input).arg("--output").arg(&output);
            run(encode.args(["--precision", "f32"]))?;
        }
        run(Command::new(MAANA).args(["bench", "make-vectors", "--truth-only", "--out"]).arg(&folder))?;
    }
    Ok((folder, glosses.len() - QUERIES))
}

fn settings(options: &Options, python: &Path, folder: &Path, values: usize) -> Vec<Setting> {
    let (folder, threads) = (folder.display().to_string(), options.threads.to_string());
    let ours = |method: &str| {
        ["target/release/maana", "--threads", &threads, "bench", "search-rounds", method, "--vectors", &folder]
            .map(String::from)
            .to_vec()
    };
    let peer = |engine: &str| {
        let words = [&python.display().to_string(), "bench/peers/search_peer.py", engine, "--vectors", &folder];
        words.into_iter().map(String::from).chain(["--threads".to_owned(), threads.clone()]).collect::<Vec<_>>()
    };
    let graphs: &[usize] = &[16, 32, 64, 96, 128, 192, 256, 384, 512];
    let all = [
        Setting { name: "Maana, every vector", words: ours("exact"), efforts: &[0] },
        Setting { name: "Maana, funnel", words: ours("funnel"), efforts: &[99] },
        Setting { name: "faiss, flat", words: peer("faiss-flat"), efforts: &[0] },
        Setting { name: "Maana, graph", words: ours("graph"), efforts: graphs },
        Setting { name: "faiss, HNSW", words: peer("faiss-hnsw"), efforts: graphs },
        Setting { name: "usearch, HNSW", words: peer("usearch"), efforts: graphs },
    ];
    all.into_iter().filter(|setting| values <= options.graph_values || setting.efforts.len() == 1).collect()
}

fn compare(options: &Options, python: &Path, folder: &Path, values: usize, title: &str) -> Result<String> {
    println!("\n— {title}");
    let (graphs, scans): (Vec<Setting>, Vec<Setting>) =
        settings(options, python, folder, values).into_iter().partition(|setting| setting.efforts.len() > 1);
    let mut outcomes = Vec::new();
    // Engines of the same kind alternate; all together may exceed the memory.
    for settings in [scans, graphs] {
        outcomes.extend(take_turns(options, &settings)?);
    }
    Ok(if options.build { String::new() } else { table(title, &outcomes) })
}

fn take_turns(options: &Options, settings: &[Setting]) -> Result<Vec<Outcome>> {
    let mut engines = Vec::new();
    for setting in settings {
        println!("  {} loads", setting.name);
        engines.push(Engine::start(setting)?);
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    if options.build {
        return Ok(outcomes);
    }
    for round in 0..=options.rounds {
        let mut index = 0;
        for (setting, engine) in settings.iter().zip(&mut engines) {
            for effort in setting.efforts {
                let last = engine.round(*effort)?;
                let seconds = last["seconds"].as_f64().context("an answer without seconds")?;
                match outcomes.get_mut(index) {
                    Some(outcome) => outcome.seconds.push(seconds),
                    // The first round is a warm-up.
                    None => outcomes.push(Outcome { name: setting.name, effort: *effort, seconds: Vec::new(), last }),
                }
                index += 1;
            }
        }
        println!("  round {round} of {} done", options.rounds);
    }
    Ok(outcomes)
}

/// Formats the results, and compares the best rates at sufficient recall.
fn table(title: &str, outcomes: &[Outcome]) -> String {
    let enough = |outcome: &&Outcome| outcome.recall() >= ENOUGH;
    let best = |ours: bool| {
        let rates = outcomes.iter().filter(enough).filter(|outcome| outcome.is_ours() == ours);
        rates.map(|outcome| outcome.rate(QUERIES)).fold(f64::NAN, f64::max)
    };
    let mut text =
        format!("\n### {title}\n\n| engine | effort | recall@10 | queries/s | memory |\n|---|--:|--:|--:|--:|\n");
    for outcome in outcomes {
        let about = outcome.last["about"].as_str().unwrap_or_default();
        let memory = outcome.last["peak_bytes"].as_f64().unwrap_or(f64::NAN) / 1e9;
        let (rate, recall, effort) = (outcome.rate(QUERIES), outcome.recall(), outcome.effort);
        let effort = if effort > 0 { effort.to_string() } else { String::new() };
        let _ = writeln!(text, "| {} ({about}) | {effort} | {recall:.4} | {rate:.0} | {memory:.2} GB |", outcome.name);
    }
    let (ours, theirs) = (best(true), best(false));
    let _ = writeln!(
        text,
        "\nAt recall {ENOUGH} or more: Maana {ours:.0} queries/s, the best peer {theirs:.0}: {:.2}×.",
        ours / theirs
    );
    text
}

fn about(requirements: &Path, options: &Options) -> Result<String> {
    let Machine { processor, cores, memory_gib, instructions, system } = Machine::this()?;
    let pins = std::fs::read_to_string(requirements)?;
    let pins: Vec<String> =
        pins.lines().filter(|line| !line.starts_with('#')).map(|line| line.replace("==", " ")).collect();
    Ok(format!(
        "# Search compared with faiss and usearch\n\nWritten by `cargo xtask bench-search`: recall@10 and queries per second, \
         {QUERIES} queries at once, medians of {} rounds, {} threads, {}, commit {}; load of the minute before {:.2}. \
         Target: at recall {ENOUGH}, twice the best peer.\n\nMachine: {processor}, {cores} cores, {memory_gib} GiB, \
         {system}; {}. Versions: {}.\n",
        options.rounds,
        options.threads,
        machine::date()?,
        machine::commit()?,
        machine::load(),
        instructions.join(", "),
        pins.join(", ")
    ))
}

const METHOD: &str = "
**Method.** Synthetic vectors (`maana bench make-vectors`) lie in groups of about a hundred, with decreasing variance of the columns, as in \
Matryoshka models; queries have the same distribution. Glosses are those of Debian's `wordnet-base`; every n-th is a \
query, and the others are searched. All engines read the same files and store f32. Graphs have 16 links (32 on the lowest level) and are \
built with a width of 128; the effort is the width of the search. Maana's graph walks by codes of a measured prefix, and \
scores the best candidates with all columns; its funnel scans a prefix in few bits and scores a shortlist in full. Engines that \
compare every vector alternate, and so do graphs. Memory is the peak resident size of the process, including \
loading.
";

/// A process that answers every number with a line of JSON.
struct Engine {
    process: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    name: &'static str,
}

impl Engine {
    fn start(setting: &Setting) -> Result<Self> {
        let mut command = Command::new(&setting.words[0]);
        command.args(&setting.words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| setting.words.join(" "))?;
        let input = process.stdin.take().context("a piped input")?;
        let answers = BufReader::new(process.stdout.take().context("a piped output")?).lines();
        let mut engine = Self { process, input, answers, name: setting.name };
        let ready = engine.answer()?;
        ensure!(ready["ready"] == true, "{}: answered {ready} instead of {{\"ready\": true}}", setting.name);
        Ok(engine)
    }

    fn round(&mut self, effort: usize) -> Result<Value> {
        writeln!(self.input, "{effort}").with_context(|| format!("{} has ended", self.name))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let line = self.answers.next().with_context(|| format!("{} ended without an answer", self.name))??;
        serde_json::from_str(&line).with_context(|| format!("{}: {line:?} is not JSON", self.name))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if writeln!(self.input, "quit").is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_compared_at_sufficient_recall() {
        let outcome = |name, effort, seconds: &[f64], recall: f64| Outcome {
            name,
            effort,
            seconds: seconds.to_vec(),
            last: serde_json::json!({"recall": recall, "about": "x", "peak_bytes": 2e9}),
        };
        let outcomes = [
            outcome("Maana, graph", 32, &[0.1], 0.95),
            outcome("Maana, graph", 64, &[0.3, 0.2, 0.25], 0.992),
            outcome("faiss, HNSW", 64, &[0.5], 0.99),
            outcome("faiss, HNSW", 16, &[0.1], 0.9),
        ];
        let table = table("T", &outcomes);
        assert!(table.contains("Maana 4000 queries/s, the best peer 2000: 2.00×"), "{table}");
        assert!(table.contains("| Maana, graph (x) | 64 | 0.9920 | 4000 | 2.00 GB |"), "{table}");
    }
}
