//! Every numbered invariant of ARCHITECTURE.md names a test that exists, and every promise of
//! SECURITY.md does.

use super::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// Checks the tests that the invariants name.
pub(super) fn invariants(tree: &Tree) -> Vec<String> {
    let tests = test_names(tree);
    let invariants = numbered(tree.text("ARCHITECTURE.md"));
    let mut found = Vec::new();
    if invariants.is_empty() {
        found.push("ARCHITECTURE.md has no numbered invariants".to_owned());
    }
    for (number, invariant) in &invariants {
        let named = named_tests(invariant);
        if named.is_empty() {
            found.push(format!("ARCHITECTURE.md: invariant {number} names no test; end it with `Tests: …`"));
        }
        let missing = named.into_iter().filter(|name| !tests.contains(name));
        found.extend(
            missing.map(|name| {
                format!("ARCHITECTURE.md: invariant {number} names the test `{name}`, which does not exist")
            }),
        );
    }
    let promises =
        tree.text("SECURITY.md").split("\n* ").skip(1).map(|item| item.split("\n\n").next().unwrap_or_default());
    for promise in promises {
        let (about, named) = (promise.split(['.', ',', ':']).next().unwrap_or_default(), named_tests(promise));
        if named.is_empty() {
            found.push(format!("SECURITY.md: the promise `{about}` names no test; end it with `Tests: …`"));
        }
        let missing = named.into_iter().filter(|name| !tests.contains(name));
        found.extend(
            missing.map(|name| {
                format!("SECURITY.md: the promise `{about}` names the test `{name}`, which does not exist")
            }),
        );
    }
    found
}

/// Returns the items of the numbered list under the heading `Invariants`, each in one line.
fn numbered(text: &str) -> BTreeMap<usize, String> {
    let section = text.split("\n## Invariants\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut items: BTreeMap<usize, String> = BTreeMap::new();
    for line in section.lines() {
        match line.split_once(". ").and_then(|(number, rest)| Some((number.parse().ok()?, rest))) {
            Some((number, rest)) => {
                items.insert(number, rest.to_owned());
            }
            None => {
                if let Some(mut last) = items.last_entry() {
                    *last.get_mut() += &format!(" {}", line.trim());
                }
            }
        }
    }
    items
}

/// Returns the names in code quotes after `Test:` or `Tests:`.
fn named_tests(invariant: &str) -> Vec<&str> {
    let begin = invariant.find("Test: `").into_iter().chain(invariant.find("Tests: `")).min();
    let Some((_, names)) = begin.map(|begin| invariant.split_at(begin)) else { return Vec::new() };
    names.split('`').skip(1).step_by(2).collect()
}

/// Returns the names of all test functions of the workspace: those after `#[test]`, and those of
/// `proptest!`.
fn test_names(tree: &Tree) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for (_, text) in tree.texts("xtask", "rs").chain(tree.texts("crates", "rs")) {
        for function in text.split("#[test]").skip(1) {
            let function = function.split("fn ").nth(1).unwrap_or_default();
            names.extend(function.split(['(', '<']).next());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::workspace;
    use super::*;

    #[test]
    fn every_invariant_names_its_test() {
        assert_eq!(invariants(workspace()), [""; 0]);
        let tree = Tree::from([
            (
                "ARCHITECTURE.md",
                "\n## Invariants\n\n1. One\n   of two lines. Test: `a`, and `b`.\n2. `x` has none.\n\n## Next\n3. z",
            ),
            (
                "SECURITY.md",
                "# Security\n\n* One\n  promise. Test: `a`.\n* Another. Tests: `a`, `c`.\n* A third.\n\nNo promise.",
            ),
            ("crates/c/src/lib.rs", "#[test]\nfn a() {}"),
        ]);
        assert_eq!(
            invariants(&tree),
            [
                "ARCHITECTURE.md: invariant 1 names the test `b`, which does not exist",
                "ARCHITECTURE.md: invariant 2 names no test; end it with `Tests: …`",
                "SECURITY.md: the promise `Another` names the test `c`, which does not exist",
                "SECURITY.md: the promise `A third` names no test; end it with `Tests: …`"
            ]
        );
    }
}
