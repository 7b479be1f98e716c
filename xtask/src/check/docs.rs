//! Every public item has documentation.

use super::rust::{Located, Token, closing, is_sign, tokens, without_tests, word};
use super::tree::{Tree, is_test};

/// Keywords that may follow `pub` in front of an item's name.
const ITEMS: [&str; 12] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "async", "unsafe", "extern"];

/// Checks that the compiler denies items without documentation in every crate, and finds those it
/// does not look at.
pub(super) fn docs(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    if !tree.text("Cargo.toml").contains("missing_docs = \"deny\"") {
        found.push("Cargo.toml: set `missing_docs = \"deny\"` in [workspace.lints.rust]".to_owned());
    }
    for folder in tree.crates().values() {
        let manifest = folder.join("Cargo.toml");
        if !tree.text(&manifest).contains("[lints]\nworkspace = true") {
            found.push(format!("{}: add the workspace's lints (`[lints]`, `workspace = true`)", manifest.display()));
        }
        for (path, text) in tree.texts(folder.join("src"), "rs").filter(|(path, _)| !is_test(path)) {
            let code = without_tests(&tokens(text));
            if code.iter().any(|(token, _)| word(token) == Some("missing_docs")) {
                found.push(format!("{}: document the items instead of allowing `missing_docs`", path.display()));
            }
            for (name, line) in undocumented(&code) {
                let declares = ["mod", "pub"].map(|begin| format!("{begin} {name};"));
                // A module's documentation is in its own file.
                if !declares.iter().any(|declaration| text.contains(declaration)) {
                    found.push(format!("{}:{line}: the public `{name}` has no documentation", path.display()));
                }
            }
        }
    }
    found
}

/// Returns the names and lines of public items without a doc comment.
fn undocumented(code: &[Located]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut documented = false;
    let mut at = 0;
    while at < code.len() {
        match &code[at].0 {
            Token::Comment { doc, .. } => documented |= doc,
            Token::Sign('#') if is_sign(code, at + 1, '[') => {
                let end = closing(code, at + 1);
                documented |= code[at..end].iter().any(|(token, _)| word(token) == Some("doc"));
                at = end;
                continue;
            }
            Token::Word(keyword) if keyword == "pub" && !is_sign(code, at + 1, '(') => {
                let words: Vec<&str> = code[at + 1..].iter().map_while(|(token, _)| word(token)).collect();
                let name = words.iter().find(|word| !ITEMS.contains(word)).copied().unwrap_or_default();
                if !documented && words.first() != Some(&"use") {
                    found.push((name.to_owned(), code[at].1));
                }
                documented = false;
            }
            _ => documented = false,
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn public_items_have_documentation() {
        assert_eq!(docs(workspace()), [""; 0]);
        let tree = Tree::from([
            ("Cargo.toml", "[workspace.lints.rust]\nmissing_docs = \"warn\"\n"),
            ("crates/a/Cargo.toml", "[package]\n"),
            (
                "crates/a/src/lib.rs",
                "pub mod b;\npub use b::C;\n/// Adds.\n#[inline]\npub fn add(x: u8) {}\npub(crate) fn own() {}\n\
                 pub const fn bare() {}\n/// A point.\npub struct Point {\n    pub x: u8,\n}\n\
                 #[cfg(test)]\nmod tests { pub fn f() {} }",
            ),
        ]);
        let found = docs(&tree);
        assert!(found[0].starts_with("Cargo.toml"), "{found:?}");
        assert!(found[1].starts_with("crates/a/Cargo.toml"), "{found:?}");
        assert_eq!(
            found[2..],
            [
                "crates/a/src/lib.rs:7: the public `bare` has no documentation",
                "crates/a/src/lib.rs:10: the public `x` has no documentation"
            ]
        );
    }
}
