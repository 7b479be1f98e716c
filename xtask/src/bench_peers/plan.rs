//! Plans of the comparisons, one per table.

use super::engine::Setting;
use super::workshop::{Backends, CANDLE, MAANA, Model, PASSAGE_WORDS, Workshop};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Encode,
    Rerank,
    Train,
    Evaluate,
    Start,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [Self::Encode, Self::Rerank, Self::Train, Self::Evaluate, Self::Start];

    pub(crate) fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "encode" => Self::Encode,
            "rerank" => Self::Rerank,
            "train" => Self::Train,
            "evaluate" => Self::Evaluate,
            "start" => Self::Start,
            _ => bail!("--only {word}: unknown; use encode, rerank, train, evaluate and start"),
        })
    }
}

/// A target of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Minimum speed relative to the fastest peer.
    Faster(f64),
    /// Minimum of the fastest peer's peak memory divided by ours.
    Smaller(f64),
    /// Maximum seconds.
    Within(f64),
}

/// One comparison: engines that do the same work.
pub(crate) struct Plan {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) part: Part,
    pub(crate) targets: Vec<Target>,
    pub(crate) engines: Vec<Setting>,
}

/// Returns all comparisons in the order of the report.
pub(crate) fn all(workshop: &Workshop) -> Vec<Plan> {
    let mut plans = Vec::new();
    for model in &workshop.models {
        plans.extend(["f32", "bf16", "int8"].map(|precision| encode(workshop, model, precision)));
    }
    plans.extend(["f32", "bf16", "int8"].map(|precision| rerank(workshop, precision)));
    for model in &workshop.models {
        plans.extend(["f32", "bf16"].map(|precision| train(workshop, model, precision)));
    }
    plans.extend(workshop.models.iter().map(|model| evaluate(workshop, model)));
    plans.extend(workshop.models.first().map(|model| start(workshop, model)));
    plans.sort_by_key(|plan| plan.part);
    plans
}

/// Returns the targets, which are for the large model only.
fn targets(model: &Model, targets: &[Target]) -> Vec<Target> {
    if model.key == "bge-base" { targets.to_vec() } else { Vec::new() }
}

fn encode(workshop: &Workshop, model: &Model, precision: &str) -> Plan {
    let engine = Engines { workshop, model, precision, mode: "encode" };
    let texts = ["--texts", path(&workshop.texts)];
    let ratio = match precision {
        "f32" => 1.5,
        "bf16" => 1.6,
        _ => 1.7,
    };
    // Emulated bf16 is much slower; the small model suffices to show it.
    let shows_emulated = model.key == "minilm";
    Plan {
        key: format!("encode-{precision}-{}", model.key),
        title: format!("Encode, {precision}, {}", model.name),
        part: Part::Encode,
        targets: targets(model, &[Target::Faster(ratio)]),
        engines: engine.fastest(&texts, Some(engine.candle(&workshop.texts)), shows_emulated),
    }
}

/// Compares the ranking of passages for a query.
fn rerank(workshop: &Workshop, precision: &str) -> Plan {
    let engine = Engines { workshop, model: &workshop.cross_encoder, precision, mode: "rerank" };
    let texts = ["--texts", path(&workshop.passages)];
    let mut engines = engine.fastest(&texts, None, true);
    // Ours stays the last.
    let last = engines.len() - 1;
    engines.splice(last..last, workshop.backends.iter().flat_map(|backends| engine.backends(backends, &texts)));
    Plan {
        key: format!("rerank-{precision}"),
        title: format!("Rerank {} passages of {PASSAGE_WORDS} words, {precision}, MiniLM-L6", workshop.passage_count),
        part: Part::Rerank,
        targets: vec![Target::Faster(2.0)],
        engines,
    }
}

fn train(workshop: &Workshop, model: &Model, precision: &str) -> Plan {
    let engine = Engines { workshop, model, precision, mode: "train" };
    let flags = ["--texts", path(&workshop.pairs), "--dims", model.dims];
    // Emulated bf16 is several times slower than f32, so the peer's best setting is f32.
    let emulated = precision == "bf16" && !workshop.has_bf16;
    let peer = Engines { precision: if emulated { "f32" } else { precision }, ..engine }.torch(&flags);
    let ratio = if precision == "f32" { 4.0 } else { 5.0 };
    Plan {
        key: format!("train-{precision}-{}", model.key),
        title: format!("Training step, {precision}, {}", model.name),
        part: Part::Train,
        targets: targets(model, &[Target::Faster(ratio), Target::Smaller(3.0)]),
        engines: vec![peer, engine.ours(&flags)],
    }
}

fn evaluate(workshop: &Workshop, model: &Model) -> Plan {
    let engine = Engines { workshop, model, precision: "f32", mode: "evaluate" };
    let flags = ["--set", path(&model.set), "--dims", model.dims];
    let peer = engine.torch(&flags);
    Plan {
        key: format!("evaluate-{}", model.key),
        title: format!("Evaluation of 5 dimensions, f32, {}", model.name),
        part: Part::Evaluate,
        targets: targets(model, &[Target::Faster(5.0)]),
        engines: vec![peer, engine.ours(&flags)],
    }
}

/// Compares starts: every peer with its default of f32, ours as `maana encode` without options.
fn start(workshop: &Workshop, model: &Model) -> Plan {
    let engine = Engines { workshop, model, precision: "f32", mode: "start" };
    let text = ["--texts", path(&workshop.one_text)];
    let threads = workshop.threads.to_string();
    let words = [MAANA, "encode", path(&model.folder), "--input", path(&workshop.one_text), "--column", "positive"];
    let out = ["--output", "target/peers/one.npy", "--threads", &threads];
    Plan {
        key: format!("start-{}", model.key),
        title: format!("Process start to first embedding, {}", model.name),
        part: Part::Start,
        targets: targets(model, &[Target::Within(0.3)]),
        engines: vec![
            engine.torch(&text),
            engine.onnx(&text),
            engine.openvino(&text),
            engine.candle(&workshop.one_text),
            engine.setting("Maana", true, words.into_iter().chain(out)),
        ],
    }
}

/// Creates the command lines of one comparison.
#[derive(Clone, Copy)]
struct Engines<'a> {
    workshop: &'a Workshop,
    model: &'a Model,
    precision: &'a str,
    mode: &'a str,
}

impl Engines<'_> {
    /// Returns the engines that are fastest in the precision, ours last; `in_f32` is a further one
    /// that has f32 only. Where bf16 is emulated, peers compute in f32, and `shows_emulated` adds
    /// PyTorch's bf16.
    fn fastest(&self, texts: &[&str], in_f32: Option<Setting>, shows_emulated: bool) -> Vec<Setting> {
        let [torch, onnx, openvino] = self.peers(texts);
        let ours = self.ours(texts);
        match self.precision {
            "f32" => [torch, onnx, openvino].into_iter().chain(in_f32).chain([ours]).collect(),
            "bf16" if self.workshop.has_bf16 => vec![torch, openvino, ours],
            "bf16" => {
                let emulated = shows_emulated.then_some(torch);
                let plain = Engines { precision: "f32", ..*self }.peers(texts);
                emulated.into_iter().chain(plain).chain([ours]).collect()
            }
            _ => vec![onnx, ours],
        }
    }

    fn peers(&self, texts: &[&str]) -> [Setting; 3] {
        [self.torch(texts), self.onnx(texts), self.openvino(texts)]
    }

    fn torch(&self, flags: &[&str]) -> Setting {
        self.python("Sentence Transformers", "sentence_transformers_peer.py", flags)
    }

    fn onnx(&self, flags: &[&str]) -> Setting {
        self.python("ONNX Runtime", "onnxruntime_peer.py", flags)
    }

    fn openvino(&self, flags: &[&str]) -> Setting {
        self.python("OpenVINO", "openvino_peer.py", flags)
    }

    /// Returns Sentence Transformers on the backends that are fastest in the precision.
    fn backends(&self, backends: &Backends, flags: &[&str]) -> Vec<Setting> {
        let threads = self.workshop.threads.to_string();
        let backend = |name: &str, backend: &str, precision: &str| {
            let mut words = vec![path(&backends.python), "bench/peers/backend_peer.py", backend, self.mode];
            words.extend(["--model", path(&self.model.folder), "--exported", path(&backends.exported)]);
            words.extend(flags);
            words.extend(["--precision", precision, "--threads", &threads]);
            self.setting(&format!("Sentence Transformers on {name}, {precision}"), false, words)
        };
        let (onnx, openvino) = (("ONNX Runtime", "onnx"), ("OpenVINO", "openvino"));
        match self.precision {
            "int8" => vec![backend(onnx.0, onnx.1, "int8")],
            "bf16" if self.workshop.has_bf16 => vec![backend(openvino.0, openvino.1, "bf16")],
            _ => [onnx, openvino].map(|(name, word)| backend(name, word, "f32")).to_vec(),
        }
    }

    fn python(&self, name: &str, file: &str, flags: &[&str]) -> Setting {
        let (script, threads) = (format!("bench/peers/{file}"), self.workshop.threads.to_string());
        let mut words = vec![path(&self.workshop.python), &script, self.mode, "--model", path(&self.model.folder)];
        if !file.starts_with("sentence") {
            words.extend(["--exported", path(&self.model.exported)]);
        }
        words.extend(flags);
        words.extend(["--precision", self.precision, "--threads", &threads]);
        self.setting(&format!("{name}, {}", self.precision), false, words)
    }

    fn candle(&self, texts: &Path) -> Setting {
        self.setting("candle, f32", false, [CANDLE, self.mode, path(&self.model.folder), path(texts)])
    }

    fn ours(&self, flags: &[&str]) -> Setting {
        let threads = self.workshop.threads.to_string();
        let mut words = vec![MAANA, "bench", "serve-rounds", self.mode, "--model", path(&self.model.folder)];
        words.extend(flags);
        words.extend(["--precision", self.precision, "--threads", &threads]);
        self.setting(&format!("Maana, {}", self.precision), true, words)
    }

    fn setting<'a>(&self, name: &str, ours: bool, words: impl IntoIterator<Item = &'a str>) -> Setting {
        let words = words.into_iter().map(str::to_owned).collect();
        Setting { name: name.to_owned(), ours, threads: self.workshop.threads, words }
    }
}

/// Returns a path as text; all paths here are ASCII.
fn path(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}
