//! The environment of a measurement: processor, memory, system, date, versions.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::process::Command;

/// The measuring machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) instructions: Vec<String>,
    pub(crate) system: String,
}

/// Instruction sets that are relevant to the speed of encoders.
const RELEVANT: [&str; 9] =
    ["avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimddp"];

impl Machine {
    pub(crate) fn this() -> Result<Self> {
        let processor = read("/proc/cpuinfo")?;
        let field = |name: &str| {
            let line = processor.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
        let family = [field("cpu family"), field("model")].map(Option::unwrap_or_default);
        let name = field("model name").unwrap_or_else(|| "unnamed".to_owned());
        let system = read("/etc/os-release")?;
        let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
        Ok(Self {
            processor: format!("{name} (family {}, model {})", family[0], family[1]),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_gib()?,
            instructions: flags.split(' ').filter(|flag| RELEVANT.contains(flag)).map(str::to_owned).collect(),
            system: system.trim_matches('"').to_owned(),
        })
    }

    /// Returns whether the processor has instructions for bf16.
    pub(crate) fn has_bf16(&self) -> bool {
        self.instructions.iter().any(|name| name == "avx512_bf16" || name == "amx_bf16")
    }
}

fn memory_gib() -> Result<u64> {
    let memory = read("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("/proc/meminfo: no MemTotal")?;
    let kilobytes: f64 = total.trim().trim_end_matches(" kB").parse().context("/proc/meminfo: MemTotal")?;
    Ok((kilobytes / 1024.0 / 1024.0).round() as u64)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{path}: this benchmark needs Linux"))
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

pub(crate) fn warn_if_busy() {
    let load = load();
    if load > 0.5 {
        println!("warning: other processes are running (load {load}); results to be published need an idle machine");
    }
}

pub(crate) fn date() -> Result<String> {
    output(&["date", "-u", "+%Y-%m-%d"])
}

/// Returns the commit, and whether files differ from it, except those that benchmarks write.
pub(crate) fn commit() -> Result<String> {
    let commit = output(&["git", "rev-parse", "--short=10", "HEAD"])?;
    let mut words = vec!["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/RESULTS.md"];
    words.extend([":!bench/results.json", ":!bench/results.svg", ":!bench/serving.json", ":!bench/serving.svg"]);
    let changed = output(&words)?;
    Ok(if changed.is_empty() { commit } else { format!("{commit} with changes") })
}

/// Returns names and versions of all participants.
pub(crate) fn versions(python: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for pin in read("bench/peers/requirements.txt")?.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, version)) = pin.split_once("==") {
            all.push((name.to_owned(), version.to_owned()));
        }
    }
    let candle = read("bench/candle/Cargo.toml")?;
    let pin = candle.lines().find_map(|line| line.strip_prefix("candle-core = \"=")).unwrap_or_default();
    all.push(("candle".to_owned(), pin.trim_matches('"').to_owned()));
    all.push(("Python".to_owned(), output(&[python, "--version"])?.replace("Python ", "")));
    all.push(("rustc".to_owned(), output(&["rustc", "--version"])?.replace("rustc ", "")));
    Ok(all)
}

fn output(words: &[&str]) -> Result<String> {
    Ok(crate::command::output(Command::new(words[0]).args(&words[1..]))?.trim().to_owned())
}
