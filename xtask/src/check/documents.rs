//! Links between documents, and hosts that tests name.

use super::tree::{Tree, normal};
use std::path::Path;

/// Checks that tests name no host but this machine; names that are reserved for examples belong to
/// nobody.
pub(super) fn hosts_of_tests(tree: &Tree) -> Vec<String> {
    let local = ["", "127.0.0.1", "localhost", "[::1]", "example.org", "example.com"];
    let mut found = Vec::new();
    for (path, text) in tree.texts("crates", "rs").filter(|(path, _)| path.iter().any(|part| part == "tests")) {
        for address in text.split("http://").skip(1).chain(text.split("https://").skip(1)) {
            let host = address.split(['"', '\'', '`', ' ', '/', '\n', '\\', '{']).next().unwrap_or_default();
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            if !local.contains(&name) && !name.ends_with(".example") {
                found.push(format!("{} names the host {name}; tests need no network", path.display()));
            }
        }
    }
    found
}

/// Checks that every file and heading exists that the documents link to.
pub(super) fn links(tree: &Tree) -> Vec<String> {
    let is_document =
        |path: &Path| path.parent().is_some_and(|parent| parent == Path::new("") || parent == Path::new("docs"));
    let mut found = Vec::new();
    for (path, text) in tree.texts("", "md").filter(|(path, _)| is_document(path)) {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let other = path.parent().unwrap_or(Path::new("")).join(file);
            let exists = match file {
                "" => has_heading(text, heading),
                _ if heading.is_empty() || !file.ends_with(".md") => tree.exists(&other),
                _ => has_heading(tree.text(normal(&other)), heading),
            };
            if !exists {
                found.push(format!("{}: the link to {target} leads nowhere", path.display()));
            }
        }
    }
    found
}

/// Returns true if a document has a heading with this anchor, as GitHub makes it.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|rest| rest.trim_start_matches('#').trim()).any(|heading| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).eq(anchor.chars())
    })
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn tests_name_no_host_of_the_network() {
        assert_eq!(hosts_of_tests(workspace()), [""; 0]);
        let tree = Tree::from([("crates/a/tests/b.rs", "get(\"http://127.0.0.1:80/\"); get(\"https://else.net/x\");")]);
        assert_eq!(hosts_of_tests(&tree), ["crates/a/tests/b.rs names the host else.net; tests need no network"]);
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        assert_eq!(links(workspace()), [""; 0]);
        let tree = Tree::from([
            ("docs/a.md", "[b](../README.md#c-d) [d](e.md) [f](https://g.example)"),
            ("README.md", "# C, `d`\n[x](#y)"),
        ]);
        let nowhere = ["README.md: the link to #y leads nowhere", "docs/a.md: the link to e.md leads nowhere"];
        assert_eq!(links(&tree), nowhere);
    }
}
