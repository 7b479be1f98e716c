//! An engine: a process that answers every line `go` with a line of JSON.

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Name and command line of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) threads: usize,
    /// Program and arguments; paths are relative to the project.
    pub(crate) words: Vec<String>,
}

impl Setting {
    /// Returns the command line as a user would type it.
    pub(crate) fn line(&self) -> String {
        self.words.join(" ")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::null());
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, self.threads.to_string());
        }
        command.env("HF_HUB_OFFLINE", "1").env("TOKENIZERS_PARALLELISM", "true");
        command
    }
}

/// A process that has loaded and warmed up, and sleeps between rounds.
pub(crate) struct Engine {
    process: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    comparison: String,
    setting: Setting,
    /// Its first line, which reports that it is ready.
    pub(crate) ready: Value,
}

impl Engine {
    /// Starts the process and waits until it is ready.
    pub(crate) fn start(comparison: &str, setting: &Setting) -> Result<Self> {
        let mut command = setting.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(comparison, setting)?);
        let mut process = command.spawn().with_context(|| setting.line())?;
        let input = process.stdin.take().context("a piped input")?;
        let answers = BufReader::new(process.stdout.take().context("a piped output")?).lines();
        let (comparison, setting) = (comparison.to_owned(), setting.clone());
        let mut engine = Self { process, input, answers, comparison, setting, ready: Value::Null };
        engine.ready = engine.answer()?;
        match engine.ready["ready"].as_bool() {
            Some(true) => Ok(engine),
            _ => Err(anyhow!("{}: answered {} instead of {{\"ready\": true}}", engine.setting.name, engine.ready)),
        }
    }

    /// Runs one timed round.
    pub(crate) fn round(&mut self) -> Result<Value> {
        writeln!(self.input, "go")
            .and_then(|()| self.input.flush())
            .map_err(|_| why(&self.comparison, &self.setting, "ended before its rounds"))?;
        self.answer()
    }

    /// Returns the peak resident memory in bytes.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    fn answer(&mut self) -> Result<Value> {
        let line = match self.answers.next() {
            Some(line) => line?,
            None => return Err(why(&self.comparison, &self.setting, "ended without an answer")),
        };
        serde_json::from_str(&line).with_context(|| format!("{}: {line:?} is not JSON", self.setting.name))
    }
}

impl Drop for Engine {
    /// Waits for its end, so that the next comparison has all memory.
    fn drop(&mut self) {
        if writeln!(self.input, "quit").is_err() || self.ready.is_null() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn log_path(comparison: &str, setting: &Setting) -> PathBuf {
    let name: String = setting.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    PathBuf::from(format!("target/peers/log/{comparison}-{name}.txt"))
}

/// Creates the log of the process's standard error.
pub(crate) fn log(comparison: &str, setting: &Setting) -> Result<File> {
    let path = log_path(comparison, setting);
    File::create(&path).with_context(|| path.display().to_string())
}

/// Returns an error with the last line of the process's log.
pub(crate) fn why(comparison: &str, setting: &Setting, what: &str) -> anyhow::Error {
    let path = log_path(comparison, setting);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("empty");
    anyhow!("{}: {what}; the last line of {}: {last}", setting.name, path.display())
}
