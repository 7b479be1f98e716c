//! `cargo xtask check`: the rules of ARCHITECTURE.md that can be read off the source.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Floors of the house: a crate uses lower floors only.
const FLOORS: [(&str, usize); 13] = [
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
    ("serve", 5),
    ("cli", 6),
];

/// Files outside `kernels` that may hold unsafe code: read-only memory maps.
const MAPS: [(&str, &str); 2] =
    [("model", "crates/model/src/folder/map.rs"), ("vectors", "crates/vectors/src/store/map.rs")];

/// Calls that create, replace or rename a file of the user's, which is the business of `files`.
const WRITERS: [&str; 7] =
    ["fs::write(", "File::create", "File::options()", "OpenOptions", "fs::rename(", "fs::copy(", "serialize_to_file("];

/// Files outside `crates/files` that may call one of [`WRITERS`], and why.
const OWN_WRITERS: [(&str, &str, &str); 10] = [
    ("crates/maana/src/finetune/folder.rs", "File::options()", "a file that is only locked"),
    ("crates/maana/src/hub/cache.rs", "File::options()", "a file that is only locked"),
    (
        "crates/maana/src/hub/cache.rs",
        "fs::copy(",
        "into a folder that is not public yet, where links are not possible",
    ),
    ("crates/maana/src/hub/fetch.rs", "File::options()", "a part of a download, which the next process continues"),
    ("crates/model/src/folder/weights.rs", "serialize_to_file(", "into a folder that is not public yet"),
    ("crates/train/src/checkpoint.rs", "File::options()", "appends to the log of a run"),
    (
        "crates/vectors/src/store/disk.rs",
        "File::create",
        "write-once files of the store, with faults that tests inject",
    ),
    ("crates/vectors/src/store/disk.rs", "File::options()", "a file of the store where none is yet"),
    ("crates/vectors/src/store/disk.rs", "fs::rename(", "the store's manifest, with faults that tests inject"),
    ("crates/vectors/src/store/writer.rs", "File::options()", "a file that is only locked"),
];

/// Libraries of a file format or of the network, and the crates that may use them.
const OWNERS: [(&str, &[&str]); 11] = [
    ("tokenizers", &["text"]),
    ("safetensors", &["model"]),
    ("glob", &["data"]),
    ("parquet", &["data", "maana"]),
    ("toml", &["maana"]),
    ("ureq", &["maana"]),
    ("postgres", &["postgres"]),
    ("rustls", &["postgres"]),
    ("hyper", &["serve"]),
    ("tokio", &["serve"]),
    ("tokio-rustls", &["serve"]),
];

/// Files that may make a pool of more than one thread.
const POOLS: [&str; 2] = ["crates/cli/src/main.rs", "crates/maana/src/bench/costs.rs"];

/// Crates whose results are the same bits on every machine.
const SAME_BITS: [&str; 3] = ["kernels", "model", "train"];
/// Functions that the standard library takes from the system, whose last bit differs from one to the other.
const SYSTEM_FUNCTIONS: [&str; 23] = [
    ".exp()",
    ".exp2()",
    ".exp_m1()",
    ".ln()",
    ".ln_1p()",
    ".log2()",
    ".log10()",
    ".powf(",
    ".powi(",
    ".sin()",
    ".cos()",
    ".sin_cos()",
    ".tan()",
    ".tanh()",
    ".sinh()",
    ".cosh()",
    ".asin()",
    ".acos()",
    ".atan()",
    ".atan2(",
    ".atanh()",
    ".cbrt()",
    ".hypot(",
];

/// Checks all rules.
pub(crate) fn check() -> Result<()> {
    floors()?;
    strangers_to_text()?;
    owners()?;
    hosts_of_tests()?;
    pools()?;
    unsafe_code()?;
    system_functions()?;
    writers()?;
    println!("the layers are as they should be");
    println!("{} invariants name their tests", invariants()?);
    println!("{} links between the documents lead somewhere", links()?);
    Ok(())
}

/// Returns a path of the workspace, wherever the process stands.
fn at(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    std::fs::read_to_string(at(path)).with_context(|| path.display().to_string())
}

/// Returns the paths in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(at(folder)).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(folder.join(entry?.file_name()))).collect()
}

/// Returns the names in a manifest's table of dependencies, without those of tests.
fn dependencies(name: &str) -> Result<BTreeSet<String>> {
    let manifest = read(format!("crates/{name}/Cargo.toml"))?;
    let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    let own = own.split("[dependencies]").nth(1).unwrap_or_default();
    let lines = own.lines().take_while(|line| !line.starts_with("[lints"));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn floors() -> Result<()> {
    for (name, floor) in FLOORS {
        let dependencies = dependencies(name)?;
        for (other, other_floor) in FLOORS {
            let package = if other == "maana" { "maana".to_owned() } else { format!("maana-{other}") };
            ensure!(
                other_floor < floor || !dependencies.contains(&package),
                "crates/{name} (floor {floor}) uses crates/{other} (floor {other_floor}); only lower floors may be used"
            );
        }
    }
    let listed: BTreeSet<String> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for path in entries(Path::new("crates"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(listed.contains(&name), "crates/{name} stands on no floor; give it one in ARCHITECTURE.md and here");
    }
    Ok(())
}

/// Losses see embeddings alone, `vectors` no text and no model, `kernels` nothing at all.
fn strangers_to_text() -> Result<()> {
    let kernels = dependencies("kernels")?;
    ensure!(kernels.iter().all(|name| name == "libm"), "crates/kernels has a dependency that is no arithmetic");
    for stranger in ["maana-text", "maana-model", "maana-data", "tokenizers"] {
        ensure!(!dependencies("vectors")?.contains(stranger), "crates/vectors uses {stranger}; it sees vectors alone");
    }
    for path in sources("crates/train/src/loss")?.into_iter().chain([PathBuf::from("crates/train/src/loss.rs")]) {
        let text = production(&read(&path)?);
        for stranger in ["maana_text", "maana_model", "TokenBatch"] {
            ensure!(!text.contains(stranger), "{}: a loss uses {stranger}; it sees embeddings alone", path.display());
        }
    }
    Ok(())
}

/// Every file format has one owner, and the network three.
fn owners() -> Result<()> {
    for (name, _) in FLOORS {
        for package in dependencies(name)? {
            let owners = OWNERS.iter().find(|(owned, _)| *owned == package).map(|(_, owners)| *owners);
            ensure!(
                owners.is_none_or(|owners| owners.contains(&name)),
                "crates/{name} uses {package}, which is the business of crates/{}",
                owners.unwrap_or_default().join(" and crates/")
            );
        }
    }
    Ok(())
}

/// Tests ask no host but this machine; names that are reserved for examples belong to nobody.
fn hosts_of_tests() -> Result<()> {
    let local = ["", "127.0.0.1", "localhost", "[::1]", "example.org", "example.com"];
    for path in sources("crates")?.into_iter().filter(|path| path.iter().any(|part| part == "tests")) {
        let text = read(&path)?;
        for address in text.split("http://").skip(1).chain(text.split("https://").skip(1)) {
            let host = address.split(['"', '\'', '`', ' ', '/', '\n', '\\', '{']).next().unwrap_or_default();
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            ensure!(
                local.contains(&name) || name.ends_with(".example"),
                "{} names the host {name}; tests need no network",
                path.display()
            );
        }
    }
    Ok(())
}

/// The command line alone makes a pool of threads; a pool of one thread starts none.
fn pools() -> Result<()> {
    for (name, _) in FLOORS.iter().filter(|(name, _)| *name != "kernels") {
        for path in sources(&format!("crates/{name}/src"))?.into_iter().filter(|path| !is_test(path)) {
            let text = production(&read(&path)?);
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let makes = lines.filter(|line| line.contains("Context::available(") || line.contains("Context::new("));
            let many = makes.filter(|line| !line.contains("Context::new(1)")).count();
            let allowed = POOLS.iter().any(|file| path == Path::new(file));
            ensure!(many == 0 || allowed, "{} makes a pool of threads; take the caller's", path.display());
        }
    }
    Ok(())
}

/// Only `kernels` may have unsafe code, and the one file of a crate that maps files.
fn unsafe_code() -> Result<()> {
    for (name, _) in FLOORS.iter().filter(|(name, _)| *name != "kernels") {
        let library = ["lib.rs", "main.rs"].map(|file| format!("crates/{name}/src/{file}"));
        let text = library.iter().find_map(|path| read(path).ok()).unwrap_or_default();
        let Some((_, map)) = MAPS.iter().find(|(other, _)| other == name) else {
            let forbids = text.contains("#![forbid(unsafe_code)]");
            ensure!(forbids, "crates/{name} does not forbid unsafe code; only kernels may have it");
            continue;
        };
        ensure!(
            text.contains("#![deny(unsafe_code)]"),
            "crates/{name} does not deny unsafe code; only {map} may have it"
        );
        for path in sources(&format!("crates/{name}/src"))? {
            let text = read(&path)?;
            ensure!(
                path == Path::new(map)
                    || !["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|block| text.contains(block)),
                "{} has unsafe code; in crates/{name} only {map} may have it",
                path.display()
            );
        }
    }
    Ok(())
}

/// Only tests may use functions of the system where bits are promised.
fn system_functions() -> Result<()> {
    for name in SAME_BITS {
        for path in sources(&format!("crates/{name}/src"))?.into_iter().filter(|path| !is_test(path)) {
            let text = read(&path)?;
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                let function = SYSTEM_FUNCTIONS.iter().find(|function| line.contains(**function));
                ensure!(
                    function.is_none(),
                    "{}:{}: `{}` is the system's, and gives other bits on another one; take that of `libm`",
                    path.display(),
                    number + 1,
                    function.unwrap_or(&"")
                );
            }
        }
    }
    Ok(())
}

/// Only `files` creates, replaces and renames what users keep.
fn writers() -> Result<()> {
    let mut used = BTreeSet::new();
    for (name, _) in FLOORS.iter().filter(|(name, _)| *name != "files") {
        for path in sources(&format!("crates/{name}/src"))?.into_iter().filter(|path| !is_test(path)) {
            let text = production(&read(&path)?);
            for call in WRITERS.into_iter().filter(|call| calls(&text, call)) {
                let own = OWN_WRITERS.iter().position(|(file, own, _)| path == Path::new(file) && *own == call);
                let own = own.with_context(|| {
                    format!(
                        "{} calls `{call}`; files are written by crates/files, which replaces them whole",
                        path.display()
                    )
                })?;
                used.insert(own);
            }
        }
    }
    for (index, (file, call, _)) in OWN_WRITERS.iter().enumerate() {
        ensure!(used.contains(&index), "{file} no longer calls `{call}`; take it off the list in xtask/src/check.rs");
    }
    Ok(())
}

/// Returns whether a text names a function, and not one whose name only ends like it.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_'))
}

/// Every numbered invariant of ARCHITECTURE.md ends with the tests that fail when it is broken; returns how many there are.
fn invariants() -> Result<usize> {
    let text = read("ARCHITECTURE.md")?;
    let tests = test_names()?;
    let invariants = numbered(&text);
    ensure!(!invariants.is_empty(), "ARCHITECTURE.md has no numbered invariants");
    for (number, invariant) in &invariants {
        let named = named_tests(invariant);
        ensure!(!named.is_empty(), "ARCHITECTURE.md: invariant {number} names no test; end it with `Tests: …`");
        for name in named {
            ensure!(
                tests.contains(name),
                "ARCHITECTURE.md: invariant {number} names the test `{name}`, which is not there"
            );
        }
    }
    Ok(invariants.len())
}

/// Returns the items of the numbered list below the heading `Invariants`, each in one line.
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

/// Returns the names in code quotes behind `Test:` or `Tests:`.
fn named_tests(invariant: &str) -> Vec<&str> {
    let Some((_, names)) = invariant.rsplit_once("Tests: ").or_else(|| invariant.rsplit_once("Test: ")) else {
        return Vec::new();
    };
    names.split('`').skip(1).step_by(2).collect()
}

/// Returns the names of all test functions of the workspace: those behind `#[test]`, and those of `proptest!`.
fn test_names() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut files = sources("xtask")?;
    files.extend(sources("crates")?);
    for path in files {
        let text = read(&path)?;
        for function in text.split("#[test]").skip(1) {
            let function = function.split("fn ").nth(1).unwrap_or_default();
            names.extend(function.split(['(', '<']).next().map(str::to_owned));
        }
    }
    Ok(names)
}

/// Returns the Rust files below a folder.
fn sources(folder: &str) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if at(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns whether a file below `src` holds tests alone.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

/// Returns the part of a file that stands before its module of tests.
fn production(text: &str) -> String {
    let begin = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..begin].to_owned()
}

/// Every file that the documents link to is there; returns how many links there are.
fn links() -> Result<usize> {
    let mut documents = entries(Path::new(""))?;
    documents.extend(entries(Path::new("docs"))?);
    let mut links = 0;
    for path in documents {
        if path.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let text = read(&path)?;
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = path.parent().unwrap_or(Path::new("")).join(target.split('#').next().unwrap_or(target));
            ensure!(at(file).exists(), "{}: the link to {target} leads nowhere", path.display());
            links += 1;
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_use_lower_floors_alone() {
        floors().unwrap();
    }

    #[test]
    fn losses_and_vectors_see_no_text_and_kernels_nothing() {
        strangers_to_text().unwrap();
    }

    #[test]
    fn formats_and_the_network_have_their_owners() {
        owners().unwrap();
    }

    #[test]
    fn tests_name_no_host_of_the_network() {
        hosts_of_tests().unwrap();
    }

    #[test]
    fn pools_are_made_by_the_command_line_alone() {
        pools().unwrap();
    }

    #[test]
    fn unsafe_code_stands_in_kernels_and_the_maps_alone() {
        unsafe_code().unwrap();
    }

    #[test]
    fn bits_come_from_no_function_of_the_system() {
        system_functions().unwrap();
    }

    #[test]
    fn files_are_written_by_one_crate() {
        writers().unwrap();
    }

    #[test]
    fn every_invariant_names_its_test() {
        invariants().unwrap();
        let items = numbered(
            "\n## Invariants\n\n1. One\n   of two lines. Test: `a`, and `b`.\n2. `x` has none.\n\n## Next\n3. z",
        );
        let named: Vec<_> = items.values().map(|item| named_tests(item)).collect();
        assert_eq!(named, [vec!["a", "b"], vec![]]);
    }
}
