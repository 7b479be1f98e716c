//! The files of a repository that form the folder of a sentence encoder. Names come from a server
//! and are untrusted.

use serde_json::Value;
use std::collections::BTreeSet;

/// Small files of an encoder and its modules, in addition to those whose name ends in
/// `config.json`.
const SMALL: [&str; 16] = [
    "README.md",
    "LICENSE",
    "modules.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "unigram.json",
    "bpe.codes",
    "normalizer.json",
];

/// Files that contain a tokenizer; one is enough.
const TOKENIZERS: [&str; 5] =
    ["tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];

const WEIGHTS: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";
pub(super) const MODULES: &str = "modules.json";
/// The list of the modules of a router, in its folder.
const ROUTER: &str = "router_config.json";
const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// Returns whether a path stays inside its folder on every system.
pub(super) fn stays_inside(file: &str) -> bool {
    let harmless = |part: &str| !part.is_empty() && part != "." && part != "..";
    !file.contains('\\') && !file.chars().any(char::is_control) && file.split('/').all(harmless)
}

/// A module of `modules.json`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Last component of its class.
    pub(super) kind: String,
    /// Its folder; empty for the folder of the model.
    pub(super) folder: String,
}

impl Module {
    /// Returns the modules of a model without `modules.json`.
    pub(super) fn plain() -> Vec<Self> {
        vec![Self { kind: "Transformer".into(), folder: String::new() }]
    }

    /// Parses `modules.json`. Malformed entries are skipped; opening the folder reports them.
    pub(super) fn list(json: &[u8]) -> Vec<Self> {
        let json: Value = serde_json::from_slice(json).unwrap_or_default();
        let module = |entry: &Value| Self::of(entry["type"].as_str()?, entry["path"].as_str()?);
        json.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(module).collect()
    }

    fn of(class: &str, folder: &str) -> Option<Self> {
        let kind = class.rsplit('.').next().unwrap_or_default().to_owned();
        let folder = folder.trim_end_matches('/');
        let folder = if folder == "." { "" } else { folder }.to_owned();
        (folder.is_empty() || stays_inside(&folder)).then_some(Self { kind, folder })
    }

    /// Returns the path of the file that lists further modules, if the module is a router.
    pub(super) fn further_modules(&self) -> Option<String> {
        matches!(self.kind.as_str(), "Router" | "Asym").then(|| self.file(ROUTER))
    }

    /// Parses the list of a router's modules. Malformed entries are skipped.
    pub(super) fn routed(&self, json: &[u8]) -> Vec<Self> {
        let json: Value = serde_json::from_slice(json).unwrap_or_default();
        let module = |(folder, class): (&String, &Value)| Self::of(class.as_str()?, &self.file(folder));
        json["types"].as_object().into_iter().flatten().filter_map(module).collect()
    }

    /// Turns a transformer whose folder holds adapters (PEFT) in place of a whole model into them.
    pub(super) fn or_adapter(self, is_present: impl Fn(&str) -> bool) -> Self {
        let is_adapter = self.kind == "Transformer"
            && is_present(&self.file(ADAPTER_CONFIG))
            && !is_present(&self.file("config.json"));
        if is_adapter { Self { kind: "Adapter".into(), ..self } } else { self }
    }

    /// Returns the path of its configuration, if it needs one.
    pub(super) fn config(&self) -> Option<String> {
        match self.kind.as_str() {
            "Transformer" | "Pooling" | "Dense" | "LayerNorm" | "Dropout" => Some(self.file("config.json")),
            "Adapter" => Some(self.file(ADAPTER_CONFIG)),
            _ => self.further_modules(),
        }
    }

    /// Returns the path of its weights, unless they are divided, if it has any.
    pub(super) fn weights(&self) -> Option<String> {
        match self.kind.as_str() {
            "Transformer" | "Dense" | "LayerNorm" | "StaticEmbedding" => Some(self.file(WEIGHTS)),
            "Adapter" => Some(self.file(ADAPTER_WEIGHTS)),
            _ => None,
        }
    }

    /// Returns the paths of which one must be its tokenizer; none if it needs no tokenizer.
    pub(super) fn tokenizers(&self) -> Vec<String> {
        match self.kind.as_str() {
            "Transformer" => TOKENIZERS.map(|name| self.file(name)).to_vec(),
            "StaticEmbedding" => vec![self.file(TOKENIZERS[0])],
            _ => Vec::new(),
        }
    }

    /// Returns the path of one of its files.
    pub(super) fn file(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// Returns the settings and tokenizer files among `files`, from the folders of the model and its
/// modules.
pub(super) fn small_files<'a>(files: impl Iterator<Item = &'a str>, modules: &[Module]) -> Vec<&'a str> {
    let is_needed = |file: &&str| {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let here = folder.is_empty() || modules.iter().any(|module| module.folder == folder);
        // File names on Windows cannot contain colons, and no file of an encoder does.
        here && !file.contains(':') && (SMALL.contains(&name) || name.ends_with("config.json"))
    };
    files.filter(is_needed).collect()
}

/// Location of the weights of a module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// One file.
    Whole(String),
    /// Several files, listed in this index.
    Sharded(String),
    /// Only an unsupported format, such as this file.
    Foreign(String),
    /// No weights.
    Missing,
}

impl Weights {
    pub(super) fn of(module: &Module, files: &BTreeSet<&str>) -> Self {
        let present = |name: &str| Some(module.file(name)).filter(|file| files.contains(file.as_str()));
        if let Some(file) = module.weights().filter(|file| files.contains(file.as_str())) {
            return Self::Whole(file);
        }
        if let Some(file) = present(INDEX) {
            return Self::Sharded(file);
        }
        const FOREIGN: [&str; 5] = [
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "tf_model.h5",
            "flax_model.msgpack",
            "onnx/model.onnx",
        ];
        FOREIGN.into_iter().find_map(present).map_or(Self::Missing, Self::Foreign)
    }
}

/// Returns the files listed in an index of shards; `None` if the index is malformed.
pub(super) fn shards(index: &[u8]) -> Option<BTreeSet<String>> {
    let json: Value = serde_json::from_slice(index).ok()?;
    let files = json["weight_map"].as_object()?.values();
    let plain = |file: &Value| {
        let file = file.as_str()?;
        let valid = stays_inside(file) && !file.contains(['/', ':']) && file.ends_with(".safetensors");
        valid.then(|| file.to_owned())
    };
    files.map(plain).collect::<Option<BTreeSet<_>>>().filter(|files| !files.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENSE: &str = r#"[
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "name": "3", "path": "../up", "type": "sentence_transformers.models.Dense"}]"#;

    #[test]
    fn an_encoder_needs_only_its_settings_tokenizer_and_modules() {
        let modules = Module::list(DENSE.as_bytes());
        assert_eq!(modules.len(), 3, "the folder outside of the model is skipped");
        let files = [
            ".gitattributes",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "3_Other/config.json",
            "README.md",
            "config.json",
            "data_config.json:stream",
            "modules.json",
            "onnx/config.json",
            "pytorch_model.bin",
            "sentence_bert_config.json",
            "tokenizer.json",
            "trainer_state.json",
        ];
        let expected = [
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "README.md",
            "config.json",
            "modules.json",
            "sentence_bert_config.json",
            "tokenizer.json",
        ];
        assert_eq!(small_files(files.into_iter(), &modules), expected);
        let files = BTreeSet::from(files);
        assert_eq!(Weights::of(&modules[0], &files), Weights::Foreign("pytorch_model.bin".into()));
        assert_eq!(Weights::of(&modules[2], &files), Weights::Whole("2_Dense/model.safetensors".into()));
        assert_eq!(Weights::of(&Module::plain()[0], &BTreeSet::from([INDEX])), Weights::Sharded(INDEX.into()));
        assert_eq!(Weights::of(&Module::plain()[0], &BTreeSet::new()), Weights::Missing);
    }

    #[test]
    fn paths_that_leave_the_folder_are_recognised() {
        for safe in ["config.json", "1_Pooling/config.json", ".gitattributes", "a b/ü.txt", "..json", "x..y"] {
            assert!(stays_inside(safe), "{safe}");
        }
        for hostile in ["../x", "a/../b", "/etc/passwd", "a//b", "a\\b", "..", ".", "", "a/", "a\0b", "a\nb", "a/./b"] {
            assert!(!stays_inside(hostile), "{hostile:?}");
        }
    }

    #[test]
    fn shards_are_in_the_folder_of_their_index() {
        let index = |map: &str| shards(format!(r#"{{"weight_map": {map}}}"#).as_bytes());
        let names = index(r#"{"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}"#);
        assert_eq!(names, Some(BTreeSet::from(["model-1.safetensors".into(), "model-2.safetensors".into()])));
        for wrong in [r#"{"a": "../x.safetensors"}"#, r#"{"a": "x.bin"}"#, r#"{"a": 1}"#, "{}", "[]"] {
            assert_eq!(index(wrong), None, "{wrong}");
        }
    }
}
