//! The name of a base model for the card: its name on the hub, or the name in the path of the hub's
//! cache, in its card or in its configuration. Never the path of a folder, which is meaningless to
//! readers and private.

use crate::card::BaseModel;
use crate::hub::{Resolved, is_id};
use serde_json::Value;
use std::path::Path;

/// Titles of generated cards that are not names.
const GENERIC_TITLES: [&str; 2] = ["SentenceTransformer", "Sentence Transformer"];

/// Names of folders of training runs, which no model on the hub has.
const RUN_FOLDERS: [&str; 8] = ["checkpoint", "checkpoints", "data", "model", "models", "output", "runs", "tmp"];

/// Returns the name of a base model.
pub(crate) fn base_model(found: &Resolved) -> BaseModel {
    if let Some(name) = &found.name {
        return BaseModel { name: name.clone(), hub_id: Some(name.clone()), revision: found.revision.clone() };
    }
    // Resolves `.` and links, which have no name of their own.
    let folder = std::fs::canonicalize(&found.folder).unwrap_or_else(|_| found.folder.clone());
    if let Some((id, revision)) = in_cache(&folder) {
        return BaseModel { name: id.clone(), hub_id: Some(id), revision: Some(revision) };
    }
    let folder_name = folder.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
    let card = maana_files::read_to_string(folder.join("README.md")).unwrap_or_default();
    let card = Card::read(&card);
    if let Some(id) = card.own_id(&folder_name) {
        return BaseModel { name: id.clone(), hub_id: Some(id), revision: None };
    }
    let ancestor = card.base_model.filter(|id| is_public(id)).or_else(|| from_configuration(&folder));
    BaseModel { name: card.names.into_iter().next().unwrap_or(folder_name), hub_id: ancestor, revision: None }
}

/// Returns name and commit of a folder in the hub's cache: `models--owner--name/snapshots/COMMIT`.
fn in_cache(folder: &Path) -> Option<(String, String)> {
    let mut parts = folder.iter().rev().map(|part| part.to_string_lossy());
    let (revision, snapshots, repository) = (parts.next()?, parts.next()?, parts.next()?);
    let id = repository.strip_prefix("models--")?.replace("--", "/");
    (snapshots == "snapshots" && is_id(&id)).then(|| (id, revision.into_owned()))
}

/// Returns the name under which the configuration's weights were loaded, if it is a name on the
/// hub.
fn from_configuration(folder: &Path) -> Option<String> {
    let config: Value = serde_json::from_slice(&maana_files::read(folder.join("config.json")).ok()?).ok()?;
    let name = config["_name_or_path"].as_str()?;
    // The first models of a family have names without an owner, such as `bert-base-uncased`.
    let kind = config["model_type"].as_str().unwrap_or_default();
    let canonical = !kind.is_empty() && is_id(name) && name.starts_with(&format!("{kind}-"));
    (canonical || is_public(name)).then(|| name.to_owned())
}

/// Returns whether a name is that of a model on the hub with its owner, not the path of a training
/// folder.
fn is_public(name: &str) -> bool {
    let of_a_run = |part: &str| RUN_FOLDERS.contains(&part) || part.starts_with("checkpoint-");
    is_id(name) && name.split_once('/').is_some_and(|(owner, last)| !of_a_run(owner) && !of_a_run(last))
}

/// Names of models in a card.
#[derive(Default)]
struct Card {
    /// Names of the card's model: the name of its results, its title.
    names: Vec<String>,
    /// The base model.
    base_model: Option<String>,
    /// Names on the hub in the text, in order.
    ids: Vec<String>,
    /// Names that the examples open.
    opened: Vec<String>,
}

impl Card {
    fn read(text: &str) -> Self {
        let plain = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
        let (head, body) = match text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")) {
            Some((head, body)) => (head, body),
            None => ("", text),
        };
        let mut card = Self::default();
        let mut lines = head.lines().peekable();
        let mut section = "";
        while let Some(line) = lines.next() {
            if let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '-'])) {
                section = key;
                if key == "base_model" {
                    let mut listed = || lines.peek().and_then(|next| next.trim_start().strip_prefix("- "));
                    let value = if value.trim().is_empty() { listed() } else { Some(value) };
                    card.base_model = value.map(plain);
                }
            } else if let Some(name) = line.strip_prefix("- name:").filter(|_| section == "model-index") {
                card.names.push(plain(name));
            }
        }
        let title = body.lines().find_map(|line| line.strip_prefix("# ")).map(str::trim);
        card.names.extend(title.filter(|title| !GENERIC_TITLES.contains(title)).map(String::from));
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        let words = |text: &str| -> Vec<String> {
            let words = text.split(|letter| !letters(letter)).map(|word| word.trim_end_matches('.'));
            words.map(|word| word.strip_prefix("//huggingface.co/").unwrap_or(word)).map(String::from).collect()
        };
        card.ids = words(body).into_iter().filter(|word| is_public(word)).collect();
        let call = |call: &str| {
            body.split(call)
                .skip(1)
                .filter_map(|rest| words(rest.get(..128).unwrap_or(rest)).into_iter().find(|word| !word.is_empty()))
                .collect::<Vec<_>>()
        };
        card.opened = ["SentenceTransformer(", "from_pretrained("].into_iter().flat_map(call).collect();
        card.opened.retain(|id| is_public(id));
        card.opened.sort();
        card.opened.dedup();
        card
    }

    /// Returns the hub name of the card's own model: the one that ends with the model's name, else
    /// the only one that the examples open.
    fn own_id(&self, folder_name: &str) -> Option<String> {
        let called = |id: &&String| {
            let last = id.rsplit('/').next().unwrap_or(id);
            self.names.iter().map(String::as_str).chain([folder_name]).any(|name| name.eq_ignore_ascii_case(last))
        };
        let only = || match &self.opened[..] {
            [id] => Some(id),
            _ => None,
        };
        let named = self.ids.iter().find(called).or_else(only)?;
        (self.base_model.as_ref() != Some(named)).then(|| named.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(folder: &str, files: &[(&str, &str)]) -> (String, Option<String>) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
        let base = base_model(&Resolved { folder, name: None, revision: None });
        assert!(!base.name.contains(&temporary.path().display().to_string()), "{}", base.name);
        (base.name, base.hub_id)
    }

    fn both(id: &str) -> (String, Option<String>) {
        (id.into(), Some(id.into()))
    }

    #[test]
    fn a_folder_of_the_cache_has_its_name_on_the_hub() {
        assert_eq!(named("models--BAAI--bge-base-en-v1.5/snapshots/a5beb1e3", &[]), both("BAAI/bge-base-en-v1.5"));
    }

    #[test]
    fn the_name_is_read_from_the_card() {
        // The examples of all cards of this family open the same model.
        let bge = "---\ntags:\n- mteb\nmodel-index:\n- name: bge-base-en-v1.5\n  results:\n  - task:\n---\n\n<h1>FlagEmbedding</h1>\n\
            | [BAAI/bge-large-en](https://huggingface.co/BAAI/bge-large-en) |\n| [BAAI/bge-base-en-v1.5](https://huggingface.co/\
            BAAI/bge-base-en-v1.5) |\n```python\nmodel = SentenceTransformer('BAAI/bge-large-zh-v1.5')\n```\n";
        assert_eq!(named("base", &[("README.md", bge)]), both("BAAI/bge-base-en-v1.5"));
        let minilm = "---\nlanguage: en\n---\n# all-MiniLM-L6-v2\nSee https://www.SBERT.net.\n\
            model = SentenceTransformer('sentence-transformers/all-MiniLM-L6-v2')\nfine-tuned from `nreimers/MiniLM`.\n";
        let config = r#"{"_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "model_type": "bert"}"#;
        let files = [("README.md", minilm), ("config.json", config)];
        assert_eq!(named("x", &files), both("sentence-transformers/all-MiniLM-L6-v2"));
    }

    #[test]
    fn a_model_outside_the_hub_has_its_title_and_its_ancestor() {
        let ours = "---\nbase_model: BAAI/bge-base-en-v1.5\nmodel-index:\n- name: BGE base Swahili\n---\n# BGE base Swahili\n\
            Fine-tuned from [BAAI/bge-base-en-v1.5](https://huggingface.co/BAAI/bge-base-en-v1.5).\n\
            ```python\nmodel = SentenceTransformer(\"path/to/this/folder\")\n```\n";
        let expected = ("BGE base Swahili".to_string(), Some("BAAI/bge-base-en-v1.5".to_string()));
        assert_eq!(named("model", &[("README.md", ours)]), expected);
        let listed = ours.replace("base_model: BAAI", "base_model:\n- BAAI");
        assert_eq!(named("model", &[("README.md", &listed)]), expected);
    }

    #[test]
    fn without_a_card_the_name_is_read_from_the_configuration_unless_it_is_a_path() {
        let config = |name: &str| format!(r#"{{"_name_or_path": "{name}", "model_type": "bert"}}"#);
        for (name, expected) in [
            ("google/bert_uncased_L-2", Some("google/bert_uncased_L-2")),
            ("bert-base-uncased", Some("bert-base-uncased")),
            ("/home/asha/models/mine", None),
            ("output/checkpoint-500", None),
            ("./mine", None),
            ("mine", None),
        ] {
            let found = named("my-bert", &[("config.json", &config(name)), ("README.md", "# SentenceTransformer\n")]);
            assert_eq!(found, ("my-bert".into(), expected.map(String::from)), "{name}");
        }
        assert_eq!(named("my-bert", &[]), ("my-bert".into(), None));
    }
}
