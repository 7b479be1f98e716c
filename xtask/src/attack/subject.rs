//! Subjects of the attack: for each kind of file the commands that read it, and the conditions that
//! must hold afterwards.

use super::mutate::{Format, mutate};
use super::report::Report;
use super::{fixture, hub, older_models, process, requests};
use crate::serving::texts::Draws;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kind of file, and the commands that read it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    kind: Kind,
    fixture: PathBuf,
}

enum Kind {
    Files(Files),
    Requests,
    Hub { expected: Vec<u8> },
}

struct Files {
    targets: Vec<(PathBuf, Format)>,
    /// One command a step, words divided by blanks.
    steps: &'static [&'static str],
    /// Files and folders that the steps may change.
    outputs: &'static [&'static str],
    /// Results of the undisturbed steps, where checksums promise that a success is the same.
    expected: Option<Vec<StepResult>>,
}

/// Standard output of a step, and the weights of the finished run.
#[derive(PartialEq, Eq)]
struct StepResult {
    stdout: Vec<u8>,
    weights: Option<Vec<u8>>,
}

/// A row of the table of subjects: name, prefix of the mutated files, commands, what they may
/// change, and whether checksums promise that a success is that of the undisturbed run.
type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str], bool);

const ENCODE: &str = "encode model --input texts.txt --output out.npy --precision f32";
const TABLE: [Row; 20] = [
    (
        "cross-encoder",
        "cross",
        &["score cross pairs.jsonl --output scores.jsonl", "rerank cross bei texts.txt", "info cross"],
        &["scores.jsonl"],
        false,
    ),
    ("model", "model", &[ENCODE, "info model"], &["out.npy"], false),
    (
        "torch",
        "torch/pytorch_model.bin",
        &["score torch pairs.jsonl --output scores.jsonl --precision f32", "info torch"],
        &["scores.jsonl"],
        false,
    ),
    (
        "torch-legacy",
        "torch-legacy/pytorch_model.bin",
        &["score torch-legacy pairs.jsonl --output scores.jsonl --precision f32", "info torch-legacy"],
        &["scores.jsonl"],
        false,
    ),
    (
        "vocab",
        "vocab/vocab.txt",
        &["score vocab pairs.jsonl --output scores.jsonl", "info vocab"],
        &["scores.jsonl"],
        false,
    ),
    (
        "merges",
        "merges/merges.txt",
        &["score merges pairs.jsonl --output scores.jsonl", "info merges"],
        &["scores.jsonl"],
        false,
    ),
    (
        "pieces",
        "pieces/sentencepiece.bpe.model",
        &["score pieces pairs.jsonl --output scores.jsonl", "info pieces"],
        &["scores.jsonl"],
        false,
    ),
    (
        "text",
        "texts.txt",
        &[ENCODE, "cluster texts.txt --model model -k 2", "dedupe texts.txt --model model"],
        &["out.npy"],
        false,
    ),
    (
        "jsonl",
        "texts.jsonl",
        &["index model texts.jsonl --out new --keep label", "classify fit texts.jsonl --model model --out fitted"],
        &["new", "fitted"],
        false,
    ),
    (
        "csv",
        "texts.csv",
        &["index model texts.csv --out new --keep label", "classify fit texts.csv --model model --out fitted"],
        &["new", "fitted"],
        false,
    ),
    (
        "tsv",
        "texts.tsv",
        &["add store texts.tsv --id id", "cluster texts.tsv --model model --label label -k 3"],
        &["store"],
        false,
    ),
    (
        "parquet",
        "embeddings.parquet",
        &["encode model --input embeddings.parquet --output out.npy", "index model embeddings.parquet --out new"],
        &["out.npy", "new"],
        false,
    ),
    (
        "pairs",
        "pairs.jsonl",
        &[
            "train recipe.toml --dry-run",
            "hard-negatives pairs.jsonl --model model --output mined.jsonl",
            "similarity model --pairs pairs.jsonl --output scores.jsonl",
        ],
        &["mined.jsonl", "scores.jsonl"],
        false,
    ),
    ("retrieval", "dev", &["evaluate model dev --json scores.json"], &["scores.json"], false),
    (
        "recipe",
        "recipe.toml",
        &["train recipe.toml --dry-run", "train recipe.toml --out new --set training.max_steps=2"],
        &["new"],
        false,
    ),
    ("checkpoint", "run", &["train recipe.toml --out run --resume"], &["run"], true),
    (
        "store",
        "store",
        &[
            "index-verify store",
            "search store bei --json --precision f32",
            "search store mvua --hybrid --json --precision f32",
            "compact store",
            "index-verify store",
            "search store bei --json --precision f32",
        ],
        &["store"],
        true,
    ),
    (
        "graph",
        "graph",
        &[
            "index-verify graph",
            "search graph bei --json --precision f32",
            "compact graph",
            "index-verify graph",
            "search graph bei --json --precision f32",
        ],
        &["graph"],
        true,
    ),
    ("classifier", "labels", &["classify predict texts.txt --classifier labels --precision f32"], &[], true),
    (
        "base",
        "model",
        &["train recipe.toml --out new --set training.max_steps=2", "search store bei --precision f32"],
        &["new"],
        false,
    ),
];

/// Makes the files that trials start from, and the results of the undisturbed commands.
pub(crate) fn all(maana: &Path, folder: &Path) -> Result<Vec<Subject>> {
    fixture::make(maana, folder)?;
    older_models::make(folder)?;
    let files = fixture::files(folder)?;
    let mut subjects = Vec::new();
    for (name, prefix, steps, outputs, sealed) in TABLE {
        let targets = files.iter().filter(|file| file.starts_with(prefix)).cloned();
        let targets: Vec<(PathBuf, Format)> =
            targets.filter_map(|file| format(&file).map(|format| (file, format))).collect();
        ensure!(!targets.is_empty(), "{name}: nothing of {prefix} is there to mutate");
        let mut subject = Files { targets, steps, outputs, expected: None };
        let first = subject.undisturbed(name, maana, folder)?;
        if sealed {
            ensure!(first == subject.undisturbed(name, maana, folder)?, "{name}: two undisturbed runs differ");
            subject.expected = Some(first);
        }
        subjects.push(Subject { name, kind: Kind::Files(subject), fixture: folder.to_owned() });
    }
    subjects.push(Subject { name: "requests", kind: Kind::Requests, fixture: folder.to_owned() });
    let expected = hub::reference(maana, folder)?;
    subjects.push(Subject { name: "hub", kind: Kind::Hub { expected }, fixture: folder.to_owned() });
    Ok(subjects)
}

/// Structure of a file by its name; `None` for files that no command reads.
fn format(file: &Path) -> Option<Format> {
    if file.file_name().is_some_and(|name| name == "README.md" || name == "report.html") {
        return None;
    }
    Some(match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Format::Json,
        Some("jsonl") => Format::Rows,
        Some("toml") => Format::Toml,
        Some("csv") => Format::Table(','),
        Some("tsv") => Format::Table('\t'),
        Some("safetensors") => Format::Weights,
        Some("bin") => Format::Torch,
        _ => Format::Bytes,
    })
}

impl Subject {
    /// Copies the fixture to `folder`, mutates it and runs the commands there.
    pub(crate) fn attack(&self, maana: &Path, folder: &Path, draws: &mut Draws) -> Result<Report> {
        match &self.kind {
            Kind::Files(files) => files.attack(&self.fixture, maana, folder, draws),
            Kind::Requests => requests::attack(&self.fixture, maana, folder, draws),
            Kind::Hub { expected } => hub::attack(&self.fixture, maana, folder, draws, expected),
        }
    }
}

impl Files {
    fn attack(&self, fixture: &Path, maana: &Path, folder: &Path, draws: &mut Draws) -> Result<Report> {
        fixture::copy(fixture, folder)?;
        let (file, format) = &self.targets[draws.below(self.targets.len())];
        let done = change(&folder.join(file), *format, draws)?;
        let mutation = format!("{}: {done}", file.display());
        let before = contents(folder, self.outputs)?;
        let results = self.results(maana, folder)?;
        let mut faults: Vec<String> = Vec::new();
        // What `index-verify` calls damaged may be found otherwise; what it calls whole may not.
        let mut verified = true;
        for (i, (outcome, result)) in results.iter().enumerate() {
            if let Some(fault) = outcome.fault() {
                faults.push(format!("maana {}: {fault}", self.steps[i]));
            } else if self.steps[i].starts_with("index-verify") {
                verified = outcome.succeeded();
            } else if verified
                && outcome.succeeded()
                && self.expected.as_ref().is_some_and(|expected| *result != expected[i])
            {
                faults.push(format!("maana {}: succeeded with another result", self.steps[i]));
            }
        }
        let after = contents(folder, self.outputs)?;
        let changed = before.iter().filter(|(path, bytes)| after.get(*path) != Some(bytes)).map(|(path, _)| path);
        let added = after.keys().filter(|path| !before.contains_key(*path));
        faults.extend(changed.map(|path| format!("{}: was changed", path.display())));
        faults.extend(added.map(|path| format!("{}: was left behind", path.display())));
        Ok(Report { mutation, refused: results.iter().any(|(outcome, _)| !outcome.succeeded()), faults })
    }

    /// Results of the steps on files that nobody changed; all of them succeed.
    fn undisturbed(&self, name: &str, maana: &Path, fixture: &Path) -> Result<Vec<StepResult>> {
        let copy = fixture.with_file_name("reference");
        fixture::copy(fixture, &copy)?;
        let results = self.results(maana, &copy)?;
        std::fs::remove_dir_all(&copy)?;
        let results = results.into_iter().map(|(outcome, result)| {
            ensure!(outcome.succeeded(), "{name}: {}", outcome.excerpt());
            Ok(result)
        });
        results.collect()
    }

    fn results(&self, maana: &Path, folder: &Path) -> Result<Vec<(process::Outcome, StepResult)>> {
        let out = folder.with_extension("out");
        std::fs::create_dir_all(&out)?;
        let mut results = Vec::new();
        for step in self.steps {
            let outcome = process::run(process::limited(maana, folder).args(step.split(' ')), &out)?;
            let weights = if step.contains("--resume") {
                std::fs::read(folder.join("run/model/model.safetensors")).ok()
            } else {
                None
            };
            // A run's own report has times in it; its weights are what is compared.
            let stdout = if weights.is_some() { Vec::new() } else { outcome.stdout.clone() };
            results.push((outcome, StepResult { stdout, weights }));
        }
        std::fs::remove_dir_all(&out)?;
        Ok(results)
    }
}

/// Mutates a file, or puts something else in its place.
fn change(path: &Path, format: Format, draws: &mut Draws) -> Result<String> {
    if draws.below(16) > 0 {
        let mut bytes = std::fs::read(path)?;
        let done = mutate(&mut bytes, format, draws);
        std::fs::write(path, bytes)?;
        return Ok(done);
    }
    std::fs::remove_file(path)?;
    Ok(match draws.below(4) {
        0 => "removed",
        1 => {
            std::fs::create_dir(path)?;
            "a folder in its place"
        }
        2 => {
            let status = Command::new("mkfifo").arg(path).status().context("mkfifo")?;
            if !status.success() {
                bail!("mkfifo {}: {status}", path.display());
            }
            "a pipe in its place"
        }
        _ => {
            std::fs::write(path, "")?;
            "empty"
        }
    }
    .to_owned())
}

/// Contents of all files but those that commands may write.
fn contents(folder: &Path, outputs: &[&str]) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let files = fixture::files(folder)?.into_iter();
    let kept = files.filter(|file| !outputs.iter().any(|output| file.starts_with(output)));
    kept.map(|file| Ok((file.clone(), std::fs::read(folder.join(&file))?))).collect()
}
