//! Python environments with pinned versions, below `target`.

use crate::command::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the command of pytest on the tests of a folder, which leaves no files there.
pub(crate) fn pytest(python: &Path, tests: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", tests]).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Returns the Python of the environment in `folder`, which is created if it is missing or the pins
/// have changed.
///
/// The path is the link in `folder`, not its target, which would not find the packages.
pub(crate) fn environment(folder: &Path, requirements: &Path, needs: &str) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    let pins = std::fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    if std::fs::read_to_string(&ready).ok().as_ref() != Some(&pins) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))
            .context("python3 cannot create a virtual environment; install it (on Debian: python3 and python3-venv)")?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(requirements))
            .with_context(|| format!("{} could not be installed (it needs {needs})", requirements.display()))?;
        std::fs::write(ready, pins)?;
    }
    Ok(python)
}
