//! Python environments with pinned versions, below `target`.

use crate::command::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of the environment in `folder`, made anew if it is not there or the pins have changed since.
///
/// The path leads through the link in `folder`, never to what it points at: that Python would not see the packages.
pub(crate) fn environment(folder: &Path, requirements: &Path, needs: &str) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    let pins = std::fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    if std::fs::read_to_string(&ready).ok().as_ref() != Some(&pins) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))
            .context("python3 makes no virtual environment; install it (on Debian: python3 and python3-venv)")?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(requirements))
            .with_context(|| format!("{} could not be installed (it needs {needs})", requirements.display()))?;
        std::fs::write(ready, pins)?;
    }
    Ok(python)
}
