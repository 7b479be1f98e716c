//! `cargo xtask browser`: runs `crates/serve/browser/test_page.py` on the server's page in headless
//! Chromium, with the small model of the golden files. Without a browser or its Python the test is
//! skipped.

use crate::command::{cargo, run};
use crate::debian;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const TEST: &str = "crates/serve/browser/test_page.py";

/// Builds the program and runs the test with the arguments (`--screenshots DIR`, `--only WORDS`).
pub(crate) fn run_page(arguments: &[String]) -> Result<()> {
    let (chromium, python) = match (chromium(), python()) {
        (Ok(chromium), Ok(python)) => (chromium, python),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("skipped: the test of the page in a browser, because {error:#}");
            return Ok(());
        }
    };
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    let mut test = Command::new(python);
    test.arg(TEST).arg("--maana").arg("target/debug/maana").arg("--chromium").arg(chromium).args(arguments);
    run(&mut test)
}

/// Returns the Chromium of this machine; as root on Debian it is installed if necessary.
fn chromium() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for name in ["chromium", "chromium-browser", "google-chrome"] {
        if let Some(found) = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()) {
            return Ok(found);
        }
    }
    let package = ("chromium", "/usr/bin/chromium");
    debian::install(&[package]).context("Chromium is missing")?;
    Ok(package.1.into())
}

fn python() -> Result<PathBuf> {
    crate::python::environment(
        Path::new("target/browser-python"),
        Path::new("crates/serve/browser/requirements.txt"),
        "the network and 150 MB of disk",
    )
}
