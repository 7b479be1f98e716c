//! `unsafe` exists only in `kernels` and in the file that maps files into memory.

use super::rust::{tokens, word};
use super::tree::Tree;
use std::path::Path;

/// The file outside `kernels` that may hold unsafe code: read-only memory maps.
const MAP: (&str, &str) = ("files", "crates/files/src/map.rs");

/// Checks that crates forbid unsafe code, and that no other file has any.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, folder) in tree.crates().into_iter().filter(|(name, _)| name != "kernels") {
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root));
        let level = if name == MAP.0 { "deny" } else { "forbid" };
        for root in roots.iter().filter(|root| tree.is_file(root)) {
            if !tree.text(root).contains(&format!("#![{level}(unsafe_code)]")) {
                found.push(format!("{}: add `#![{level}(unsafe_code)]`; only kernels may have it", root.display()));
            }
        }
        for (path, text) in tree.texts(&folder, "rs").filter(|(path, _)| *path != Path::new(MAP.1)) {
            if let Some((_, line)) = tokens(text).iter().find(|(token, _)| word(token) == Some("unsafe")) {
                found.push(format!(
                    "{}:{line}: unsafe code; only kernels and the maps of files may have it",
                    path.display()
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn unsafe_code_is_in_kernels_and_the_maps_only() {
        assert_eq!(unsafe_code(workspace()), [""; 0]);
        let tree = Tree::from([
            ("crates/eval/Cargo.toml", ""),
            ("crates/eval/src/lib.rs", "// unsafe\npub mod a;"),
            ("crates/eval/src/a.rs", "#![forbid(unsafe_code)]\nfn f() { let s = \"unsafe\";\n unsafe { g() } }"),
            ("crates/kernels/Cargo.toml", ""),
            ("crates/kernels/src/lib.rs", "unsafe fn f() {}"),
            ("crates/files/Cargo.toml", ""),
            ("crates/files/src/lib.rs", "#![deny(unsafe_code)]"),
            ("crates/files/src/map.rs", "unsafe fn f() {}"),
        ]);
        let found = unsafe_code(&tree);
        assert!(found[0].starts_with("crates/eval/src/lib.rs: add `#![forbid(unsafe_code)]`"), "{found:?}");
        assert!(found[1].starts_with("crates/eval/src/a.rs:3: unsafe code"), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}
