//! `cargo xtask check`: the rules of ARCHITECTURE.md that can be read off the source.

mod arithmetic;
mod circles;
mod docs;
mod documents;
mod invariants;
mod layers;
mod modules;
mod prose;
mod rust;
mod tree;
mod unsafe_code;
mod writers;

use anyhow::{Result, bail, ensure};
use std::path::Path;
use tree::Tree;

/// A rule: its name, and the function that returns its violations.
type Rule = (&'static str, fn(&Tree) -> Vec<String>);

const RULES: [Rule; 13] = [
    ("floors", layers::floors),
    ("blind crates", layers::blind_crates),
    ("owners of formats", layers::owners),
    ("circles between modules", circles::circles),
    ("unsafe code", unsafe_code::unsafe_code),
    ("documentation of public items", docs::docs),
    ("invariants", invariants::invariants),
    ("pools of threads", arithmetic::contexts),
    ("functions of the system", arithmetic::system_functions),
    ("readers and writers of files", writers::writers),
    ("hosts of tests", documents::hosts_of_tests),
    ("links between documents", documents::links),
    ("prose", prose::rule),
];

/// Checks all rules; with `--prose` lists the violations of the style instead, in detail for the
/// named parts.
pub(crate) fn check(arguments: &[String]) -> Result<()> {
    let tree = Tree::read(Path::new("."))?;
    match arguments {
        [] => {}
        [flag, parts @ ..] if flag == "--prose" => {
            list_prose(&tree, parts);
            return Ok(());
        }
        _ => bail!("cargo xtask check takes nothing but --prose [PART]..."),
    }
    let mut violations = 0;
    for (name, rule) in RULES {
        let found = rule(&tree);
        violations += found.len();
        println!("{name}: {}", if found.is_empty() { "ok".to_owned() } else { format!("{} violations", found.len()) });
        for violation in found {
            println!("  {violation}");
        }
    }
    ensure!(violations == 0, "{violations} violations of the rules of ARCHITECTURE.md");
    Ok(())
}

fn list_prose(tree: &Tree, parts: &[String]) {
    let found = prose::violations(tree);
    for violation in found.iter().filter(|violation| parts.contains(&violation.part)) {
        println!("{}", violation.text);
    }
    for (part, count) in prose::counts(&found) {
        println!("{count:>6}  {part}");
    }
    println!("{:>6}  in all", found.len());
}

/// Returns the files of this workspace.
#[cfg(test)]
fn workspace() -> &'static Tree {
    static TREE: std::sync::OnceLock<Tree> = std::sync::OnceLock::new();
    TREE.get_or_init(|| {
        Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("the workspace is readable")
    })
}
