//! `cargo xtask browser`: uses the server's page in headless Chromium, as `crates/serve/browser/test_page.py` says, with the small
//! model of the golden files. Where a browser or its Python cannot be had, it says so and passes.

use crate::command::{cargo, run};
use crate::emulate::debian;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const TEST: &str = "crates/serve/browser/test_page.py";

/// Builds the program and runs the test; the arguments (`--screenshots DIR`, `--only WORDS`) are handed to it.
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

/// The Chromium of this machine; on Debian and as root it is installed if there is none.
fn chromium() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for name in ["chromium", "chromium-browser", "google-chrome"] {
        if let Some(found) = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()) {
            return Ok(found);
        }
    }
    let package = ("chromium", "/usr/bin/chromium");
    debian::install(&[package]).context("there is no Chromium")?;
    Ok(package.1.into())
}

fn python() -> Result<PathBuf> {
    crate::python::environment(
        Path::new("target/browser-python"),
        Path::new("crates/serve/browser/requirements.txt"),
        "the network once, and 150 MB of disk",
    )
}
