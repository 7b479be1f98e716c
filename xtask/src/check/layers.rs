//! Crates use lower floors only, and each file format has one owner.

use super::tree::Tree;
use std::collections::BTreeSet;

/// Floors of ARCHITECTURE.md: a crate uses lower floors only.
pub(super) const FLOORS: [(&str, usize); 16] = [
    ("chart", 0),
    ("files", 0),
    ("kernels", 1),
    ("text", 1),
    ("data", 1),
    ("swahili", 1),
    ("model", 2),
    ("vectors", 2),
    ("postgres", 3),
    ("train", 3),
    ("eval", 3),
    ("maana", 4),
    ("bench", 5),
    ("serve", 5),
    ("cli", 6),
    ("python", 7),
];

/// Libraries of a file format or of the network, and the crates that may use them.
const OWNERS: [(&str, &[&str]); 11] = [
    ("tokenizers", &["text"]),
    ("safetensors", &["model"]),
    ("glob", &["data", "train"]),
    ("parquet", &["data", "maana"]),
    ("toml", &["maana"]),
    ("ureq", &["maana"]),
    ("postgres", &["postgres"]),
    ("rustls", &["postgres"]),
    ("hyper", &["serve"]),
    ("tokio", &["serve"]),
    ("tokio-rustls", &["serve"]),
];

/// Every crate is on a floor and uses lower floors only.
pub(super) fn floors(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, floor) in FLOORS {
        let dependencies = dependencies(tree, name);
        for (other, other_floor) in FLOORS.iter().filter(|(_, other_floor)| *other_floor >= floor) {
            let package = if *other == "maana" { "maana".to_owned() } else { format!("maana-{other}") };
            if dependencies.contains(&package) {
                found.push(format!(
                    "crates/{name} (floor {floor}) uses crates/{other} (floor {other_floor}); use lower floors only"
                ));
            }
        }
    }
    let known = |name: &str| name == "xtask" || FLOORS.iter().any(|(other, _)| *other == name);
    let unknown = tree.crates().into_keys().filter(|name| !known(name));
    found.extend(unknown.map(|name| format!("crates/{name} has no floor; give it one in ARCHITECTURE.md and here")));
    found
}

/// Losses see embeddings only, `vectors` no text and no model, `kernels` nothing at all.
pub(super) fn blind_crates(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for name in dependencies(tree, "kernels").iter().filter(|name| *name != "libm") {
        found.push(format!("crates/kernels uses {name}, which is no arithmetic"));
    }
    for name in ["maana-text", "maana-model", "maana-data", "tokenizers"] {
        if dependencies(tree, "vectors").contains(name) {
            found.push(format!("crates/vectors uses {name}; it sees vectors only"));
        }
    }
    let losses = tree.texts("crates/train/src/loss", "rs").chain(tree.texts("crates/train/src/loss.rs", "rs"));
    for (path, text) in losses {
        for name in ["maana_text", "maana_model", "TokenBatch"] {
            if before_tests(text).contains(name) {
                found.push(format!("{}: a loss uses {name}; it sees embeddings only", path.display()));
            }
        }
    }
    found
}

/// Every file format has one owner, and the network three.
pub(super) fn owners(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, _) in FLOORS {
        for package in dependencies(tree, name) {
            let owners = OWNERS.iter().find(|(owned, _)| *owned == package).map(|(_, owners)| *owners);
            if let Some(owners) = owners.filter(|owners| !owners.contains(&name)) {
                let owners = owners.join(" and crates/");
                found.push(format!("crates/{name} uses {package}, which only crates/{owners} may use"));
            }
        }
    }
    found
}

/// Returns the names in a manifest's table of dependencies, without those of tests.
fn dependencies(tree: &Tree, name: &str) -> BTreeSet<String> {
    let manifest = tree.text(format!("crates/{name}/Cargo.toml"));
    let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    let own = own.split("[dependencies]").nth(1).unwrap_or_default();
    let lines = own.lines().take_while(|line| !line.starts_with("[lints"));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty());
    names.filter(|name| !name.starts_with(['[', '#'])).map(str::to_owned).collect()
}

/// Returns the part of a file before its module of tests.
pub(super) fn before_tests(text: &str) -> &str {
    let begin = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    &text[..begin]
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn crates_use_lower_floors_only() {
        assert_eq!(floors(workspace()), [""; 0]);
        let tree = Tree::from([
            ("crates/train/Cargo.toml", "[dependencies]\nmaana-eval.workspace = true\nmaana-model.workspace = true\n"),
            ("crates/cellar/Cargo.toml", ""),
        ]);
        let found = floors(&tree);
        assert!(found[0].starts_with("crates/train (floor 3) uses crates/eval (floor 3)"), "{found:?}");
        assert!(found[1].starts_with("crates/cellar has no floor"), "{found:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn losses_and_vectors_see_no_text_and_kernels_nothing() {
        assert_eq!(blind_crates(workspace()), [""; 0]);
        let tree = Tree::from([
            ("crates/kernels/Cargo.toml", "[dependencies]\nlibm.workspace = true\nhalf = \"2\"\n"),
            ("crates/vectors/Cargo.toml", "[dependencies]\nmaana-text.workspace = true\n"),
            ("crates/train/src/loss/cosine.rs", "use maana_model::Trainable;"),
        ]);
        assert_eq!(blind_crates(&tree).len(), 3, "{:?}", blind_crates(&tree));
    }

    #[test]
    fn formats_and_the_network_have_their_owners() {
        assert_eq!(owners(workspace()), [""; 0]);
        let tree = Tree::from([("crates/eval/Cargo.toml", "[dependencies]\nureq.workspace = true\n")]);
        assert_eq!(owners(&tree), ["crates/eval uses ureq, which only crates/maana may use"]);
    }
}
