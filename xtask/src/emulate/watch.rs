//! Runs a test binary and prints its output while it grows.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Tests to run, and their time limit.
pub(super) struct Request {
    /// Parts of test names; empty for all tests.
    pub(super) filters: Vec<String>,
    pub(super) deadline: Duration,
}

impl Request {
    /// Returns the arguments of the test binary. The lines with the instruction sets must not be
    /// captured.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        ["--test-threads=1", "--nocapture"].into_iter().chain(self.filters.iter().map(String::as_str))
    }
}

/// The part of a log to print.
pub(super) struct Excerpt<'a> {
    pub(super) text: &'a str,
    /// `true` if the output is complete, so that the program can be ended.
    pub(super) complete: bool,
}

/// Prints the output of a program while it grows in a file.
pub(super) struct Watch {
    pub(super) log: PathBuf,
    /// Printed bytes of the excerpt.
    pub(super) shown: usize,
}

impl Watch {
    pub(super) fn text(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    }

    /// Waits until the program ends, or ends it when its output is complete or the time is over.
    pub(super) fn until_it_ends(
        &mut self,
        mut child: Child,
        deadline: Duration,
        excerpt: impl Fn(&str) -> Excerpt<'_>,
    ) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            let ended = child.try_wait()?;
            // The file may not exist yet.
            let text = self.text().unwrap_or_default();
            let Excerpt { text, complete } = excerpt(&text);
            if let Some(new) = text.get(self.shown..) {
                print!("{new}");
                std::io::stdout().flush()?;
                self.shown = text.len();
            }
            if let Some(status) = ended {
                return Ok(status);
            }
            let late = start.elapsed() > deadline;
            if complete || late {
                child.kill()?;
                let status = child.wait()?;
                ensure!(
                    complete,
                    "stopped after {:.0} minutes. Choose fewer tests with a FILTER, or allow more time with --minutes N. \
                     The output is in {}",
                    deadline.as_secs_f64() / 60.0,
                    self.log.display()
                );
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
