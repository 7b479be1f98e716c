//! Only `files` opens, creates, replaces and renames files of the user.

use super::layers::{FLOORS, before_tests};
use super::tree::{Tree, is_test};
use std::collections::BTreeSet;
use std::path::Path;

/// Calls that create, replace or rename a file.
const WRITERS: [&str; 7] =
    ["fs::write(", "File::create", "File::options()", "OpenOptions", "fs::rename(", "fs::copy(", "serialize_to_file("];

/// Calls that open a file for reading, and would wait for ever on a named pipe.
const READERS: [&str; 3] = ["File::open(", "fs::read(", "fs::read_to_string("];

/// Files outside `crates/files` that may call one of [`WRITERS`] or [`READERS`], and why.
const EXCEPTIONS: [(&str, &str, &str); 5] = [
    (
        "crates/maana/src/hub/cache.rs",
        "fs::copy(",
        "into a folder that is not public yet, where links are not possible",
    ),
    ("crates/model/src/folder/written.rs", "serialize_to_file(", "into a folder that is not public yet"),
    ("crates/vectors/src/store/disk.rs", "File::open(", "a folder that is synced, with faults that tests inject"),
    ("crates/vectors/src/store/disk.rs", "File::options()", "a new file of the store"),
    ("crates/vectors/src/store/disk.rs", "fs::rename(", "the store's manifest, with faults that tests inject"),
];

/// Checks that no other crate opens or writes files, and that each exception is still needed.
pub(super) fn writers(tree: &Tree) -> Vec<String> {
    let (mut found, mut used) = (Vec::new(), BTreeSet::new());
    for (name, _) in FLOORS.iter().filter(|(name, _)| *name != "files") {
        for (path, text) in tree.texts(format!("crates/{name}/src"), "rs").filter(|(path, _)| !is_test(path)) {
            let used_here = WRITERS.into_iter().chain(READERS).filter(|call| calls(before_tests(text), call));
            for call in used_here {
                match EXCEPTIONS.iter().position(|(file, own, _)| path == Path::new(file) && *own == call) {
                    Some(exception) => {
                        used.insert(exception);
                    }
                    None => found.push(format!(
                        "{} calls `{call}`; use crates/files, which replaces files atomically and opens only regular ones",
                        path.display()
                    )),
                }
            }
        }
    }
    for (index, (file, call, _)) in EXCEPTIONS.iter().enumerate() {
        if !used.contains(&index) {
            found.push(format!("{file} no longer calls `{call}`; remove the exception from {}", file!()));
        }
    }
    found
}

/// Returns whether a text calls a function of exactly this name.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_'))
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn files_are_written_by_one_crate() {
        assert_eq!(writers(workspace()), [""; 0]);
        let tree = Tree::from([("crates/eval/src/csv.rs", "fn f() { std::fs::write(a, b); my_fs::write(c); }")]);
        let found = writers(&tree);
        assert!(found[0].starts_with("crates/eval/src/csv.rs calls `fs::write(`"), "{found:?}");
        assert_eq!(found.len(), 1 + EXCEPTIONS.len());
    }
}
