//! What was measured, kept as JSON and told as Markdown.

use super::chart;
use super::engine::{Engine, Setting};
use super::machine::{self, Machine};
use super::plan::{Part, Target};
use crate::results_file;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// One engine's rounds in one comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) command: String,
    pub(crate) seconds: Vec<f64>,
    pub(crate) tokens: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
    /// The first elements of the first text's embedding, where the engine tells them.
    pub(crate) first: Vec<f64>,
    /// Why there are no numbers.
    pub(crate) error: Option<String>,
}

impl Measured {
    pub(crate) fn of(setting: &Setting) -> Self {
        let (name, command) = (setting.name.clone(), setting.line());
        let (seconds, first) = (Vec::new(), Vec::new());
        Self { name, ours: setting.ours, command, seconds, tokens: None, peak_bytes: None, first, error: None }
    }

    pub(crate) fn add(&mut self, answer: &Value) {
        self.seconds.extend(answer["seconds"].as_f64());
        self.tokens = answer["tokens"].as_u64();
        self.peak_bytes = answer["peak_bytes"].as_u64();
    }

    pub(crate) fn close(&mut self, engine: &Engine) {
        self.peak_bytes = engine.peak_bytes().or(self.peak_bytes);
        let first = engine.ready["first"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.first = first.iter().filter_map(Value::as_f64).collect();
        if self.seconds.is_empty() {
            self.error = Some("answered without seconds".to_owned());
        }
    }

    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        println!("  {error:#}");
        self.seconds.clear();
        self.error = Some(format!("{error:#}"));
    }

    pub(crate) fn works(&self) -> bool {
        self.error.is_none()
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            even if even % 2 == 0 => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
            _ => Some(sorted[middle]),
        }
    }

    /// Half the range of the rounds, as a share of the median.
    fn spread(&self) -> Option<f64> {
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        self.median().map(|median| (most - least) / 2.0 / median)
    }
}

/// One table: engines that did the same work in turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    key: String,
    pub(crate) title: String,
    part: Part,
    pub(crate) targets: Vec<Target>,
    date: String,
    commit: String,
    load_before: f64,
    rounds: usize,
    threads: usize,
    pub(crate) engines: Vec<Measured>,
}

/// What people have to say about the targets: why one is not met, what was tried. Goes into the report as it is.
const NOTES: &str = "bench/notes.md";

impl Comparison {
    pub(crate) fn new(
        (key, title, part, targets): (String, String, Part, Vec<Target>),
        (date, commit, load_before): (String, String, f64),
        (rounds, threads): (usize, usize),
        engines: Vec<Measured>,
    ) -> Self {
        Self { key, title, part, targets, date, commit, load_before, rounds, threads, engines }
    }

    pub(crate) fn ours(&self) -> Option<&Measured> {
        self.engines.iter().find(|engine| engine.ours && engine.median().is_some())
    }

    /// The fastest of the others.
    pub(crate) fn best_peer(&self) -> Option<&Measured> {
        let peers = self.engines.iter().filter(|engine| !engine.ours && engine.median().is_some());
        peers.min_by(|a, b| f64::total_cmp(&a.median().unwrap_or(f64::MAX), &b.median().unwrap_or(f64::MAX)))
    }

    /// What a target asks for, what was reached, and whether that is enough.
    fn judged(&self, target: Target) -> (String, String, &'static str) {
        let (ours, peer) = (self.ours(), self.best_peer());
        let (asked, reached, enough) = match target {
            Target::Faster(least) => {
                let reached = ours.and_then(Measured::median).zip(peer.and_then(Measured::median)).map(|(o, p)| p / o);
                (format!("at least {least}× the fastest peer"), reached.map(times), reached.map(|r| r >= least))
            }
            Target::Smaller(least) => {
                let memory = |engine: Option<&Measured>| engine.and_then(|engine| engine.peak_bytes).map(|b| b as f64);
                let reached = memory(ours).zip(memory(peer)).map(|(o, p)| p / o);
                let asked = format!("peak memory at most 1/{least} of that peer's");
                (asked, reached.map(|r| format!("1/{r:.2}")), reached.map(|r| r >= least))
            }
            Target::Within(most) => {
                let reached = ours.and_then(Measured::median);
                (format!("at most {most} s"), reached.map(|r| format!("{r:.2} s")), reached.map(|r| r <= most))
            }
        };
        let verdict = match enough {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not measured",
        };
        (asked, reached.unwrap_or_else(|| "—".to_owned()), verdict)
    }

    /// The comparison as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let best = self.best_peer().and_then(Measured::median);
        let mut text = format!("### {}\n\n", self.title);
        text += "| engine | median | ± | tokens/s | against the fastest peer | peak memory |\n";
        text += "|---|--:|--:|--:|--:|--:|\n";
        for engine in &self.engines {
            let Some(median) = engine.median() else {
                let why = engine.error.as_deref().unwrap_or("no rounds");
                let _ = writeln!(text, "| {} | not measured: {} | | | | |", engine.name, why.replace('|', "/"));
                continue;
            };
            let spread = engine.spread().map_or(String::new(), |spread| format!("{:.0} %", spread * 100.0));
            let rate = engine.tokens.map_or(String::new(), |tokens| grouped(tokens as f64 / median));
            let ratio = best.map_or(String::new(), |best| times(best / median));
            let memory = engine.peak_bytes.map_or(String::new(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
            let name = if engine.ours { format!("**{}**", engine.name) } else { engine.name.clone() };
            let _ = writeln!(text, "| {name} | {} | {spread} | {rate} | {ratio} | {memory} |", seconds(median));
        }
        let _ =
            write!(text, "\n{} rounds, {} threads, {}, commit {}", self.rounds, self.threads, self.date, self.commit);
        let _ = writeln!(text, "; load of the minute before {:.2}.{}", self.load_before, self.agreement());
        text
    }

    /// How far the engines' embeddings of one text lie apart, as far as they tell.
    fn agreement(&self) -> String {
        let told: Vec<&Measured> = self.engines.iter().filter(|engine| !engine.first.is_empty()).collect();
        let Some((reference, others)) = told.split_first() else { return String::new() };
        let apart = |other: &&Measured| {
            let pairs = reference.first.iter().zip(&other.first);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let worst = others.iter().map(apart).fold(0.0, f64::max);
        format!(" First elements of the {} embeddings compared differ by at most {worst:.0e}.", told.len())
    }
}

/// Everything measured on one machine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    machine: Machine,
    versions: Vec<(String, String)>,
    comparisons: Vec<Comparison>,
}

impl Results {
    /// What was measured earlier, if it was on this machine.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (machine, versions) = (Machine::this()?, machine::versions("target/peers-python/bin/python")?);
        let path = folder.join("results.json");
        let earlier = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Self>(&text).ok());
        let comparisons = match earlier {
            Some(earlier) if earlier.machine == machine && earlier.versions == versions => earlier.comparisons,
            Some(_) => {
                println!("{}: of another machine or other versions, so it begins anew", path.display());
                Vec::new()
            }
            None => Vec::new(),
        };
        Ok(Self { machine, versions, comparisons })
    }

    /// In place of the same comparison's earlier numbers.
    pub(crate) fn put(&mut self, comparison: Comparison) {
        match self.comparisons.iter_mut().find(|earlier| earlier.key == comparison.key) {
            Some(earlier) => *earlier = comparison,
            None => self.comparisons.push(comparison),
        }
        self.comparisons.sort_by_key(|comparison| comparison.part);
    }

    /// results.json, RESULTS.md and results.svg.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            maana_files::write(&path, text).with_context(|| path.display().to_string())
        };
        write("results.json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        write("results.svg", chart::draw(&self.comparisons))?;
        results_file::write_peers(&folder.join("RESULTS.md"), &self.markdown())
    }

    fn markdown(&self) -> String {
        let mut text = String::from("# Maana beside its peers\n\nWritten by `cargo xtask bench-peers`.\n\n");
        text += &self.about();
        text += "\n## Targets\n\n| comparison | asked | reached | enough |\n|---|---|--:|---|\n";
        for comparison in &self.comparisons {
            for &target in &comparison.targets {
                let (asked, reached, verdict) = comparison.judged(target);
                let _ = writeln!(text, "| {} | {asked} | {reached} | {verdict} |", comparison.title);
            }
        }
        text += "\n![Speed of each engine, the fastest peer of each comparison being 1](results.svg)\n\n";
        text += &std::fs::read_to_string(NOTES).unwrap_or_default();
        text += "\n## Comparisons\n\n";
        for comparison in &self.comparisons {
            text += &comparison.table();
            text.push('\n');
        }
        text += HOW;
        if !self.machine.has_bf16() {
            text += NO_BF16;
        }
        text += "\n## Commands\n\nOf each engine, from the project's folder:\n\n```\n";
        let engines = self.comparisons.iter().flat_map(|comparison| &comparison.engines);
        for command in engines.map(|engine| &engine.command).collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "{command}");
        }
        text + "```\n"
    }

    fn about(&self) -> String {
        let Machine { processor, cores, memory_gib, instructions, system } = &self.machine;
        let mut text = format!(
            "Machine: {processor}, {cores} cores, {memory_gib} GiB, {system}; {}.\n\nVersions: ",
            instructions.join(", ")
        );
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        text += &versions.join(", ");
        text + ".\n"
    }
}

const HOW: &str = "\
## How

Every engine is a process that loads, warms up with one whole round, and then sleeps until its turn; rounds alternate between
all engines of a table. Medians; ± is half the range of the rounds. Tokens are those of the texts, special tokens counted,
padding not; tokenising is part of every round. Memory is the largest resident size of the process, loading included. The load is
that of the minute before a table's rounds, in which engines loaded and the table before ran.

* **Texts**: `maana bench make-texts`, made Swahili as long as the texts of the training set in the model card: positives of 5 to
  78 tokens, 20 on average, and anchors of 6 to 184, 39 on average. 256 positives to encode, 32 pairs in random order to train, where
  an engine that pads adds two tokens to each one; for evaluation `maana synthesize`. bge-base's shape has random weights.
* **Sentence Transformers**, encoding: `encode` as users call it, batch 32, sorted by length, inference mode, scaled dot product
  attention. Training: its losses in a bare loop (no trainer), Matryoshka over multiple negatives ranking, fused AdamW, gradient
  clipping, dropout; f32, or bf16 autocast over f32 weights. Evaluation: `SequentialEvaluator` of five
  `InformationRetrievalEvaluator`s.
* **ONNX Runtime**: one graph from ids to embeddings with BERT's fusions (attention, embeddings, layer normalisation, GELU), all
  graph optimisations, batch 32, sorted by tokens. int8: dynamic, weights per channel.
* **OpenVINO**: one graph from ids to embeddings, latency hint, one stream with all threads, batch 32, sorted by tokens; for the
  start with its cache of compiled models.
* **candle**: f32, `gemm` with AVX-512 where there is any, compiled for this processor, batch 32, sorted by tokens.
* **Start**: a whole process, from its start to its end, that embeds one sentence; the file cache is warm.
";

const NO_BF16: &str = "
This processor has no instructions for bf16. PyTorch imitates them, slower than f32 (the table of all-MiniLM-L6-v2 shows it),
and OpenVINO computes in f32. So the peers' f32 stands beside ours in the tables for bf16: the best that they can do here.
";

fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

fn seconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.3} s") } else { format!("{value:.1} s") }
}

/// With a comma between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, ours: bool, seconds: &[f64], peak: u64) -> Measured {
        let (command, first) = (name.to_owned(), vec![0.5]);
        let (tokens, peak_bytes, seconds) = (Some(1000), Some(peak), seconds.to_vec());
        Measured { name: name.to_owned(), ours, command, seconds, tokens, peak_bytes, first, error: None }
    }

    fn comparison(ours: &[f64]) -> Comparison {
        let targets = vec![Target::Faster(2.0), Target::Smaller(3.0), Target::Within(0.3)];
        let engines = vec![measured("A", false, &[4.0, 2.0, 3.0], 900), measured("Maana", true, ours, 300)];
        let about = ("key".to_owned(), "Encode".to_owned(), Part::Encode, targets);
        Comparison::new(about, ("2026-01-01".to_owned(), "abc".to_owned(), 0.1), (3, 2), engines)
    }

    #[test]
    fn targets_are_judged_by_medians() {
        let comparison = comparison(&[1.0, 9.0, 1.5]);
        let verdicts: Vec<_> = comparison.targets.iter().map(|&target| comparison.judged(target)).collect();
        assert_eq!(verdicts[0].1, "2.00×");
        assert_eq!(verdicts[0].2, "yes");
        assert_eq!(verdicts[1].2, "yes");
        assert_eq!((verdicts[2].1.as_str(), verdicts[2].2), ("1.50 s", "no"));
    }

    #[test]
    fn without_our_rounds_nothing_is_claimed() {
        let comparison = comparison(&[]);
        assert_eq!(comparison.judged(Target::Faster(2.0)).2, "not measured");
        assert!(comparison.table().contains("| Maana | not measured: no rounds |"));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([7.0, 1234.4, 1_234_567.0].map(grouped), ["7", "1,234", "1,234,567"]);
    }

    #[test]
    fn the_chart_names_every_engine_that_ran() {
        let chart = chart::draw(&[comparison(&[1.0])]);
        assert!(chart.contains(">A<") && chart.contains(">Maana<") && chart.contains("3.00×"));
        assert!(chart.ends_with("</svg>\n"));
    }
}
