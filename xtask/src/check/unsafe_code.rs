//! `unsafe` exists only in `kernels` and in the two files that map files into memory.

use super::rust::{tokens, word};
use super::tree::Tree;
use std::path::Path;

/// Files outside `kernels` that may hold unsafe code: read-only memory maps.
const MAPS: [(&str, &str); 2] =
    [("model", "crates/model/src/folder/map.rs"), ("vectors", "crates/vectors/src/store/map.rs")];

/// Checks that crates forbid unsafe code, and that no other file has any.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, folder) in tree.crates().into_iter().filter(|(name, _)| name != "kernels") {
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root));
        let level = if MAPS.iter().any(|(other, _)| *other == name) { "deny" } else { "forbid" };
        for root in roots.iter().filter(|root| tree.is_file(root)) {
            if !tree.text(root).contains(&format!("#![{level}(unsafe_code)]")) {
                found.push(format!("{}: add `#![{level}(unsafe_code)]`; only kernels may have it", root.display()));
            }
        }
        for (path, text) in
            tree.texts(&folder, "rs").filter(|(path, _)| !MAPS.iter().any(|(_, map)| *path == Path::new(map)))
        {
            if let Some((_, line)) = tokens(text).iter().find(|(token, _)| word(token) == Some("unsafe")) {
                found.push(format!(
                    "{}:{line}: unsafe code; only kernels and maps of files may have it",
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
            ("crates/model/Cargo.toml", ""),
            ("crates/model/src/lib.rs", "#![deny(unsafe_code)]"),
            ("crates/model/src/folder/map.rs", "unsafe fn f() {}"),
        ]);
        let found = unsafe_code(&tree);
        assert!(found[0].starts_with("crates/eval/src/lib.rs: add `#![forbid(unsafe_code)]`"), "{found:?}");
        assert!(found[1].starts_with("crates/eval/src/a.rs:3: unsafe code"), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}
