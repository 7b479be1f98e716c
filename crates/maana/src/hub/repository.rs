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
    ["tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "tokenizer.model"];

/// Names of weights in the order in which they are chosen: in one file, or divided with an index.
const WEIGHTS: [(&str, Form); 4] = [
    ("model.safetensors", Form::Whole),
    ("model.safetensors.index.json", Form::Sharded(".safetensors")),
    ("pytorch_model.bin", Form::Whole),
    ("pytorch_model.bin.index.json", Form::Sharded(".bin")),
];
pub(super) const MODULES: &str = "modules.json";
/// The list of the modules of a router, in its folder.
const ROUTER: &str = "router_config.json";
const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: [(&str, Form); 2] =
    [("adapter_model.safetensors", Form::Whole), ("adapter_model.bin", Form::Whole)];
/// Weights of other libraries.
const FOREIGN: [&str; 3] = ["tf_model.h5", "flax_model.msgpack", "onnx/model.onnx"];

/// The form of weights.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    /// An index of files with this ending.
    Sharded(&'static str),
}

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

    /// Returns the names that its weights may have; none if it has no weights.
    fn weight_names(&self) -> &'static [(&'static str, Form)] {
        match self.kind.as_str() {
            "Transformer" | "Dense" | "LayerNorm" | "StaticEmbedding" => &WEIGHTS,
            "Adapter" => &ADAPTER_WEIGHTS,
            _ => &[],
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
    /// The module has none.
    None,
    /// One file.
    Whole(String),
    /// Several files with this ending, listed in an index.
    Sharded(String, &'static str),
    /// Not in a form that is read.
    Missing {
        /// The file that is looked for first.
        wanted: String,
        /// A file of another library.
        foreign: Option<String>,
    },
}

impl Weights {
    /// Returns the weights of a module: safetensors before PyTorch's form, as transformers chooses.
    pub(super) fn of(module: &Module, is_present: impl Fn(&str) -> bool) -> Self {
        let names = module.weight_names();
        let Some((first, _)) = names.first() else { return Self::None };
        let present = |name: &str| Some(module.file(name)).filter(|file| is_present(file));
        let found = names.iter().find_map(|(name, form)| Some((present(name)?, form)));
        match found {
            Some((file, Form::Whole)) => Self::Whole(file),
            Some((index, Form::Sharded(ending))) => Self::Sharded(index, ending),
            None => Self::Missing { wanted: module.file(first), foreign: FOREIGN.into_iter().find_map(present) },
        }
    }
}

/// Returns whether a file holds weights.
pub(super) fn is_weights(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

/// Returns the files listed in an index of shards, which have this ending; `None` if the index is
/// malformed.
pub(super) fn shards(index: &[u8], ending: &str) -> Option<BTreeSet<String>> {
    let json: Value = serde_json::from_slice(index).ok()?;
    let files = json["weight_map"].as_object()?.values();
    let plain = |file: &Value| {
        let file = file.as_str()?;
        let valid = stays_inside(file) && !file.contains(['/', ':']) && file.ends_with(ending);
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
        let weights = |module: &Module| Weights::of(module, |file| files.contains(file));
        assert_eq!(weights(&modules[0]), Weights::Whole("pytorch_model.bin".into()));
        assert_eq!(weights(&modules[1]), Weights::None);
        assert_eq!(weights(&modules[2]), Weights::Whole("2_Dense/model.safetensors".into()));
    }

    #[test]
    fn safetensors_are_chosen_before_the_files_of_pytorch() {
        let module = |kind: &str| Module { kind: kind.into(), folder: "0".into() };
        let of = |kind: &str, files: &[&str]| {
            Weights::of(&module(kind), |file| files.iter().any(|name| file == format!("0/{name}")))
        };
        let [whole, index, bin, bin_index] = WEIGHTS.map(|(name, _)| name);
        assert_eq!(of("Dense", &[bin, whole, index]), Weights::Whole("0/model.safetensors".into()));
        assert_eq!(of("Dense", &[bin, index]), Weights::Sharded(format!("0/{index}"), ".safetensors"));
        assert_eq!(of("Dense", &[bin, bin_index]), Weights::Whole("0/pytorch_model.bin".into()));
        assert_eq!(of("Dense", &[bin_index, "tf_model.h5"]), Weights::Sharded(format!("0/{bin_index}"), ".bin"));
        let missing = |wanted: &str, foreign: Option<&str>| Weights::Missing {
            wanted: format!("0/{wanted}"),
            foreign: foreign.map(|file| format!("0/{file}")),
        };
        assert_eq!(of("Dense", &["tf_model.h5"]), missing(whole, Some("tf_model.h5")));
        assert_eq!(of("Dense", &[]), missing(whole, None));
        assert_eq!(of("Adapter", &["adapter_model.bin", bin]), Weights::Whole("0/adapter_model.bin".into()));
        assert_eq!(of("Adapter", &[bin]), missing("adapter_model.safetensors", None));
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
        let shards_of = |map: &str, ending: &str| shards(format!(r#"{{"weight_map": {map}}}"#).as_bytes(), ending);
        let index = |map: &str| shards_of(map, ".safetensors");
        let names = index(r#"{"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}"#);
        assert_eq!(names, Some(BTreeSet::from(["model-1.safetensors".into(), "model-2.safetensors".into()])));
        for wrong in [r#"{"a": "../x.safetensors"}"#, r#"{"a": "x.bin"}"#, r#"{"a": 1}"#, "{}", "[]"] {
            assert_eq!(index(wrong), None, "{wrong}");
        }
        assert_eq!(shards_of(r#"{"a": "x.bin"}"#, ".bin"), Some(BTreeSet::from(["x.bin".into()])));
        assert_eq!(shards_of(r#"{"a": "x.safetensors"}"#, ".bin"), None);
    }
}
