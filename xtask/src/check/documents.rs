//! Links between documents, and hosts that tests name.

use super::tree::Tree;
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

/// Checks that every file exists that the documents link to.
pub(super) fn links(tree: &Tree) -> Vec<String> {
    let is_document =
        |path: &Path| path.parent().is_some_and(|parent| parent == Path::new("") || parent == Path::new("docs"));
    let mut found = Vec::new();
    for (path, text) in tree.texts("", "md").filter(|(path, _)| is_document(path)) {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or(target);
            if !tree.exists(&path.parent().unwrap_or(Path::new("")).join(file)) {
                found.push(format!("{}: the link to {target} leads nowhere", path.display()));
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
    fn tests_name_no_host_of_the_network() {
        assert_eq!(hosts_of_tests(workspace()), [""; 0]);
        let tree = Tree::from([("crates/a/tests/b.rs", "get(\"http://127.0.0.1:80/\"); get(\"https://else.net/x\");")]);
        assert_eq!(hosts_of_tests(&tree), ["crates/a/tests/b.rs names the host else.net; tests need no network"]);
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        assert_eq!(links(workspace()), [""; 0]);
        let tree =
            Tree::from([("docs/a.md", "[b](../README.md#c) [d](e.md) [f](https://g.example)"), ("README.md", "")]);
        assert_eq!(links(&tree), ["docs/a.md: the link to e.md leads nowhere"]);
    }
}
