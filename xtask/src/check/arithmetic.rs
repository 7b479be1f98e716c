//! Results are the same bits on every machine: no function of the system's mathematics library, and
//! one owner of threads.

use super::layers::{FLOORS, before_tests};
use super::tree::{Tree, is_test};
use std::path::Path;

/// Files that may create a context of more than one thread.
const CONTEXTS: [&str; 3] = ["crates/cli/src/lib.rs", "crates/python/src/threads.rs", "crates/bench/src/costs.rs"];

/// Crates whose results are the same bits on every machine.
const SAME_BITS: [&str; 3] = ["kernels", "model", "train"];

/// Functions that the standard library takes from the system; their last bits differ between
/// systems.
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

/// Checks that only the command line and the Python module create threads; a context of one thread
/// starts none.
pub(super) fn contexts(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, _) in FLOORS.iter().filter(|(name, _)| *name != "kernels") {
        for (path, text) in tree.texts(format!("crates/{name}/src"), "rs").filter(|(path, _)| !is_test(path)) {
            let lines = before_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"));
            let mut creating =
                lines.filter(|line| line.contains("Context::available(") || line.contains("Context::new("));
            if creating.any(|line| !line.contains("Context::new(1)"))
                && !CONTEXTS.iter().any(|file| path == Path::new(file))
            {
                found.push(format!("{} creates a pool of threads; take the caller's", path.display()));
            }
        }
    }
    found
}

/// Checks that only tests call functions of the system where equal bits are promised.
pub(super) fn system_functions(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for name in SAME_BITS {
        for (path, text) in tree.texts(format!("crates/{name}/src"), "rs").filter(|(path, _)| !is_test(path)) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                if let Some(function) = SYSTEM_FUNCTIONS.iter().find(|function| line.contains(**function)) {
                    found.push(format!(
                        "{}:{}: `{function}` gives other bits on other systems; call the function of `libm`",
                        path.display(),
                        number + 1
                    ));
                }
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
    fn pools_are_made_by_the_command_line_only() {
        assert_eq!(contexts(workspace()), [""; 0]);
        let tree = Tree::from([
            ("crates/eval/src/a.rs", "fn f() { Context::new(1); }"),
            ("crates/eval/src/b.rs", "fn f() { Context::new(4); }"),
        ]);
        assert_eq!(contexts(&tree), ["crates/eval/src/b.rs creates a pool of threads; take the caller's"]);
    }

    #[test]
    fn bits_come_from_no_function_of_the_system() {
        assert_eq!(system_functions(workspace()), [""; 0]);
        let tree = Tree::from([
            (
                "crates/model/src/a.rs",
                "// x.ln()\nfn f() {\n    x.ln();\n}\n#[cfg(test)]\nmod tests { fn g() { x.exp() } }",
            ),
            ("crates/eval/src/b.rs", "fn f() { x.ln() }"),
        ]);
        let found = system_functions(&tree);
        assert!(found.len() == 1 && found[0].starts_with("crates/model/src/a.rs:3: `.ln()`"), "{found:?}");
    }
}
