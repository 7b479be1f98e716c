//! `cargo xtask clients`: other people's clients against `maana serve`. They are Python packages, pinned beside their tests.

use crate::command::{cargo, run};
use crate::python;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const TESTS: &str = "crates/serve/clients";

/// With the program that `--maana` names, else with that of the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let maana = match arguments {
        [] => {
            cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
            PathBuf::from("target/debug/maana")
        }
        [flag, program] if flag == "--maana" => program.into(),
        _ => bail!("cargo xtask clients takes nothing but --maana PROGRAM"),
    };
    let maana = maana.canonicalize().with_context(|| maana.display().to_string())?;
    let mut tests = Command::new(environment()?);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS]).env("PYTHONDONTWRITEBYTECODE", "1");
    // Offline, Hugging Face's client asks no server at all; with a token of one's own it would send that.
    run(tests
        .env("MAANA", maana)
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"))
}

/// As a part of all tests: where the packages cannot be had, it says so and passes.
pub(crate) fn in_tests() -> Result<()> {
    if let Err(error) = environment() {
        println!("skipped: the clients of other people, because their packages cannot be had here: {error:#}");
        return Ok(());
    }
    test(&[])
}

fn environment() -> Result<PathBuf> {
    let requirements = Path::new(TESTS).join("requirements.txt");
    python::environment(Path::new("target/clients-python"), &requirements, "the network and 500 MB of disk")
}
