//! `cargo xtask clients`: tests `maana serve` with third-party clients, which are pinned Python
//! packages.

use crate::command::{cargo, run};
use crate::python;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const TESTS: &str = "crates/serve/clients";

/// Tests the program of `--maana`, else that of the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let maana = match arguments {
        [] => {
            cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
            PathBuf::from("target/debug/maana")
        }
        [flag, program] if flag == "--maana" => program.into(),
        _ => bail!("cargo xtask clients takes only --maana PROGRAM"),
    };
    let maana = maana.canonicalize().with_context(|| maana.display().to_string())?;
    let mut tests = Command::new(environment()?);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS]).env("PYTHONDONTWRITEBYTECODE", "1");
    // In offline mode Hugging Face's client sends no request, and it would send the user's own
    // token.
    run(tests
        .env("MAANA", maana)
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"))
}

/// Runs as a part of all tests; skipped where the packages are unavailable.
pub(crate) fn in_tests() -> Result<()> {
    if let Err(error) = environment() {
        println!("skipped: third-party clients, because their packages are unavailable: {error:#}");
        return Ok(());
    }
    test(&[])
}

fn environment() -> Result<PathBuf> {
    let requirements = Path::new(TESTS).join("requirements.txt");
    python::environment(Path::new("target/clients-python"), &requirements, "the network and 500 MB of disk")
}
