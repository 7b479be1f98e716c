//! Modules of a crate use one another in one direction.

use super::modules::{Edges, edges};
use super::tree::Tree;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// Returns the shortest circle of each group of files that use one another.
pub(super) fn circles(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for folder in tree.crates().values() {
        for root in
            ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root)).into_iter().filter(|root| tree.is_file(root))
        {
            let edges = edges(tree, &root);
            let source = folder.join("src");
            found.extend(groups(&edges).iter().map(|group| describe(group, &edges, &source)));
        }
    }
    found
}

/// Returns the groups of files each of which reaches every other of its group.
fn groups(edges: &Edges) -> Vec<BTreeSet<PathBuf>> {
    let files: BTreeSet<&PathBuf> = edges.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        files.iter().map(|file| (*file, reachable(file, edges))).collect();
    let mut groups = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files {
        if !reached[file].contains(file) || !seen.insert(file) {
            continue;
        }
        let group: BTreeSet<&PathBuf> =
            reached[file].iter().copied().filter(|other| reached[*other].contains(file)).collect();
        seen.extend(&group);
        groups.push(group.into_iter().cloned().collect());
    }
    groups
}

fn reachable<'a>(file: &PathBuf, edges: &'a Edges) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(from) = next.pop() {
        for (_, to) in edges.keys().filter(|(other, _)| other == from) {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

/// Returns the group's shortest circle in words, and the number of its files.
fn describe(group: &BTreeSet<PathBuf>, edges: &Edges, source: &Path) -> String {
    let circle = group.iter().filter_map(|file| shortest(file, group, edges)).min_by_key(Vec::len).unwrap_or_default();
    let name = |file: &Path| file.strip_prefix(source).unwrap_or(file).display().to_string();
    let mut text = format!("{}: modules in a circle: ", source.display());
    for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
        text += &format!("{} -({})-> ", name(from), edges[&(from.clone(), to.clone())]);
    }
    text += &circle.first().map(|file| name(file)).unwrap_or_default();
    if group.len() > circle.len() {
        text += &format!("; {} modules in all: ", group.len());
        text += &group.iter().map(|file| name(file)).collect::<Vec<_>>().join(", ");
    }
    text
}

/// Returns the files of the shortest circle through `start`.
fn shortest(start: &PathBuf, group: &BTreeSet<PathBuf>, edges: &Edges) -> Option<Vec<PathBuf>> {
    let mut before: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for (_, to) in edges.keys().filter(|(other, to)| other == from && group.contains(to)) {
            if to == start {
                let mut circle = vec![from.clone()];
                while let Some(&previous) = before.get(&circle[circle.len() - 1]) {
                    circle.push(previous.clone());
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(to) {
                before.insert(to, from);
                queue.push_back(to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: (&str, &str) = ("crates/a/Cargo.toml", "");

    #[test]
    fn modules_form_no_circle() {
        assert_eq!(circles(super::super::workspace()), [""; 0]);
    }

    #[test]
    fn a_child_and_its_parent_that_use_each_other_are_a_circle() {
        let tree = Tree::from([
            MANIFEST,
            ("crates/a/src/lib.rs", "mod b;\npub use b::open;"),
            ("crates/a/src/b.rs", "mod c;\npub struct Error;\npub fn open() -> Result<(), Error> { c::read() }"),
            ("crates/a/src/b/c.rs", "use super::Error;\npub(super) fn read() -> Result<(), Error> { Err(Error) }"),
        ]);
        assert_eq!(
            circles(&tree),
            ["crates/a/src: modules in a circle: b/c.rs -(super::Error)-> b.rs -(c::read)-> b/c.rs"]
        );
    }

    #[test]
    fn a_circle_of_three_is_found_through_re_exports_aliases_and_inline_paths() {
        let tree = Tree::from([
            MANIFEST,
            ("crates/a/src/lib.rs", "mod b;\nmod c;\nmod d;\npub use b::Left as Renamed;\npub use d::*;"),
            ("crates/a/src/b.rs", "use crate::c;\npub struct Left(c::Middle);"),
            ("crates/a/src/c.rs", "pub struct Middle;\nimpl From<crate::Right> for Middle {}"),
            ("crates/a/src/d.rs", "use super::{self as top, Renamed as Other};\npub struct Right(Other);"),
        ]);
        let found = circles(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("b.rs -(c::Middle)-> c.rs -(crate::Right)-> d.rs -(super::Renamed)-> b.rs"),
            "{found:?}"
        );
    }

    #[test]
    fn tests_and_modules_that_only_re_export_are_in_no_circle() {
        let tree = Tree::from([
            MANIFEST,
            ("crates/a/src/lib.rs", "mod b;\nmod c;\npub use b::{Left, left};"),
            ("crates/a/src/b.rs", "use crate::c::Right;\npub struct Left(Right);\npub fn left() {}"),
            (
                "crates/a/src/c.rs",
                "pub struct Right;\nimpl Right { fn b(&self) { self.b::<u8>() } }\n\
                 #[cfg(test)]\nmod tests { use crate::Left; fn f() { crate::left(); } }",
            ),
        ]);
        assert_eq!(circles(&tree), [""; 0]);
    }
}
