//! One run of the program with limits on memory and time.

use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Address space of a process in KiB. A tiny model takes a hundredth; what asks for a size that a
/// file claims takes more.
const MEMORY: u64 = 3 << 20;
/// Time of a process. A hundredth is enough on an idle machine; a hang outlasts any limit.
const TIME: Duration = Duration::from_secs(120);

/// End of a run.
pub(crate) struct Outcome {
    status: Option<ExitStatus>,
    pub(crate) stdout: Vec<u8>,
    stderr: String,
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Describes how the run ended, if it ended in a way that no input may cause.
    pub(crate) fn fault(&self) -> Option<String> {
        let fault = match self.status {
            None => format!("still ran after {} s", TIME.as_secs()),
            Some(status) if status.signal().is_some() => format!("ended by {status}"),
            Some(_) if self.stderr.contains("panicked at") => "panicked".to_owned(),
            Some(status) if ![0, 1, 2].contains(&status.code().unwrap_or(-1)) => format!("ended with {status}"),
            Some(status) if !status.success() && !self.stderr.lines().any(|line| line.starts_with("error: ")) => {
                "failed without a message".to_owned()
            }
            Some(_) => return None,
        };
        Some(format!("{fault}: {}", excerpt(&self.stderr)))
    }

    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.stderr)
    }
}

/// First part of a text on one line, with control characters escaped.
pub(crate) fn excerpt(text: &str) -> String {
    text.trim().chars().take(400).flat_map(char::escape_debug).collect()
}

/// Prepares the program with the limit on memory, in `folder`, without the environment's own
/// settings of models.
pub(crate) fn limited(maana: &Path, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]).arg(maana).current_dir(folder);
    for name in ["HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "MAANA_ISA"] {
        command.env_remove(name);
    }
    command.env("HF_HUB_OFFLINE", "1").env("MAANA_THREADS", "2");
    command
}

/// Runs a command with both outputs in files of the folder `out`, and ends it when its time is
/// over.
pub(crate) fn run(command: &mut Command, out: &Path) -> Result<Outcome> {
    let file = |name: &str| File::create(out.join(name)).with_context(|| out.join(name).display().to_string());
    command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > TIME {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(4));
    };
    let read = |name: &str| std::fs::read(out.join(name)).with_context(|| out.join(name).display().to_string());
    Ok(Outcome { status, stdout: read("stdout")?, stderr: String::from_utf8_lossy(&read("stderr")?).into_owned() })
}
