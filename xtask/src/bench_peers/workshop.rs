//! Prerequisites of a measurement, created below `target` in the first run: peers, models, texts.

use crate::command::run;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const MAANA: &str = "target/release/maana";
pub(crate) const CANDLE: &str = "target/peers-candle/release/candle-peer";
const WORK: &str = "target/peers";
/// Folder of the models that all engines open.
pub(crate) const MODELS: &str = "target/peers/models";

/// A model that all engines open.
pub(crate) struct Model {
    /// Name in titles.
    pub(crate) name: &'static str,
    /// Name in file names.
    pub(crate) key: &'static str,
    pub(crate) folder: PathBuf,
    /// Its graphs for ONNX Runtime and OpenVINO.
    pub(crate) exported: PathBuf,
    /// Matryoshka dimensions for training and evaluation.
    pub(crate) dims: &'static str,
    /// A retrieval set of a suitable size.
    pub(crate) set: PathBuf,
}

/// The installed peers, with the models and texts of all engines.
pub(crate) struct Workshop {
    pub(crate) python: PathBuf,
    pub(crate) threads: usize,
    /// `true` if the processor has instructions for bf16.
    pub(crate) has_bf16: bool,
    pub(crate) models: Vec<Model>,
    /// Texts to encode, sorted by length.
    pub(crate) texts: PathBuf,
    /// The pairs of one micro-batch, in random order.
    pub(crate) pairs: PathBuf,
    pub(crate) one_text: PathBuf,
    /// A cross-encoder of the small model's weights, with a random head.
    pub(crate) cross_encoder: Model,
    /// Passages to rank for the first anchor.
    pub(crate) passages: PathBuf,
    pub(crate) passage_count: usize,
    /// Sentence Transformers' own backends, if passages are ranked.
    pub(crate) backends: Option<Backends>,
}

/// Sentence Transformers with its backends for ONNX Runtime and OpenVINO.
pub(crate) struct Backends {
    pub(crate) python: PathBuf,
    /// The cross-encoder in the forms of the backends.
    pub(crate) exported: PathBuf,
}

/// Words of a passage to rank.
pub(crate) const PASSAGE_WORDS: usize = 100;

impl Workshop {
    /// Creates what is missing; the backends only if `ranks`.
    pub(crate) fn make(quick: bool, threads: usize, ranks: bool) -> Result<Self> {
        for folder in ["log", "models", "exported"] {
            std::fs::create_dir_all(Path::new(WORK).join(folder))?;
        }
        let python = crate::python::environment(
            Path::new("target/peers-python"),
            Path::new("bench/peers/requirements.txt"),
            "the network and about 8 GB of disk",
        )?;
        build()?;
        let folder = Path::new(WORK).join(if quick { "texts-quick" } else { "texts" });
        let (texts, pairs, one_text) = texts(&folder, if quick { 32 } else { 256 })?;
        let models = vec![bge_base(&folder, quick)?, minilm(&folder, quick)?];
        let cross_encoder = cross_encoder(&python, &models[1])?;
        for model in models.iter().chain([&cross_encoder]) {
            export(&python, model)?;
        }
        let (passages, passage_count) = (folder.join("passages.jsonl"), if quick { 20 } else { 100 });
        make_texts(&passages, passage_count, 9, &["--words", &PASSAGE_WORDS.to_string()])?;
        let backends = if ranks { Some(backends(&cross_encoder)?) } else { None };
        let has_bf16 = super::machine::Machine::this()?.has_bf16();
        Ok(Self {
            python,
            threads,
            has_bf16,
            models,
            texts,
            pairs,
            one_text,
            cross_encoder,
            passages,
            passage_count,
            backends,
        })
    }
}

fn build() -> Result<()> {
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let mut candle = Command::new("cargo");
    candle.args(["build", "--release", "--locked", "--manifest-path", "bench/candle/Cargo.toml"]);
    run(candle.env("CARGO_TARGET_DIR", "target/peers-candle").env("RUSTFLAGS", "-C target-cpu=native"))
        .context("candle could not be built (its first build needs the network)")
}

/// Creates texts for encoding and for training with different seeds, and a file with one of them.
fn texts(folder: &Path, count: usize) -> Result<(PathBuf, PathBuf, PathBuf)> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let (texts, pairs, one) = (folder.join("texts.jsonl"), folder.join("pairs.jsonl"), folder.join("one.jsonl"));
    make_texts(&texts, count, 7, &[])?;
    make_texts(&pairs, if count < 64 { 8 } else { 32 }, 8, &[])?;
    let written = std::fs::read_to_string(&texts).with_context(|| texts.display().to_string())?;
    let rows: Vec<Value> = written.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut rows: Vec<(usize, &str)> =
        rows.iter().map(|row| row["positive"].as_str().map_or(0, str::len)).zip(written.lines()).collect();
    rows.sort();
    let lines = |rows: &[(usize, &str)]| rows.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
    for (path, rows) in [(&texts, &rows[..]), (&one, &rows[rows.len() / 2..][..1])] {
        std::fs::write(path, lines(rows)).with_context(|| path.display().to_string())?;
    }
    Ok((texts, pairs, one))
}

/// Creates pairs, a few long ones among many short ones.
fn make_texts(out: &Path, pairs: usize, seed: u64, more: &[&str]) -> Result<()> {
    let numbers = [pairs.to_string(), seed.to_string()];
    let flags = ["bench", "make-texts", "--pairs", &numbers[0], "--seed", &numbers[1], "--out"];
    run(Command::new(MAANA).args(flags).arg(out).args(more))
}

/// Returns a model of bge-base's shape with random weights, on which speed does not depend.
pub(crate) fn bge_base_folder() -> Result<PathBuf> {
    let folder = Path::new(MODELS).join("bge-base");
    if !folder.join("modules.json").is_file() {
        run(Command::new(MAANA).args(["bench", "make-model", "--shape", "bge-base", "--out"]).arg(&folder))?;
    }
    Ok(folder)
}

fn bge_base(texts: &Path, quick: bool) -> Result<Model> {
    let folder = bge_base_folder()?;
    let set = retrieval_set(texts, if quick { 2 } else { 30 })?;
    let (exported, dims) = (Path::new(WORK).join("exported/bge-base"), "768,512,256,128,64");
    Ok(Model { name: "bge-base shape", key: "bge-base", folder, exported, dims, set })
}

const MINILM: &str = "all-MiniLM-L6-v2";

/// Returns a copy of all-MiniLM-L6-v2 from the cache of `maana`.
pub(crate) fn minilm_folder() -> Result<PathBuf> {
    let folder = Path::new(MODELS).join(MINILM);
    if !folder.join("modules.json").is_file() {
        let model = format!("sentence-transformers/{MINILM}");
        let info = crate::command::output(Command::new(MAANA).args(["info", &model]))?;
        let cached = info.lines().find_map(|line| line.strip_prefix("folder "));
        copy_folder(Path::new(cached.context("maana info printed no folder")?.trim()), &folder)?;
    }
    Ok(folder)
}

fn minilm(texts: &Path, quick: bool) -> Result<Model> {
    let (name, key, folder) = (MINILM, "minilm", minilm_folder()?);
    let set = retrieval_set(texts, if quick { 2 } else { 300 })?;
    let exported = Path::new(WORK).join("exported").join(name);
    Ok(Model { name, key, folder, exported, dims: "384,256,192,128,64", set })
}

/// Returns a cross-encoder with the weights of a model and a random head, on which speed does not
/// depend. Sentence Transformers writes it.
fn cross_encoder(python: &Path, base: &Model) -> Result<Model> {
    let folder = Path::new(MODELS).join("minilm-cross-encoder");
    if !folder.join("modules.json").is_file() {
        run(Command::new(python).arg("bench/peers/cross_encoder.py").arg(&base.folder).arg(&folder))?;
    }
    let exported = Path::new(WORK).join("exported/minilm-cross-encoder");
    let (dims, set) = (base.dims, base.set.clone());
    Ok(Model { name: "MiniLM-L6 with a head", key: "cross-encoder", folder, exported, dims, set })
}

/// Installs Sentence Transformers with Optimum, which has no release for the newest Transformers,
/// and exports the cross-encoder.
fn backends(cross_encoder: &Model) -> Result<Backends> {
    let python = crate::python::environment(
        Path::new("target/peers-optimum-python"),
        Path::new("bench/peers/requirements-optimum.txt"),
        "the network and about 8 GB of disk",
    )?;
    let exported = Path::new(WORK).join("backends/minilm-cross-encoder");
    if !exported.join("done").is_file() {
        run(Command::new(&python).arg("bench/peers/backend_graphs.py").arg(&cross_encoder.folder).arg(&exported))?;
    }
    Ok(Backends { python, exported })
}

fn retrieval_set(texts: &Path, queries: usize) -> Result<PathBuf> {
    let folder = texts.join(format!("queries-{queries}"));
    if !folder.join("dev/qrels/test.tsv").is_file() {
        let queries = queries.to_string();
        let flags = ["synthesize", "--pairs", "1", "--queries", &queries, "--seed", "9", "--out"];
        run(Command::new(MAANA).args(flags).arg(&folder))?;
    }
    Ok(folder.join("dev"))
}

/// Copies a folder, following links; modules.json, which marks a complete folder, comes last.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let mut entries = std::fs::read_dir(from)
        .with_context(|| from.display().to_string())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort_by_key(|name| name == "modules.json");
    for name in entries {
        let (source, copy) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            copy_folder(&source, &copy)?;
        } else {
            std::fs::copy(&source, &copy).with_context(|| source.display().to_string())?;
        }
    }
    Ok(())
}

fn export(python: &Path, model: &Model) -> Result<()> {
    if model.exported.join("model.xml").is_file() {
        return Ok(());
    }
    run(Command::new(python).arg("bench/peers/export.py").arg(&model.folder).arg(&model.exported))
}
