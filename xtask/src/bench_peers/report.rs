//! Results of one comparison, and their table in Markdown.

use super::engine::{Engine, Setting};
use super::plan::{Part, Target};
use maana_chart::grouped;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write;

/// One engine's rounds in one comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) command: String,
    pub(crate) seconds: Vec<f64>,
    pub(crate) tokens: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
    /// First elements of the first text's embedding, if the engine reports them.
    pub(crate) first: Vec<f64>,
    /// The reason for missing numbers.
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

    /// Returns half the range of the rounds, as a share of the median.
    fn spread(&self) -> Option<f64> {
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        self.median().map(|median| (most - least) / 2.0 / median)
    }
}

/// One table: engines that did the same work in alternation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(super) key: String,
    pub(crate) title: String,
    pub(super) part: Part,
    pub(crate) targets: Vec<Target>,
    date: String,
    commit: String,
    load_before: f64,
    rounds: usize,
    threads: usize,
    pub(crate) engines: Vec<Measured>,
}

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

    /// Returns the fastest peer.
    pub(crate) fn best_peer(&self) -> Option<&Measured> {
        let peers = self.engines.iter().filter(|engine| !engine.ours && engine.median().is_some());
        peers.min_by(|a, b| f64::total_cmp(&a.median().unwrap_or(f64::MAX), &b.median().unwrap_or(f64::MAX)))
    }

    /// Returns the description of a target, the result, and the verdict.
    pub(super) fn assess(&self, target: Target) -> (String, String, &'static str) {
        let (ours, peer) = (self.ours(), self.best_peer());
        let (description, result, met) = match target {
            Target::Faster(least) => {
                let reached = ours.and_then(Measured::median).zip(peer.and_then(Measured::median)).map(|(o, p)| p / o);
                (format!("at least {least}× the fastest peer"), reached.map(times), reached.map(|r| r >= least))
            }
            Target::Smaller(least) => {
                let memory = |engine: Option<&Measured>| engine.and_then(|engine| engine.peak_bytes).map(|b| b as f64);
                let reached = memory(ours).zip(memory(peer)).map(|(o, p)| p / o);
                let description = format!("peak memory at most 1/{least} of that peer's");
                (description, reached.map(|r| format!("1/{r:.2}")), reached.map(|r| r >= least))
            }
            Target::Within(most) => {
                let reached = ours.and_then(Measured::median);
                (format!("at most {most} s"), reached.map(|r| format!("{r:.2} s")), reached.map(|r| r <= most))
            }
        };
        let verdict = match met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not measured",
        };
        (description, result.unwrap_or_else(|| "—".to_owned()), verdict)
    }

    /// Formats the comparison as a table in Markdown.
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
            let rate = engine.tokens.map_or(String::new(), |tokens| grouped(&format!("{:.0}", tokens as f64 / median)));
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

    /// Describes the greatest difference between the engines' embeddings of one text.
    fn agreement(&self) -> String {
        let reporting: Vec<&Measured> = self.engines.iter().filter(|engine| !engine.first.is_empty()).collect();
        let Some((reference, others)) = reporting.split_first() else { return String::new() };
        let apart = |other: &&Measured| {
            let pairs = reference.first.iter().zip(&other.first);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let worst = others.iter().map(apart).fold(0.0, f64::max);
        format!(" The first elements of the {} compared embeddings differ by at most {worst:.0e}.", reporting.len())
    }
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

fn seconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.3} s") } else { format!("{value:.1} s") }
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
    fn targets_are_assessed_by_medians() {
        let comparison = comparison(&[1.0, 9.0, 1.5]);
        let verdicts: Vec<_> = comparison.targets.iter().map(|&target| comparison.assess(target)).collect();
        assert_eq!(verdicts[0].1, "2.00×");
        assert_eq!(verdicts[0].2, "yes");
        assert_eq!(verdicts[1].2, "yes");
        assert_eq!((verdicts[2].1.as_str(), verdicts[2].2), ("1.50 s", "no"));
    }

    #[test]
    fn targets_without_results_are_not_measured() {
        let comparison = comparison(&[]);
        assert_eq!(comparison.assess(Target::Faster(2.0)).2, "not measured");
        assert!(comparison.table().contains("| Maana | not measured: no rounds |"));
    }
}
