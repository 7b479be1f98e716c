//! Models, servers and expected answers, created below `target` in the first run.

use crate::command::run;
use crate::serving::texts::{Lengths, texts};
use crate::{bench_peers, serving};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const MAANA: &str = "target/release/maana";
const WORK: &str = "target/serve-peers";
/// Number of distinct texts, so that a cache of answers gains nothing in a short run.
const TEXTS: usize = 1024;
const SEED: u64 = 11;

/// A model folder that all servers open.
pub(crate) struct Model {
    /// Name in titles.
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    /// A copy of the folder with a graph for ONNX Runtime.
    pub(crate) with_graph: PathBuf,
}

impl Model {
    /// Returns the name of the model in requests: that of its folder.
    pub(crate) fn served(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Texts of one kind with their expected embeddings.
pub(crate) struct Work {
    pub(crate) lengths: Lengths,
    pub(crate) texts: Vec<String>,
    /// Output of `maana encode` in each precision of the servers.
    pub(crate) embeddings: BTreeMap<&'static str, Vec<Vec<f32>>>,
}

/// Name and command line of a server.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) precision: &'static str,
    /// Program and arguments; `PORT` is replaced by the port.
    pub(crate) words: Vec<String>,
    /// Working directory.
    pub(crate) folder: PathBuf,
    threads: usize,
}

impl Setting {
    /// Returns the command line as a user would type it.
    pub(crate) fn line(&self) -> String {
        self.words.join(" ")
    }

    pub(crate) fn command(&self, port: u16) -> Result<Command> {
        let root = std::env::current_dir()?;
        let mut command = Command::new(root.join(&self.words[0]));
        command
            .args(self.words[1..].iter().map(|word| word.replace("PORT", &port.to_string())))
            .current_dir(&self.folder);
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, self.threads.to_string());
        }
        // Infinity stores its optimised graph in HF_HOME, and sends usage statistics unless
        // DO_NOT_TRACK is set.
        command.env("HF_HOME", root.join(WORK).join("cache").join(self.folder.file_name().unwrap_or_default()));
        command.env("HF_HUB_OFFLINE", "1").env("DO_NOT_TRACK", "1").env("TOKENIZERS_PARALLELISM", "true");
        Ok(command)
    }
}

/// Keys of the known servers.
pub(crate) const ENGINES: [&str; 6] =
    ["infinity-torch", "infinity-optimum", "fastapi", "fastapi-batching", "maana-int8", "maana"];

/// Returns the servers of a model by their keys, ours last.
pub(crate) fn settings(model: &Model, keys: &[String], threads: usize) -> Result<Vec<Setting>> {
    let chosen = ENGINES.iter().filter(|key| keys.iter().any(|chosen| chosen == *key));
    chosen.map(|key| setting(key, model, threads)).collect()
}

fn setting(key: &'static str, model: &Model, threads: usize) -> Result<Setting> {
    let root = std::env::current_dir()?;
    let model_folder = model.folder.to_string_lossy();
    let (count, served) = (threads.to_string(), model.served());
    let infinity = |engine: &str, id: &str| -> Result<Vec<String>> {
        let program = environment("infinity")?.with_file_name("infinity_emb");
        let mut words = vec![program.to_string_lossy().into_owned()];
        words.extend(["v2", "--model-id", id, "--served-model-name", &served, "--engine", engine].map(str::to_owned));
        words.extend(["--device", "cpu", "--no-bettertransformer", "--url-prefix", "/v1"].map(str::to_owned));
        words.extend(["--log-level", "warning", "--port", "PORT"].map(str::to_owned));
        Ok(words)
    };
    let fastapi = |batching: &[&str]| -> Result<Vec<String>> {
        let mut words = vec![environment("fastapi")?.to_string_lossy().into_owned()];
        words.extend(["bench/peers/fastapi_peer.py", "--model", &model_folder, "--port", "PORT"].map(str::to_owned));
        words.extend(["--threads", &count].map(str::to_owned));
        words.extend(batching.iter().map(|word| (*word).to_owned()));
        Ok(words)
    };
    let precision = if key == "maana-int8" { "int8" } else { "f32" };
    let (name, words, folder) = match key {
        "infinity-torch" => ("Infinity, torch", infinity("torch", &model_folder)?, root),
        // It finds the graph of a local folder only if that is its working directory.
        "infinity-optimum" => {
            write_graph(model)?;
            // The default pooling of this engine is by the first token.
            let mut words = infinity("optimum", ".")?;
            words.extend(["--pooling-method", pooling(&model.folder)?].map(str::to_owned));
            ("Infinity, ONNX Runtime", words, root.join(&model.with_graph))
        }
        "fastapi" => ("FastAPI", fastapi(&[])?, root),
        "fastapi-batching" => ("FastAPI, batching", fastapi(&["--batching"])?, root),
        _ => {
            let mut words = vec![MAANA, "serve", &model_folder, "--port", "PORT", "--threads", &count];
            // With 512 clients a long text waits longer than the default deadline.
            words.extend(["--deadline", "600", "--log", "off", "--precision", precision]);
            (if key == "maana" { "Maana" } else { "Maana, int8" }, words.into_iter().map(str::to_owned).collect(), root)
        }
    };
    Ok(Setting { key, name: name.to_owned(), ours: key.starts_with("maana"), precision, words, folder, threads })
}

/// Returns the pooling of the model with Infinity's name.
fn pooling(folder: &Path) -> Result<&'static str> {
    let path = folder.join("1_Pooling/config.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let config: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let means = config["pooling_mode_mean_tokens"] == json!(true) || config["pooling_mode"] == json!("mean");
    Ok(if means { "mean" } else { "cls" })
}

fn environment(peer: &str) -> Result<PathBuf> {
    crate::python::environment(
        Path::new(&format!("target/{peer}-python")),
        Path::new(&format!("bench/peers/{peer}.txt")),
        "the network and about 6 GB of disk",
    )
}

/// Returns names and versions of both environments.
pub(crate) fn versions() -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for peer in ["infinity", "fastapi"] {
        let path = format!("bench/peers/{peer}.txt");
        let pins = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let pins = pins.lines().filter_map(|line| line.split_once("=="));
        all.extend(pins.map(|(name, version)| (format!("{peer}: {name}"), version.to_owned())));
    }
    Ok(all)
}

/// Exports a graph with Optimum for Infinity, into a copy of the folder.
///
/// Infinity truncates texts at the model's positions, not at the folder's limit (256 tokens for
/// all-MiniLM-L6-v2). In the copy both are equal, so that all servers do the same work.
fn write_graph(model: &Model) -> Result<()> {
    let graph = model.with_graph.join("model.onnx");
    if graph.is_file() {
        return Ok(());
    }
    let optimum = environment("infinity")?.with_file_name("optimum-cli");
    let exported = model.with_graph.with_extension("making");
    let export = ["export", "onnx", "--library", "transformers", "--task", "feature-extraction", "--model"];
    run(Command::new(optimum).args(export).arg(&model.folder).arg(&exported))?;
    bench_peers::copy_folder(&model.folder, &model.with_graph)?;
    let limit = std::fs::read(model.folder.join("sentence_bert_config.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()?.get("max_seq_length")?.as_u64());
    if let Some(limit) = limit {
        let path = model.with_graph.join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        config["max_position_embeddings"] = json!(limit);
        std::fs::write(path, serde_json::to_string_pretty(&config)?)?;
    }
    std::fs::rename(exported.join("model.onnx"), graph)?;
    Ok(std::fs::remove_dir_all(exported)?)
}

/// Returns the models by their keys, minilm and bge-base.
pub(crate) fn models(keys: &[String]) -> Result<Vec<Model>> {
    std::fs::create_dir_all(Path::new(WORK).join("log"))?;
    std::fs::create_dir_all(bench_peers::MODELS)?;
    let mut models = Vec::new();
    for key in keys {
        let (name, folder) = match key.as_str() {
            "minilm" => ("all-MiniLM-L6-v2", bench_peers::minilm_folder()?),
            _ => ("bge-base shape", bench_peers::bge_base_folder()?),
        };
        let mut model = Model { name, folder, with_graph: PathBuf::new() };
        model.with_graph = Path::new(WORK).join(model.served());
        models.push(model);
    }
    Ok(models)
}

/// Returns texts and their expected embeddings.
pub(crate) fn work(model: &Model, lengths: Lengths, settings: &[Setting]) -> Result<Work> {
    let texts = texts(lengths, TEXTS, SEED);
    let folder = Path::new(WORK).join("expected");
    std::fs::create_dir_all(&folder)?;
    let mut embeddings = BTreeMap::new();
    for precision in settings.iter().map(|setting| setting.precision) {
        let words = ["--precision", precision];
        let rows = serving::expected::encode(Path::new(MAANA), &model.folder, &texts, &folder, &words)?;
        ensure!(rows.len() == texts.len(), "{} embeddings of {} texts", rows.len(), texts.len());
        embeddings.insert(precision, rows);
    }
    Ok(Work { lengths, texts, embeddings })
}

/// Returns the log of a server.
pub(crate) fn log(model: &Model, setting: &Setting) -> PathBuf {
    Path::new(WORK).join(format!("log/{}-{}.txt", model.served(), setting.key))
}
