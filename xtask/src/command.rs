//! Runs programs, and shows what runs.

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Runs cargo, and fails if it fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(&mut Command::new("cargo"), arguments)
}

/// Runs cargo with the tests' instruction set.
pub(crate) fn cargo_on(set: &str, arguments: &[&str]) -> Result<()> {
    cargo_with(Command::new("cargo").env("MAANA_ISA", set), arguments)
}

fn cargo_with(command: &mut Command, arguments: &[&str]) -> Result<()> {
    // Variables of this package would change the fingerprints of build scripts.
    let own = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    own.for_each(|name| {
        command.env_remove(name);
    });
    println!("\n— cargo {}", arguments.join(" "));
    let status = command.args(arguments).status().context("cargo")?;
    ensure!(status.success(), "cargo {} failed: {status}", arguments.join(" "));
    Ok(())
}

/// Runs a program, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("\n— {command:?}");
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} failed: {status}") }
}

/// Runs a program without showing it, and returns its standard output. If the program fails, its
/// standard error is in the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the program that `--maana` names, or builds and returns the one of this checkout.
pub(crate) fn maana_or_release(named: Option<PathBuf>) -> Result<PathBuf> {
    match named {
        Some(program) => Ok(program),
        None => {
            cargo(&["build", "--release", "-p", "maana-cli"])?;
            Ok(PathBuf::from("target/release/maana"))
        }
    }
}
