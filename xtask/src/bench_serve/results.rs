//! All tables on one machine: serving.json, serving.svg and a part of RESULTS.md.

use super::chart;
use super::report::Table;
use super::workshop;
use crate::bench_peers::machine::Machine;
use crate::results_file;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// All tables with machine and versions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    machine: Machine,
    versions: Vec<(String, String)>,
    tables: Vec<Table>,
}

/// Notes on the targets, which are included in the report.
const NOTES: &str = "bench/serving-notes.md";

impl Results {
    /// Reads earlier results of the same machine and versions.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (machine, versions) = (Machine::this()?, workshop::versions()?);
        let path = folder.join("serving.json");
        let earlier = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Self>(&text).ok());
        let tables = match earlier {
            Some(earlier) if earlier.machine == machine && earlier.versions == versions => earlier.tables,
            Some(_) => {
                println!("{}: of another machine or other versions; starting over", path.display());
                Vec::new()
            }
            None => Vec::new(),
        };
        Ok(Self { machine, versions, tables })
    }

    /// Adds a table, or replaces the earlier one of the model.
    pub(crate) fn put(&mut self, table: Table) {
        match self.tables.iter_mut().find(|earlier| earlier.model == table.model) {
            Some(earlier) => *earlier = table,
            None => self.tables.push(table),
        }
    }

    /// Writes serving.json, serving.svg, and the part of RESULTS.md.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            maana_files::write(&path, text).with_context(|| path.display().to_string())
        };
        write("serving.json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        write("serving.svg", chart::draw(&self.tables))?;
        results_file::write_part(&folder.join("RESULTS.md"), "bench-serve", &self.markdown())
    }

    fn markdown(&self) -> String {
        let Machine { processor, cores, memory_gib, instructions, system } = &self.machine;
        let mut text = format!(
            "# Maana and other servers\n\nWritten by `cargo xtask bench-serve`.\n\n\
             Machine: {processor}, {cores} cores, {memory_gib} GiB, {system}; {}.\n\nVersions: ",
            instructions.join(", ")
        );
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        text += &versions.join(", ");
        text += ".\n\n## Targets of serving\n\n| load | target | result | met |\n|---|---|--:|---|\n";
        text.extend(self.tables.iter().map(Table::targets));
        text += "\n![Answers per second of each server](serving.svg)\n\n";
        text += &std::fs::read_to_string(NOTES).unwrap_or_default();
        text += "\n## Servers under load\n\n";
        for table in &self.tables {
            text += &table.markdown();
            text.push('\n');
        }
        text += METHOD;
        text += "\n## Commands of the servers\n\n```\n";
        let started = self.tables.iter().flat_map(|table| &table.started);
        for command in started.map(|started| &started.command).collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "{command}");
        }
        text + "```\n"
    }
}

const METHOD: &str = "\
## Method of serving

All servers of a model run and have answered; servers that are not measured are stopped with SIGSTOP. Each turn begins with a
warm-up of a third of its time, which is not counted; rounds alternate between all servers. Numbers are medians of the rounds;
± is half their range.

* **Requests**: `POST /v1/embeddings` with one text and `encoding_format` base64, as OpenAI's client sends it, over connections that
  stay open. There are 1,024 distinct synthetic Swahili texts of each kind: short ones of 4 to 12 words, mixed ones of 8 to 300
  words, as many from 8 to 16 as from 16 to 32, and so on. Texts are truncated at the model's limit.
* **Clients** in a closed loop send their next request when they have their answer. In the open loop requests arrive at predetermined
  random times, at seven tenths of the best peer's maximum; latency counts from the scheduled time of a request, so that it
  includes the time in which clients wait. Percentiles are those of all answers.
* **The client** runs on the same cores as the servers: with blocking threads and prepared requests.
* **Answers** are all compared with the output of `maana encode` for their text: ours must be bit-identical, the others' elements
  within 1e-4. One wrong answer ends the measurement.
* **Infinity**: its torch engine in f32, and its engine for ONNX Runtime with the graph that Optimum exports and optimises; two
  threads. BetterTransformer is off, because Optimum has removed it.
* **FastAPI**: Sentence Transformers behind uvicorn, one process: each request separately as in most examples, and with batching:
  waiting texts are encoded together, up to 64, sorted by length (`bench/peers/fastapi_peer.py`).
* **Start**: from the start of the process to its first answer, with a warm file cache. Memory: of the process, by the system.
  Between batches: share of the time in which texts waited without computation (`maana_between_batches_seconds`).
";
