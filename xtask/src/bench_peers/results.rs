//! All comparisons on one machine: results.json, RESULTS.md and results.svg.

use super::chart;
use super::machine::{self, Machine};
use super::report::Comparison;
use crate::results_file;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Notes on the targets, which are included in the report.
const NOTES: &str = "bench/notes.md";

/// All comparisons on one machine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    machine: Machine,
    versions: Vec<(String, String)>,
    comparisons: Vec<Comparison>,
}

impl Results {
    /// Reads earlier results of this machine. With `replaces`, the run may start over where they
    /// are of another machine or other versions.
    ///
    /// # Errors
    /// If they are, and the run may not: it would leave less than they have.
    pub(crate) fn open(folder: &Path, replaces: bool) -> Result<Self> {
        let (machine, versions) = (Machine::this()?, machine::versions("target/peers-python/bin/python")?);
        let path = folder.join("results.json");
        let earlier = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        let new = Self { machine, versions, comparisons: Vec::new() };
        new.after(earlier, replaces).with_context(|| path.display().to_string())
    }

    /// Continues earlier results.
    fn after(mut self, earlier: Option<Self>, replaces: bool) -> Result<Self> {
        let Some(earlier) = earlier else { return Ok(self) };
        if earlier.machine == self.machine && earlier.versions == self.versions {
            self.comparisons = earlier.comparisons;
            return Ok(self);
        }
        ensure!(
            replaces,
            "these results are of another machine or other versions, and a run with --only would replace them all; leave \
             --only out, or write to another folder with --out"
        );
        println!("earlier results are of another machine or other versions; starting over");
        Ok(self)
    }

    /// Adds a comparison, or replaces its earlier results.
    pub(crate) fn put(&mut self, comparison: Comparison) {
        match self.comparisons.iter_mut().find(|earlier| earlier.key == comparison.key) {
            Some(earlier) => *earlier = comparison,
            None => self.comparisons.push(comparison),
        }
        self.comparisons.sort_by_key(|comparison| comparison.part);
    }

    /// Writes results.json, RESULTS.md and results.svg.
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
        let mut text = String::from("# Maana and its peers\n\nWritten by `cargo xtask bench-peers`.\n\n");
        text += &self.about();
        text += "\n## Targets\n\n| comparison | target | result | met |\n|---|---|--:|---|\n";
        for comparison in &self.comparisons {
            for &target in &comparison.targets {
                let (target, result, verdict) = comparison.assess(target);
                let _ = writeln!(text, "| {} | {target} | {result} | {verdict} |", comparison.title);
            }
        }
        text += "\n![Speed of each engine, the fastest peer of each comparison being 1](results.svg)\n\n";
        text += &std::fs::read_to_string(NOTES).unwrap_or_default();
        text += "\n## Comparisons\n\n";
        for comparison in &self.comparisons {
            text += &comparison.table();
            text.push('\n');
        }
        text += METHOD;
        if !self.machine.has_bf16() {
            text += NO_BF16;
        }
        text += "\n## Commands\n\nThe command of each engine, from the project's folder:\n\n```\n";
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

const METHOD: &str = "\
## Method

Every engine is a process that loads, warms up with one whole round, and then sleeps until its turn; rounds alternate between
all engines of a table. Numbers are medians; ± is half the range of the rounds. Tokens include special tokens but no padding;
tokenisation is part of every round. Memory is the peak resident size of the process, including loading. The load is that of
the minute before a table's rounds, in which engines loaded and the previous table ran.

* **Texts**: `maana bench make-texts`, synthetic Swahili with the lengths of the texts of the training set in the model card: positives of 5 to
  78 tokens, 20 on average, and anchors of 6 to 184, 39 on average. Encoding uses 256 positives. Training uses 32 pairs in random
  order, for which an engine that pads adds two tokens to each one. Evaluation uses `maana synthesize`. bge-base's shape has random weights.
  Reranking uses a query and 100 passages of 100 words, and all-MiniLM-L6-v2's weights with a random head.
* **Sentence Transformers**, encoding: `encode` with batch 32, sorted by length, inference mode, scaled dot product
  attention. Reranking: `CrossEncoder.predict` with batch 32, sorted by length, on PyTorch and on its own backends for ONNX Runtime
  and OpenVINO, which need Optimum and therefore older versions (`bench/peers/requirements-optimum.txt`). Training: its losses in a bare loop (no trainer), Matryoshka over multiple negatives ranking, fused AdamW, gradient
  clipping, dropout; f32, or bf16 autocast over f32 weights. Evaluation: `SequentialEvaluator` of five
  `InformationRetrievalEvaluator`s.
* **ONNX Runtime**: one graph from ids to embeddings or scores with BERT's fusions (attention, embeddings, layer normalisation, GELU), all
  graph optimisations, batch 32, sorted by tokens. int8: dynamic, weights per channel.
* **OpenVINO**: one graph from ids to embeddings or scores, latency hint, one stream with all threads, batch 32, sorted by tokens; the
  start uses its cache of compiled models.
* **candle**: f32, `gemm` with AVX-512 if available, compiled for this processor, batch 32, sorted by tokens.
* **Start**: a whole process that embeds one sentence, from start to end; the file cache is warm.
";

const NO_BF16: &str = "
This processor has no instructions for bf16. PyTorch emulates them, slower than f32 (see the table of all-MiniLM-L6-v2), and
OpenVINO computes in f32. The tables for bf16 therefore compare with the peers' f32, their best setting on this machine.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench_peers::plan::Part;

    fn results(processor: &str, version: &str, parts: &[Part]) -> Results {
        let machine = Machine {
            processor: processor.to_owned(),
            cores: 2,
            memory_gib: 24,
            instructions: Vec::new(),
            system: "Linux".to_owned(),
        };
        let comparison = |part: &Part| {
            let about = (format!("{part:?}"), format!("{part:?}"), *part, Vec::new());
            Comparison::new(about, ("2026-01-01".to_owned(), "abc".to_owned(), 0.1), (3, 2), Vec::new())
        };
        let comparisons = parts.iter().map(comparison).collect();
        Results { machine, versions: vec![("torch".to_owned(), version.to_owned())], comparisons }
    }

    #[test]
    fn results_of_another_machine_are_replaced_by_a_whole_run_only() {
        let new = || results("A", "1", &[]);
        for replaces in [false, true] {
            let continued = new().after(Some(results("A", "1", &Part::ALL)), replaces).unwrap();
            assert_eq!(continued.comparisons.len(), Part::ALL.len());
            assert!(new().after(None, replaces).unwrap().comparisons.is_empty());
        }
        for other in [("B", "1"), ("A", "2")] {
            let earlier = || Some(results(other.0, other.1, &Part::ALL));
            let error = new().after(earlier(), false).err().unwrap().to_string();
            assert!(error.contains("another machine") && error.contains("--only"), "{error}");
            assert!(new().after(earlier(), true).unwrap().comparisons.is_empty());
        }
    }
}
